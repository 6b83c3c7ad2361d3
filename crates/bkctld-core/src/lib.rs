//! The domain of `bkctld`: configuration, jails, incs, retention, the runtime, the services.
//!
//! Nothing here prints, exits, logs by itself, or reads the clock or the environment: the binary passes those
//! in and decides how a result is shown. Decisions are first made as values (plans), then carried out, so
//! that `--dry-run`, JSON and the action itself cannot disagree.
#![forbid(unsafe_code)]

pub mod check;
pub mod client;
pub mod config;
pub mod error;
pub mod file;
pub mod firewall;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inc;
pub mod jail;
pub mod jail_name;
pub mod lifecycle;
pub mod lock;
pub mod lock_dir;
pub mod metrics;
pub mod operation;
pub mod overview;
pub mod program;
pub mod progress;
pub mod retention;
pub mod root_only;
pub mod runtime;
pub mod service;
pub mod session;
pub mod sizes;
pub mod sync;
pub mod syslog;
pub mod systemctl;
pub mod template;
pub mod text;
pub mod tree;
pub mod watch;

pub use bkctld_tree::Turns;
pub use config::Settings;
pub use error::{Error, ErrorKind, Result};
pub use inc::IncName;
pub use jail::{Jail, Port};
pub use jail_name::JailName;
