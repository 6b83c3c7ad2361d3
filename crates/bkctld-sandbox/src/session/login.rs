//! Who has logged in, by sshd's log.

/// A login that sshd has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// The SHA-256 fingerprint of its key; none where it was not by key.
    pub(crate) key: Option<String>,
}

/// Reads `Accepted publickey for root from 192.0.2.1 port 4 ssh2: ED25519 SHA256:…`.
///
/// Only the first such line of a session can be trusted: sshd writes it before it starts any program of the
/// client, and no text of a client begins a line of sshd.
pub(crate) fn login(line: &[u8]) -> Option<Login> {
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("Accepted ")?;
    let key =
        rest.split(' ').find(|word| word.strip_prefix("SHA256:").is_some_and(is_hash)).map(str::to_owned);
    Some(Login { key })
}

/// Base64 of 32 bytes, without padding: a record keeps it, and it is shown as it is.
fn is_hash(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_that_begins_so_is_a_login() {
        let hash = "SHA256:".to_owned() + &"x".repeat(43);
        let line = format!("Accepted publickey for root from ::1 port 5 ssh2: ED25519 {hash}");
        assert_eq!(login(line.as_bytes()), Some(Login { key: Some(hash) }));
        assert_eq!(login(b"Accepted password for root from ::1 port 5 ssh2"), Some(Login { key: None }));
        let fake = format!("Invalid user {line} from ::1 port 5");
        assert_eq!(login(fake.as_bytes()), None);
        assert_eq!(login(b"Accepted \xff"), None);
        let other = format!("Accepted publickey for root ssh2: ED25519 SHA256:\x1b[2J{}", "x".repeat(39));
        assert_eq!(login(other.as_bytes()), Some(Login { key: None }));
    }
}
