//! Exit codes, and how an error becomes one; what `--json` tells of an error.

use std::fmt;
use std::process::ExitCode;

use bkctld_core::check::Severity;
use bkctld_core::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::Serialize;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// An error, wrong usage included.
    Error,
    /// No such jail; also: the target of a rename or an archive exists.
    NoJail,
    /// The jail's on-disk format version is not the current one.
    WrongVersion,
    /// `is-on`: the jail is off.
    Off,
    /// The administrator answered no.
    AnsweredNo,
    /// A check ran: the code of a Nagios plugin.
    Checked(Severity),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::NoJail => 2,
            Exit::WrongVersion => 3,
            Exit::Off => 100,
            Exit::AnsweredNo => 101,
            Exit::Checked(severity) => severity.code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::NoSuchJail | ErrorKind::TargetExists => Exit::NoJail,
            ErrorKind::WrongFormat => Exit::WrongVersion,
            ErrorKind::JailExists
            | ErrorKind::InvalidValue
            | ErrorKind::BadFile
            | ErrorKind::Refused
            | ErrorKind::Busy
            | ErrorKind::Untrusted
            | ErrorKind::NoSpace
            | ErrorKind::Io
            | ErrorKind::Program
            | ErrorKind::Node
            | ErrorKind::Service
            | ErrorKind::Internal => Exit::Error,
        }
    }
}

/// Why a command, or its work on one jail, failed.
#[derive(Debug)]
pub struct Failure(Error);

impl Failure {
    /// The exit code if this is the command's only jail.
    pub fn exit(&self) -> Exit {
        self.0.kind().into()
    }

    /// What `--json` tells of it.
    pub fn fields(&self) -> ErrorFields {
        ErrorFields::from(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An error as `--json` tells it: `docs/json.md` has its fields and kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorFields {
    /// One of [`ErrorKind`]'s names.
    pub kind: &'static str,
    /// What failed and why, without the names of jail and server, and without the hint.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The jail that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jail: Option<String>,
    /// The other server that it happened on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The file or directory that it is about, fit for a terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line of the file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl From<&Error> for ErrorFields {
    fn from(error: &Error) -> ErrorFields {
        ErrorFields {
            kind: error.kind().name(),
            message: error.message(),
            hint: error.hint().map(str::to_owned),
            jail: error.jail().map(ToString::to_string),
            node: error.server().map(str::to_owned),
            path: error.path().map(|path| bkctld_core::text::path(path).to_string()),
            line: error.line(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_is_documented_with_its_exit_code() {
        let page = include_str!("../../../docs/json.md");
        for kind in ErrorKind::ALL {
            let row = format!("| `{}` | {} |", kind.name(), Exit::from(kind).code());
            assert!(page.contains(&row), "docs/json.md has no row {row}");
        }
    }

    #[test]
    fn what_is_not_known_of_an_error_is_absent_from_its_fields() {
        let name = "web01".parse().unwrap();
        let json = |error: &Error| serde_json::to_value(ErrorFields::from(error)).unwrap();
        assert_eq!(
            json(&Error::no_such_jail(&name)),
            serde_json::json!({
                "kind": "no-such-jail",
                "message": "no jail named 'web01'",
                "hint": "'bkctld list' shows the jails of this server",
                "jail": "web01",
            })
        );
        let error = Error::bad_line("/etc/x".as_ref(), 3, "no value").on_node("b2").in_jail(&name);
        assert_eq!(
            json(&error),
            serde_json::json!({
                "kind": "bad-file",
                "message": "/etc/x:3: no value",
                "jail": "web01",
                "node": "b2",
                "path": "/etc/x",
                "line": 3,
            })
        );
    }
}
