//! Trees of files as clients have them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::run::{run, sh};
use super::server::write;

/// Owners that servers really have: system users, nobody, a container's range, a directory service.
pub const OWNERS: [u32; 5] = [0, 33, 65534, 70000, 2_000_000_001];

/// A few of each thing that a backup meets, device nodes aside.
pub fn every_kind(top: &Path) {
    write(&top.join("plain"), "one\n");
    write(&top.join("empty"), "");
    write(&top.join("dir/sub/deep"), "two\n");
    fs::create_dir(top.join("empty dir")).expect("mkdir");
    write(&top.join("links/first"), "three\n");
    for name in ["links/second", "dir/third"] {
        fs::hard_link(top.join("links/first"), top.join(name)).expect("hard link");
    }
    for (name, target) in [("to-plain", "plain"), ("dangling", "no/such"), ("absolute", "/etc/shadow")] {
        std::os::unix::fs::symlink(target, top.join(name)).expect("symbolic link");
    }
    for name in [&b"new\nline"[..], b"\xff\xfe not UTF-8 \x1b[31m", b" leading", b"-dash", "ünï".as_bytes()]
    {
        write(&top.join(OsStr::from_bytes(name)), name);
    }
    for owner in OWNERS {
        let path = top.join(format!("owners/{owner}"));
        write(&path, format!("{owner}\n"));
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).expect("chown");
    }
    let shown = top.display();
    sh(&format!(
        "cd {shown}
         mkfifo -m 640 fifo
         perl -e 'socket(S, 1, 1, 0) or die; chdir \"{shown}\"; bind(S, pack(\"S a*\", 1, \"socket\")) or die'
         printf '#!/bin/sh\\n' > script; chmod 4755 script
         mkdir sticky; chmod 1777 sticky; mkdir -m 2750 setgid; : > no-mode; chmod 000 no-mode
         cp /bin/true capable; setcap cap_net_raw+ep capable
         echo acl > acl; setfacl -m u:33:rw,g:70000:r acl
         mkdir acl-dir; setfacl -d -m u:1234:rwx acl-dir
         echo x > attributes; setfattr -n user.note -v 'a value' attributes; setfattr -n user.empty attributes
         ln -s plain owned-link; chown -h 70000:70000 owned-link
         echo old > old; touch -d '1971-02-03 04:05:06.123456789' old
         echo future > future; touch -d '2100-01-01 00:00:00.987654321' future
         touch -h -d '2001-01-01 01:01:01.111111111' to-plain
         touch -d '2010-10-10 10:10:10.5' dir/sub
         # rsync takes a time for right that is within the same second, where it makes no file of it:
         # nothing here is of now.
         find . -depth -newermt 2020-01-01 ! -newermt 2099-01-01 \
             -exec touch -h -d '2019-05-05 05:05:05.050505050' {{}} +"
    ));
}

/// A file of 3 GB that occupies next to nothing: data at its start, middle and end.
pub fn sparse(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).expect("sparse file");
    file.set_len(3 << 30).expect("length");
    for (at, text) in [(0, "start"), ((1 << 30) + 5, "middle"), ((3 << 30) - 3, "end")] {
        file.write_all_at(text.as_bytes(), at).expect("write");
    }
}

/// So many small files, in directories of a hundred. No directory is of now, for the reason given in
/// [`every_kind`]: a push within the second in which they were made would leave their times as they come.
pub fn many(top: &Path, count: usize) {
    let mut dirs = vec![top.to_path_buf()];
    for at in 0..count {
        let dir = top.join(format!("{}", at / 100));
        if at % 100 == 0 {
            fs::create_dir_all(&dir).expect("mkdir");
            dirs.push(dir.clone());
        }
        fs::write(dir.join(at.to_string()), format!("content of {at}\n")).expect("write");
    }
    let mut touch = Command::new("touch");
    touch.args(["-d", "2019-06-06 06:06:06.060606060"]).args(dirs);
    run(touch).ok();
}
