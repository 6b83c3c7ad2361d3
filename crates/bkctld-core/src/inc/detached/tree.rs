//! The walk: one task for each directory, shared out among threads.

use std::ffi::{CStr, CString};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bkctld_tree::xattr::Xattrs;
use bkctld_tree::{Entry, Listing, list, open_dir, pass, work};
use rustix::fs::{AtFlags, FileType, Mode, fstat, mkdirat, statat};

use super::Built;
use super::copy::{Copier, Failure, Skip, dress, failure_of, is_shortage, made};
use super::index::{Block, Known, Reader, Writer};
use super::links::{Links, link_max};
use super::node::{Budget, Lost, Node, Open};
use super::signature::{FsTime, ctime, kind};
use super::warnings::Warnings;
use crate::error::{Error, IoContext, Result};
use crate::inc::record::Counts;
use crate::progress::Progress;

/// The deepest directory that gets into an inc; of a jail with a deeper one none is made. It is
/// twice as deep as a path of the kernel's greatest length can say.
const MAX_DEPTH: usize = 4096;

/// How many names one task deals with: a huge directory is shared among the threads.
const CHUNK: usize = 2048;

/// The inc that unchanged files are taken from.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) top: OwnedFd,
    pub(super) index: Reader,
}

/// The making of one tree.
pub(super) struct Build<'a> {
    top: Arc<Node>,
    top_open: Arc<Open>,
    top_block: AtomicU64,
    previous: Option<Reader>,
    writer: Mutex<Writer>,
    /// When the making began, by the file system's clock.
    begun: FsTime,
    /// Changes before this have another ctime than any that are yet to come.
    pub(super) settled_before: FsTime,
    /// How many names an inode of the inc's file system can have.
    pub(super) link_max: u64,
    budget: Budget,
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
    pub(super) directories: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) linked: AtomicU64,
    pub(super) cloned: AtomicU64,
    pub(super) copied: AtomicU64,
    pub(super) bytes: AtomicU64,
}

enum Task {
    /// Go through the directory that is open.
    Scan(Arc<Node>, Arc<Open>, Option<Arc<Block>>),
    /// Open a name in a directory; the place is that of its block in the previous index.
    Enter(Arc<Node>, CString, Option<u64>),
    /// Deal with a part of a huge directory.
    Part(Arc<Node>, Arc<Listing>, usize, Option<Arc<Block>>),
}

/// A directory and what is known of it, for the tasks that deal with its names.
pub(super) struct Here<'t> {
    pub(super) node: &'t Arc<Node>,
    pub(super) open: &'t Open,
    /// What the previous inc's index says of its names.
    pub(super) known: Option<&'t Block>,
}

/// Why a name was not dealt with.
pub(super) enum Halt {
    /// It is left out of the inc; the rest is gone on with.
    Skip(Skip),
    /// No inc is made.
    Fatal(Error),
    /// No inc is made, and somebody said why.
    GivenUp,
}

