//! Jails as the original leaves them, made from what is known of its files: programs are copied into
//! them, and what it starts is started as it does that.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::Client;
use super::run::{sh, wait_for};
use super::server::{Server, write};
use super::volume::FsKind;

/// The functions that make them, which the tests in containers use, too.
const SCRIPT: &str = include_str!("original.sh");

/// A jail of the first format: its root file system right in its directory.
#[track_caller]
pub fn old_jail<'s>(server: &'s Server, fs: FsKind, name: &str, port: u16) -> Client<'s> {
    let dir = server.jail(name);
    make_top(&dir, fs);
    make(&format!("original_v1 {} {port}", dir.display()));
    write(&server.path("conf").join(name), "# legacy\n+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n");
    client(server, name, port, &dir)
}

/// A jail of the second format, with incs of the last five days.
#[track_caller]
pub fn jail<'s>(server: &'s Server, fs: FsKind, name: &str, port: u16) -> Client<'s> {
    let dir = server.jail(name);
    make_top(&dir, fs);
    make(&format!("original_v2 {} {port}", dir.display()));
    let incs = server.path("backup/incs").join(name);
    fs::create_dir(&incs).expect("incs");
    for days in 1..=5 {
        inc(server, fs, name, &sh(&format!("date -u -d '-{days} day' +%Y-%m-%d-02")));
    }
    write(
        &server.path(&format!("conf/{name}.d/incs_policy")),
        "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n+%Y-%m-%d.-3day\n",
    );
    client(server, name, port, &dir.join("rootfs"))
}

/// An inc of a jail, under this name.
#[track_caller]
pub fn inc(server: &Server, fs: FsKind, jail: &str, name: &str) -> PathBuf {
    let inc = server.path("backup/incs").join(jail).join(name);
    let (from, to) = (server.jail(jail).display().to_string(), inc.display());
    sh(&match fs {
        FsKind::Btrfs => format!("btrfs -q subvolume snapshot -r {from} {to}"),
        FsKind::Ext4 | FsKind::Xfs => format!("cp --archive --link --one-file-system {from}/ {to}"),
    });
    inc
}

fn make_top(dir: &Path, fs: FsKind) {
    let dir = dir.display();
    sh(&match fs {
        FsKind::Btrfs => format!("btrfs -q subvolume create {dir}"),
        FsKind::Ext4 | FsKind::Xfs => format!("mkdir {dir}"),
    });
}

fn make(what: &str) {
    sh(&format!("{SCRIPT}\n{what}"));
}

fn client<'s>(server: &'s Server, name: &str, port: u16, root: &Path) -> Client<'s> {
    let client = Client::existing(server, name, port);
    fs::copy(client.file("id.pub"), root.join("root/.ssh/authorized_keys")).expect("authorized_keys");
    client
}

/// Starts the sshd of a jail of the first format.
#[track_caller]
pub fn start_old(server: &Server, name: &str, port: u16) {
    make(&format!("original_v1_start {}", server.jail(name).display()));
    wait_for("the original's sshd answers", || server.greets(port));
}
/// A template of the administrator under its old name, and one under the name that is in use.
pub fn local_templates(server: &Server) {
    let dir = server.path("localtpl");
    write(&dir.join("inc.tpl"), "# the administrator's\n+%Y-%m-%d.-0day\n");
    write(&dir.join("check_policy.tpl"), "# the administrator's\nWARNING=36\nCRITICAL=72\n");
}
