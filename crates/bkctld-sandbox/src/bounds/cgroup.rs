//! A control group for the sessions of one jail, if no service manager has made one. It limits the memory
//! (including that of descriptors and pipes) and the processes of all of them together.
//!
//! It is made below the listener's own group, so that the limits of that group still apply. In version 1 it
//! can be made anywhere, in version 2 only at the root, because elsewhere a group with processes cannot have
//! child groups with limits.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bkctld_core::JailName;

/// The number of groups of one name that are tried. There are several if servers in separate namespaces share
/// a hierarchy, and while the sessions of a dead listener still end.
const NAMES: u32 = 64;

/// The limited resources, with their files in version 1 and in version 2.
const BOUNDS: [(&str, &str, &str); 2] =
    [("memory", "memory.limit_in_bytes", "memory.max"), ("pids", "pids.max", "pids.max")];

/// The group, which is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Cgroup {
    /// One directory in version 2, one for each controller in version 1.
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    dir: PathBuf,
    /// The file whose lock says that the group is in use.
    _held: File,
}

impl Cgroup {
    /// Makes the group, or returns the reason why this is impossible.
    pub(crate) fn make(jail: &JailName, processes: u64) -> Result<Cgroup, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let bounds = [half_of_memory(&read("/proc/meminfo")?)?, processes];
        let parents = parents(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)?;
        let mut groups = Vec::new();
        for parent in &parents {
            parent.delegate()?;
            groups.push(Group::take(&parent.dir, jail, &parent.settings(&bounds))?);
        }
        Ok(Cgroup { groups })
    }

    /// Changes the maximum number of processes.
    pub(crate) fn set_processes(&self, processes: u64) -> io::Result<()> {
        self.groups
            .iter()
            .map(|group| group.dir.join("pids.max"))
            .filter(|file| file.exists())
            .try_for_each(|file| fs::write(file, processes.to_string()))
    }

    /// Moves the calling process into the group, and thereby all processes that it starts from now on.
    pub(crate) fn enter(&self) -> io::Result<()> {
        self.groups.iter().try_for_each(|group| fs::write(group.dir.join("cgroup.procs"), "0"))
    }
}

impl Group {
    fn take(parent: &Path, jail: &JailName, settings: &[(&str, String)]) -> Result<Group, String> {
        for number in 0..NAMES {
            let dir = parent.join(format!("bkctld:{jail}:{number}"));
            let failed = |error: io::Error| format!("{}: {error}", dir.display());
            match fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
            // Another listener may take or remove it between these steps; then the next one is used.
            let Ok(held) = File::open(&dir) else { continue };
            if held.try_lock().is_err() {
                continue;
            }
            for (file, value) in settings {
                fs::write(dir.join(file), value).map_err(failed)?;
            }
            return Ok(Group { dir, _held: held });
        }
        Err(format!("{}: {NAMES} groups of this jail are in use", parent.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The next listener finds and uses a group in which processes are still ending.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// A group below which one of ours is made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parent {
    dir: PathBuf,
    /// The controller, in version 1; all of them in version 2.
    controller: Option<&'static str>,
}

impl Parent {
    /// In version 2, a group has the controllers that its parent passes on.
    fn delegate(&self) -> Result<(), String> {
        if self.controller.is_some() {
            return Ok(());
        }
        let path = self.dir.join("cgroup.subtree_control");
        fs::write(&path, "+memory +pids").map_err(|error| format!("{}: {error}", path.display()))
    }

    fn settings(&self, bounds: &[u64; BOUNDS.len()]) -> Vec<(&'static str, String)> {
        let all = BOUNDS.iter().zip(bounds);
        match self.controller {
            None => all.map(|((_, _, file), bound)| (*file, bound.to_string())).collect(),
            Some(one) => all
                .filter(|((name, _, _), _)| *name == one)
                .map(|((_, file, _), bound)| (*file, bound.to_string()))
                .collect(),
        }
    }
}

/// Half of the machine's memory, in bytes: the same limit as in the unit under systemd.
fn half_of_memory(meminfo: &str) -> Result<u64, String> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = total.and_then(|total| total.trim().parse().ok());
    kilobytes
        .map(|total| total * 512)
        .ok_or_else(|| "/proc/meminfo does not give the size of the memory".to_owned())
}

/// The directories in which groups with these controllers can be made, according to the mounts and the groups
/// of the calling process.
fn parents(mountinfo: &str, cgroup: &str) -> Result<Vec<Parent>, String> {
    // Number, controllers, path.
    let own = |wanted: &dyn Fn(&str) -> bool| {
        cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            wanted(controllers).then_some(path)
        })
    };
    let mut found = Vec::new();
    for (controller, _, _) in BOUNDS {
        let has = |list: &str| list.split(',').any(|one| one == controller);
        let mounted = mounts(mountinfo).find(|mount| mount.kind == "cgroup" && has(mount.options));
        let dir = mounted.zip(own(&has)).and_then(|(mount, path)| mount.dir_of(path));
        found.extend(dir.map(|dir| Parent { dir, controller: Some(controller) }));
    }
    if found.len() == BOUNDS.len() {
        return Ok(found);
    }
    let unified = mounts(mountinfo).find(|mount| mount.kind == "cgroup2");
    match unified.zip(own(&str::is_empty)) {
        Some((mount, "/")) => mount
            .dir_of("/")
            .map(|dir| vec![Parent { dir, controller: None }])
            .ok_or_else(|| "the root of the hierarchy is not mounted".to_owned()),
        Some(_) => Err("its listener runs in a control group that has processes of its own".to_owned()),
        None => Err("no control groups for memory and processes are mounted".to_owned()),
    }
}