impl<'a> Build<'a> {
    /// `path` is that of the new tree, for messages.
    pub(super) fn new(
        live: OwnedFd,
        new: OwnedFd,
        previous: Option<Previous>,
        writer: Writer,
        begun: FsTime,
        progress: &'a Progress,
        path: &'a Path,
    ) -> Result<Build<'a>> {
        let stat = fstat(&live).context("cannot look at", path)?;
        let xattrs = Xattrs::of(&live).context("cannot read the attributes of", path)?;
        let link_max = link_max(&new).context("cannot look at", path)?;
        let (prev, previous) = previous.map(|p| (p.top, p.index)).unzip();
        let top_open = Arc::new(Open { live, new, prev });
        Ok(Build {
            top: Node::top(stat, xattrs, top_open.clone()),
            top_open,
            top_block: AtomicU64::new(0),
            previous,
            writer: Mutex::new(writer),
            begun,
            settled_before: begun.settled_before(),
            link_max,
            budget: Budget::new(),
            links: Links::default(),
            copier: Copier::new(),
            tally: Tally::default(),
            warnings: Warnings::default(),
            progress,
            failed: Mutex::new(None),
            path,
        })
    }

    /// Builds it. Gives back the index, which still wants closing, and the place of its top block.
    pub(super) fn run(self, threads: NonZeroUsize) -> Result<(Writer, u64, Built)> {
        let known = self.previous.as_ref().and_then(Reader::top).map(Arc::new);
        let first = Task::Scan(self.top.clone(), self.top_open.clone(), known);
        work(threads, first, |task, found| {
            if !self.copier.given_up() {
                self.perform(task, found);
            }
        });
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

    fn perform(&self, task: Task, found: &mut Vec<Task>) {
        match task {
            Task::Scan(node, open, known) => self.scan(node, &open, known, found),
            Task::Enter(parent, name, place) => match self.enter(&parent, &name, place) {
                Ok((node, open, known)) => self.scan(node, &open, known, found),
                Err(halt) => {
                    self.halted(&parent, &name, halt);
                    self.finish(parent);
                }
            },
            Task::Part(node, listing, from, known) => {
                match node.open() {
                    Ok(open) => {
                        let here = Here { node: &node, open: &open, known: known.as_deref() };
                        self.part(&here, &listing, from, found);
                    }
                    Err(lost) => self.halted(&node, c"", self.lost(lost)),
                }
                self.finish(node);
            }
        }
    }

    /// Opens a subdirectory in the trees, and makes it in the new one.
    #[allow(clippy::type_complexity)] // the parts of a task
    fn enter(
        &self,
        parent: &Arc<Node>,
        name: &CStr,
        place: Option<u64>,
    ) -> Result<(Arc<Node>, Arc<Open>, Option<Arc<Block>>), Halt> {
        let fatal = |doing| {
            move |error: io::Error| {
                Halt::Fatal(shortage_said(Error::Io {
                    doing,
                    path: self.path_of(parent, name),
                    source: error,
                }))
            }
        };
        if parent.depth() >= MAX_DEPTH {
            return Err(Halt::Fatal(Error::Refused(format!(
                "the jail has directories more than {MAX_DEPTH} levels deep, of which no copy is made; \
                 remove them from its data"
            ))));
        }
        let above = parent.open().map_err(|lost| self.lost(lost))?;
        let failed = |failure| self.halt(parent, name, failure);
        let opened = open_dir(&above.live, name).map_err(failure_of);
        // Of a directory that cannot be entered because something is mounted on it, the inc has an
        // empty one, as a snapshot would.
        if let Err(Failure::Skip(Skip::MountPoint)) = &opened {
            mkdirat(&above.new, name, Mode::RWXU).map_err(|error| fatal("cannot create")(error.into()))?;
        }
        let live = opened.map_err(failed)?;
        let stat = fstat(&live).map_err(|error| failed(failure_of(error.into())))?;
        let xattrs = Xattrs::of(&live).map_err(|error| failed(failure_of(error)))?;
        made(mkdirat(&above.new, name, Mode::RWXU)).map_err(failed)?;
        let new = open_dir(&above.new, name).map_err(fatal("cannot open"))?;
        let known = place.and_then(|place| self.previous.as_ref()?.block(place)).map(Arc::new);
        let prev = match (&above.prev, &known) {
            (Some(prev), Some(_)) => open_dir(prev, name).ok(),
            _ => None,
        };
        let open = Arc::new(Open { live, new, prev });
        let node = Node::below(parent, name, stat, xattrs, &open, &self.budget);
        Ok((node, open, known))
    }

    fn scan(&self, node: Arc<Node>, open: &Arc<Open>, known: Option<Arc<Block>>, found: &mut Vec<Task>) {
        self.tally.directories.fetch_add(1, Relaxed);
        match list(&open.live) {
            Ok(listing) if listing.len() <= CHUNK => {
                let here = Here { node: &node, open, known: known.as_deref() };
                self.part(&here, &listing, 0, found);
            }
            Ok(listing) => {
                let listing = Arc::new(listing);
                for from in (0..listing.len()).step_by(CHUNK) {
                    node.expect();
                    found.push(Task::Part(node.clone(), listing.clone(), from, known.clone()));
                }
            }
            Err(error) => self.halted(&node, c"", self.halt(&node, c"", failure_of(error))),
        }
        self.finish(node);
    }

    fn part(&self, here: &Here<'_>, listing: &Listing, from: usize, found: &mut Vec<Task>) {
        let mut block = Block::default();
        for entry in listing.range(from, from + CHUNK) {
            if self.copier.given_up() {
                return;
            }
            pass();
            if let Err(halt) = self.name(here, entry, &mut block, found) {
                self.halted(here.node, entry.name, halt);
            }
        }
        here.node.block().append(&block);
    }

    fn name(
        &self,
        here: &Here<'_>,
        entry: Entry<'_>,
        block: &mut Block,
        found: &mut Vec<Task>,
    ) -> Result<(), Halt> {
        let enter = |found: &mut Vec<Task>| {
            let place = match here.known.and_then(|known| known.get(entry.name)) {
                Some(Known::Directory(place)) => Some(place),
                _ => None,
            };
            here.node.expect();
            found.push(Task::Enter(here.node.clone(), entry.name.to_owned(), place));
        };
        if entry.kind == FileType::Directory {
            enter(found);
            return Ok(());
        }
        let stat = statat(&here.open.live, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.halt(here.node, entry.name, failure_of(error.into())))?;
        if kind(&stat) == FileType::Directory {
            enter(found);
            return Ok(());
        }
        if let Some(signature) = self.place(here, entry.name, &stat)? {
            block.add(entry.name, Known::Other(signature));
        }
        Ok(())
    }

    /// Notes that one thing of the directory is done, and completes what thereby is whole, upwards.
    fn finish(&self, mut node: Arc<Node>) {
        while node.done() && !self.copier.given_up() {
            let place = match self.complete(&node) {
                Ok(place) => place,
                Err(halt) => return self.halted(&node, c"", halt),
            };
            let Some(parent) = node.parent().cloned() else {
                return self.top_block.store(place, Relaxed);
            };
            parent.block().add(node.name(), Known::Directory(place));
            node.close(&self.budget);
            node = parent;
        }
    }

    /// Gives the inc's directory the looks of the live one, now that nothing will change it any more,
    /// and writes its block of the index.
    fn complete(&self, node: &Arc<Node>) -> Result<u64, Halt> {
        // A name that is moved while the making goes on is missing if its new directory was read before and
        // its old one after, and there twice the other way round. Whichever of them was read after has a
        // new ctime by then.
        if node.live_now().is_none_or(|now| ctime(&now) > self.begun) {
            self.warnings.moved(|| node.path_of(c""));
        }
        let dressed = node
            .with_new(|new| dress(new.as_fd(), &node.stat, &node.xattrs))
            .map_err(|lost| self.lost(lost))?;
        match dressed {
            Ok(None) => {}
            Ok(Some(error)) => self.attributes_lost(node, c"", &error),
            Err(error) => return Err(self.halt(node, c"", Failure::Fatal(error))),
        }
        let block = std::mem::take(&mut *node.block());
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.put(block).map_err(|source| {
            Halt::Fatal(shortage_said(Error::Io {
                doing: "cannot write the index of",
                path: self.path.to_path_buf(),
                source,
            }))
        })
    }

    /// What a directory that cannot be opened again means for the making.
    pub(super) fn lost(&self, lost: Lost) -> Halt {
        match lost {
            Lost::Live => Halt::Skip(Skip::Vanished),
            Lost::Fatal(source) => Halt::Fatal(shortage_said(Error::Io {
                doing: "cannot open again",
                path: self.path.to_path_buf(),
                source,
            })),
        }
    }

    /// What the failure to copy a name means for the making.
    pub(super) fn halt(&self, node: &Node, name: &CStr, failure: Failure) -> Halt {
        match failure {
            Failure::Skip(skip) => Halt::Skip(skip),
            Failure::GivenUp => Halt::GivenUp,
            Failure::Fatal(source) => Halt::Fatal(shortage_said(Error::Io {
                doing: "cannot copy to",
                path: self.path_of(node, name),
                source,
            })),
        }
    }

    fn halted(&self, node: &Node, name: &CStr, halt: Halt) {
        let what = match halt {
            Halt::GivenUp => return,
            Halt::Fatal(error) => {
                self.copier.give_up();
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            Halt::Skip(Skip::Vanished) => "vanished or changed its type while it was copied".to_owned(),
            Halt::Skip(Skip::Leased) => "not copied, since the client holds a lease on it".to_owned(),
            Halt::Skip(Skip::Twice) => "came up twice, since it was moved meanwhile".to_owned(),
            Halt::Skip(Skip::MountPoint) => {
                "not copied, since another file system is mounted there".to_owned()
            }
            Halt::Skip(Skip::Unreadable(error)) => format!("not copied, since it cannot be read: {error}"),
        };
        self.warnings.add(|| node.path_of(name), &what);
    }

    /// Notes that a file changed while it was copied.
    pub(super) fn changed(&self, node: &Node, name: &CStr) {
        self.warnings.add(|| node.path_of(name), "changed while it was copied");
    }

    /// Notes that a file may have been changing while it was copied, without a sign of it.
    pub(super) fn being_written(&self, node: &Node, name: &CStr) {
        self.warnings
            .add(|| node.path_of(name), "open for writing while it was copied, so maybe half written");
    }

    /// Notes that the inc's file system did not take all attributes.
    pub(super) fn attributes_lost(&self, node: &Node, name: &CStr, error: &io::Error) {
        self.warnings.add(|| node.path_of(name), &format!("attributes not kept: {error}"));
    }

    fn path_of(&self, node: &Node, name: &CStr) -> std::path::PathBuf {
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
pub(super) fn shortage_said(error: Error) -> Error {
    match error {
        Error::Io { path, source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            Error::Refused(format!(
                "the disk became full while the copy was made ({}: {source}); what was made of it is \
                 removed; make room or delete incs",
                crate::text::path(&path)
            ))
        }
        Error::Io { path, source, .. } if is_shortage(&source) => Error::Refused(format!(
            "the machine ran short while the copy was made ({}: {source}); what was made of it is removed; \
             raise the limit of open files (ulimit -n, fs.file-max) or the memory, and make it again",
            crate::text::path(&path)
        )),
        error => error,
    }
}
