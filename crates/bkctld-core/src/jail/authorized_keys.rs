//! Public keys in an `authorized_keys` file. They are checked before they replace the current keys, because
//! sshd silently skips a line that it does not understand, and the client would be locked out.

use std::path::Path;

use serde::Serialize;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use crate::error::{Error, Result};
use crate::file::SMALL_FILE_LIMIT;
use crate::text;

/// A checked `authorized_keys`: at least one key, and no line that sshd would skip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    content: Vec<u8>,
    keys: Vec<Key>,
}

/// A public key that may log into the jail, as its line has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// The number of its line, counted from 1.
    pub line: usize,
    /// The name that stands before the key, such as `ssh-ed25519`.
    pub algorithm: String,
    /// The fingerprint `SHA256:…`, as sshd logs it.
    pub fingerprint: String,
    /// Its options, made printable; empty if it has none.
    pub options: String,
    /// The comment after the key, made printable.
    pub comment: String,
}

/// The minimum size, in bits, of an RSA key for sshd by default (`RequiredRSASize`).
const MIN_RSA_BITS: usize = 1024;

/// Options without a value.
const FLAGS: [&str; 16] = [
    "agent-forwarding",
    "cert-authority",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-verify-required",
    "no-x11-forwarding",
    "port-forwarding",
    "pty",
    "restrict",
    "touch-required",
    "user-rc",
    "verify-required",
    "x11-forwarding",
];

/// Options with a value in double quotes.
const VALUES: [&str; 8] =
    ["command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"];

impl Keys {
    /// Checks a whole file; `path` is for messages. The error names the line and its fault.
    pub fn check(path: &Path, content: &[u8]) -> Result<Keys> {
        if content.len() as u64 > SMALL_FILE_LIMIT {
            let limit = SMALL_FILE_LIMIT >> 10;
            let what = format_args!("is larger than {limit} KiB: too large for a key file");
            return Err(Error::bad_file(path, what));
        }
        let mut keys = Vec::new();
        for (line, bytes) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let key = Key::parse(line, bytes);
            keys.extend(key.map_err(|reason| Error::bad_line(path, line, &reason))?);
        }
        if keys.is_empty() {
            return Err(Error::bad_file(path, "has it has no public key"));
        }
        Ok(Keys { content: content.to_vec(), keys })
    }

    /// The contents of the file, exactly as they were checked.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The keys in the file; there is at least one.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }
}

impl Key {
    /// Parses a line; none for a comment or an empty line.
    fn parse(line: usize, bytes: &[u8]) -> std::result::Result<Option<Key>, String> {
        let not_text = "not text: a public key is one line such as 'ssh-ed25519 AAAA… comment'";
        let given = std::str::from_utf8(bytes).map_err(|_| not_text)?.trim_matches([' ', '\t', '\r']);
        if given.is_empty() || given.starts_with('#') {
            return Ok(None);
        }
        if given.contains(|c: char| c.is_control() && c != '\t') {
            return Err(not_text.to_owned());
        }
        refuse_other_formats(given)?;
        let (options, rest) = match parse_key(given) {
            Some(_) => ("", given),
            None => split_options(given)?,
        };
        let Some((algorithm, data, comment)) = parse_key(rest) else {
            let word: String = rest.split([' ', '\t']).next().unwrap_or_default().chars().take(40).collect();
            return Err(format!("'{}' is not a type of public key", text::printable(word.as_bytes())));
        };
        check_options(options)?;
        let key = PublicKey::from_openssh(&format!("{algorithm} {data}"))
            .map_err(|error| format!("the {algorithm} key is damaged ({error})"))?;
        if let KeyData::Rsa(rsa) = key.key_data()
            && bits(&rsa.n) < MIN_RSA_BITS
        {
            return Err(format!("the RSA key has {} bits, but sshd requires {MIN_RSA_BITS}", bits(&rsa.n)));
        }
        Ok(Some(Key {
            line,
            algorithm: algorithm.to_owned(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            options: text::printable(options.as_bytes()).into_owned(),
            comment: text::printable(comment.as_bytes()).into_owned(),
        }))
    }
}

/// The number of bits of an integer without leading zero bytes.
fn bits(number: &ssh_key::Mpint) -> usize {
    let bytes = number.as_positive_bytes().unwrap_or_default();
    let unused = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
    bytes.len() * 8 - unused
}

/// Recognizes keys of other kinds, which do not belong here.
fn refuse_other_formats(given: &str) -> std::result::Result<(), String> {
    if given.contains("PRIVATE KEY") || given.starts_with("PuTTY-User-Key-File") {
        return Err(
            "a private key, which must stay on the client: give its public half (the .pub file)".to_owned()
        );
    }
    let first = given.split([' ', '\t']).next().unwrap_or_default();
    if first == "ssh-dss" {
        return Err(
            "a DSA key, which sshd does not accept: make a new one with 'ssh-keygen -t ed25519'".to_owned()
        );
    }
    if first.contains("-cert-v01@") {
        return Err("a certificate: give the public key, or the authority's with the option cert-authority"
            .to_owned());
    }
    if given.starts_with("----") {
        return Err("another format of key: convert it with 'ssh-keygen -i -f FILE'".to_owned());
    }
    Ok(())
}

/// Type, base64 and comment of a line that begins with a type that sshd accepts.
fn parse_key(given: &str) -> Option<(&str, &str, &str)> {
    const TYPES: [&str; 7] = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    let blank = [' ', '\t'];
    let (algorithm, rest) = given.split_once(blank)?;
    if !TYPES.contains(&algorithm) {
        return None;
    }
    let rest = rest.trim_start_matches(blank);
    let (data, comment) = rest.split_once(blank).unwrap_or((rest, ""));
    Some((algorithm, data, comment.trim_start_matches(blank)))
}

/// Splits at the first blank outside of quotes, where sshd ends the options.
fn split_options(given: &str) -> std::result::Result<(&str, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in given.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&given[..at], given[at..].trim_start_matches([' ', '\t']))),
            _ => {}
        }
        escaped = c == '\\';
    }
    if quoted {
        return Err("a quote in the options is never closed".to_owned());
    }
    let shown: String = given.chars().take(40).collect();
    Err(format!("'{}' is not a public key", text::printable(shown.as_bytes())))
}

fn check_options(options: &str) -> std::result::Result<(), String> {
    let mut rest = options;
    while !rest.is_empty() {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        if VALUES.contains(&name.as_str()) {
            rest =
                skip_value(rest).ok_or_else(|| format!("option '{name}' needs a value in double quotes"))?;
        } else if !FLAGS.contains(&name.as_str()) {
            return Err(format!("sshd has no option '{}'", text::printable(name.as_bytes())));
        }
        rest = match rest.strip_prefix(',') {
            Some("") => return Err("a ',' ends the options".to_owned()),
            Some(next) => next,
            None if rest.is_empty() => rest,
            None => return Err(format!("option '{name}' is followed by something other than ','")),
        };
    }
    Ok(())
}

/// The text after `="…"`.
fn skip_value(rest: &str) -> Option<&str> {
    let value = rest.strip_prefix("=\"")?;
    let mut escaped = false;
    for (at, c) in value.char_indices() {
        if c == '"' && !escaped {
            return Some(&value[at + 1..]);
        }
        escaped = c == '\\';
    }
    None
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
