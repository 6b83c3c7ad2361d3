//! What holds of every command that a client has sshd run.

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let argv: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    of_arguments(&argv);
    of_arguments(&[b"bash".to_vec(), b"-c".to_vec(), bytes.to_vec()]);
    of_arguments(&[[b"-", bytes].concat()]);
}

fn of_arguments(argv: &[Vec<u8>]) {
    let Some((_, shown)) = classify(argv) else { return };
    // Kept in a record and shown as it is.
    assert_eq!(printable(shown.as_bytes()), shown);
    assert!(shown.len() <= 10 * COMMAND_LIMIT, "{} bytes", shown.len());
}
