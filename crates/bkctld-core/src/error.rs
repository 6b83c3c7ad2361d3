//! The error of the whole program, as data: its kind, what failed, on which jail, server, path and line, why,
//! and what to do next. [`Display`](fmt::Display) makes one line of it; exit codes and JSON derive from the kind.
//!
//! ```
//! # use bkctld_core::{Error, ErrorKind};
//! let error = Error::refused("jail 'web01' is off").with_hint("'bkctld start web01' starts it");
//! assert_eq!(error.to_string(), "jail 'web01' is off ('bkctld start web01' starts it)");
//! assert_eq!(error.kind(), ErrorKind::Refused);
//! ```

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::jail_name::{JailName, NotAJailName};
use crate::text;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause below an error, of whatever type.
type Cause = Box<dyn StdError + Send + Sync>;

/// What an administrator has to deal with. `docs/json.md` documents the names; they are for programs and do not
/// change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named jail has no directory below `JAILDIR`.
    NoSuchJail,
    /// `init` of a jail that is there.
    JailExists,
    /// Something stands where a rename or an archive has to put the jail.
    TargetExists,
    /// The jail's on-disk format is not the one that the command acts on.
    WrongFormat,
    /// A value on the command line, in the environment or in the configuration is not what it must be.
    InvalidValue,
    /// A file does not say what it must; where one line is to blame, the error has its number.
    BadFile,
    /// The state of things does not allow it, until the administrator changes something.
    Refused,
    /// Another process is at it: the same command works a little later.
    Busy,
    /// Someone other than root could have had a hand in what is on disk.
    Untrusted,
    /// A file system or a quota is full, or nearly.
    NoSpace,
    /// The kernel refused a system call.
    Io,
    /// A program of this server is missing or failed.
    Program,
    /// Another server (a `NODE`) cannot be reached, or did not do its part.
    Node,
    /// The jail's service does not start, reload or stop.
    Service,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Every kind there is.
    pub const ALL: [ErrorKind; 15] = [
        ErrorKind::NoSuchJail,
        ErrorKind::JailExists,
        ErrorKind::TargetExists,
        ErrorKind::WrongFormat,
        ErrorKind::InvalidValue,
        ErrorKind::BadFile,
        ErrorKind::Refused,
        ErrorKind::Busy,
        ErrorKind::Untrusted,
        ErrorKind::NoSpace,
        ErrorKind::Io,
        ErrorKind::Program,
        ErrorKind::Node,
        ErrorKind::Service,
        ErrorKind::Internal,
    ];

    /// The kind's name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::NoSuchJail => "no-such-jail",
            ErrorKind::JailExists => "jail-exists",
            ErrorKind::TargetExists => "target-exists",
            ErrorKind::WrongFormat => "wrong-format",
            ErrorKind::InvalidValue => "invalid-value",
            ErrorKind::BadFile => "bad-file",
            ErrorKind::Refused => "refused",
            ErrorKind::Busy => "busy",
            ErrorKind::Untrusted => "untrusted",
            ErrorKind::NoSpace => "no-space",
            ErrorKind::Io => "io",
            ErrorKind::Program => "program",
            ErrorKind::Node => "node",
            ErrorKind::Service => "service",
            ErrorKind::Internal => "internal",
        }
    }
}

/// Why an operation did not happen. Every text in it is one line that a terminal can show.
pub struct Error(Box<Parts>);

/// Boxed, so that the result of a function that mostly succeeds stays small.
#[derive(Debug)]
struct Parts {
    kind: ErrorKind,
    message: String,
    /// The message has the jail's name in it, so that it need not stand before it, too.
    names_jail: bool,
    jail: Option<JailName>,
    node: Option<String>,
    path: Option<PathBuf>,
    line: Option<usize>,
    cause: Option<Cause>,
    also: Option<String>,
    hint: Option<String>,
}

