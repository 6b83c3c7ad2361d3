//! The making of a tree: what becomes of each directory and of each name, on the way through the live one.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bkctld_tree::stat::{FsTime, ctime, file_type};
use bkctld_tree::xattr::Xattrs;
use bkctld_tree::{Entered, Entry, Found, Here, Listing, MAX_DEPTH, Traversal, list, open_dir, traverse};
use rustix::fs::{AtFlags, FileType, Mode, fstat, mkdirat, statat};

use super::Built;
use super::copy::{Copier, Failure, Skip, copy_metadata, creation_failure, is_shortage, live_failure};
use super::index::{Block, Known, Reader, Writer};
use super::links::Links;
use super::signature::settled_before;
use super::trees::{self, Lost, Node, Notes, Trees};
use super::warnings::Warnings;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::inc::record::Counts;
use crate::progress::Progress;

/// The making of one tree.
pub(super) struct Build<'a> {
    /// The index of the inc that unchanged files are taken from.
    previous: Option<Reader>,
    /// The index of the new one.
    writer: Mutex<Writer>,
    /// Where the top's block is in it, once that is written.
    top_block: AtomicU64,
    /// When the making began, by the file system's clock.
    begun: FsTime,
    /// Changes before this have another ctime than any that are yet to come.
    pub(super) settled_before: FsTime,
    /// How many names an inode of the inc's file system can have.
    pub(super) link_max: u64,
    pub(super) links: Links,
    pub(super) copier: Copier,
    pub(super) tally: Tally,
    warnings: Warnings,
    pub(super) progress: &'a Progress,
    failed: Mutex<Option<Error>>,
    path: &'a Path,
}

/// [`Counts`] while threads add to them.
#[derive(Default)]
pub(super) struct Tally {
    directories: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) linked: AtomicU64,
    pub(super) cloned: AtomicU64,
    pub(super) copied: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Why a name was not dealt with.
#[derive(Debug)]
pub(super) enum Halt {
    /// It is left out of the inc; the rest is gone on with.
    Skip(Skip),
    /// No inc is made, for this reason.
    Fatal(Error),
    /// No inc is made, and somebody said why.
    GivenUp,
}

impl<'a> Build<'a> {
    /// A tree to be made of what the live one is from `begun` on. `path` is that of the new tree, for
    /// messages.
    pub(super) fn new(
        previous: Option<Reader>,
        writer: Writer,
        begun: FsTime,
        link_max: u64,
        progress: &'a Progress,
        path: &'a Path,
    ) -> Build<'a> {
        Build {
            previous,
            writer: Mutex::new(writer),
            top_block: AtomicU64::new(0),
            begun,
            settled_before: settled_before(begun),
            link_max,
            links: Links::default(),
            copier: Copier::new(),
            tally: Tally::default(),
            warnings: Warnings::default(),
            progress,
            failed: Mutex::new(None),
            path,
        }
    }

    /// Builds it. Gives back the index, which still wants closing, and where its top block is.
    pub(super) fn run(self, top: Trees, threads: NonZeroUsize) -> Result<(Writer, u64, Built)> {
        let stat = fstat(&top.live).context("cannot look at", self.path)?;
        let xattrs = Xattrs::read(&top.live).context("cannot read the attributes of", self.path)?;
        let help = self.previous.as_ref().and_then(Reader::top);
        self.tally.directories.fetch_add(1, Relaxed);
        traverse(&self, Entered { handles: top, notes: Notes::new(stat, xattrs), help }, threads);
        if let Some(error) = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let built = Built {
            counts: self.tally.counts(),
            warnings: self.warnings.into_vec(),
            no_leases: self.copier.into_no_leases(),
        };
        Ok((writer, self.top_block.into_inner(), built))
    }
}

