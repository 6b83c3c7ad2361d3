//! `/etc/default/bkctld`: the settings of a server.

pub(crate) mod read;
mod settings;
pub(crate) mod shell;
mod switches;
pub(crate) mod values;

pub use read::{Configuration, DEFAULT_FILE, read};
pub use settings::{CheckThresholds, Firewall, Isolation, ServiceManager, SessionLimits, Settings};
pub use shell::Env;
pub use switches::Switches;
pub use values::Warning;
