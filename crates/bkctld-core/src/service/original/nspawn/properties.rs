//! Properties of the settings of every container.

use super::*;
use crate::fuzzing::{put, with_jail};

pub(crate) fn hold(bytes: &[u8]) {
    with_jail(|jail, settings| {
        // `@DIR@` is the jail's directory, which no corpus can know.
        let text = String::from_utf8_lossy(bytes).replace("@DIR@", &jail.dir().to_string_lossy());
        let path = settings.data_dir.join("web.nspawn");
        for (content, has_link) in [(bytes, true), (text.as_bytes(), false)] {
            put(&path, content);
            let ours = binds(&path, jail, has_link);
            assert!(ours.is_ok(), "{ours:?}");
            let named =
                content.windows(12).any(|word| word == b"/data:/data\n") || content.ends_with(b"/data:/data");
            let blank = content.windows(11).any(|word| word == b"/data:/data");
            assert!(
                !ours.unwrap_or(true) || named || blank,
                "somebody else's container is taken for the jail's"
            );
        }
    });
}
