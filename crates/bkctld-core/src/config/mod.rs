//! `/etc/default/bkctld`: the settings of a server.

mod settings;

pub use settings::{Isolation, ServiceManager, SessionLimits, Settings};
