//! The server's knowledge about a jail's sessions: records that a session's monitor writes out of the
//! client's reach, and that `status` and `log` read.

mod journal;
mod log;
mod record;
pub(crate) mod store;
mod without_login;

pub use log::{LogWriter, log_newest_first};
pub use record::{Ending, Kind, Program, SessionRecord};
pub use store::{ActiveSession, Pushes, active, last_finished, last_push, pushes};
pub use without_login::{WithoutLogin, count_refused, without_login};
