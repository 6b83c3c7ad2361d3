//! The script with which a client pushes to its jail: the template, filled in with the values of this server.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use ssh_key::{PrivateKey, PublicKey};

use crate::config::{Isolation, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::jail::{Jail, JailName, Port, SessionPolicy, SshdConfig};
use crate::template::Template;
use crate::{file, text};

/// A server as a client reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    host: String,
    port: Option<Port>,
}

impl FromStr for ServerName {
    type Err = Error;

    /// `HOST`, `HOST:PORT`, an IPv6 address, or `[ADDRESS]:PORT`.
    fn from_str(name: &str) -> Result<ServerName> {
        let refuse = || {
            let shown: String = name.chars().take(80).collect();
            let shown = text::printable(shown.as_bytes());
            Error::invalid(format!(
                "'{shown}' is not a server: give HOST, HOST:PORT, or [ADDRESS]:PORT for IPv6"
            ))
        };
        if let Ok(address) = name.parse::<Ipv6Addr>() {
            return Ok(ServerName { host: address.to_string(), port: None });
        }
        let (host, port) = match name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let address: Ipv6Addr = address.parse().map_err(|_| refuse())?;
                let port =
                    if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(refuse)?) };
                (address.to_string(), port)
            }
            None => match name.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (name.to_owned(), None),
            },
        };
        // Only characters that shells and ssh treat as part of a name.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || host.len() > 253 || host.starts_with('-') || !host.bytes().all(plain) {
            return Err(refuse());
        }
        let port = port.map(str::parse).transpose().map_err(|_| refuse())?;
        Ok(ServerName { host, port })
    }
}

/// A server with the port of the jail there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    host: String,
    port: Port,
}

