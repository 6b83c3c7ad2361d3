//! A jail's `sshd_config`: it is read as by sshd, and only the intended lines are changed. The file belongs
//! to the administrator, so comments, order, blanks and unknown directives stay byte for byte.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::address::{AllowedAddress, AllowedAddresses};
use super::{ClientFile, Jail, Lookup, Port};
use crate::error::{Error, IoContext, Result};
use crate::{file, text};

/// The content of an `sshd_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshdConfig {
    path: PathBuf,
    /// The lines with their ends, so that what is not ours is written back byte by byte.
    lines: Vec<Vec<u8>>,
}

/// The kinds of host keys that sshd looks for if there is no `HostKey` line.
const HOST_KEYS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

fn host_key_file(kind: &str) -> String {
    format!("/etc/ssh/ssh_host_{kind}_key")
}

/// A value of `ListenAddress`: an address, perhaps with a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address of this server that the listener binds to.
    pub address: IpAddr,
    /// The port, if it differs from `Port`.
    pub port: Option<Port>,
}

/// As the line has it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port.get()).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// A parsed line that sets a value.
struct Directive {
    /// The index of the line, counted from 0.
    line: usize,
    /// The keyword in lower case, since sshd takes either.
    keyword: String,
    /// The end of the keyword and of the separator after it.
    keyword_end: usize,
    arguments: Vec<Argument>,
    /// The end of the last argument; a comment may follow.
    end: usize,
}

struct Argument {
    /// The argument as sshd takes it, without its quotes.
    value: Vec<u8>,
    /// Where the argument stands in the line, quotes included.
    span: Range<usize>,
}

impl SshdConfig {
    /// Reads the jail's `sshd_config`.
    pub fn read(jail: &Jail) -> Result<SshdConfig> {
        let path = jail.sshd_config();
        let content =
            if jail.has_old_layout() { read_old(jail, &path)? } else { file::read_if_there(&path)? };
        match content {
            Some(content) => Ok(SshdConfig::parse(&path, &content)),
            None => Err(std::io::Error::from(std::io::ErrorKind::NotFound)).context("cannot read", path),
        }
    }

    /// Parses a text; [`SshdConfig::save`] writes it to `path`.
    pub fn parse(path: &Path, content: &[u8]) -> SshdConfig {
        let lines = content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        SshdConfig { path: path.to_path_buf(), lines }
    }

    /// Replaces the file by these lines, whole or not at all.
    pub fn save(&self) -> Result<()> {
        file::replace(&self.path, 0o644, &self.content())
    }

    /// The bytes that [`SshdConfig::save`] writes.
    pub fn content(&self) -> Vec<u8> {
        self.lines.concat()
    }

    /// The first port; sshd itself would listen on each of them.
    pub fn port(&self) -> Result<Port> {
        let Some(directive) = self.named("port")?.into_iter().next() else {
            return Err(Error::bad_file(&self.path, "has no 'Port' line"));
        };
        let value = text::printable(self.first(&directive)?).into_owned();
        value.parse().map_err(|_| self.bad_line(directive.line, format!("'{value}' is not a port")))
    }

    /// Sets the port: in the first `Port` line, or in a new one at the top.
    pub fn set_port(&mut self, port: Port) -> Result<()> {
        match self.named("port")?.into_iter().next() {
            Some(directive) => {
                self.first(&directive)?;
                let span = directive.arguments[0].span.clone();
                self.put(directive.line, span, port.to_string().into_bytes());
            }
            None => self.lines.insert(0, format!("Port {port}\n").into_bytes()),
        }
        Ok(())
    }

    /// The addresses of `AllowUsers root@ADDR …` in all such lines, which sshd adds up. `root` and `root@*`
    /// allow everyone. Fails if the directive is missing (sshd would admit everyone, which nobody asked for),
    /// if it does not contain `root`, or if `root@` is followed by a name or pattern instead of an address,
    /// which the listener cannot decide.
    pub fn allowed_addresses(&self) -> Result<AllowedAddresses> {
        let mut addresses = Vec::new();
        for directive in self.allow_users()? {
            for argument in &directive.arguments {
                addresses.extend(self.root_address(&directive, argument)?);
            }
        }
        AllowedAddresses::new(addresses)
            .ok_or_else(|| Error::bad_file(&self.path, "has no root@ADDRESS in 'AllowUsers'"))
    }