impl Traversal for Build<'_> {
    type Handles = Trees;
    type Notes = Notes;
    /// What the previous inc's index says of the names of a directory.
    type Help = Option<Block>;
    /// Where a directory's block is in the previous inc's index.
    type Hint = Option<u64>;
    /// What the new index says of some names.
    type Tally = Block;
    type Error = Halt;

    /// Opens the subdirectory in the trees, and makes it in the new one.
    fn enter(
        &self,
        parent: &Arc<Node>,
        name: &CStr,
        hint: Option<u64>,
    ) -> Result<Option<Entered<Self>>, Halt> {
        let fatal = |doing| {
            move |error: io::Error| {
                let path = self.path_of(parent, name);
                Halt::Fatal(explain_shortage(Error::io(doing, &path, error)))
            }
        };
        if parent.depth() >= MAX_DEPTH {
            let message =
                format!("the jail has directories more than {MAX_DEPTH} levels deep, which cannot be copied");
            return Err(Halt::Fatal(Error::refused(message).with_hint("remove them from its data")));
        }
        let above = self.handles(parent)?;
        let failed = |failure| self.halt(parent, name, failure);
        let opened = open_dir(&above.live, name).map_err(live_failure);
        // Of a directory that cannot be entered because something is mounted on it, the inc has an
        // empty one, as a snapshot would.
        if let Err(Failure::Skip(Skip::MountPoint)) = &opened {
            mkdirat(&above.new, name, Mode::RWXU).map_err(|error| fatal("cannot create")(error.into()))?;
        }
        let live = opened.map_err(failed)?;
        let stat = fstat(&live).map_err(live_failure).map_err(failed)?;
        let xattrs = Xattrs::read(&live).map_err(live_failure).map_err(failed)?;
        mkdirat(&above.new, name, Mode::RWXU).map_err(creation_failure).map_err(failed)?;
        let new = open_dir(&above.new, name).map_err(fatal("cannot open"))?;
        let help = hint.and_then(|offset| self.previous.as_ref()?.block(offset));
        let previous = match (&above.previous, &help) {
            (Some(previous), Some(_)) => open_dir(previous, name).ok(),
            _ => None,
        };
        self.tally.directories.fetch_add(1, Relaxed);
        let handles = Trees { live, new, previous };
        Ok(Some(Entered { handles, notes: Notes::new(stat, xattrs), help }))
    }

    fn reopen(&self, node: &Node, above: &Trees, names: &[&CStr]) -> Result<Trees, Halt> {
        trees::reopen(node, above, names).map_err(|lost| match lost {
            Lost::Live => Halt::Skip(Skip::Vanished),
            Lost::Fatal(error) => self.cannot_reopen(error),
        })
    }

    fn list(&self, node: &Arc<Node>, trees: &Trees) -> Result<Listing, Halt> {
        list(&trees.live).map_err(|error| self.halt(node, c"", live_failure(error)))
    }

    fn name(
        &self,
        here: &Here<'_, Self>,
        entry: Entry<'_>,
        block: &mut Block,
        found: &mut Found<'_, Self>,
    ) -> Result<(), Halt> {
        let mut enter = || {
            let hint = match here.help.as_ref().and_then(|known| known.get(entry.name)) {
                Some(Known::Directory(offset)) => Some(offset),
                _ => None,
            };
            found.enter(here.directory, entry.name.to_owned(), hint);
        };
        if entry.kind == FileType::Directory {
            enter();
            return Ok(());
        }
        let stat = statat(&here.handles.live, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.halt(here.directory, entry.name, live_failure(error)))?;
        if file_type(&stat) == FileType::Directory {
            enter();
            return Ok(());
        }
        if let Some(signature) = self.place(here, entry.name, &stat)? {
            block.add(entry.name, Known::Other(signature));
        }
        Ok(())
    }

    fn add(&self, node: &Node, block: Block) {
        node.notes.block().append(&block);
    }

    fn leave(&self, node: &Arc<Node>) {
        match (self.complete(node), node.parent()) {
            (Ok(offset), Some(parent)) => {
                parent.notes.block().add(node.name(), Known::Directory(offset));
            }
            (Ok(offset), None) => self.top_block.store(offset, Relaxed),
            (Err(halt), _) => self.failed(node, c"", halt),
        }
    }

    fn failed(&self, node: &Node, name: &CStr, halt: Halt) {
        let reason = match halt {
            Halt::GivenUp => return,
            Halt::Fatal(error) => {
                self.copier.give_up();
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            Halt::Skip(Skip::Vanished) => "vanished or changed its type while it was copied".to_owned(),
            Halt::Skip(Skip::Leased) => "not copied, because the client holds a lease on it".to_owned(),
            Halt::Skip(Skip::Twice) => "found twice, because it was moved in the meantime".to_owned(),
            Halt::Skip(Skip::MountPoint) => {
                "not copied, because another file system is mounted there".to_owned()
            }
            Halt::Skip(Skip::Unreadable(error)) => format!("not copied, because it cannot be read: {error}"),
        };
        self.warnings.add(|| node.path_of(name), &reason);
    }

    fn stopped(&self) -> bool {
        self.copier.given_up()
    }
}

