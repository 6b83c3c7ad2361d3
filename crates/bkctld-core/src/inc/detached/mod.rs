//! The detached tree: an inc where the file system has no snapshots. What is unchanged since the
//! previous inc becomes a hard link to the *previous inc's* file, anything else is cloned or copied;
//! a live inode never gets into an inc, so nothing that a client does to its files reaches one.

mod build;
mod copy;
pub(crate) mod index;
mod links;
mod place;
mod signature;
mod space;
mod trees;
mod warnings;

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bkctld_tree::stat::{Inode, ctime};
use bkctld_tree::xattr::drop_inherited_acls;
use bkctld_tree::{open_dir, wait_aside};
use rustix::fs::{Mode, fstat, mkdirat, syncfs};

use super::IncName;
use super::files::Hidden;
use super::record::{Counts, Record};
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::jail::Jail;
use crate::progress::Progress;
use crate::text;
use build::{Build, explain_shortage};
use index::{Reader, Writer};
use links::link_max;
use space::Room;
use trees::Trees;

/// The clock of ctimes moves on within this time: what is done after it has another ctime than what was done
/// before. (Where a file system keeps whole seconds only, a second may pass.)
const TICK: std::time::Duration = std::time::Duration::from_millis(20);

/// The tree that was built, still under its hidden name.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) counts: Counts,
    pub(super) warnings: Vec<String>,
    /// Why the kernel did not tell of all files whether they were being written to.
    no_leases: Option<std::io::Error>,
}

/// Builds the tree of `name` in `inc_dir` under its hidden name, with its index, and syncs both.
/// `incs` are those that are there, oldest first.
pub(super) fn build(
    jail: &Jail,
    live: OwnedFd,
    incs: &[IncName],
    name: IncName,
    threads: NonZeroUsize,
    progress: &Progress,
) -> Result<Built> {
    let inc_dir = jail.inc_dir();
    let making = Hidden::Making(name).file_name();
    let path = inc_dir.join(&making);
    let parent = File::open(inc_dir).context("cannot open", inc_dir)?;
    mkdirat(&parent, &making, Mode::RWXU).context("cannot create directory", &path)?;
    let new = open_dir(&parent, &c_name(&making)?).context("cannot open", &path)?;
    drop_inherited_acls(&new).context("cannot set the access list of", &path)?;
    // The file system's own clock, read before anything is looked at.
    let begun = ctime(&fstat(&new).context("cannot look at", &path)?);
    // A page that a process has mapped and made dirty can be written again without a new ctime,
    // until it is written out. From here on, every later change shows.
    wait_aside(|| syncfs(&live)).context("cannot sync", &path)?;
    wait_aside(|| std::thread::sleep(TICK));

    let previous = previous(inc_dir, incs);
    match &previous {
        Some(Previous { name, .. }) => {
            progress.expect(Record::read(jail, *name)?.map_or(0, |record| record.counts.files));
        }
        None => {
            let again = rustix::io::fcntl_dupfd_cloexec(&live, 0).context("cannot open", &path)?;
            let (room, names) = space::check(again, &new, threads).context("cannot look at", &path)?;
            progress.expect(names);
            if let Room::Missing { needed, free } = room {
                return Err(no_room("inc", inc_dir, (needed, free))
                    .also("no earlier inc has files to share, so every file is copied"));
            }
        }
    }
    let index_path = inc_dir.join(Hidden::MakingIndex(name).file_name());
    let index = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&index_path)
        .context("cannot create", &index_path)?;
    let top_inode = Inode::from_stat(&fstat(&new).context("cannot look at", &path)?);
    let new_again = rustix::io::fcntl_dupfd_cloexec(&new, 0).context("cannot open", &path)?;

    let (previous, reader) = previous.map(|previous| (previous.top, previous.index)).unzip();
    let link_max = link_max(&new).context("cannot look at", &path)?;
    let build = Build::new(reader, Writer::new(index), begun, link_max, progress, &path);
    let (writer, top_block, mut built) = build.run(Trees { live, new, previous }, threads)?;
    if let Some(error) = &built.no_leases {
        built.warnings.push(format!(
            "the kernel cannot tell for every file whether it is being written to ({error}), so the next inc copies those files again: set fs.leases-enable to 1, and give bkctld CAP_LEASE"
        ));
    }
    writer
        .finish(top_inode.number, top_block)
        .context("cannot write", &index_path)
        .map_err(explain_shortage)?;
    // Once for everything: after a crash an inc that has its name has all its data too.
    wait_aside(|| syncfs(&new_again)).context("cannot sync", &path)?;
    Ok(built)
}

fn c_name(name: &std::ffi::OsStr) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(name.as_bytes())
        .map_err(|error| Error::internal("a name cannot be passed to the kernel").because(error))
}

/// The inc that unchanged files are taken from.
struct Previous {
    name: IncName,
    top: OwnedFd,
    index: Reader,
}

/// The newest inc that has an index.
fn previous(inc_dir: &Path, incs: &[IncName]) -> Option<Previous> {
    incs.iter().rev().find_map(|&name| {
        let index = File::open(inc_dir.join(Hidden::Index(name).file_name())).ok()?;
        let top = OwnedFd::from(File::open(inc_dir.join(name.to_string())).ok()?);
        let index = Reader::new(index, Inode::from_stat(&fstat(&top).ok()?).number)?;
        Some(Previous { name, top, index })
    })
}

/// Keeps the indexes of the two newest incs: that of the newest is what the next inc is built on,
/// the other stands in when the newest is deleted.
pub(super) fn drop_old_indexes(inc_dir: &Path, incs: &[IncName]) -> Result<()> {
    for &inc in incs.iter().rev().skip(2) {
        file::remove_if_there(&inc_dir.join(Hidden::Index(inc).file_name()))?;
    }
    Ok(())
}

/// Copies the whole tree into `new`, an empty directory at `path`, as faithfully as an inc of it would
/// be, and syncs it. Gives back what the copy lacks.
pub(super) fn copy_whole(
    live: OwnedFd,
    new: OwnedFd,
    path: &Path,
    threads: NonZeroUsize,
    progress: &Progress,
) -> Result<Vec<String>> {
    let again = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 0).context("cannot open", path);
    drop_inherited_acls(&new).context("cannot set the access list of", path)?;
    let (room, names) = space::check(again(&live)?, &new, threads).context("cannot look at", path)?;
    progress.expect(names);
    if let Room::Missing { needed, free } = room {
        return Err(no_room("archive", path.parent().unwrap_or(path), (needed, free))
            .also("the jail must be copied, since that is on another file system"));
    }
    // No inc will be built on this one.
    let no_index = OpenOptions::new().write(true).open("/dev/null").context("cannot open", "/dev/null")?;
    let begun = ctime(&fstat(&new).context("cannot look at", path)?);
    let link_max = link_max(&new).context("cannot look at", path)?;
    let build = Build::new(None, Writer::new(no_index), begun, link_max, progress, path);
    let (_, _, built) = build.run(Trees { live, new: again(&new)?, previous: None }, threads)?;
    wait_aside(|| syncfs(&new)).context("cannot sync", path)?;
    Ok(built.warnings)
}

fn no_room(what: &str, dir: &Path, (needed, free): (u64, u64)) -> Error {
    Error::no_space(format!(
        "not enough space for the {what} in {}: {} needed, {} available",
        text::path(dir),
        text::bytes(needed),
        text::bytes(free),
    ))
    .at(dir)
    .with_hint(format!("free {} or delete incs", text::bytes(needed.saturating_sub(free))))
}
