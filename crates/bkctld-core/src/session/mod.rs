//! What the server knows of a jail's sessions: records that the session's monitor writes outside
//! of the client's reach, and that `status` and `log` read.

mod record;

pub use record::{Ending, Kind, SessionRecord};
