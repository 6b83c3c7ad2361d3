//! Locks, in a process of their own: a test beside this one that starts a program would hold each lock of
//! the moment for as long as its child has not become that program.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]
#![allow(missing_docs)]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bkctld_core::lock::Lock;

#[test]
fn who_only_asks_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.lock");
    drop(Lock::try_take(&path).unwrap());
    let (begun, done) = (Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.wait();
            while !done.load(Relaxed) {
                Lock::is_held(&path).unwrap();
            }
        });
        begun.wait();
        let taken = (0..20_000).filter(|_| Lock::try_take(&path).unwrap().is_some()).count();
        done.store(true, Relaxed);
        assert_eq!(taken, 20_000);
    });
}
