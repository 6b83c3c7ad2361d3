//! What a connection did instead of logging in, and how its monitor tells the listener.

/// The behaviour of a connection that did not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It did not even try.
    NoAttempt,
    /// It tried, with a wrong key or user.
    FailedLogin,
    /// It stayed until the end of sshd's `LoginGraceTime`.
    GraceExceeded,
    /// It caused sshd to be killed by a signal.
    Crash,
}

impl Offence {
    const ALL: [Offence; 4] =
        [Offence::NoAttempt, Offence::FailedLogin, Offence::GraceExceeded, Offence::Crash];

    /// The offence in a line of sshd before the login, if any. Whatever a client sends, sshd puts its own
    /// words first.
    pub(super) fn in_log_line(line: &[u8]) -> Option<Offence> {
        let has = |words: &[u8]| line.windows(words.len()).any(|window| window == words);
        if line.starts_with(b"Timeout before authentication") {
            return Some(Offence::GraceExceeded);
        }
        let failed = [&b"Failed "[..], b"Invalid user ", b"error: maximum authentication attempts exceeded "];
        let tried = failed.iter().any(|begin| line.starts_with(begin))
            || has(b" by authenticating user ")
            || has(b" from authenticating user ")
            || has(b" by invalid user ")
            || has(b" from invalid user ");
        tried.then_some(Offence::FailedLogin)
    }

    fn exit_code(self) -> i32 {
        match self {
            Offence::NoAttempt => 10,
            Offence::FailedLogin => 11,
            Offence::GraceExceeded => 12,
            Offence::Crash => 13,
        }
    }
}

/// Whether somebody has logged in: the exit code of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginResult {
    LoggedIn,
    /// Nobody has, by the client's doing.
    Offence(Offence),
    /// Nobody has, and the client could not help it.
    Excused,
}

impl LoginResult {
    pub(crate) fn exit_code(self) -> i32 {
        match self {
            LoginResult::LoggedIn => 0,
            LoginResult::Excused => 1,
            LoginResult::Offence(offence) => offence.exit_code(),
        }
    }

    /// What the end of a monitor says. One that was killed, or ended otherwise, says nothing of its client.
    pub(crate) fn from_exit_code(code: Option<i32>) -> LoginResult {
        match code {
            Some(0) => LoginResult::LoggedIn,
            code => Offence::ALL
                .into_iter()
                .find(|offence| Some(offence.exit_code()) == code)
                .map_or(LoginResult::Excused, LoginResult::Offence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_says_tells_the_offence() {
        for (line, expected) in [
            ("Connection closed by 192.0.2.1 port 5 [preauth]", None),
            (
                "Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]",
                Some(Offence::FailedLogin),
            ),
            ("Connection reset by invalid user x 192.0.2.1 port 5 [preauth]", Some(Offence::FailedLogin)),
            ("Invalid user x from 192.0.2.1 port 5", Some(Offence::FailedLogin)),
            ("Failed publickey for root from 192.0.2.1 port 5 ssh2", Some(Offence::FailedLogin)),
            (
                "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 5 ssh2 [preauth]",
                Some(Offence::FailedLogin),
            ),
            ("Timeout before authentication for 192.0.2.1 port 5", Some(Offence::GraceExceeded)),
            ("banner exchange: Connection from 192.0.2.1 port 5: invalid format", None),
            ("kex_exchange_identification: Connection closed by remote host", None),
        ] {
            assert_eq!(Offence::in_log_line(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_monitor_tells_its_listener_by_its_exit_code() {
        let offences = Offence::ALL.map(LoginResult::Offence);
        for result in [LoginResult::LoggedIn, LoginResult::Excused].into_iter().chain(offences) {
            assert_eq!(LoginResult::from_exit_code(Some(result.exit_code())), result);
        }
        for code in [None, Some(1), Some(2), Some(101)] {
            assert_eq!(LoginResult::from_exit_code(code), LoginResult::Excused);
        }
    }
}