impl Server {
    /// As `ssh` looks it up in `known_hosts`.
    fn known_as(&self) -> String {
        match self.port.get() {
            22 => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The values in the script of one jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ClientScript {
    /// The jail that the script pushes into.
    pub jail: JailName,
    /// `HOST:PORT` of each server, in the order in which the client tries them.
    pub servers: Vec<String>,
    /// The lines for the client's `known_hosts`.
    pub known_hosts: Vec<String>,
    /// Whether the jail can store device nodes.
    pub devices: bool,
    /// The path of the canary below the client's root.
    pub canary: String,
}

impl ClientScript {
    /// The script for this jail on these servers. The servers of `NODE` follow them: the jail has the same
    /// port and the same host keys there.
    ///
    /// # Errors
    /// A jail without host keys; a `NODE` that is not the name of a server.
    pub fn new(settings: &Settings, jail: &Jail, named: &[ServerName]) -> Result<ClientScript> {
        let config = SshdConfig::read(jail)?;
        let port = config.port()?;
        let mut servers: Vec<Server> = Vec::new();
        let nodes = settings.nodes.iter().map(|node| {
            // As ssh takes it: perhaps with a user before it.
            node.rsplit_once('@').map_or(node.as_str(), |(_, host)| host).parse::<ServerName>()
        });
        for name in named.iter().cloned().map(Ok).chain(nodes) {
            let name = name?;
            let server = Server { host: name.host, port: name.port.unwrap_or(port) };
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        let keys = host_keys(jail, &config)?;
        let known_hosts =
            servers.iter().flat_map(|server| keys.iter().map(|key| format!("{} {key}", server.known_as())));
        Ok(ClientScript {
            jail: jail.name().clone(),
            known_hosts: known_hosts.collect(),
            servers: servers.iter().map(ToString::to_string).collect(),
            devices: SessionPolicy::read(jail, settings)?.isolation == Isolation::Compat,
            canary: format!("/{}", settings.canary_relative_file.trim_start_matches('/')),
        })
    }

    /// The script itself: the template `client.sh`, each `@NAME@` in it replaced by a word quoted for the
    /// shell.
    pub fn text(&self, settings: &Settings) -> Result<String> {
        let template = String::from_utf8(Template::Client.read(settings)?).map_err(|_| {
            let message = format!("the template {} is not UTF-8", Template::Client.name());
            Error::new(ErrorKind::BadFile, message)
        })?;
        let mut out = template;
        for (name, value) in [
            // Between the lines of a here-document that ends with none of them: not quoted.
            ("@KNOWN_HOSTS@", self.known_hosts.join("\n")),
            ("@JAIL@", quoted(self.jail.as_str())?),
            ("@SERVERS@", quoted(&self.servers.join(" "))?),
            ("@DEVICES@", if self.devices { "yes" } else { "no" }.to_owned()),
            // The last one, as it alone may hold anything.
            ("@CANARY@", quoted(&self.canary)?),
        ] {
            out = out.replace(name, &value);
        }
        Ok(out)
    }
}

/// The commands of a client's first push, by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPush {
    /// The command that adds the jail's host key to `known_hosts`.
    pub trust: String,
    /// The line for its shell that pushes `/etc` and `/home` once.
    pub push: String,
}

impl FirstPush {
    /// Into this jail, on a server that the client knows by this name.
    ///
    /// # Errors
    /// A jail without host keys.
    pub fn new(jail: &Jail, server: &ServerName) -> Result<FirstPush> {
        let config = SshdConfig::read(jail)?;
        let port = server.port.map_or_else(|| config.port(), Ok)?;
        let server = Server { host: server.host.clone(), port };
        let keys = host_keys(jail, &config)?;
        // One is enough, and this one is short.
        let key = keys.iter().find(|key| key.starts_with("ssh-ed25519 ")).or(keys.first());
        let host = match server.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => server.host.clone(),
        };
        Ok(FirstPush {
            trust: format!(
                "echo '{} {}' >> ~/.ssh/known_hosts",
                server.known_as(),
                key.map(String::as_str).unwrap_or_default()
            ),
            push: format!(
                "rsync -aHAX --numeric-ids --delete -e 'ssh -p {port}' /etc /home root@{host}:/var/backup/"
            ),
        })
    }
}

fn quoted(word: &str) -> Result<String> {
    shlex::try_quote(word).map(|word| word.into_owned()).map_err(|error| {
        let message = format!("'{}' cannot be quoted for the shell", text::printable(word.as_bytes()));
        Error::invalid(message).because(error)
    })
}

/// The public halves of the jail's host keys, without comments.
fn host_keys(jail: &Jail, config: &SshdConfig) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for name in config.host_key_files()? {
        let path = jail.rootfs().join(name.trim_start_matches('/'));
        // From the private half, which is what sshd shows. One in the form before OpenSSH's own is
        // believed to go with the public half beside it.
        let private = match file::read_if_there(&path)? {
            // sshd does without a missing key.
            None => continue,
            Some(content) => PrivateKey::from_openssh(content).ok().map(|key| key.public_key().clone()),
        };
        let public = match private {
            Some(key) => Some(key),
            None => {
                let beside = jail.rootfs().join(format!("{}.pub", name.trim_start_matches('/')));
                file::read_if_there(&beside)?.and_then(|content| {
                    PublicKey::from_openssh(std::str::from_utf8(&content).ok()?.trim()).ok()
                })
            }
        };
        let mut public = public.ok_or_else(|| {
            Error::bad_file(&path, "is not a host key that can be read")
                .with_hint("make its public half with 'ssh-keygen -y'")
        })?;
        public.set_comment("");
        keys.push(
            public
                .to_openssh()
                .map_err(|error| Error::bad_file(&path, "is not a host key").because(error))?,
        );
    }
    if keys.is_empty() {
        return Err(Error::refused("the jail has no host keys").in_jail(jail.name()));
    }
    Ok(keys)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_server_is_a_host_an_address_or_either_with_a_port() {
        for (name, host, port) in [
            ("backup.example.org", "backup.example.org", None),
            ("backup_1:2200", "backup_1", Some(2200)),
            ("192.0.2.1:22", "192.0.2.1", Some(22)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:DB8::1]", "2001:db8::1", None),
            ("[2001:db8::1]:2200", "2001:db8::1", Some(2200)),
        ] {
            let server: ServerName = name.parse().unwrap();
            assert_eq!((server.host.as_str(), server.port.map(Port::get)), (host, port), "{name}");
        }
        for bad in [
            "",
            ":22",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "a b",
            "a;b",
            "$(x)",
            "-oProxyCommand=x",
            "a'b",
            "a\nb",
            "[::1",
            "[::1]x",
            "[a]:22",
            "[]",
            "a:1:2",
            "é",
            "fe80::1%eth0",
        ] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad}");
        }
    }

    fn jail() -> (tempfile::TempDir, Settings, Jail) {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            conf_dir: dir.path().join("conf"),
            ..Settings::on_partition(&dir.path().join("backup"))
        };
        let jail = Jail::new(&settings, "web01".parse().unwrap());
        let etc = jail.rootfs().join("etc/ssh");
        fs::create_dir_all(&etc).unwrap();
        fs::write(jail.sshd_config(), "Port 2222\nAllowUsers root@0.0.0.0/0\n").unwrap();
        (dir, settings, jail)
    }

    fn keygen(jail: &Jail, name: &str, more: &[&str]) -> String {
        let path = jail.rootfs().join("etc/ssh").join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-C", "a comment", "-f"]).arg(&path).args(more);
        assert!(command.status().unwrap().success());
        let public = fs::read_to_string(format!("{}.pub", path.display())).unwrap();
        public.trim_end().trim_end_matches(" a comment").to_owned()
    }

    #[test]
    fn every_server_is_known_by_every_key_of_the_jail() {
        let (_dir, mut settings, jail) = jail();
        assert!(ClientScript::new(&settings, &jail, &[]).unwrap_err().to_string().contains("no host keys"));
        let ed25519 = keygen(&jail, "ssh_host_ed25519_key", &["-t", "ed25519"]);
        let rsa = keygen(&jail, "ssh_host_rsa_key", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
        let ecdsa = keygen(&jail, "ssh_host_ecdsa_key", &["-t", "ecdsa"]);
        // The private half counts: this one was replaced, and its public half forgotten.
        fs::remove_file(jail.rootfs().join("etc/ssh/ssh_host_ecdsa_key.pub")).unwrap();
        settings.nodes = vec!["root@node.example.org".into(), "2001:db8::2".into(), "a.example.org".into()];
        let named = ["a.example.org".parse().unwrap(), "b.example.org:22".parse().unwrap()];
        let script = ClientScript::new(&settings, &jail, &named).unwrap();
        assert_eq!(
            script.servers,
            ["a.example.org:2222", "b.example.org:22", "node.example.org:2222", "[2001:db8::2]:2222"]
        );
        let mut expected = Vec::new();
        for name in ["[a.example.org]:2222", "b.example.org", "[node.example.org]:2222", "[2001:db8::2]:2222"]
        {
            expected.extend([&ed25519, &ecdsa, &rsa].map(|key| format!("{name} {key}")));
        }
        assert_eq!(script.known_hosts, expected);
        assert_eq!((script.devices, script.canary.as_str()), (false, "/zzz_evobackup/canary"));
    }

    #[test]
    fn a_key_that_nobody_can_read_is_an_error_and_only_the_keys_that_sshd_shows_count() {
        let (_dir, settings, jail) = jail();
        let key = keygen(&jail, "my_key", &["-t", "ed25519"]);
        fs::write(jail.rootfs().join("etc/ssh/ssh_host_rsa_key"), "garbage").unwrap();
        let error = ClientScript::new(&settings, &jail, &["a".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("ssh_host_rsa_key"), "{error}");
        fs::write(jail.sshd_config(), "Port 22\nHostKey /etc/ssh/my_key\n").unwrap();
        let script = ClientScript::new(&settings, &jail, &["a".parse().unwrap()]).unwrap();
        assert_eq!(script.known_hosts, [format!("a {key}")]);
    }

    /// Whatever the values, the shell sees each as one word.
    #[test]
    fn values_are_quoted_for_the_shell() {
        let (dir, settings, _jail) = jail();
        let settings = Settings { local_tpl_dir: dir.path().join("local"), ..settings };
        fs::create_dir(&settings.local_tpl_dir).unwrap();
        fs::write(
            settings.local_tpl_dir.join("client.sh"),
            "CANARY=@CANARY@\nSERVERS=@SERVERS@\nprintf '%s|' \"$CANARY\" \"$SERVERS\" @DEVICES@ @JAIL@\n",
        )
        .unwrap();
        let canary = "/it's $(touch x) `y` \"z\" \\ @JAIL@ é";
        let script = ClientScript {
            jail: "web01".parse().unwrap(),
            servers: vec!["a:1".into(), "[::1]:2".into()],
            known_hosts: Vec::new(),
            devices: true,
            canary: canary.into(),
        };
        let out = Command::new("sh").arg("-c").arg(script.text(&settings).unwrap()).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), format!("{canary}|a:1 [::1]:2|yes|web01|"));
    }
}
