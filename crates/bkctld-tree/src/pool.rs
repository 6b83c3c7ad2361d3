//! A few threads that share one stack of tasks.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::turns::{Share, Turns, give_way, wait_aside};

/// How long a thread that found nothing to do stays for more.
const STAY: Duration = Duration::from_millis(2);

/// How long a tree that got no turn for another thread does not ask again.
const ASK: Duration = Duration::from_millis(5);

struct State<T> {
    stack: Vec<T>,
    busy: usize,
    helpers: usize,
}

struct Pool<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    share: Share,
    most_helpers: usize,
}

/// Runs `task` on `first` and on every task that it pushes, until none is left, on at most this many
/// threads: the calling one, and others as long as there are turns for them (see [`Turns::take_part`]). The
/// newest task is taken first: a tree is walked in depth, so that what is open and what waits stays
/// small.
pub fn work<T: Send>(threads: NonZeroUsize, first: T, task: impl Fn(T, &mut Vec<T>) + Sync) {
    let Some(share) = Share::current() else {
        // Nobody else is there.
        return Turns::new(threads).take_part(|| work(threads, first, task));
    };
    let pool = Pool {
        state: Mutex::new(State { stack: vec![first], busy: 0, helpers: 0 }),
        changed: Condvar::new(),
        share,
        most_helpers: threads.get() - 1,
    };
    std::thread::scope(|scope| pool.lead(scope, &task));
}

impl<T: Send> Pool<T> {
    /// Works until everything is done.
    fn lead<'scope, F>(&'scope self, scope: &'scope Scope<'scope, '_>, task: &'scope F)
    where
        F: Fn(T, &mut Vec<T>) + Sync,
    {
        let mut found = Vec::new();
        let mut asked: Option<Instant> = None;
        loop {
            let mut state = self.lock();
            if let Some(next) = state.stack.pop() {
                state.busy += 1;
                let more = state.helpers < self.most_helpers && state.helpers < state.stack.len();
                drop(state);
                if more && asked.is_none_or(|at| at.elapsed() > ASK) {
                    asked = (!self.share.try_take()).then(Instant::now);
                    if asked.is_none() {
                        self.lock().helpers += 1;
                        scope.spawn(move || self.help(task));
                    }
                }
                self.perform(next, task, &mut found);
                give_way();
            } else if state.busy == 0 {
                return;
            } else {
                drop(state);
                // Only others have something to do.
                let idle = |state: &mut State<T>| state.stack.is_empty() && state.busy > 0;
                wait_aside(|| drop(self.changed.wait_while(self.lock(), idle)));
            }
        }
    }

    /// Works as long as there is something to do and no other tree needs the turn.
    fn help(&self, task: &(impl Fn(T, &mut Vec<T>) + Sync)) {
        let _enlisted = self.share.enlist();
        let mut found = Vec::new();
        loop {
            let idle = |state: &mut State<T>| state.stack.is_empty() && state.busy > 0;
            let waited = self.changed.wait_timeout_while(self.lock(), STAY, idle);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let Some(next) = state.stack.pop() else {
                state.helpers -= 1;
                return;
            };
            state.busy += 1;
            drop(state);
            self.perform(next, task, &mut found);
            if !self.share.stay() {
                self.lock().helpers -= 1;
                return;
            }
        }
    }

    /// Runs a task that is counted as busy already.
    fn perform(&self, next: T, task: &impl Fn(T, &mut Vec<T>), found: &mut Vec<T>) {
        // Counts the thread as idle again even when the task panics: the others would wait for ever, and
        // the panic could not be reported.
        let idle = Idle(self);
        task(next, found);
        if !found.is_empty() {
            self.lock().stack.append(found);
            self.changed.notify_all();
        }
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Idle<'a, T: Send>(&'a Pool<T>);

impl<T: Send> Drop for Idle<'_, T> {
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

    #[test]
    fn several_that_share_turns_all_come_to_their_end() {
        let turns = Turns::new(NonZeroUsize::new(2).unwrap());
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    turns.take_part(|| {
                        work(NonZeroUsize::new(4).unwrap(), 9_u64, |n, more| {
                            sum.fetch_add(1, Relaxed);
                            std::thread::sleep(Duration::from_micros(n * 100));
                            if n > 0 {
                                more.extend([n - 1, n - 1]);
                            }
                        });
                    });
                });
            }
        });
        assert_eq!(sum.into_inner(), 6 * ((1 << 10) - 1));
    }
}
