use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::template::Template;

fn config(content: &str) -> SshdConfig {
    SshdConfig::parse(Path::new("/j/sshd_config"), content.as_bytes())
}

fn list(addresses: &[&str]) -> AllowedAddresses {
    AllowedAddresses::new(addresses.iter().map(|address| address.parse().unwrap())).unwrap()
}

fn text_of(config: &SshdConfig) -> String {
    String::from_utf8(config.content()).unwrap()
}

#[test]
fn the_port_is_read_as_sshd_reads_it_and_changed_in_its_place() {
    for (content, port, after) in [
        ("Port 2222\n", 2222, "Port 2300\n"),
        ("#Port 22\n port\t=  2222 # ours\r\nPort 1\n", 2222, "#Port 22\n port\t=  2300 # ours\r\nPort 1\n"),
        ("PORT=2222", 2222, "PORT=2300"),
        ("\"Port\" \"2222\"\n", 2222, "\"Port\" 2300\n"),
        ("X 1\nPort '22'22\n", 2222, "X 1\nPort 2300\n"),
        ("Port\"2222\"\n", 2222, "Port 2300\n"),
    ] {
        let mut config = config(content);
        assert_eq!(config.port().unwrap().get(), port, "{content:?}");
        config.set_port("2300".parse().unwrap()).unwrap();
        assert_eq!(text_of(&config), after);
    }
    let mut none = config("Match user x\n Port 3\n");
    assert!(none.port().unwrap_err().to_string().contains("has no 'Port' line"));
    none.set_port("2300".parse().unwrap()).unwrap();
    assert_eq!(text_of(&none), "Port 2300\nMatch user x\n Port 3\n");
}

