//! `/etc/default/bkctld`: the settings of a server.

pub(crate) mod read;
mod settings;
pub(crate) mod shell;
pub(crate) mod values;

pub use read::DEFAULT_FILE;
pub use settings::{Firewall, Isolation, ServiceManager, SessionLimits, Settings};
pub use shell::Env;
pub use values::Warning;
