//! The answer of `status`.

mod full;
mod session;
mod time;

use std::io;

use bkctld_core::config::Isolation;
use bkctld_core::overview::Details;
use bkctld_core::retention::Retention;
use bkctld_core::service::ServedBy;
use bkctld_core::session::{SessionRecord, WithoutLogin};
use bkctld_core::{JailName, Port};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, Page, table};

const WIDTHS: [usize; 4] = [30, 10, 10, 25];
const HEADER: [&str; 5] = ["JAIL NAME", "STATUS", "PORT", "RETENTION (DAY/MONTH)", "IP"];

/// The present state of the jails.
#[derive(Serialize, JsonSchema)]
pub struct Statuses {
    pub jails: Vec<Status>,
}

/// One jail.
#[derive(Serialize, JsonSchema)]
pub struct Status {
    pub name: JailName,
    /// `ON` or `OFF`.
    pub status: &'static str,
    pub served_by: Option<ServedBy>,
    pub format: String,
    /// None if it cannot be read.
    pub port: Option<Port>,
    pub retention: Retention,
    pub addresses: Vec<String>,
    pub isolation: Isolation,
    /// Not determined for a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
    /// The reasons why facts are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Further details for a person.
    #[serde(skip)]
    pub details: Option<Details>,
}

/// The jail's sessions.
#[derive(Serialize, JsonSchema)]
pub struct Sessions {
    pub active: Vec<SessionRecord>,
    pub last: Option<SessionRecord>,
    pub without_login: Option<WithoutLogin>,
}

/// Writes a table, or the details of a jail that has them.
impl Answer for Statuses {
    fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        if let [status @ Status { details: Some(details), .. }] = self.jails.as_slice() {
            return full::lines(status, details, page.now).iter().try_for_each(|line| page.line(line));
        }
        if page.header {
            page.line(table::row(&WIDTHS, &HEADER))?;
        }
        self.jails.iter().try_for_each(|status| page.line(status.row()))
    }
}

impl Status {
    fn row(&self) -> String {
        let port = self.port.map_or_else(|| "-".to_owned(), |port| port.to_string());
        let mut addresses = self.addresses.join(",");
        // After the last column, so that it moves no other: this jail is isolated less strictly than the
        // others, and the administrator should be reminded.
        if self.isolation == Isolation::Compat {
            addresses.push_str(" ISOLATION=compat");
        }
        // Likewise: what the original still runs has not the isolation of ours.
        match self.served_by {
            Some(ServedBy::Nspawn) => addresses.push_str(" (by systemd-nspawn)"),
            Some(ServedBy::Chroot) => addresses.push_str(" (in a chroot)"),
            Some(ServedBy::Bkctld) | None => {}
        }
        let cells = [self.name.as_str(), self.status, &port, &self.retention.to_string(), &addresses];
        table::row(&WIDTHS, &cells)
    }
}

#[cfg(test)]
mod tests;