    /// Sets the addresses, in the place of the first one; entries for other users stay. Fails if there is no
    /// `AllowUsers` line.
    pub fn set_allowed_addresses(&mut self, addresses: &AllowedAddresses) -> Result<()> {
        let directives = self.allow_users()?;
        let is_root = |argument: &Argument| root_host(&argument.value).is_some();
        let home = directives
            .iter()
            .find(|directive| directive.arguments.iter().any(is_root))
            .or(directives.first())
            .map(|directive| directive.line);
        let mut emptied = Vec::new();
        for directive in &directives {
            let line = &self.lines[directive.line];
            let mut new: Option<Vec<String>> = (Some(directive.line) == home)
                .then(|| addresses.iter().map(|address| format!("root@{address}")).collect());
            let mut entries: Vec<Vec<u8>> = Vec::new();
            for argument in &directive.arguments {
                if is_root(argument) {
                    entries.extend(new.take().into_iter().flatten().map(String::into_bytes));
                } else {
                    entries.push(before_a_blank(&line[argument.span.clone()]));
                }
            }
            entries.extend(new.take().into_iter().flatten().map(String::into_bytes));
            if entries.is_empty() {
                emptied.push(directive.line);
            } else if Some(directive.line) == home || directive.arguments.iter().any(is_root) {
                let span = directive.keyword_end..directive.end;
                self.put(directive.line, span, entries.join(&b' '));
            }
        }
        // Without entries, the line would be an error for sshd.
        let mut emptied = emptied.into_iter().peekable();
        let mut at = 0..;
        self.lines.retain(|_| emptied.next_if_eq(&at.next().unwrap_or_default()).is_none());
        Ok(())
    }

    /// Puts this in the place of arguments. A quote may follow the keyword at once (`Port"2222"`), and a
    /// comment what has no argument, which a plain word may not. What separates a keyword from its arguments
    /// would take a `=` or carriage return at their begin in, and the end of the line a form feed.
    fn put(&mut self, line: usize, span: Range<usize>, mut new: Vec<u8>) {
        let line = &mut self.lines[line];
        let before = line[..span.start].last();
        if new.first().is_some_and(|byte| b"=\r".contains(byte)) {
            new.splice(..0, *b"\"\"");
        }
        if new.last().is_some_and(|byte| b"\r\x0c".contains(byte)) {
            new.extend(b"\"\"");
        }
        if before.is_some_and(|byte| !b" \t=".contains(byte)) {
            new.insert(0, b' ');
        }
        if line.get(span.end) == Some(&b'#') {
            new.push(b' ');
        }
        line.splice(span, new);
    }

    /// The addresses of `ListenAddress`; none means every address of the server.
    pub fn listen_addresses(&self) -> Result<Vec<ListenAddress>> {
        let mut addresses = Vec::new();
        for directive in self.named("listenaddress")? {
            let value = text::printable(self.first(&directive)?).into_owned();
            let parsed = ListenAddress::parse(&value).filter(|_| directive.arguments.len() == 1);
            addresses.push(parsed.ok_or_else(|| {
                self.bad_line(
                    directive.line,
                    format!("ListenAddress '{value}' is not an address with or without a port"),
                )
            })?);
        }
        Ok(addresses)
    }

    /// The `ListenAddress` lines that name another port than `Port`.
    ///
    /// sshd would listen on that one. A jail has one port, the one that its firewall rules, its clients' scripts
    /// and the other servers know, so of such a line the address counts. To follow it instead would take the
    /// port away from the clients of a jail that has been served on `Port` all along.
    pub fn other_ports(&self) -> Result<Vec<ListenAddress>> {
        let mut lines = self.listen_addresses()?;
        lines.retain(|line| line.port.is_some());
        if lines.is_empty() {
            return Ok(lines);
        }
        let port = self.port()?;
        lines.retain(|line| line.port != Some(port));
        Ok(lines)
    }

