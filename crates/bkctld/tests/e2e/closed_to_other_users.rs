//! A client may store a set-uid program of root's. Another user of the server must not get to run it, also
//! where the original made the directories above it for everybody.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::*;

const OLD_PORT: u16 = 2230;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a client has stored: a program that shows whose power it has.
fn plant(server: &Server, data: &Path) {
    // The way there that others have on a real server.
    set_mode(&server.path(""), 0o755);
    fs::copy("/usr/bin/id", data.join("id")).unwrap();
    set_mode(&data.join("id"), 0o4755);
    // In the client's power, whatever the fixture has.
    for dir in [data, data.parent().unwrap()] {
        set_mode(dir, 0o755);
    }
}

/// The uid with which the program runs that nobody, of the server, starts; none where it cannot. By a shell:
/// what setpriv itself starts it still reaches with root's capabilities.
fn runs_as(program: &Path) -> Option<String> {
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let uid = sh(&format!("{nobody} sh -c '{} -u' 2>/dev/null || true", program.display()));
    Some(uid).filter(|uid| !uid.is_empty())
}

/// Where the program is among all that belongs to the jail.
fn everywhere(server: &Server, name: &str, data: &str) -> Vec<std::path::PathBuf> {
    let mut places = vec![server.jail(name).join(data).join("id")];
    places.extend(server.incs(name).iter().map(|inc| inc.join(data).join("id")));
    places.retain(|place| place.exists());
    places
}

#[apply(on_each_fs)]
fn a_set_uid_program_of_a_client_is_no_way_to_root_once_a_jail_was_touched(fs: FsKind) {
    let server = Server::on(fs);
    original::jail(&server, fs, "web", OLD_PORT);
    plant(&server, &server.data("web"));
    let open = |name: &str| {
        for dir in [server.jail(name), server.path("backup/incs").join(name)] {
            set_mode(&dir, 0o755);
        }
    };
    let inc = original::inc(&server, fs, "web", &sh("date -u -d '-1 day' +%Y-%m-%d-03"));
    open("web");
    assert_eq!(runs_as(&server.data("web").join("id")).as_deref(), Some("0"), "the fixture shows nothing");
    assert_eq!(runs_as(&inc.join("data/id")).as_deref(), Some("0"), "the fixture shows nothing");
    let told = server.bkctld(&["check-setup"]);
    assert!(told.out().contains("other users of this server can enter"), "{}", told.told());
    assert_eq!(mode(&server.jail("web")), 0o755, "a check changes something");
    let commands: [(&[&str], &str); 6] = [
        (&["start", "web"], "web"),
        (&["update", "web"], "web"),
        (&["inc", "web"], "web"),
        (&["-f", "rm"], "web"),
        (&["rename", "web", "www"], "www"),
        (&["restart", "www"], "www"),
    ];
    for (command, name) in commands {
        open(if command[0] == "rename" { "web" } else { name });
        if command[0] == "inc" {
            server.bkctld_ahead(1, command).ok();
        } else {
            server.bkctld(command).ok();
        }
        let places = everywhere(&server, name, "data");
        assert!(places.len() > 1, "{places:?}");
        for place in places {
            assert_eq!(runs_as(&place), None, "{} after {command:?}", place.display());
        }
        assert_eq!(mode(&server.jail(name)), 0o700, "after {command:?}");
    }
    let told = server.bkctld(&["check-setup"]);
    assert!(!told.out().contains("can enter"), "{}", told.told());
    open("www");
    server.bkctld(&["-f", "archive", "www"]).ok();
    set_mode(&server.path("backup/archives"), 0o755);
    assert_eq!(runs_as(&server.path("backup/archives/www/data/id")), None, "after archive");
    for dir in ["archives", "incs"] {
        assert_eq!(mode(&server.path("backup").join(dir).join("www")), 0o700);
    }
}

#[apply(on_each_fs)]
fn a_jail_of_the_first_format_is_closed_and_its_client_goes_on(fs: FsKind) {
    let server = Server::on(fs);
    let client = original::old_jail(&server, fs, "old", OLD_PORT);
    plant(&server, &server.jail("old").join("var/backup"));
    original::start_old(&server, "old", OLD_PORT);
    client.ssh("true").ok();
    assert_eq!(runs_as(&server.jail("old").join("var/backup/id")).as_deref(), Some("0"));
    server.take_inc(0, "old");
    for place in everywhere(&server, "old", "var/backup") {
        assert_eq!(runs_as(&place), None, "{}", place.display());
    }
    client.ssh("ls /var/backup").ok().says("id");
    set_mode(&server.jail("old"), 0o755);
    server.bkctld(&["convert-v2", "old"]).ok();
    assert_eq!(runs_as(&server.data("old").join("id")), None);
    client.ssh("ls /data").ok().says("id");
}

#[apply(as_root)]
fn a_link_in_the_place_of_a_jails_incs_is_not_followed_to_change_a_mode() {
    let server = Server::on(FsKind::Ext4);
    server.init("a");
    let (incs, elsewhere) = (server.path("backup/incs/a"), server.path("backup/elsewhere"));
    fs::rename(&incs, &elsewhere).unwrap();
    set_mode(&elsewhere, 0o755);
    symlink(&elsewhere, &incs).unwrap();
    server.bkctld(&["start", "a"]).ok();
    server.bkctld(&["inc", "a"]).ok();
    assert_eq!(mode(&elsewhere), 0o755);
}
