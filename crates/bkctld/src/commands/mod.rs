//! The commands, one file each.

mod archive;
mod check_canary;
mod check_incs;
mod check_jails;
mod check_setup;
mod checks;
mod client;
mod convert_v2;
mod firewall;
mod inc;
mod inc_lock;
mod inc_unlock;
mod init;
mod ip;
mod is_on;
mod jail_version;
mod key;
mod list;
mod log;
mod metrics;
mod port;
mod protection;
mod reload;
mod remove;
mod rename;
mod report;
mod restart;
mod rm;
mod start;
mod stats;
mod status;
mod stop;
mod sync;
mod update;
mod upgrade_config;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Exit, Failure};

macro_rules! commands {
    ($($group:literal {
        $($variant:ident($module:ident) = $name:literal,)+
    })+) => {
        /// Every command, in the order of the help.
        #[derive(Subcommand)]
        pub enum Command {
            $($(#[command(name = $name)] $variant($module::Arguments),)+)+
        }

        impl Command {
            /// The groups of the help, each with the names of its commands.
            pub const GROUPS: &[(&str, &[&str])] = &[$(($group, &[$($name),+]),)+];

            /// The name of the command.
            pub fn name(&self) -> &'static str {
                match self { $($(Command::$variant(_) => $name,)+)+ }
            }

            /// Runs the command.
            pub fn run(self, context: &Context) -> Result<Exit, Failure> {
                match self { $($(Command::$variant(arguments) => $module::run(context, arguments),)+)+ }
            }
        }
    };
}

commands! {
    "Jails" {
        Init(init) = "init",
        Start(start) = "start",
        Stop(stop) = "stop",
        Restart(restart) = "restart",
        Reload(reload) = "reload",
        IsOn(is_on) = "is-on",
        Status(status) = "status",
        Report(report) = "report",
        List(list) = "list",
        Log(log) = "log",
        Rename(rename) = "rename",
        Archive(archive) = "archive",
        Remove(remove) = "remove",
        JailVersion(jail_version) = "jail-version",
        ConvertV2(convert_v2) = "convert-v2",
        UpgradeConfig(upgrade_config) = "upgrade-config",
    }
    "Keys and addresses" {
        Key(key) = "key",
        Ip(ip) = "ip",
        Port(port) = "port",
        Client(client) = "client",
    }
    "Incs" {
        Inc(inc) = "inc",
        Rm(rm) = "rm",
        IncLock(inc_lock) = "inc-lock",
        IncUnlock(inc_unlock) = "inc-unlock",
    }
    "Checks" {
        CheckJails(check_jails) = "check-jails",
        CheckIncs(check_incs) = "check-incs",
        CheckCanary(check_canary) = "check-canary",
        CheckSetup(check_setup) = "check-setup",
    }
    "Server" {
        Update(update) = "update",
        Sync(sync) = "sync",
        Firewall(firewall) = "firewall",
        Stats(stats) = "stats",
        Metrics(metrics) = "metrics",
    }
}
