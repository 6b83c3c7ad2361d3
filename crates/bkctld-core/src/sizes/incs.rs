//! The incs: an inc that has its name never changes, so each is measured once.
//!
//! On btrfs, a snapshot holds the data that was written after the previous snapshot, which the file system
//! finds by its transactions without reading the rest. Elsewhere, in trees of hard links, each inode, and
//! each place on disk if the file system has clones, belongs to the first inc that has it (see [`shares`]).

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bkctld_sys::btrfs::{self, Subvolume};
use bkctld_sys::filesystem::{self, Kind};
use bkctld_tree::stat::{FsTime, Inode, ctime};
use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat};
use serde::{Deserialize, Serialize};

use super::Options;
use super::cache_dir::CacheDir;
use super::shares::{self, Files, Span};
use super::sum::{Listed, sum};
use crate::error::{Error, IoContext, Result};
use crate::file::{self, Sync};
use crate::inc::{self, IncName};
use crate::jail::Jail;
use crate::progress::Progress;

/// The maximum number of attempts to measure incs while the list changes, for example because of an `rm` at
/// the same time.
const ATTEMPTS: usize = 5;

/// The known sizes of a jail's incs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Incs {
    snapshots: Vec<Snapshot>,
    /// Those that are no snapshots, oldest first.
    trees: Vec<MeasuredTree>,
    /// The size of files that are not in the newest tree.
    ended: Vec<Span>,
    /// The size of the files of the newest tree.
    newest: Vec<Span>,
}

/// A snapshot. With the same three numbers its data are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot {
    name: IncName,
    id: u64,
    generation: u64,
    /// The transaction that made the previous snapshot; 0 if there is none.
    after: u64,
    bytes: u64,
}

/// A tree, identified by the inode of its top directory, whose ctime is the time of its renaming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MeasuredTree {
    name: IncName,
    inode: u64,
    changed: (i64, u32),
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

impl Incs {
    /// The bytes of each inc that no earlier inc has, oldest first.
    pub(super) fn sizes(&self) -> Vec<(IncName, u64)> {
        let mut sizes: BTreeMap<IncName, u64> = self.trees.iter().map(|tree| (tree.name, 0)).collect();
        for span in self.ended.iter().chain(&self.newest) {
            let size: &mut u64 = sizes.entry(span.first).or_default();
            // The data from disk may be damaged.
            *size = size.saturating_add(span.bytes);
        }
        sizes.extend(self.snapshots.iter().map(|snapshot| (snapshot.name, snapshot.bytes)));
        sizes.into_iter().collect()
    }

    /// The files that could not be read.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        self.trees.iter().flat_map(|tree| tree.problems.iter().cloned())
    }
}

/// An existing inc. It is not kept open, because there may be more incs than descriptors.
struct Present {
    name: IncName,
    stat: Stat,
    /// None if it is not a subvolume.
    subvolume: Option<Subvolume>,
}

pub(super) fn measure(
    jail: &Jail,
    old: Incs,
    dir: &CacheDir,
    options: &Options,
    progress: &Progress,
) -> Result<Incs> {
    // An inc loses its name before it is deleted, so an inc that still has its name after the walk was
    // complete.
    for _ in 0..ATTEMPTS {
        match attempt(jail, &old, dir, options, progress) {
            Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => {}
            Ok(None) => {}
            Ok(Some(incs)) => return Ok(incs),
            Err(error) => return Err(error),
        }
    }
    Err(Error::busy("its incs change faster than they can be measured").with_hint("try again later"))
}

/// None if an inc was deleted in the meantime.
fn attempt(
    jail: &Jail,
    old: &Incs,
    dir: &CacheDir,
    options: &Options,
    progress: &Progress,
) -> Result<Option<Incs>> {
    let mut there = Vec::new();
    for name in inc::list(jail)? {
        let path = path(jail, name);
        let top = open(&path)?;
        let stat = fstat(&top).context("cannot look at", &path)?;
        let is_subvolume = btrfs::is_subvolume(&top).context("cannot look at", &path)?;
        let subvolume = is_subvolume.then(|| btrfs::subvolume(&top)).transpose();
        there.push(Present { name, stat, subvolume: subvolume.context("cannot look at", &path)? });
    }
    let snapshots = snapshots(jail, &there, old)?;
    let incs = trees(jail, &there, old, dir, options, progress)?;
    Ok(still_there(jail, &there).then_some(Incs { snapshots, ..incs }))
}

fn path(jail: &Jail, name: IncName) -> PathBuf {
    jail.inc_dir().join(name.to_string())
}

/// By path, because only root writes in `INCDIR/J`.
fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).context("cannot open", path)
}

fn still_there(jail: &Jail, there: &[Present]) -> bool {
    there.iter().all(|inc| {
        fs::symlink_metadata(path(jail, inc.name))
            .is_ok_and(|now| Inode::from_metadata(&now) == Inode::from_stat(&inc.stat))
    })
}

fn snapshots(jail: &Jail, there: &[Present], old: &Incs) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    let mut before: Option<Subvolume> = None;
    for inc in there {
        let Some(subvolume) = inc.subvolume else { continue };
        // Of another subvolume than the one before (of a jail that was made anew), nothing is shared.
        let after = before.filter(|before| before.parent == subvolume.parent).map_or(0, |before| before.made);
        before = Some(subvolume);
        let known = old.snapshots.iter().find(|known| {
            (known.name, known.id, known.generation, known.after)
                == (inc.name, subvolume.id, subvolume.generation, after)
        });
        let bytes = match known {
            Some(known) => known.bytes,
            None => {
                let path = path(jail, inc.name);
                btrfs::bytes_written_after(open(&path)?, after).context("cannot measure", &path)?
            }
        };
        let (id, generation) = (subvolume.id, subvolume.generation);
        snapshots.push(Snapshot { name: inc.name, id, generation, after, bytes });
    }
    Ok(snapshots)
}

