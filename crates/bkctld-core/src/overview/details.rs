//! What a person wants to know of one jail beside its overview.

use jiff::Zoned;

use super::note;
use crate::check::{CheckPolicy, ExpectedState};
use crate::error::{Error, Result};
use crate::file;
use crate::inc::{self, IncName};
use crate::jail::{Jail, Key, Keys};
use crate::retention::{Plan, Policy, PolicyFile};
use crate::session::{self, SessionRecord};

/// More of one jail.
#[derive(Clone, Debug)]
pub struct Details {
    /// The keys that may log in, or why they cannot be told.
    pub keys: std::result::Result<Vec<Key>, String>,
    /// The last session that pushed and worked.
    pub last_push: Option<SessionRecord>,
    /// Oldest first.
    pub incs: Vec<IncName>,
    /// What `rm` would do now.
    pub expiry: Expiry,
    /// What its `check_policy` says; on where it cannot be read.
    pub expected: ExpectedState,
}

/// What `rm` would do now.
#[derive(Clone, Debug)]
pub enum Expiry {
    /// The incs or the policy cannot be read.
    Unknown,
    /// Nothing, as there is no policy.
    NoPolicy,
    /// Nothing, as the policy has no rules.
    NoRule,
    /// Nothing, because of this line of the policy.
    BadLine(String),
    /// It deletes these, oldest first.
    Deletes(Vec<IncName>),
}

impl Details {
    /// Looks at the jail. The second value says why something is missing, one error for each.
    pub fn read(jail: &Jail, now: &Zoned) -> (Details, Vec<Error>) {
        let mut problems = Vec::new();
        let incs = inc::list(jail);
        let expiry = match &incs {
            Ok(incs) => expiry(jail, incs, now),
            Err(_) => Ok(Expiry::Unknown),
        };
        let expected = CheckPolicy::read(jail).map(|policy| policy.expected_state);
        let details = Details {
            keys: keys(jail),
            last_push: note(&mut problems, session::last_push(jail)).flatten(),
            incs: note(&mut problems, incs).unwrap_or_default(),
            expiry: note(&mut problems, expiry).unwrap_or(Expiry::Unknown),
            expected: note(&mut problems, expected).unwrap_or_default(),
        };
        (details, problems.into_iter().map(|problem| problem.in_jail(jail.name())).collect())
    }
}

fn keys(jail: &Jail) -> std::result::Result<Vec<Key>, String> {
    // In an older format the file is the client's, and may be anything.
    jail.require_current_format().map_err(|_| "the jail has another format".to_owned())?;
    let path = jail.authorized_keys();
    let content = file::read_if_there(&path).map_err(|error| error.to_string())?.unwrap_or_default();
    let is_key = |line: &[u8]| !line.trim_ascii().is_empty() && !line.trim_ascii().starts_with(b"#");
    if !content.split(|byte| *byte == b'\n').any(is_key) {
        return Ok(Vec::new());
    }
    Keys::check(&path, &content).map(|keys| keys.keys().to_vec()).map_err(|error| error.to_string())
}

fn expiry(jail: &Jail, incs: &[IncName], now: &Zoned) -> Result<Expiry> {
    Ok(match Policy::read(jail)? {
        PolicyFile::Missing => Expiry::NoPolicy,
        PolicyFile::Empty { .. } => Expiry::NoRule,
        PolicyFile::Bad(lines) => Expiry::BadLine(lines.first().map(ToString::to_string).unwrap_or_default()),
        PolicyFile::Rules(policy) => {
            Expiry::Deletes(Plan::new(&policy, incs, now.date()).deleted().collect())
        }
    })
}
