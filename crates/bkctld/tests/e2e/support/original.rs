//! Jails as the original leaves them, made from what is known of its files: programs are copied into
//! them, and what it starts is started as it does that.

use std::fs;
use std::path::Path;

use super::client::Client;
use super::run::{sh, wait_for};
use super::server::{Server, write};
use super::volume::FsKind;

/// What the original's template has, with old directives and all.
const SSHD_CONFIG: &str = "Port PORT
Protocol 2

HostKey /etc/ssh/ssh_host_rsa_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ed25519_key

LogLevel INFO
PermitRootLogin without-password
StrictModes yes
AuthorizedKeysFile %h/.ssh/authorized_keys
ChallengeResponseAuthentication no
PasswordAuthentication no
PrintMotd no
UseDNS no

Subsystem sftp /usr/lib/openssh/sftp-server

AllowUsers root@0.0.0.0/0
";

/// A jail of the first format: its root file system right in its directory.
#[track_caller]
pub fn old_jail<'s>(server: &'s Server, fs: FsKind, name: &str, port: u16) -> Client<'s> {
    let dir = server.jail(name);
    make_top(&dir, fs);
    make_root(&dir, port);
    sh(&format!(
        "cd {}; umask 077; mkdir -p run/sshd tmp dev proc var/log var/tmp var/backup; ln -s ../run var/run
         touch -d 2021-02-03 var/log/lastlog",
        dir.display()
    ));
    write(&server.path("conf").join(name), "# legacy\n+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n");
    client(server, name, port, &dir)
}

/// A jail of the second format, with incs of the last five days.
#[track_caller]
pub fn jail<'s>(server: &'s Server, fs: FsKind, name: &str, port: u16) -> Client<'s> {
    let dir = server.jail(name);
    make_top(&dir, fs);
    let rootfs = dir.join("rootfs");
    fs::create_dir(&rootfs).expect("rootfs");
    make_root(&rootfs, port);
    sh(&format!(
        "cd {}; umask 077; echo 2 >version; mkdir -p rootfs/dev rootfs/proc rootfs/run rootfs/tmp rootfs/data
         mkdir -p var/log var/backup data/etc data/home; touch var/log/lastlog var/log/wtmp
         printf '#!/bin/sh\\n\\nmkdir /run/sshd\\nexec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config\\n' >rootfs/start.sh
         echo host >data/etc/hostname; echo notes >data/home/notes; ln data/home/notes data/home/linked",
        dir.display()
    ));
    let incs = server.path("backup/incs").join(name);
    fs::create_dir(&incs).expect("incs");
    for days in 1..=5 {
        let to = incs.join(sh(&format!("date -u -d '-{days} day' +%Y-%m-%d-02")));
        let (from, to) = (dir.display(), to.display());
        sh(&match fs {
            FsKind::Btrfs => format!("btrfs -q subvolume snapshot -r {from} {to}"),
            FsKind::Ext4 | FsKind::Xfs => format!("cp --archive --link --one-file-system {from}/ {to}"),
        });
    }
    write(
        &server.path(&format!("conf/{name}.d/incs_policy")),
        "+%Y-%m-%d.-0day\n+%Y-%m-%d.-1day\n+%Y-%m-%d.-3day\n",
    );
    client(server, name, port, &rootfs)
}

fn make_top(dir: &Path, fs: FsKind) {
    let dir = dir.display();
    sh(&match fs {
        FsKind::Btrfs => format!("btrfs -q subvolume create {dir}"),
        FsKind::Ext4 | FsKind::Xfs => format!("mkdir {dir}"),
    });
}

/// Programs and libraries, accounts, host keys, `sshd_config`.
fn make_root(root: &Path, port: u16) {
    sh(&format!(
        "cd {}; umask 077
         mkdir -p usr/bin usr/sbin usr/lib/openssh usr/lib64 etc/ssh root/.ssh
         ln -s ./usr/bin bin; ln -s ./usr/lib lib; ln -s ./usr/lib64 lib64
         for program in sh ls mkdir cat rm sed rsync touch sshd /usr/lib/openssh/sftp-server \\
             $(ls /usr/lib/openssh/sshd-* 2>/dev/null || true); do
             case $program in sshd) to=usr/sbin ;; */openssh/*) to=usr/lib/openssh ;; *) to=usr/bin ;; esac
             program=$(command -v $program)
             cp -L $program $to/
             for library in $(ldd $program | grep -Eo '/[^ ]*\\.so[.0-9]*'); do
                 mkdir -p .${{library%/*}}; cp -L $library .$library
             done
         done
         printf 'root:x:0:0:root:/root:/bin/sh\\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\\n' >etc/passwd
         printf 'root:x:17000:0:99999:7:::\\nsshd:*:17000:0:99999:7:::\\n' >etc/shadow
         printf 'root:x:0:\\ntty:x:5:\\nnogroup:x:65534:\\n' >etc/group
         ssh-keygen -q -A -f .; touch root/.ssh/authorized_keys",
        root.display()
    ));
    write(&root.join("etc/ssh/sshd_config"), SSHD_CONFIG.replace("PORT", &port.to_string()));
}

fn client<'s>(server: &'s Server, name: &str, port: u16, root: &Path) -> Client<'s> {
    let client = Client::existing(server, name, port);
    fs::copy(client.file("id.pub"), root.join("root/.ssh/authorized_keys")).expect("authorized_keys");
    client
}

/// Starts the sshd of a jail of the first format.
#[track_caller]
pub fn start_old(server: &Server, name: &str, port: u16) {
    sh(&format!(
        "cd {}; mount -t proc proc proc; mount -t tmpfs dev dev; mkdir dev/pts; mount -t devpts pts dev/pts
         for node in 'null c 1 3' 'zero c 1 5' 'random c 1 8' 'urandom c 1 9' 'tty c 5 0'; do
             mknod -m 666 dev/$node
         done
         chroot . /usr/sbin/sshd -E /var/log/authlog",
        server.jail(name).display()
    ));
    wait_for("the original's sshd answers", || server.greets(port));
}
/// A template of the administrator under its old name, and one under the name that is in use.
pub fn local_templates(server: &Server) {
    let dir = server.path("localtpl");
    write(&dir.join("inc.tpl"), "# the administrator's\n+%Y-%m-%d.-0day\n");
    write(&dir.join("check_policy.tpl"), "# the administrator's\nWARNING=36\nCRITICAL=72\n");
}