impl MeasuredTree {
    fn unmeasured(inc: &Present) -> MeasuredTree {
        let FsTime { seconds, nanoseconds } = ctime(&inc.stat);
        let inode = Inode::from_stat(&inc.stat).number;
        MeasuredTree { name: inc.name, inode, changed: (seconds, nanoseconds), problems: Vec::new() }
    }

    fn is(&self, other: &MeasuredTree) -> bool {
        (self.name, self.inode, self.changed) == (other.name, other.inode, other.changed)
    }
}

fn trees(
    jail: &Jail,
    there: &[Present],
    old: &Incs,
    dir: &CacheDir,
    options: &Options,
    progress: &Progress,
) -> Result<Incs> {
    let there: Vec<&Present> = there.iter().filter(|inc| inc.subvolume.is_none()).collect();
    let present: Vec<IncName> = there.iter().map(|inc| inc.name).collect();
    let known = known(&there, old);
    let mut incs = Incs {
        trees: known.to_vec(),
        ended: shares::among(&old.ended, &present),
        newest: shares::among(&old.newest, &present),
        snapshots: Vec::new(),
    };
    if known.len() == there.len() {
        return Ok(if there.is_empty() { Incs::default() } else { incs });
    }
    let mut files = known.last().and_then(|newest| read_files(jail, dir, newest));
    if files.is_none() {
        incs = Incs::default();
    }
    for inc in &there[incs.trees.len()..] {
        let newest = incs.trees.last().map(|tree| tree.name);
        let (new, ended, tree) = add(jail, inc, files.take().unwrap_or_default(), newest, options, progress)?;
        incs.ended.extend(ended);
        incs.trees.push(tree);
        files = Some(new);
    }
    if let (Some(newest), Some(files)) = (incs.trees.last(), files) {
        // Data of deleted incs counts for the oldest remaining one.
        incs.newest = shares::among(&files.summed(newest.name), &present);
        if !options.keep_nothing {
            write_files(jail, dir, newest, &files)?;
        }
    }
    incs.ended = shares::among(&incs.ended, &present);
    Ok(incs)
}

/// The existing trees that need not be walked: all trees that were measured completely, if the newest of them
/// still exists and all other existing trees are newer. Otherwise none: unknown trees could share files with
/// known ones in unknown ways.
fn known(there: &[&Present], old: &Incs) -> Vec<MeasuredTree> {
    // Files that could not be read before may be readable now.
    let is = |known: &&MeasuredTree, inc: &Present| {
        known.problems.is_empty() && known.is(&MeasuredTree::unmeasured(inc))
    };
    let find = |inc: &&Present| old.trees.iter().find(|known| is(known, inc)).cloned();
    let known: Vec<MeasuredTree> = there.iter().map_while(find).collect();
    let newest = old.trees.last().map(|tree| tree.name);
    if known.last().map(|tree| tree.name) == newest { known } else { Vec::new() }
}

/// Walks one more inc, and tells which of its files the incs before it have.
fn add(
    jail: &Jail,
    inc: &Present,
    files: Files,
    newest: Option<IncName>,
    options: &Options,
    progress: &Progress,
) -> Result<(Files, Vec<Span>, MeasuredTree)> {
    let path = path(jail, inc.name);
    let top = open(&path)?;
    let clones = shares_ranges(&top).context("cannot look at", &path)?;
    let listed = if clones { Listed::DiskRanges } else { Listed::All };
    let total = sum(top, options.threads, listed, progress).context("cannot walk", &path)?;
    let device = Inode::from_stat(&inc.stat).device;
    let (own, nested): (Vec<_>, Vec<_>) =
        total.inodes.into_iter().partition(|(inode, _)| inode.device == device);
    let inodes = own.into_iter().map(|(inode, bytes)| (inode.number, bytes));
    let (rows, mut ended) = shares::extend(files.rows, newest, inc.name, inodes);
    let (ranges, more) = shares::extend_ranges(files.ranges, newest, inc.name, total.ranges.into_iter());
    ended.extend(more);
    // Directories belong to one inc only, and so do files in nested subvolumes.
    let bytes = total.bytes + nested.iter().map(|(_, bytes)| bytes).sum::<u64>();
    ended.push(Span { first: inc.name, last: inc.name, bytes });
    let problems = total.problems.into_iter().map(|problem| format!("inc {}: {problem}", inc.name)).collect();
    Ok((Files { rows, ranges }, ended, MeasuredTree { problems, ..MeasuredTree::unmeasured(inc) }))
}

/// Whether files can share ranges on disk here. To ask each file for its ranges takes several times as
/// long as to look at it.
fn shares_ranges(top: &OwnedFd) -> std::io::Result<bool> {
    Ok(matches!(filesystem::kind(top)?, Kind::XFS | Kind::BTRFS))
}

fn read_files(jail: &Jail, dir: &CacheDir, newest: &MeasuredTree) -> Option<Files> {
    shares::decode(&fs::read(dir.files(jail)).ok()?, &label(newest))
}

fn write_files(jail: &Jail, dir: &CacheDir, newest: &MeasuredTree, files: &Files) -> Result<()> {
    match shares::encode(files, &label(newest)) {
        Some(bytes) => file::replace_with(&dir.files(jail), 0o600, &bytes, Sync::Later),
        None => Ok(()),
    }
}

/// The label that identifies the inc of the rows.
fn label(tree: &MeasuredTree) -> Vec<u8> {
    format!("{} {} {:?}", tree.name, tree.inode, tree.changed).into_bytes()
}