impl Build<'_> {
    /// Gives the inc's directory the looks of the live one, now that nothing will change it any more,
    /// and writes its block of the index.
    fn complete(&self, node: &Node) -> Result<u64, Halt> {
        // A name that is moved while the making goes on is missing if its new directory was read before and
        // its old one after, and there twice the other way round. Whichever of them was read after has a
        // new ctime by then.
        if trees::live_now(node).is_none_or(|now| ctime(&now) > self.begun) {
            self.warnings.moved(|| node.path_of(c""));
        }
        let refused =
            trees::with_new(node, |new| copy_metadata(&node.notes.stat, &node.notes.xattrs, new.as_fd()))
                .map_err(|error| self.cannot_reopen(error))?
                .map_err(|error| self.halt(node, c"", Failure::Fatal(error)))?;
        if let Some(error) = refused {
            self.attributes_lost(node, c"", &error);
        }
        let block = std::mem::take(&mut *node.notes.block());
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.put(block).map_err(|source| {
            Halt::Fatal(explain_shortage(Error::io("cannot write the index of", self.path, source)))
        })
    }

    /// A directory could not be opened again for a reason that does not lie in the live tree.
    pub(super) fn cannot_reopen(&self, source: io::Error) -> Halt {
        Halt::Fatal(explain_shortage(Error::io("cannot open again", self.path, source)))
    }

    /// What the failure to copy a name means for the making.
    pub(super) fn halt(&self, node: &Node, name: &CStr, failure: Failure) -> Halt {
        match failure {
            Failure::Skip(skip) => Halt::Skip(skip),
            Failure::GivenUp => Halt::GivenUp,
            Failure::Fatal(source) => {
                let path = self.path_of(node, name);
                Halt::Fatal(explain_shortage(Error::io("cannot copy to", &path, source)))
            }
        }
    }

    /// Notes that a file changed while it was copied.
    pub(super) fn changed(&self, node: &Node, name: &CStr) {
        self.warnings.add(|| node.path_of(name), "changed while it was copied");
    }

    /// Notes that a file may have been changing while it was copied, without a sign of it.
    pub(super) fn being_written(&self, node: &Node, name: &CStr) {
        self.warnings
            .add(|| node.path_of(name), "open for writing while it was copied, so it may be incomplete");
    }

    /// Notes that the inc's file system did not take all attributes.
    pub(super) fn attributes_lost(&self, node: &Node, name: &CStr, error: &io::Error) {
        self.warnings.add(|| node.path_of(name), &format!("attributes not copied: {error}"));
    }

    fn path_of(&self, node: &Node, name: &CStr) -> PathBuf {
        self.path.join(node.path_of(name))
    }
}

impl Tally {
    fn counts(&self) -> Counts {
        Counts {
            directories: self.directories.load(Relaxed),
            files: self.files.load(Relaxed),
            linked: self.linked.load(Relaxed),
            cloned: self.cloned.load(Relaxed),
            copied: self.copied.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

/// A full disk in the middle, or no descriptors or memory left: says so, and what became of the inc.
pub(super) fn explain_shortage(error: Error) -> Error {
    let (what, hint) = match error.io_error() {
        _ if error.kind() == ErrorKind::NoSpace => {
            ("the disk became full during the copy", "free space or delete incs")
        }
        Some(source) if is_shortage(source) => (
            "the machine ran out of resources during the copy",
            "raise the limit of open files (ulimit -n, fs.file-max) or the memory, and try again",
        ),
        _ => return error,
    };
    error.wrap(what).also("the incomplete copy is removed").with_hint(hint)
}
