//! One error type for the domain: each variant is a cause that the binary gives its own exit code
//! or hint. Messages are one line, lower case, and name the jail or the path.

use std::io;
use std::path::{Path, PathBuf};

use crate::jail::JailName;
use crate::text;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named jail has no directory below `JAILDIR`.
    #[error("no jail named '{0}'")]
    NoSuchJail(JailName),

    /// `init` of a jail that is there.
    #[error("jail '{0}' exists already")]
    JailExists(JailName),

    /// The target of a rename or an archive is there.
    #[error("{what} exists already: {}", text::path(.path))]
    TargetExists {
        /// What the target would be, such as "jail" or "archive".
        what: &'static str,
        /// Where it is.
        path: PathBuf,
    },

    /// The jail's on-disk format is not the one this program acts on.
    #[error("jail '{jail}' has format version {found}, this command needs version {wanted}")]
    WrongVersion {
        /// The jail.
        jail: JailName,
        /// What its `version` file says.
        found: String,
        /// The version that the command acts on.
        wanted: u32,
    },

    /// A value given by the administrator is not what it must be.
    #[error("{0}")]
    Invalid(String),

    /// A line of a file is not what it must be.
    #[error("{}:{line}: {}", text::path(.path), text::printable(.reason.as_bytes()))]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it; it may quote the line, and is made printable when it is shown.
        reason: String,
    },

    /// A system call failed.
    #[error("{doing} {}: {source}", text::path(.path))]
    Io {
        /// What was being done, as "cannot read".
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },

    /// A program that was run failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// The program's name.
        program: String,
        /// Its exit status or its words, already fit for a terminal.
        reason: String,
    },

    /// The state of things does not allow it; the text says what to do.
    #[error("{0}")]
    Refused(String),

    /// Something happened to one jail; the text of the cause follows.
    #[error("jail '{jail}': {source}")]
    InJail {
        /// The jail.
        jail: JailName,
        /// The cause.
        source: Box<Error>,
    },

    /// Something happened on, or on the way to, another server; the text of the cause follows.
    #[error("node '{node}': {source}")]
    OnNode {
        /// The server, as `NODE` names it.
        node: String,
        /// The cause.
        source: Box<Error>,
    },
}

impl Error {
    /// The error that lies at the bottom, below the names of jails and servers.
    pub fn root(&self) -> &Error {
        match self {
            Error::InJail { source, .. } | Error::OnNode { source, .. } => source.root(),
            other => other,
        }
    }

    /// Names the jail, unless the error names it already.
    pub fn in_jail(self, jail: &JailName) -> Error {
        let named = matches!(self, Error::InJail { .. })
            || matches!(
                self.root(),
                Error::NoSuchJail(_) | Error::JailExists(_) | Error::WrongVersion { .. }
            );
        if named { self } else { Error::InJail { jail: jail.clone(), source: Box::new(self) } }
    }

    /// Names the server that it happened on.
    pub fn on_node(self, node: &str) -> Error {
        Error::OnNode { node: node.to_owned(), source: Box::new(self) }
    }

    /// What the kernel said, where this is a system call's failure.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self.root() {
            Error::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}

/// Puts what was being done, and to which path, beside a system call's error.
pub trait IoContext<T> {
    /// Names the action ("cannot read") and the path.
    fn context(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn context(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.as_ref().to_path_buf(), source: source.into() })
    }
}

/// Names the jail in whatever went wrong.
pub trait JailContext<T> {
    /// See [`Error::in_jail`].
    fn for_jail(self, jail: &JailName) -> Result<T>;
}

impl<T> JailContext<T> for Result<T> {
    fn for_jail(self, jail: &JailName) -> Result<T> {
        self.map_err(|error| error.in_jail(jail))
    }
}
