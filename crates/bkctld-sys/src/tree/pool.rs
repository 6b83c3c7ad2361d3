//! A few threads that share one stack of tasks.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct State<T> {
    stack: Vec<T>,
    busy: usize,
}

struct Pool<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

/// Runs `task` on `first` and on every task that it pushes, until none is left, on this many
/// threads. The newest task is taken first: a tree is walked in depth, so that what is open and
/// what waits stays small.
pub fn work<T: Send>(threads: NonZeroUsize, first: T, task: impl Fn(T, &mut Vec<T>) + Sync) {
    let pool = Pool { state: Mutex::new(State { stack: vec![first], busy: 0 }), changed: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 1..threads.get() {
            scope.spawn(|| pool.run(&task));
        }
        pool.run(&task);
    });
}

impl<T> Pool<T> {
    fn run(&self, task: &impl Fn(T, &mut Vec<T>)) {
        let mut found = Vec::new();
        let mut state = self.lock();
        loop {
            if let Some(next) = state.stack.pop() {
                state.busy += 1;
                drop(state);
                // Counts the thread as idle again even when the task panics: the others would wait
                // for ever, and the panic could not be reported.
                let _idle = Idle(self);
                task(next, &mut found);
                state = self.lock();
                if !found.is_empty() {
                    state.stack.append(&mut found);
                    self.changed.notify_all();
                }
                drop(state);
                drop(_idle);
                state = self.lock();
            } else if state.busy == 0 {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Idle<'a, T>(&'a Pool<T>);

impl<T> Drop for Idle<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        if state.busy == 0 && state.stack.is_empty() {
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn every_task_and_every_task_of_a_task_runs_once() {
        let sum = AtomicU64::new(0);
        work(NonZeroUsize::new(3).unwrap(), 12_u64, |n, more| {
            sum.fetch_add(1, Relaxed);
            if n > 0 {
                more.extend([n - 1, n - 1]);
            }
        });
        assert_eq!(sum.into_inner(), (1 << 13) - 1);
    }
}
