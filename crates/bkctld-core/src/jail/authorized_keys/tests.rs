use std::fs;
use std::process::Command;

use super::*;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn check(content: &str) -> Result<Keys> {
    Keys::check(Path::new("/keys"), content.as_bytes())
}

fn error(content: &[u8]) -> String {
    Keys::check(Path::new("/keys"), content).expect_err(&String::from_utf8_lossy(content)).to_string()
}

/// A new key pair: the private and the public half.
fn generate(kind: &str, bits: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "a comment", "-f"])
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    (fs::read_to_string(&path).unwrap(), fs::read_to_string(path.with_extension("pub")).unwrap())
}

#[test]
fn each_type_of_key_has_the_fingerprint_that_ssh_keygen_shows() {
    let kinds = [("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")];
    let content: String = kinds.map(|(kind, bits)| generate(kind, bits).1).concat();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    fs::write(&path, &content).unwrap();
    let out = Command::new("ssh-keygen").arg("-lf").arg(&path).output().unwrap();
    let shown = String::from_utf8(out.stdout).unwrap();
    let expected: Vec<&str> = shown.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    let keys = check(&content).unwrap();
    let ours: Vec<&str> = keys.keys().iter().map(|key| key.fingerprint.as_str()).collect();
    assert_eq!(ours, expected);
    assert!(keys.keys().iter().all(|key| key.comment == "a comment"));
    assert_eq!(keys.content(), content.as_bytes());
}

#[test]
fn a_key_on_a_hardware_token_is_a_key() {
    let blob = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9eUO2170QduohPURkQnbLa/dczAAAABHNzaDo= token";
    assert_eq!(check(blob).unwrap().keys()[0].algorithm, "sk-ssh-ed25519@openssh.com");
}

#[test]
fn options_comments_and_blanks_are_allowed() {
    let options = "from=\"10.0.0.1,::1\",command=\"rsync \\\"a b\\\", x\",no-pty,Restrict";
    let content = format!("# caf\u{e9}\n\n \t\n{options}  {ED25519}\tme  too \r\n{ED25519}");
    let keys = check(&content).unwrap();
    assert_eq!(keys.keys().len(), 2);
    let first = &keys.keys()[0];
    assert_eq!((first.line, first.options.as_str(), first.comment.as_str()), (4, options, "me  too"));
    assert_eq!((keys.keys()[1].line, keys.keys()[1].comment.as_str()), (5, ""));
}

#[test]
fn what_sshd_would_skip_is_refused_with_its_line() {
    for (content, expected) in [
        (String::new(), "/keys has it has no public key"),
        ("# only\n".to_owned(), "/keys has it has no public key"),
        ("garbage".to_owned(), "/keys:1: 'garbage' is not a public key"),
        (format!("{ED25519}\nmore garbage"), "/keys:2: 'garbage' is not a type of public key"),
        (format!("ssh-dss{}", &ED25519[11..]), "/keys:1: a DSA key"),
        (format!("ssh-ed25519-cert-v01@openssh.com{}", &ED25519[11..]), "/keys:1: a certificate"),
        (format!("ssh-rsa{}", &ED25519[11..]), "/keys:1: the ssh-rsa key is damaged"),
        (ED25519[..70].to_owned(), "/keys:1: the ssh-ed25519 key is damaged"),
        (format!("{ED25519}AAAA"), "/keys:1: the ssh-ed25519 key is damaged"),
        (format!("x {ED25519}"), "/keys:1: sshd has no option 'x'"),
        (format!("from=10.0.0.1 {ED25519}"), "/keys:1: option 'from' needs a value in double quotes"),
        (format!("pty, {ED25519}"), "/keys:1: a ',' ends the options"),
        (format!("pty=\"x\" {ED25519}"), "/keys:1: option 'pty' is followed"),
        (format!("command=\"x {ED25519}"), "/keys:1: a quote in the options is never closed"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\n".to_owned(), "ssh-keygen -i"),
        (format!("{ED25519} a\u{1b}[31m"), "/keys:1: not text"),
    ] {
        let found = error(content.as_bytes());
        assert!(found.contains(expected), "{content:?}: {found}");
    }
    assert!(error(b"\x7fELF\x02\x01\0\xff").contains("/keys:1: not text"));
    assert!(error(&vec![b'#'; (SMALL_FILE_LIMIT + 1) as usize]).contains("larger than 1024 KiB"));
}

#[test]
fn a_private_key_is_refused_before_it_lands_on_the_server() {
    let (private, public) = generate("ed25519", "256");
    assert!(error(private.as_bytes()).contains("a private key, which must stay on the client"));
    assert!(error(format!("{public}{private}").as_bytes()).contains("/keys:2: a private key"));
    assert!(error(b"PuTTY-User-Key-File-3: ssh-ed25519").contains("a private key"));
    let (_, short) = generate("rsa", "1024");
    assert!(check(&short).is_ok());
}

#[test]
fn options_are_told_so_that_they_do_not_turn_the_line() {
    let keys = check(&format!("environment=\"A=\u{202e}b\" {ED25519}")).unwrap();
    assert_eq!(keys.keys()[0].options, "environment=\"A=\\u{202e}b\"");
    assert!(keys.content().windows(3).any(|bytes| bytes == "\u{202e}".as_bytes()));
}

#[test]
fn what_a_damaged_key_holds_does_not_steer_the_terminal_that_shows_why() {
    // Its type within the data is `ecdsa-sha2-nistp256` with a BEL in it, which the error quotes.
    let damaged = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdAcyNTY=";
    let shown = error(damaged.as_bytes());
    assert!(shown.contains("is damaged"), "{shown}");
    crate::fuzzing::assert_shown(shown);
}