/// What went wrong, by kind.
impl Error {
    /// Of this kind, in these words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Parts {
            kind,
            message: message.into(),
            names_jail: false,
            jail: None,
            node: None,
            path: None,
            line: None,
            cause: None,
            also: None,
            hint: None,
        }))
    }

    /// [`ErrorKind::NoSuchJail`].
    pub fn no_such_jail(jail: &JailName) -> Error {
        Error::new(ErrorKind::NoSuchJail, format!("no jail named '{jail}'"))
            .about(jail)
            .with_hint("'bkctld list' shows the jails of this server")
    }

    /// [`ErrorKind::JailExists`].
    pub fn jail_exists(jail: &JailName) -> Error {
        Error::new(ErrorKind::JailExists, format!("jail '{jail}' exists already")).about(jail)
    }

    /// [`ErrorKind::TargetExists`]; `what` it would be, such as "jail" or "archive".
    pub fn target_exists(what: &str, path: &Path) -> Error {
        let message = format!("{what} exists already: {}", text::path(path));
        Error::new(ErrorKind::TargetExists, message).at(path)
    }

    /// [`ErrorKind::WrongFormat`]: what the jail's `version` file says, and the format that the command acts on.
    pub fn wrong_format(jail: &JailName, found: &str, wanted: u32) -> Error {
        let message =
            format!("jail '{jail}' has format version {found}, this command needs version {wanted}");
        let error = Error::new(ErrorKind::WrongFormat, message).about(jail);
        match found {
            "1" if wanted != 1 => {
                error.with_hint(format!("'bkctld convert-v2 {jail}' brings it to the current format"))
            }
            _ => error,
        }
    }

    /// [`ErrorKind::InvalidValue`].
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidValue, message)
    }

    /// [`ErrorKind::BadFile`]: what is wrong with the whole of it, as "is no directory".
    pub fn bad_file(path: &Path, what: impl fmt::Display) -> Error {
        Error::new(ErrorKind::BadFile, format!("{} {what}", text::path(path))).at(path)
    }

    /// [`ErrorKind::BadFile`] for one line of it, counted from 1; `reason` may quote the line.
    pub fn bad_line(path: &Path, line: usize, reason: &str) -> Error {
        let message = format!("{}:{line}: {}", text::path(path), text::printable(reason.as_bytes()));
        let mut error = Error::new(ErrorKind::BadFile, message).at(path);
        error.0.line = Some(line);
        error
    }

    /// [`ErrorKind::Refused`].
    pub fn refused(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, message)
    }

    /// [`ErrorKind::Busy`].
    pub fn busy(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Busy, message)
    }

    /// [`ErrorKind::Untrusted`]: what is wrong with the path, as "is a link".
    pub fn untrusted(path: &Path, what: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Untrusted, format!("{} {what}", text::path(path))).at(path)
    }

    /// [`ErrorKind::NoSpace`].
    pub fn no_space(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::NoSpace, message)
    }

    /// [`ErrorKind::Io`], or [`ErrorKind::NoSpace`] where that is what the kernel says; `doing` is "cannot read" and
    /// the like.
    pub fn io(doing: &str, path: &Path, cause: impl Into<io::Error>) -> Error {
        Error::kernel(format!("{doing} {}", text::path(path)), cause).at(path)
    }

    /// As [`Error::io`] for a system call that is about no path.
    pub fn kernel(message: impl Into<String>, cause: impl Into<io::Error>) -> Error {
        let cause = cause.into();
        let kind = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        Error::new(kind, message).because(cause)
    }

    /// [`ErrorKind::Program`]: what was run, and its exit status or its words, fit for a terminal.
    pub fn program(program: impl fmt::Display, reason: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Program, format!("{program} failed: {reason}"))
    }

    /// [`ErrorKind::Node`].
    pub fn node(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Node, message)
    }

    /// [`ErrorKind::Service`].
    pub fn service(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Service, message)
    }

    /// [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, message)
    }
}

/// What else is known of it.
impl Error {
    /// What to do next. It is shown in parentheses at the end of the line.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// The path that it is about, which the message names already.
    pub fn at(mut self, path: &Path) -> Error {
        self.0.path = Some(path.to_path_buf());
        self
    }

    /// What caused it, which is shown behind the message.
    pub fn because(mut self, cause: impl Into<Cause>) -> Error {
        self.0.cause = Some(cause.into());
        self
    }

    /// What else is so now because of it, such as a jail that is off.
    pub fn also(mut self, also: impl Into<String>) -> Error {
        self.0.also = Some(also.into());
        self
    }

    /// The same trouble as seen from further up: `message` says what cannot be done because of it.
    pub fn wrap(self, message: impl Into<String>) -> Error {
        Error::new(self.kind(), message).because(self)
    }