    /// The kinds of host keys (in terms of `ssh-keygen -t`) that the `HostKey` lines ask for by their usual
    /// names; all kinds without such a line. A key with another name belongs to the administrator.
    pub fn host_keys(&self) -> Result<Vec<&'static str>> {
        let files = self.host_key_files()?;
        Ok(HOST_KEYS.into_iter().filter(|kind| files.contains(&host_key_file(kind))).collect())
    }

    /// The paths, inside the jail, of the host keys that sshd offers if they exist.
    pub fn host_key_files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for directive in self.named("hostkey")? {
            files.push(text::printable(self.first(&directive)?).into_owned());
        }
        if files.is_empty() {
            files.extend(HOST_KEYS.iter().map(|kind| host_key_file(kind)));
        }
        Ok(files)
    }

    /// The value of `LogLevel`, if it is set.
    pub fn log_level(&self) -> Result<Option<String>> {
        let Some(directive) = self.named("loglevel")?.into_iter().next() else { return Ok(None) };
        Ok(Some(text::printable(self.first(&directive)?).into_owned()))
    }

    fn allow_users(&self) -> Result<Vec<Directive>> {
        let directives = self.named("allowusers")?;
        if directives.is_empty() {
            return Err(Error::bad_file(&self.path, "has no 'AllowUsers' line to hold the addresses")
                .with_hint("add 'AllowUsers root@0.0.0.0/0'"));
        }
        Ok(directives)
    }

    fn root_address(&self, directive: &Directive, argument: &Argument) -> Result<Option<AllowedAddress>> {
        match root_host(&argument.value) {
            None => Ok(None),
            Some(b"*") => Ok(AllowedAddresses::everyone().iter().next()),
            Some(host) => {
                let host = text::printable(host);
                host.parse()
                    .map(Some)
                    .map_err(|error: Error| self.bad_line(directive.line, error.to_string()))
            }
        }
    }

    /// The directives with this name (in lower case) that apply to every connection: those before the first
    /// `Match`.
    fn named(&self, keyword: &str) -> Result<Vec<Directive>> {
        let mut found = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let Some(directive) = Directive::parse(at, line) else { continue };
            match directive {
                Ok(directive) if directive.keyword == "match" => break,
                Ok(directive) if directive.keyword == keyword => found.push(directive),
                Err(name) if name == keyword => {
                    return Err(self.bad_line(at, "a quote is never closed".into()));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn first<'a>(&self, directive: &'a Directive) -> Result<&'a [u8]> {
        match directive.arguments.first() {
            Some(argument) => Ok(&argument.value),
            None => Err(self.bad_line(directive.line, format!("'{}' without a value", directive.keyword))),
        }
    }

    fn bad_line(&self, line: usize, reason: String) -> Error {
        Error::bad_line(&self.path, line + 1, &reason)
    }
}

/// The part after `root@`; `*` for a bare `root`; none for an entry of another user.
fn root_host(entry: &[u8]) -> Option<&[u8]> {
    match entry.strip_prefix(b"root")? {
        b"" => Some(b"*"),
        rest => rest.strip_prefix(b"@"),
    }
}

/// The argument as it must be written before a blank, which a lone backslash at its end would include.
fn before_a_blank(argument: &[u8]) -> Vec<u8> {
    let backslashes = argument.iter().rev().take_while(|byte| **byte == b'\\').count();
    [argument, if backslashes % 2 == 1 { b"\\" } else { b"" }].concat()
}