#[test]
fn a_line_that_sshd_would_refuse_is_an_error_with_its_number() {
    for (content, expected) in [
        ("\nPort ssh\n", "/j/sshd_config:2: 'ssh' is not a port"),
        ("Port\n", "/j/sshd_config:1: 'port' without a value"),
        ("Port \"22\n", "/j/sshd_config:1: a quote is never closed"),
        ("Port # 22\n", "/j/sshd_config:1: 'port' without a value"),
    ] {
        assert_eq!(config(content).port().unwrap_err().to_string(), expected);
    }
    for (content, expected) in [
        ("Port 22\n", "has no 'AllowUsers' line"),
        ("Match all\nAllowUsers root@::1\n", "has no 'AllowUsers' line"),
        ("AllowUsers backup\n", "no root@ADDRESS"),
        ("AllowUsers root@10.0.0.300\n", "sshd_config:1: '10.0.0.300' is not an address"),
        ("AllowUsers root@10.0.0.*\n", "sshd_config:1: '10.0.0.*' is not an address"),
    ] {
        let error = config(content).allowed_addresses().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn addresses_of_all_lines_add_up() {
    for (content, shown) in [
        ("AllowUsers root@10.0.0.1\n", "10.0.0.1"),
        (
            "allowusers=root@10.0.0.1 \"root@::1\" # root@::2\nAllowUsers x root@10.0.0.0/8\n",
            "10.0.0.1,::1,10.0.0.0/8",
        ),
        ("AllowUsers root@0.0.0.0/0 root@10.0.0.1\n", "0.0.0.0/0"),
        ("AllowUsers root\n", "0.0.0.0/0"),
        ("AllowUsers root@*\n", "0.0.0.0/0"),
        ("AllowUsers rooted !root@10.0.0.2 root@10.0.0.1\nMatch all\nAllowUsers root@::1\n", "10.0.0.1"),
    ] {
        assert_eq!(config(content).allowed_addresses().unwrap().to_string(), shown, "{content:?}");
    }
}

#[test]
fn addresses_are_changed_in_the_first_place_that_holds_some() {
    let two = list(&["10.0.0.2", "2001:db8::/32"]);
    for (content, after) in [
        ("AllowUsers root@0.0.0.0/0\n", "AllowUsers root@10.0.0.2 root@2001:db8::/32\n"),
        (
            "  AllowUsers  a root@::1 'b c'\troot@::2  # why\r\n",
            "  AllowUsers  a root@10.0.0.2 root@2001:db8::/32 'b c'  # why\r\n",
        ),
        (
            "AllowUsers x  y\nAllowUsers=root@::1\nX 1\nAllowUsers root@::2\nAllowUsers root@::3 z\n",
            "AllowUsers x  y\nAllowUsers=root@10.0.0.2 root@2001:db8::/32\nX 1\nAllowUsers z\n",
        ),
        ("AllowUsers x", "AllowUsers x root@10.0.0.2 root@2001:db8::/32"),
        ("AllowUsers root", "AllowUsers root@10.0.0.2 root@2001:db8::/32"),
    ] {
        let mut config = config(content);
        config.set_allowed_addresses(&two).unwrap();
        assert_eq!(text_of(&config), after);
        assert_eq!(config.allowed_addresses().unwrap(), two);
    }
    assert!(config("Port 1\n").set_allowed_addresses(&two).unwrap_err().to_string().contains("AllowUsers"));
}

#[test]
fn every_listen_address_and_the_first_log_level_are_read() {
    let config = config(
        "ListenAddress 10.0.0.1\nListenAddress ::1\nListenAddress [::2]:2300\nListenAddress 10.0.0.1:99\n\
         ListenAddress [::3]\nLogLevel VERBOSE\nloglevel INFO\n",
    );
    let shown: Vec<(String, Option<u16>)> = config
        .listen_addresses()
        .unwrap()
        .iter()
        .map(|listen| (listen.address.to_string(), listen.port.map(Port::get)))
        .collect();
    let expected =
        [("10.0.0.1", None), ("::1", None), ("::2", Some(2300)), ("10.0.0.1", Some(99)), ("::3", None)];
    assert_eq!(shown, expected.map(|(address, port)| (address.to_owned(), port)));
    assert_eq!(config.log_level().unwrap().as_deref(), Some("VERBOSE"));
    for bad in ["host", "10.0.0.1:x", "10.0.0.1 rdomain v", "[::1]x:22", ":22"] {
        assert!(super::tests::config(&format!("ListenAddress {bad}\n")).listen_addresses().is_err(), "{bad}");
    }
    assert_eq!(super::tests::config("").listen_addresses().unwrap(), []);
}

#[test]
fn a_port_of_listen_address_that_is_not_the_jails_is_found() {
    let others = |content: &str| {
        let found = config(content).other_ports().unwrap();
        found.iter().map(ListenAddress::to_string).collect::<Vec<_>>()
    };
    assert_eq!(others("Port 2222\nListenAddress 10.0.0.1\nListenAddress [::1]:2222\n"), [""; 0]);
    let two = "ListenAddress [::1]:99\nListenAddress 10.0.0.1:22\nListenAddress 10.0.0.1\nPort 2222\n";
    assert_eq!(others(two), ["[::1]:99", "10.0.0.1:22"]);
    assert_eq!(others(""), [""; 0]);
    assert!(config("ListenAddress 10.0.0.1:22\n").other_ports().is_err(), "there is no port to compare with");
}

#[test]
fn the_template_opens_for_everyone_on_the_first_port() {
    let config = config(Template::SshdConfig.built_in());
    assert_eq!(config.port().unwrap(), Port::FIRST);
    assert!(config.allowed_addresses().unwrap().is_everyone());
    assert_eq!(config.content(), Template::SshdConfig.built_in().as_bytes());
}

/// The port and the `AllowUsers` entries that the sshd of this machine reads from the text; none if it
/// refuses the text.
fn sshd(content: &str) -> Option<(String, Vec<String>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    let key = dir.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    std::fs::create_dir_all("/run/sshd").unwrap();
    std::fs::write(&path, content).unwrap();
    let out =
        Command::new("/usr/sbin/sshd").arg("-T").arg("-h").arg(&key).arg("-f").arg(&path).output().unwrap();
    out.status.success().then(|| {
        let shown = String::from_utf8(out.stdout).unwrap();
        let values = |key: &str| -> Vec<String> {
            shown.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect()
        };
        (values("port ").remove(0), values("allowusers "))
    })
}

#[test]
fn sshd_reads_lines_as_we_do() {
    for content in [
        "AllowUsers root@10.0.0.1 # root@::2\nport=2222\n",
        "allowusers = root@10.0.0.1\nAllowUsers \"root@::1\" 'root@::2'\nPort \"2223\"\n",
        "\"AllowUsers\" root@::1\n \t PORT\t2224\nPort 2225\nMatch user x\nAllowUsers root@::9\n",
        "AllowUsers ro\"ot@::1\" root@10.0.0.0/8\r\nPort 2226 \x0c\n",
        "AllowUsers root@::1#x\nAllowUsers=root@::2\n#AllowUsers root@::3\nPort 22'27'\n",
    ] {
        let (port, entries) = sshd(content).unwrap_or_else(|| panic!("sshd refuses {content:?}"));
        let ours = config(content);
        assert_eq!(ours.port().unwrap().to_string(), port, "{content:?}");
        let named: Vec<String> = ours
            .named("allowusers")
            .unwrap()
            .iter()
            .flat_map(|directive| directive.arguments.iter())
            .map(|argument| String::from_utf8(argument.value.clone()).unwrap())
            .collect();
        assert_eq!(named, entries, "{content:?}");
    }
    assert!(sshd("AllowUsers\n").is_none(), "a line without entries must be removed");
}

fn line() -> impl Strategy<Value = String> {
    let tail = "[ -~]{0,24}";
    prop_oneof![
        tail,
        tail.prop_map(|tail| format!("Port {tail}")),
        tail.prop_map(|tail| format!("# {tail}")),
        prop::sample::select(vec![
            "Port 2222",
            " port=22 # x",
            "AllowUsers root@10.0.0.1 x",
            "AllowUsers\troot@::1",
            "Match user y",
            "allowusers = 'a b' root@0.0.0.0/0 #",
            "",
            "\t",
            "Subsystem sftp internal-sftp",
            "AllowUsers z",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn a_change_holds_and_changes_nothing_else(
        lines in prop::collection::vec(line(), 0..12),
        end in prop::sample::select(vec!["\n", "", "\r\n"]),
        port in 1u16..,
    ) {
        let content = lines.join("\n") + end;
        let before = config(&content);
        prop_assert_eq!(before.content(), content.as_bytes());

        let mut after = before.clone();
        let port: Port = port.to_string().parse().unwrap();
        if after.set_port(port).is_ok() {
            prop_assert_eq!(after.port().unwrap(), port);
            let added = after.lines.len() - before.lines.len();
            let different = after.lines[added..].iter().zip(&before.lines).filter(|(a, b)| a != b).count();
            prop_assert!(added + different <= 1);
        }

        let mut after = before.clone();
        let addresses = list(&["10.9.8.7", "::/0"]);
        if after.set_allowed_addresses(&addresses).is_ok() {
            prop_assert_eq!(after.allowed_addresses().unwrap(), addresses);
            let others = |config: &SshdConfig| -> Vec<Vec<u8>> {
                let ours: Vec<usize> = config.named("allowusers").unwrap().iter().map(|found| found.line).collect();
                let lines = config.lines.iter().enumerate().filter(|(at, _)| !ours.contains(at));
                lines.map(|(_, line)| line.clone()).collect()
            };
            let users = |config: &SshdConfig| -> Vec<Vec<u8>> {
                let found = config.named("allowusers").unwrap();
                let all = found.iter().flat_map(|directive| directive.arguments.iter());
                all.filter(|argument| root_host(&argument.value).is_none()).map(|a| a.value.clone()).collect()
            };
            prop_assert_eq!(others(&after), others(&before));
            prop_assert_eq!(users(&after), users(&before));
        }
    }
}

/// Eight times as many may take eight times as long, not sixty-four times.
#[test]
fn a_long_list_of_addresses_is_read_and_replaced_in_proportion() {
    let took = |lines: u32, each: u32| {
        let text: String = (0..lines)
            .map(|line| {
                let users = (0..each).map(|user| {
                    format!(" root@{}", std::net::Ipv4Addr::from((10 << 24) + line * each + user))
                });
                format!("AllowUsers{}\n", users.collect::<String>())
            })
            .collect();
        let mut config = config(&text);
        let took = crate::fuzzing::processor_time(|| {
            assert_eq!(config.allowed_addresses().unwrap().iter().count(), (lines * each) as usize);
            config.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
        });
        assert_eq!(text_of(&config), "AllowUsers root@192.0.2.7\n");
        took
    };
    for (little, much) in [((1, 1500), (1, 12_000)), ((5000, 1), (40_000, 1))] {
        let little = (0..3).map(|_| took(little.0, little.1)).min().unwrap();
        let much = took(much.0, much.1);
        assert!(much < little * 28, "{little:?}, and {much:?} for eight times as much");
    }
}

#[test]
fn a_port_to_listen_on_follows_a_colon() {
    let listen = |value: &str| config(&format!("ListenAddress {value}\n")).listen_addresses();
    for good in ["[::1]:22", "[::1]", "::1", "192.0.2.1:22", "192.0.2.1"] {
        assert!(listen(good).is_ok(), "{good}");
    }
    for bad in ["[::1]22", "[::1]x", "192.0.2.1:x", "[::1"] {
        assert!(listen(bad).is_err(), "{bad}");
    }
}

#[test]
fn addresses_that_follow_their_keyword_in_quotes_at_once_are_replaced() {
    let mut config = config("AllowUsers\"root@192.0.2.1\"\n");
    config.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
    assert_eq!(text_of(&config), "AllowUsers root@192.0.2.7\n");
}

#[test]
fn addresses_are_put_before_a_comment_and_never_into_a_quote() {
    let mut empty = config("AllowUsers #nobody yet\n");
    empty.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
    assert_eq!(text_of(&empty), "AllowUsers root@192.0.2.7 #nobody yet\n");
    for open in ["\"AllowUsers\n", "\"AllowUsers root@192.0.2.1\n", "\"Port\n"] {
        let mut open = config(open);
        assert!(open.set_allowed_addresses(&list(&["192.0.2.7"])).is_err(), "{open:?}");
    }
    assert!(config("\"Port\n").set_port("2300".parse().unwrap()).unwrap_err().to_string().contains("quote"));
}

#[test]
fn another_user_that_ends_with_a_backslash_does_not_take_an_address_in() {
    let mut config = config("AllowUsers x\\\ty\\\n");
    config.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
    assert_eq!(text_of(&config), "AllowUsers x\\\\ y\\\\ root@192.0.2.7\n");
    assert_eq!(config.allowed_addresses().unwrap(), list(&["192.0.2.7"]));
}

#[test]
fn another_user_that_comes_first_keeps_what_it_begins_with() {
    for user in ["=x", "\r=x"] {
        for separator in [" ", "="] {
            let line = format!("AllowUsers{separator}root@192.0.2.1 {user}\n");
            let mut config = config(&format!("AllowUsers root@192.0.2.2\n{line}"));
            config.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
            let after = format!("AllowUsers root@192.0.2.7\nAllowUsers{separator}\"\"{user}\n");
            assert_eq!(text_of(&config), after);
            assert_eq!(config.named("allowusers").unwrap()[1].arguments[0].value, user.as_bytes());
        }
    }
}

#[test]
fn another_user_that_comes_last_keeps_what_it_ends_with() {
    for end in ["\r", "\x0c"] {
        let mut config = config(&format!("AllowUsers root@192.0.2.2\nAllowUsers x{end} root@192.0.2.1\n"));
        config.set_allowed_addresses(&list(&["192.0.2.7"])).unwrap();
        assert_eq!(text_of(&config), format!("AllowUsers root@192.0.2.7\nAllowUsers x{end}\"\"\n"));
    }
}
