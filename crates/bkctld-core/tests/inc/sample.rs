//! A tree with everything that a tree can hold, and a digest of a tree.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use bkctld_tree::xattr::Xattrs;
use rustix::fs::{
    CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, mknodat, setxattr, utimensat,
};
use sha2::{Digest, Sha256};

/// `user_obj rw-, user 33 r--, group_obj r--, mask r--, other ---`, as the kernel takes it.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 33, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
    0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
/// `cap_net_bind_service=ep`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub fn fill(data: &Path) {
    let at = |name: &str| data.join(name);
    for (dir, owner) in
        [("plain", 0), ("www", 33), ("nobody", 65534), ("far", 70000), ("farther", 2_000_000_001)]
    {
        fs::create_dir(at(dir)).unwrap();
        for n in 0..40_usize {
            let file = at(dir).join(format!("f{n}"));
            fs::write(&file, vec![b'a' + (n % 26) as u8; n * 997]).unwrap();
            chown(&file, Some(owner), Some(owner)).unwrap();
        }
        chown(at(dir), Some(owner), Some(owner)).unwrap();
    }
    fs::write(at("empty"), "").unwrap();
    fs::write(at("setuid"), "#!").unwrap();
    chown(at("setuid"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(at("setuid"), Permissions::from_mode(0o6755)).unwrap();
    setxattr(at("setuid"), c"security.capability", &CAPABILITY, XattrFlags::empty()).unwrap();
    fs::create_dir_all(at("closed/inside")).unwrap();
    fs::write(at("closed/inside/file"), "x").unwrap();
    fs::set_permissions(at("closed/inside"), Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(at("closed"), Permissions::from_mode(0o3777)).unwrap();
    special(data);
    attributes(data);
    links(data);
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    for place in [0, 5 << 20, (1 << 30) + 12345, (3 << 30) - 70_000] {
        sparse.write_all_at(&[b's'; 5000], place).unwrap();
    }
    File::create(at("hole")).unwrap().set_len(1 << 30).unwrap();
    fs::write(at("large"), vec![7; 3_000_001]).unwrap();
    for (n, name) in ["plain/f1", "closed", "empty", "link", "fifo"].iter().enumerate() {
        let time = Timespec { tv_sec: 1_000_000_000 + n as i64, tv_nsec: 123_456_789 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, at(name), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn special(data: &Path) {
    let at = |name: &str| data.join(name);
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("char", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("block", FileType::BlockDevice, rustix::fs::makedev(7, 0)),
    ] {
        mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
        lchown(at(name), Some(5), Some(6)).unwrap();
    }
    symlink("../../../../etc/passwd", at("link")).unwrap();
    symlink("x".repeat(1000), at("long link")).unwrap();
    lchown(at("link"), Some(70000), Some(7)).unwrap();
    for name in [&b"new\nline"[..], b"\xff\xfe invalid", b" ", b"-rf", b"esc\x1b[31m", &[b'n'; 255]] {
        fs::write(data.join(OsStr::from_bytes(name)), name).unwrap();
    }
}

fn attributes(data: &Path) {
    let at = |name: &str| data.join(name);
    let set = |name: &str, attribute: &str, value: &[u8]| {
        lsetxattr(at(name), attribute, value, XattrFlags::empty()).unwrap();
    };
    fs::write(at("attributes"), "x").unwrap();
    set("attributes", "user.one", b"1");
    set("attributes", "user.empty", b"");
    set("attributes", "user.long", &[9; 1500]);
    set("attributes", "trusted.two", b"2\0\xff");
    set("attributes", "system.posix_acl_access", &ACL);
    fs::create_dir(at("acl")).unwrap();
    set("acl", "system.posix_acl_default", &ACL);
    set("acl", "user.dir", b"d");
    fs::write(at("acl/inherits"), "x").unwrap();
    set("link", "trusted.link", b"l");
    set("fifo", "trusted.fifo", b"f");
}

fn links(data: &Path) {
    let at = |name: &str| data.join(name);
    fs::create_dir_all(at("links/a/b")).unwrap();
    fs::write(at("links/one"), "several names").unwrap();
    for n in 0..50 {
        fs::hard_link(at("links/one"), at(&format!("links/a/{n}"))).unwrap();
        fs::hard_link(at("links/one"), at(&format!("links/a/b/{n}"))).unwrap();
    }
    fs::hard_link(at("fifo"), at("links/fifo")).unwrap();
    fs::hard_link(at("link"), at("links/link")).unwrap();
}

/// Everything that must stay, for each path: two trees with equal digests are equal.
pub fn digest(tree: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut groups: HashMap<(u64, u64), Vec<PathBuf>> = HashMap::new();
    let mut open = vec![tree.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let below = path.strip_prefix(tree).unwrap().to_path_buf();
        let content = match meta.file_type() {
            kind if kind.is_dir() => {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                String::new()
            }
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_file() => content(&path),
            kind => format!("special {}", kind.is_fifo()),
        };
        let name = CString::new(path.file_name().unwrap().as_bytes()).unwrap();
        let xattrs = Xattrs::read_name(File::open(path.parent().unwrap()).unwrap(), &name).unwrap();
        let device = if meta.file_type().is_file() || meta.is_dir() { 0 } else { meta.rdev() };
        let size = if meta.is_dir() { 0 } else { meta.len() };
        let line = format!(
            "{:o} {}:{} {device} {size} {}.{:09} {xattrs:?} {content}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
        );
        if !meta.is_dir() {
            groups.entry((meta.dev(), meta.ino())).or_default().push(below.clone());
        }
        found.insert(below, line);
    }
    for mut group in groups.into_values() {
        group.sort();
        for path in &group {
            found.get_mut(path).unwrap().push_str(&format!(" first of {}: {:?}", group.len(), group[0]));
        }
    }
    found
}

fn content(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    // Holes of gigabytes are jumped over; where they lie is part of the digest.
    let size = file.metadata().unwrap().len();
    if size > 64 << 20 {
        let mut at = 0;
        while let Ok(from) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
            let to = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(from)).unwrap();
            let mut piece = vec![0; (to - from) as usize];
            file.read_exact_at(&mut piece, from).unwrap();
            sum.update(&piece);
            at = to;
        }
        assert!(file.metadata().unwrap().blocks() * 512 < 2 << 20, "{path:?} is no longer sparse");
    } else {
        loop {
            let n = file.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            sum.update(&buffer[..n]);
        }
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asserts that the trees are equal, and shows where they are not.
pub fn assert_same(want: &BTreeMap<PathBuf, String>, got: &BTreeMap<PathBuf, String>) {
    for (path, line) in want {
        assert_eq!(Some(line), got.get(path), "{path:?}");
    }
    assert_eq!(want.len(), got.len());
}