impl Directive {
    /// Parses a line as sshd does; none for a comment or an empty line. The error is the keyword of a line
    /// with an unclosed quote.
    fn parse(line: usize, bytes: &[u8]) -> Option<std::result::Result<Directive, String>> {
        let blank = |byte: &u8| b" \t\r\n".contains(byte);
        let end = bytes.iter().rposition(|byte| !blank(byte) && *byte != b'\x0c')? + 1;
        let bytes = &bytes[..end];
        let begin = bytes.iter().position(|byte| !blank(byte))?;
        if bytes[begin] == b'#' {
            return None;
        }
        let (keyword, mut at) = match keyword(bytes, begin) {
            Ok(found) => found,
            Err(keyword) => return Some(Err(keyword)),
        };
        // One '=' may stand between the keyword and its value.
        at += blanks(&bytes[at..]);
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            at += blanks(&bytes[at..]);
        }
        let mut directive = Directive { line, keyword, keyword_end: at, arguments: Vec::new(), end: at };
        while let Some(&byte) = bytes.get(at) {
            if byte == b' ' || byte == b'\t' {
                at += 1;
                continue;
            }
            if byte == b'#' {
                break;
            }
            let Some(argument) = Argument::parse(bytes, at) else { return Some(Err(directive.keyword)) };
            at = argument.span.end;
            directive.end = at;
            directive.arguments.push(argument);
        }
        Some(Ok(directive))
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| b" \t\r\n".contains(byte)).count()
}

/// The keyword, in lower case and without quotes, and its end. The error is a keyword with an unclosed quote.
fn keyword(bytes: &[u8], begin: usize) -> std::result::Result<(String, usize), String> {
    let quoted = bytes[begin] == b'"';
    let from = begin + usize::from(quoted);
    let ends = |byte: &u8| if quoted { *byte == b'"' } else { b" \t\r\n=\"".contains(byte) };
    let length = bytes[from..].iter().position(ends);
    let to = length.map_or(bytes.len(), |length| from + length);
    let keyword = String::from_utf8_lossy(&bytes[from..to]).to_ascii_lowercase();
    if quoted && length.is_none() { Err(keyword) } else { Ok((keyword, to + usize::from(quoted))) }
}

impl Argument {
    /// The argument that begins at `begin`; none if one of its quotes is not closed.
    fn parse(bytes: &[u8], begin: usize) -> Option<Argument> {
        let mut value = Vec::new();
        let mut quote = None;
        let mut at = begin;
        while let Some(&byte) = bytes.get(at) {
            match (byte, quote) {
                (b'\\', _) => match bytes.get(at + 1) {
                    Some(&next @ (b'\'' | b'"' | b'\\')) => {
                        value.push(next);
                        at += 1;
                    }
                    Some(b' ') if quote.is_none() => {
                        value.push(b' ');
                        at += 1;
                    }
                    _ => value.push(byte),
                },
                (b' ' | b'\t', None) => break,
                (b'\'' | b'"', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                _ => value.push(byte),
            }
            at += 1;
        }
        quote.is_none().then_some(Argument { value, span: begin..at })
    }
}

impl ListenAddress {
    /// `ADDR`, `ADDR:PORT`, `[ADDR]` or `[ADDR]:PORT`.
    fn parse(value: &str) -> Option<ListenAddress> {
        if let Ok(address) = value.parse() {
            return Some(ListenAddress { address, port: None });
        }
        let (address, port) = match value.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => value.split_once(':').map(|(address, port)| (address, Some(port)))?,
        };
        let port = port.filter(|port| !port.is_empty()).map(str::parse).transpose().ok()?;
        Some(ListenAddress { address: address.parse().ok()?, port })
    }
}

/// In a jail of the first format, the client can write everywhere and may have put a link here.
fn read_old(jail: &Jail, path: &Path) -> Result<Option<Vec<u8>>> {
    match ClientFile::find(jail, path.strip_prefix(jail.dir()).unwrap_or(path))? {
        Lookup::File(found) => file::read_small(found.open()?, path).map(Some),
        Lookup::Missing => Ok(None),
        Lookup::NotAFile(other) => Err(Error::untrusted(path, format_args!("is {other}"))),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