    /// The jail that the message names.
    fn about(mut self, jail: &JailName) -> Error {
        self.0.names_jail = true;
        self.0.jail = Some(jail.clone());
        self
    }

    /// Names the jail, unless the error names one already.
    pub fn in_jail(mut self, jail: &JailName) -> Error {
        self.0.jail.get_or_insert_with(|| jail.clone());
        self
    }

    /// Names the server that it happened on, or on the way to.
    pub fn on_node(mut self, node: &str) -> Error {
        self.0.node = Some(node.to_owned());
        self
    }
}

/// What code that handles an error asks of it.
impl Error {
    /// Its kind, which decides about the exit code.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What failed and why, without the names of jail and server before it and the hint behind it.
    pub fn message(&self) -> String {
        Plain(self).to_string()
    }

    /// What to do next; that of the cause where the error has none of its own.
    pub fn hint(&self) -> Option<&str> {
        self.find(|parts| parts.hint.as_deref())
    }

    /// The jail that it happened to.
    pub fn jail(&self) -> Option<&JailName> {
        self.find(|parts| parts.jail.as_ref())
    }

    /// The server that it happened on, as `NODE` names it; none where that is this one.
    pub fn server(&self) -> Option<&str> {
        self.find(|parts| parts.node.as_deref())
    }

    /// The file or directory that it is about.
    pub fn path(&self) -> Option<&Path> {
        self.find(|parts| parts.path.as_deref())
    }

    /// The line of the file, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.find(|parts| parts.line)
    }

    /// What the kernel said, where a system call failed.
    pub fn io_error(&self) -> Option<&io::Error> {
        let cause = self.0.cause.as_deref()?;
        match cause.downcast_ref::<Error>() {
            Some(below) => below.io_error(),
            None => cause.downcast_ref(),
        }
    }

    /// The kind of what the kernel said, where a system call failed.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.io_error().map(io::Error::kind)
    }

    /// The first that is found on the way down to the cause.
    fn find<'a, T>(&'a self, part: impl Fn(&'a Parts) -> Option<T>) -> Option<T> {
        part(&self.0).or_else(|| self.below()?.find(part))
    }

    /// The cause, where that is an error of this program, too.
    fn below(&self) -> Option<&Error> {
        self.0.cause.as_deref()?.downcast_ref()
    }
}

/// The error without what stands before and behind its message.
struct Plain<'a>(&'a Error);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0.0;
        f.write_str(&parts.message)?;
        match (self.0.below(), &parts.cause) {
            (Some(below), _) => write!(f, ": {}", WithoutHint(below))?,
            // Not ours, so it may quote whatever it did not understand.
            (None, Some(cause)) => write!(f, ": {}", text::printable(cause.to_string().as_bytes()))?,
            (None, None) => {}
        }
        parts.also.iter().try_for_each(|also| write!(f, "; {also}"))
    }
}

/// The error with the jail and the server that it happened to.
struct WithoutHint<'a>(&'a Error);

impl fmt::Display for WithoutHint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.0.0;
        if let (Some(jail), false) = (&parts.jail, parts.names_jail) {
            write!(f, "jail '{jail}': ")?;
        }
        if let Some(node) = &parts.node {
            write!(f, "node '{node}': ")?;
        }
        Plain(self.0).fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WithoutHint(self).fmt(f)?;
        self.hint().iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl From<NotAJailName> for Error {
    fn from(error: NotAJailName) -> Error {
        Error::invalid(error.to_string())
    }
}

/// Puts what was being done, and to which path, beside a system call's error.
pub trait IoContext<T> {
    /// Names the action ("cannot read") and the path.
    fn context(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn context(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|cause| Error::io(doing, path.as_ref(), cause))
    }
}

/// Names the jail in whatever went wrong.
pub trait JailContext<T> {
    /// Names the jail in an error, unless that names one already: [`Error::in_jail`].
    fn for_jail(self, jail: &JailName) -> Result<T>;
}

impl<T> JailContext<T> for Result<T> {
    fn for_jail(self, jail: &JailName) -> Result<T> {
        self.map_err(|error| error.in_jail(jail))
    }
}

#[cfg(test)]
mod tests;
