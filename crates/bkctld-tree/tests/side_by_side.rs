//! The engine under somebody who copies: two trees side by side, one set of descriptors for both.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bkctld_tree::{
    Directory, Entered, Entry, Found, Here, Listing, MAX_DEPTH, Traversal, list, open_dir, open_dir_below,
    open_file, remove, traverse,
};
use rustix::fs::{FileType, Mode, OFlags, mkdirat, openat};

const THREADS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The same directory in both trees.
struct Pair {
    from: OwnedFd,
    to: OwnedFd,
}

/// How many names of a directory are copied.
#[derive(Default)]
struct Copied(AtomicUsize);

#[derive(Default)]
struct Copy {
    reopened: AtomicUsize,
    /// What was left, with how many names had been copied by then.
    left: Mutex<Vec<(String, usize)>>,
    failed: Mutex<Vec<String>>,
    most: Option<usize>,
}

impl Traversal for Copy {
    type Handles = Pair;
    type Notes = Copied;
    type Help = ();
    type Hint = ();
    type Tally = usize;
    type Error = io::Error;

    fn enter(
        &self,
        parent: &Arc<Directory<Pair, Copied>>,
        name: &CStr,
        (): (),
    ) -> io::Result<Option<Entered<Self>>> {
        let above = self.handles(parent)?;
        let from = open_dir(&above.from, name)?;
        mkdirat(&above.to, name, Mode::RWXU)?;
        let handles = Pair { from, to: open_dir(&above.to, name)? };
        Ok(Some(Entered { handles, notes: Copied::default(), help: () }))
    }

    fn reopen(&self, _: &Directory<Pair, Copied>, above: &Pair, names: &[&CStr]) -> io::Result<Pair> {
        self.reopened.fetch_add(1, Relaxed);
        Ok(Pair { from: open_dir_below(&above.from, names)?, to: open_dir_below(&above.to, names)? })
    }

    fn list(&self, _: &Arc<Directory<Pair, Copied>>, pair: &Pair) -> io::Result<Listing> {
        list(&pair.from)
    }

    fn name(
        &self,
        here: &Here<'_, Self>,
        entry: Entry<'_>,
        copied: &mut usize,
        found: &mut Found<'_, Self>,
    ) -> io::Result<()> {
        if entry.kind == FileType::Directory {
            found.enter(here.directory, entry.name.to_owned(), ());
            return Ok(());
        }
        let mut from = File::from(open_file(&here.handles.from, entry.name)?);
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut to = File::from(openat(&here.handles.to, entry.name, create, Mode::RUSR)?);
        io::copy(&mut from, &mut to)?;
        *copied += 1;
        Ok(())
    }

    fn add(&self, directory: &Directory<Pair, Copied>, copied: usize) {
        directory.notes.0.fetch_add(copied, Relaxed);
    }

    fn leave(&self, directory: &Arc<Directory<Pair, Copied>>) {
        if let Some(parent) = directory.parent() {
            parent.notes.0.fetch_add(directory.notes.0.load(Relaxed), Relaxed);
        }
        let path = directory.path_of(c"").display().to_string();
        self.left.lock().unwrap().push((path, directory.notes.0.load(Relaxed)));
    }

    fn failed(&self, directory: &Directory<Pair, Copied>, name: &CStr, error: io::Error) {
        self.failed.lock().unwrap().push(format!("{}: {error}", directory.path_of(name).display()));
    }

    fn stopped(&self) -> bool {
        self.most.is_some_and(|most| self.failed.lock().unwrap().len() >= most)
    }
}

fn copy(from: &Path, to: &Path, copy: Copy) -> Copy {
    let open = |path: &Path| OwnedFd::from(File::open(path).unwrap());
    let top = Pair { from: open(from), to: open(to) };
    traverse(&copy, Entered { handles: top, notes: Copied::default(), help: () }, THREADS);
    copy
}

#[test]
fn a_deep_and_wide_tree_is_copied_and_each_directory_left_when_all_in_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir_all(from.join("wide/below")).unwrap();
    fs::create_dir(&to).unwrap();
    for number in 0..5000 {
        fs::write(from.join(format!("wide/{number}")), "x").unwrap();
    }
    fs::write(from.join("wide/below/file"), "content").unwrap();
    // Deeper than directories are held, and at each level one more, so that those above wait.
    let mut at = OwnedFd::from(File::open(&from).unwrap());
    for _ in 0..400 {
        for name in [c"a", c"deeper"] {
            mkdirat(&at, name, Mode::RWXU).unwrap();
        }
        drop(openat(&at, c"file", OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap());
        at = open_dir(&at, c"deeper").unwrap();
    }

    let done = copy(&from, &to, Copy::default());
    assert_eq!(*done.failed.lock().unwrap(), Vec::<String>::new());
    assert!(done.reopened.load(Relaxed) > 0, "no directory had to be opened again");
    let left = done.left.into_inner().unwrap();
    assert_eq!(left.len(), 1 + 2 + 2 * 400);
    assert_eq!(left.last().unwrap(), &(String::new(), 5001 + 400));
    assert!(left.contains(&("wide/".to_owned(), 5001)));
    assert_eq!(fs::read_to_string(to.join("wide/below/file")).unwrap(), "content");
    let deepest = vec![c"deeper"; 400];
    assert!(open_dir_below(File::open(&to).unwrap(), &deepest).is_ok());
    for name in ["from", "to"] {
        remove(File::open(dir.path()).unwrap(), name.as_ref(), THREADS, &|_| ()).unwrap();
    }
}

#[test]
fn what_fails_is_told_by_its_path_and_the_rest_is_copied_unless_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    for name in ["a", "b"] {
        fs::create_dir_all(from.join(name)).unwrap();
        fs::write(from.join(name).join("there"), "x").unwrap();
        fs::write(from.join(name).join("new"), "x").unwrap();
        fs::create_dir_all(to.join("first").join(name)).unwrap();
    }
    let first = copy(&from, &to, Copy::default());
    assert_eq!(*first.failed.lock().unwrap(), Vec::<String>::new());
    // All of it is there now.
    fs::remove_file(to.join("a/new")).unwrap();
    let again = copy(&from.join("a"), &to.join("a"), Copy::default());
    let failed = again.failed.into_inner().unwrap();
    assert!(failed.len() == 1 && failed[0].starts_with("there: "), "{failed:?}");
    assert!(to.join("a/new").exists());
    let stopped = copy(&from, &to, Copy { most: Some(1), ..Copy::default() });
    assert_eq!(stopped.failed.into_inner().unwrap().len(), 1);
    assert_eq!(stopped.left.into_inner().unwrap(), []);
    const { assert!(MAX_DEPTH > 400) }
}
