//! A reload: everything that can fail comes first, so that the listener goes on as before where it does.

use bkctld_core::error::Result;
use bkctld_core::syslog::Severity;
use bkctld_core::text::printable;

use super::Listener;
use super::config::ListenerConfig;
use super::sockets::listen_on;
use crate::bounds::{self, Bounds};
use crate::notify;
use crate::sandbox::selftest;

impl Listener<'_> {
    /// What was changed while this listener started found nobody to tell: before it held its lock the
    /// jail was off. Where that cannot be served, the listener goes on as it has started.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        let changed = match ListenerConfig::read(self.served) {
            Ok(now) if now == self.config => Ok(()),
            now => now.and_then(|now| self.change_to(now)),
        };
        if let Err(error) = changed {
            self.say(
                Severity::Warning,
                &format!("a configuration change during the start was not applied: {error}"),
            );
            self.state.error = Some(error.to_string());
        }
        self.state.port = self.config.port.get();
        self.state.write(&self.served.jail)
    }

    /// Reads the configuration again, and changes to it or goes on with the old one.
    pub(super) fn reload(&mut self) {
        notify::reloading();
        let outcome = ListenerConfig::read(self.served).and_then(|config| self.change_to(config));
        self.replaced = outcome.is_ok() && self.program.is_replaced();
        self.state.generation += 1;
        self.state.port = self.config.port.get();
        self.state.error = outcome.err().map(|error| error.to_string());
        match self.state.error.clone() {
            Some(error) => self.say(Severity::Warning, &format!("the reload changed nothing: {error}")),
            None => {
                self.log(Severity::Info, &format!("reloaded, listening on port {}", self.state.port));
                self.warn_of_other_ports();
            }
        }
        if let Err(error) = self.state.write(&self.served.jail) {
            self.say(Severity::Warning, &error.to_string());
        }
        notify::systemd(&self.ready());
    }

    /// What systemd is told, and shows in `systemctl status`.
    pub(super) fn ready(&self) -> String {
        match &self.state.error {
            None => format!("READY=1\nSTATUS=listening on port {}", self.state.port),
            Some(error) => format!(
                "READY=1\nSTATUS=listening on port {}; the last the reload changed nothing: {}",
                self.state.port,
                printable(error.as_bytes())
            ),
        }
    }

    /// Says which ports of `ListenAddress` lines are not listened on.
    pub(super) fn warn_of_other_ports(&self) {
        for listen in &self.config.other_ports {
            let port = self.config.port;
            let text = format!("ListenAddress {listen}: a jail has one port, and listens on {port} there");
            self.say(Severity::Warning, &text);
        }
    }

    fn change_to(&mut self, config: ListenerConfig) -> Result<()> {
        let fresh = if self.ids.is_none() { config.take_ids(&self.served.settings.lock_dir)? } else { None };
        selftest::run(&config.blueprint(self.served, fresh.as_ref().or(self.ids.as_ref()), &self.bounds))?;
        let processes = bounds::processes(&config.limits);
        let other = processes != self.bounds.processes;
        let bounded = self.ids.as_ref().filter(|_| other).map(|ids| ids.bounded(processes)).transpose()?;
        // The last that can fail: until here nothing has changed.
        listen_on(&mut self.sockets, config.port, &config.listen)?;
        if let (Some(ids), Some(bounded)) = (&mut self.ids, bounded) {
            ids.change_to(bounded);
        }
        self.ids = fresh.or(self.ids.take());
        if other {
            self.change_bounds(&config);
        }
        self.config = config;
        Ok(())
    }

    /// More or fewer sessions need more or fewer processes.
    fn change_bounds(&mut self, config: &ListenerConfig) {
        let bounds = Bounds::new(&config.limits, self.bounds.cgroup.take());
        if let Some(cgroup) = &bounds.cgroup
            && let Err(error) = cgroup.set_processes(bounds.processes)
        {
            let text = format!("the control group keeps its old limit of processes: {error}");
            self.complain(&text);
        }
        self.bounds = bounds;
    }
}
