//! The live data: walked, unless the kernel says that nothing has changed since the last walk.
//!
//! On btrfs the kernel counts the transactions that changed a subvolume, which a jail is: the same number,
//! the same data. Elsewhere it tells of changes for the file system as a whole only, by how much of it is
//! in use ([`Volume`]). A client cannot have changed anything without a session; what an administrator moves
//! from one jail to another takes no more and no less, but shows in the directories ([`trail`]).

use std::os::fd::OwnedFd;

use bkctld_sys::btrfs;
use bkctld_tree::stat::Inode;
use jiff::Timestamp;
use rustix::fs::fstat;
use serde::{Deserialize, Serialize};

use super::cache_dir::CacheDir;
use super::sum::{Listed, sum};
use super::volume::Volume;
use super::{Options, TreeSize, trail};
use crate::error::{IoContext, Result};
use crate::jail::Jail;
use crate::progress::Progress;
use crate::session;

/// The result, with the state of the jail in the kernel just before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) tree: TreeSize,
    pub(super) walked: Timestamp,
    seen: Option<Seen>,
    /// The checksum of the jail's trail, if there is one.
    trail: Option<String>,
}

/// A state of the kernel: while it is the same, the tree is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Seen {
    /// A directory in a btrfs subvolume (its top, usually), and the last transaction that changed that.
    Subvolume { id: u64, generation: u64, inode: u64 },
    /// Elsewhere: a directory, and the jail's last session; true together with the state of the [`Volume`].
    Directory { inode: u64, last_session: Option<String> },
}

pub(super) fn measure(
    jail: &Jail,
    top: OwnedFd,
    old: Option<Live>,
    (volume, dir): (&Volume, &CacheDir),
    options: &Options,
    progress: &Progress,
) -> Result<Live> {
    let seen = look(jail, &top, volume)?;
    let trail_path = dir.trail(jail);
    if let Some(old) = old
        && old.seen == seen
        // What could not be read once may be read now.
        && old.tree.problems.is_empty()
    {
        let unchanged = match (&seen, &old.trail) {
            (Some(Seen::Subvolume { .. }), _) => true,
            (Some(Seen::Directory { .. }), Some(sum)) => {
                volume.is_unchanged() && trail::is_unchanged(&top, &trail_path, sum)
            }
            _ => false,
        };
        if unchanged {
            return Ok(old);
        }
    }
    let wanted = matches!(seen, Some(Seen::Directory { .. })) && !options.keep_nothing;
    let listed = if wanted { Listed::SeveralNamesAndTrail } else { Listed::SeveralNames };
    let total = sum(top, options.threads, listed, progress).context("cannot walk", jail.dir())?;
    let trail = if wanted { total.trail.write(&trail_path)? } else { None };
    let tree = TreeSize {
        bytes: total.bytes + total.inodes.iter().map(|(_, bytes)| bytes).sum::<u64>(),
        files: total.files,
        directories: total.directories,
        problems: total.problems,
    };
    Ok(Live { tree, walked: options.now, seen, trail })
}

/// The present state of the jail; none if a later state could not show whether it has changed.
fn look(jail: &Jail, top: &OwnedFd, volume: &Volume) -> Result<Option<Seen>> {
    let stat = fstat(top).context("cannot look at", jail.dir())?;
    let inode = Inode::from_stat(&stat).number;
    if btrfs::is_btrfs(top).context("cannot look at", jail.dir())? {
        let subvolume = btrfs::subvolume(top).context("cannot look at", jail.dir())?;
        // A nested subvolume changes without the jail's own.
        let nested = btrfs::children(top).context("cannot look at", jail.dir())?;
        let seen = Seen::Subvolume { id: subvolume.id, generation: subvolume.generation, inode };
        return Ok(nested.is_empty().then_some(seen));
    }
    if !volume.vouches_for(&stat) || !session::active(jail)?.is_empty() {
        return Ok(None);
    }
    let last_session = session::last_finished(jail)?.map(|record| record.id);
    Ok(Some(Seen::Directory { inode, last_session }))
}
