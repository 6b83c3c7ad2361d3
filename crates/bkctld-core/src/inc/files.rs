//! The hidden names in `INCDIR/J`.

use std::ffi::{OsStr, OsString};

use super::IncName;

/// The prefix of the temporary files of [`crate::file::replace`].
const NEW_FILE: &str = ".bkctld-new-";

/// A name in `INCDIR/J` that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// A copy that is being made.
    Making(IncName),
    /// The index of a copy that is being made.
    MakingIndex(IncName),
    /// An inc that is being deleted.
    Deleting(IncName),
    /// How an inc was made: a [`super::Record`].
    Record(IncName),
    /// What the live tree was when the inc was made.
    Index(IncName),
    /// A file that was about to replace another.
    NewFile,
}

impl Hidden {
    /// The name that it has on disk.
    pub(super) fn file_name(self) -> OsString {
        match self {
            Hidden::Making(name) => format!(".making.{name}"),
            Hidden::MakingIndex(name) => format!(".making.{name}.index"),
            Hidden::Deleting(name) => format!(".deleting.{name}"),
            Hidden::Record(name) => format!(".{name}.record"),
            Hidden::Index(name) => format!(".{name}.index"),
            Hidden::NewFile => NEW_FILE.to_owned(),
        }
        .into()
    }

    /// What the name is, if it is ours.
    pub(super) fn parse(name: &OsStr) -> Option<Hidden> {
        let name = name.to_str()?;
        if name.starts_with(NEW_FILE) {
            return Some(Hidden::NewFile);
        }
        let inc = |text: &str| text.parse::<IncName>().ok();
        if let Some(rest) = name.strip_prefix(".making.") {
            return match rest.strip_suffix(".index") {
                Some(rest) => inc(rest).map(Hidden::MakingIndex),
                None => inc(rest).map(Hidden::Making),
            };
        }
        if let Some(rest) = name.strip_prefix(".deleting.") {
            return inc(rest).map(Hidden::Deleting);
        }
        let rest = name.strip_prefix('.')?;
        if let Some(rest) = rest.strip_suffix(".record") {
            return inc(rest).map(Hidden::Record);
        }
        inc(rest.strip_suffix(".index")?).map(Hidden::Index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_making_are_ours() {
        let inc: IncName = "2026-03-01-07".parse().unwrap();
        for hidden in [
            Hidden::Making(inc),
            Hidden::MakingIndex(inc),
            Hidden::Deleting(inc),
            Hidden::Record(inc),
            Hidden::Index(inc),
        ] {
            assert_eq!(Hidden::parse(&hidden.file_name()), Some(hidden));
        }
        for other in
            ["2026-03-01-07", ".making.x", ".deleting.2026-03-01-7", ".x.index", ".hidden", "lost+found"]
        {
            assert_eq!(Hidden::parse(OsStr::new(other)), None, "{other}");
        }
    }
}
