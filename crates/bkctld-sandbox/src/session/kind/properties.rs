//! Properties of every command that a client lets sshd run.

use bkctld_core::session::SessionRecord;
use bkctld_core::text::printable;
use jiff::Timestamp;

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let argv: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    of_arguments(&argv);
    of_arguments(&[b"bash".to_vec(), b"-c".to_vec(), bytes.to_vec()]);
    of_arguments(&[[b"-", bytes].concat()]);
}

fn of_arguments(words: &[Vec<u8>]) {
    for whole in [true, false] {
        let argv = Argv { words: words.to_vec(), whole };
        let Some((kind, command)) = classify(&argv) else { continue };
        // Only one plain command is known to push.
        assert!(kind != Kind::RsyncPush || whole && plain_words(&command).is_some());
        let mut record =
            SessionRecord::begun(String::new(), Timestamp::UNIX_EPOCH, ([192, 0, 2, 1], 4).into());
        record.started(kind, &command);
        // Kept in a record and shown as it is.
        let shown = record.command.unwrap_or_default();
        assert_eq!(printable(shown.as_bytes()), shown);
        assert!(shown.len() <= 512, "{} bytes", shown.len());
    }
}
