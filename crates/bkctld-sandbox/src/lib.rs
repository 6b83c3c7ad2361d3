//! The listener of a jail, one sandbox for each of its connections, and the record of each session.
#![forbid(unsafe_code)]
