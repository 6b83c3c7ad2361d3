//! Several jails at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use bkctld_core::JailName;

/// Runs an action for each jail, this many at once, and returns the results in the order of the names.
pub fn for_each_name<T: Send>(
    names: &[JailName],
    at_once: usize,
    act: impl Fn(&JailName) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(name) = names.get(at) else { return };
            let result = act(name);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once.min(names.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
