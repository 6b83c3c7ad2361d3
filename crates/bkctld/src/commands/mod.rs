//! The commands, one file each.

mod archive;
mod check_canary;
mod check_incs;
mod check_jails;
mod check_setup;
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

use clap::{Args, Subcommand};

use bkctld_core::JailName;

use crate::completion;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};

macro_rules! commands {
    ($($group:literal {
        $($(#[$meta:meta])* $variant:ident($module:ident) = $name:literal,)+
    })+) => {
        /// Every command, in the order of the help.
        #[derive(Subcommand)]
        pub enum Command {
            $($($(#[$meta])* #[command(name = $name)] $variant($module::Arguments),)+)+
        }

        impl Command {
            /// The groups of the help, each with the names of its commands.
            pub const GROUPS: &[(&str, &[&str])] = &[$(($group, &[$($name),+]),)+];

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self { $($(Command::$variant(_) => $name,)+)+ }
            }

            /// Runs it.
            pub fn run(self, context: &Context) -> Result<Exit, Failure> {
                match self { $($(Command::$variant(arguments) => $module::run(context, arguments),)+)+ }
            }
        }
    };
}

commands! {
    "Jails" {
        /// Create a jail (it is not started)
        Init(init) = "init",
        /// Start a jail's SSH service
        Start(start) = "start",
        /// Stop a jail's SSH service and end its sessions
        Stop(stop) = "stop",
        /// Stop and start a jail's SSH service
        Restart(restart) = "restart",
        /// Pick up changed configuration; sessions go on
        Reload(reload) = "reload",
        /// Exit 0 if the jail is on, 100 if it is off
        IsOn(is_on) = "is-on",
        /// Show state, port, retention and addresses
        Status(status) = "status",
        /// Show each jail with its state, its policy and its incs
        Report(report) = "report",
        /// List the jails' names
        List(list) = "list",
        /// Show a jail's SSH log, newest first
        Log(log) = "log",
        /// Rename a jail with its incs, configuration and firewall rules
        Rename(rename) = "rename",
        /// Stop a jail and move it to the archive; its incs go on expiring
        Archive(archive) = "archive",
        /// Delete a jail, its incs and its configuration
        Remove(remove) = "remove",
        /// Show the format of a jail on disk
        JailVersion(jail_version) = "jail-version",
        /// Convert a jail of version 1 in place
        ConvertV2(convert_v2) = "convert-v2",
        /// Move a jail's policy from its old place to the new one
        UpgradeConfig(upgrade_config) = "upgrade-config",
    }
    "Keys and addresses" {
        /// Show or replace a jail's authorized keys
        Key(key) = "key",
        /// Show the addresses that may connect; add one, or take one away
        Ip(ip) = "ip",
        /// Show or set a jail's port
        Port(port) = "port",
        /// Print the script by which the jail's client pushes
        Client(client) = "client",
    }
    "Incs" {
        /// Make an inc of every jail that has a policy, or of those named
        Inc(inc) = "inc",
        /// Delete the incs that no rule of the policy keeps
        Rm(rm) = "rm",
        /// Make incs that are btrfs snapshots read-only, as they are from the start
        IncLock(inc_lock) = "inc-lock",
        /// Make incs that are btrfs snapshots writable
        IncUnlock(inc_unlock) = "inc-unlock",
    }
    "Checks" {
        /// Check how long each jail's client has been silent (also: check)
        #[command(alias = "check")]
        CheckJails(check_jails) = "check-jails",
        /// Check that the incs which the policies let one expect are there
        CheckIncs(check_incs) = "check-incs",
        /// Check that each client has pushed its canary today
        CheckCanary(check_canary) = "check-canary",
        /// Check the disk, the firewall, the services, the runs of inc and rm
        CheckSetup(check_setup) = "check-setup",
    }
    "Server" {
        /// Bring the programs that the jails share up to the host's packages
        Update(update) = "update",
        /// Mirror a jail's configuration and state to the servers that NODE names
        Sync(sync) = "sync",
        /// Write a jail's firewall rules anew
        Firewall(firewall) = "firewall",
        /// Show what each jail takes on disk, and when its client was last there
        ///
        /// With -v also what its incs take together, how many files it has, and when it was walked. With -f
        /// everything is walked anew.
        Stats(stats) = "stats",
        /// Print what Prometheus asks for, or write it to a file
        Metrics(metrics) = "metrics",
    }
}

/// The option of the checks.
#[derive(Args)]
pub struct Perfdata {
    /// Add performance data for graphs to the first line
    #[arg(long)]
    perfdata: bool,
}

/// The argument of a command that acts on one jail.
#[derive(Args)]
pub struct OneJail {
    /// The jail
    #[arg(value_name = "JAIL", add = completion::jail_name())]
    jail: JailName,
}

/// The argument of a command that acts on one jail or on all.
#[derive(Args)]
pub struct JailOrAll {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completion::jail_name_or_all())]
    target: Target,
}

/// The argument of a command that acts on the jails named, or on all when none is.
#[derive(Args)]
pub struct SomeJails {
    /// The jails; all of them when none is named
    #[arg(value_name = "JAIL", add = completion::jail_name())]
    jails: Vec<JailName>,
}
