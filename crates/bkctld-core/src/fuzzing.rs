//! The properties of every parser, for any input of a client, a file or a node.
//!
//! Each property lies beside its parser, in a module `properties`, because most parsers are private, and so
//! is what their results are made of: to make them public for a fuzzer would be worse than this one
//! feature (`fuzzing`), which nothing that is installed is built with. `fuzz/` looks for inputs that break
//! one; the tests below hold each against the corpus that was found so far.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use crate::service::{original, state};
use crate::{Jail, Settings};
use crate::{check, client, config, firewall, inc, jail, retention, session, sizes, sync, text};

/// Asserts the property for these bytes, and panics if it is false.
pub type Property = fn(&[u8]);

/// All properties, by the name of their directory in `fuzz/corpus`.
pub const PROPERTIES: &[(&str, Property)] = &[
    ("address", jail::address::properties::hold),
    ("authorized-keys", jail::authorized_keys::properties::hold),
    ("canary", check::canary::properties::hold),
    ("check-policy", check::policy::properties::hold),
    ("config", config::read::properties::hold),
    ("host-key", client::properties::hold),
    ("inc-index", inc::detached::index::properties::hold),
    ("inc-record", inc::record::properties::hold),
    ("inc-times", inc::times::properties::hold),
    ("incs-policy", retention::policy::properties::hold),
    ("listening", jail::listening::properties::hold),
    ("listener-state", state::properties::hold),
    ("minifirewall", firewall::rules_file::properties::hold),
    ("mountinfo", original::chroot::properties::hold),
    ("names", inc::pattern::properties::hold),
    ("nftables", firewall::nftables::properties::hold),
    ("nspawn", original::nspawn::properties::hold),
    ("session-policy", jail::session_policy::properties::hold),
    ("session-records", session::store::properties::hold),
    ("shell", config::shell::properties::hold),
    ("sizes-cache", sizes::cache::properties::hold),
    ("sizes-files", sizes::shares::properties::hold),
    ("sizes-trail", sizes::trail::properties::hold),
    ("sshd-config", jail::sshd_config::properties::hold),
    ("survey", sync::node::properties::hold),
    ("text", text::properties::hold),
];

/// Asserts that the text can be shown as it is: one line that does not steer a terminal. By a list of its
/// own, since [`crate::text`] is among what is tried.
pub(crate) fn assert_shown(shown: impl ToString) {
    let shown = shown.to_string();
    // The characters of Unicode's property Bidi_Control, and the two that end a line.
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = shown.chars().find(|c| c.is_control() || turns(*c) || matches!(c, '\u{2028}' | '\u{2029}'));
    assert_eq!(bad, None, "shown raw: {shown:?}");
}

thread_local! {
    static SERVER: RefCell<Option<(tempfile::TempDir, Jail, Settings)>> = const { RefCell::new(None) };
}

/// Calls this with a jail `web` and the settings of its server, whose directories are made once for each
/// thread: what one input leaves there the next must bear.
pub(crate) fn with_jail(each: impl FnOnce(&Jail, &Settings)) {
    SERVER.with_borrow_mut(|server| {
        if server.is_none() {
            *server = made();
        }
        match server {
            Some((_, jail, settings)) => each(jail, settings),
            None => assert!(server.is_some(), "no directory for a server can be made"),
        }
    });
}

fn made() -> Option<(tempfile::TempDir, Jail, Settings)> {
    let dir = tempfile::tempdir().ok()?;
    let settings = Settings {
        conf_dir: dir.path().join("etc"),
        data_dir: dir.path().join("data"),
        lock_dir: dir.path().join("lock"),
        ..Settings::on_partition(&dir.path().join("backup"))
    };
    let jail = Jail::new(&settings, "web".parse().ok()?);
    for made in [jail.conf_dir(), jail.state_dir(), &jail.rootfs().join("etc/ssh"), jail.inc_dir()] {
        fs::create_dir_all(made).ok()?;
    }
    fs::create_dir_all(settings.data_dir.join("sizes")).ok()?;
    Some((dir, jail, settings))
}

/// Writes a file that a parser reads by its path.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let written = fs::write(path, bytes);
    assert!(written.is_ok(), "{}: {written:?}", path.display());
}

/// How long the processor was busy with this. By the clock on the wall a machine that is busy with other things
/// takes longer than in proportion for whatever does not fit into one slice of its time.
#[cfg(test)]
pub(crate) fn processor_time(run: impl FnOnce()) -> std::time::Duration {
    use rustix::time::{ClockId, clock_gettime};
    let now = || clock_gettime(ClockId::ThreadCPUTime);
    let begun = now();
    run();
    let took = now() - begun;
    std::time::Duration::new(took.tv_sec as u64, took.tv_nsec as u32)
}

#[cfg(test)]
mod tests;
