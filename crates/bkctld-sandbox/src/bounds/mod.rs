//! Limits for all sessions of one jail together.

pub(crate) mod cgroup;
pub(crate) mod id_range;

use bkctld_core::config::SessionLimits;

use self::cgroup::Cgroup;

/// Processes of one session, its share of the jail's: sshd needs three and init one, an rsync up to three and
/// a shell.
const PROCESSES_EACH: u64 = 16;
/// Processes of a jail with few sessions.
const MIN_PROCESSES: u64 = 512;
/// Descriptors of one process, where the kernel has plenty.
const MAX_FILES: u64 = 1024;
/// The minimum for sshd and rsync.
const MIN_FILES: u64 = 128;

/// The limits for the sessions of a jail.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Processes of all users of the jail together.
    pub(crate) processes: u64,
    /// Descriptors that one process may have open.
    pub(crate) files: u64,
    /// The control group that limits memory; none under systemd, or if it cannot be made.
    pub(crate) cgroup: Option<Cgroup>,
}

impl Bounds {
    /// The limits for a jail with these settings.
    pub(crate) fn new(limits: &SessionLimits, cgroup: Option<Cgroup>) -> Bounds {
        let processes = processes(limits);
        Bounds { processes, files: files(processes, files_of_server()), cgroup }
    }
}

/// How many descriptors there are on this server.
fn files_of_server() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/file-max").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

/// The maximum number of processes of the jail.
pub(crate) fn processes(limits: &SessionLimits) -> u64 {
    (PROCESSES_EACH * u64::from(limits.per_jail.get())).max(MIN_PROCESSES)
}

/// The number of descriptors with which one jail gets an eighth of the kernel's (`fs.file-max`), if that is
/// enough to work with.
fn files(processes: u64, all_files: u64) -> u64 {
    (all_files / 8 / processes).clamp(MIN_FILES, MAX_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_gets_what_its_sessions_need_and_an_eighth_of_the_descriptors() {
        let with = |sessions: u32, all_files| {
            let limits = SessionLimits { per_jail: sessions.try_into().unwrap(), ..SessionLimits::default() };
            let processes = processes(&limits);
            (processes, files(processes, all_files))
        };
        assert_eq!(with(1, u64::MAX), (512, 1024));
        assert_eq!(with(40, u64::MAX), (640, 1024));
        assert_eq!(with(1000, u64::MAX), (16_000, 1024));
        assert_eq!(with(40, 2_466_174), (640, 481));
        assert_eq!(with(40, 100_000), (640, 128));
    }
}
