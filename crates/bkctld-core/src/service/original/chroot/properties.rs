//! Properties of every table of mounts.

use std::os::unix::ffi::OsStrExt;

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let mounts: Vec<Mount> = parse_mounts(bytes).collect();
    assert!(mounts.len() <= bytes.split(|byte| *byte == b'\n').count());
    for mount in mounts {
        let line =
            [b"1 2 3:4 / ", escaped(&mount.place).as_slice(), b" rw - ", mount.kind.as_bytes()].concat();
        assert_eq!(parse_mounts(&line).collect::<Vec<_>>(), [mount]);
    }
}

/// As the kernel writes it (`mangle`).
fn escaped(path: &Path) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    path.as_os_str().as_bytes().iter().flat_map(escape).collect()
}