struct Mount<'a> {
    /// The mounted part of the hierarchy.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    /// The directory of the group with this path.
    fn dir_of(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(self.root).ok()?;
        Some(Path::new(self.point).join(below))
    }
}

/// The mounts of `/proc/PID/mountinfo`. Paths with blanks are escaped there; there is no control group at any.
fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        let (root, point) = (mount.next()?, mount.next()?);
        let (kind, options) = (file_system.next()?, file_system.nth(1)?);
        Some(Mount { root, point, kind, options })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /box /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
        39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
    const V2: &str = "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_group_lies_below_the_own_one_of_version_1_or_at_the_root_of_version_2() {
        let parent = |dir: &str, controller| Parent { dir: dir.into(), controller };
        let v1 =
            [parent("/sys/fs/cgroup/memory/a", Some("memory")), parent("/sys/fs/cgroup/pids", Some("pids"))];
        let v2 = [parent("/sys/fs/cgroup", None)];
        for (mounts, own, expected) in [
            (V1, "9:pids:/\n4:memory:/box/a\n0::/\n", Some(&v1[..])),
            // The mounted part of the hierarchy does not contain our own group.
            (V1, "9:pids:/\n4:memory:/other\n", None),
            (V2, "0::/\n", Some(&v2)),
            (V2, "0::/user.slice/session-1.scope\n", None),
            ("", "0::/\n", None),
            (V1, "", None),
            ("no mounts\n", "no groups\n", None),
        ] {
            assert_eq!(parents(mounts, own).ok().as_deref(), expected, "{mounts} {own}");
        }
        let both = format!("{V1}{V2}");
        assert_eq!(parents(&both, "9:pids:/\n4:memory:/box/a\n0::/\n").unwrap(), v1);
    }

    #[test]
    fn each_version_has_its_files() {
        let one = Parent { dir: "/x".into(), controller: Some("memory") };
        assert_eq!(one.settings(&[7, 8]), [("memory.limit_in_bytes", "7".to_owned())]);
        let all = Parent { controller: None, ..one };
        assert_eq!(all.settings(&[7, 8]), [("memory.max", "7".to_owned()), ("pids.max", "8".to_owned())]);
        assert_eq!(half_of_memory("MemTotal:       24581292 kB\nMemFree: 1 kB\n"), Ok(24_581_292 * 512));
        assert!(half_of_memory("").is_err());
    }
}
