//! Whose threads may work, where several trees are worked on at once.
//!
//! There are as many turns as there are processors. A thread works only while it has one, and gives it up
//! in the midst of its work to a tree that has had less: so a tree that takes a minute is done when each of
//! the others has had a minute, however large or nasty they are. The rejected alternative, so many trees
//! at once and each to its end, lets as many nasty ones hold up all others.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much more a tree may have had than one that waits, before that one goes first. (To go back and forth
/// between trees costs the disk's head and the kernel's caches.)
const SLICE: Duration = Duration::from_millis(200);

/// How often a thread looks whether others wait.
const LOOK: Duration = Duration::from_millis(20);

/// How long it holds that a tree has work for another thread.
const HOLDS: Duration = Duration::from_millis(200);

/// The turns that several trees share.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How many trees take part; to be looked at without the lock.
    parts: AtomicUsize,
}

#[derive(Debug)]
struct State {
    free: usize,
    trees: Vec<Account>,
    waiting: Vec<Waiting>,
    tickets: u64,
}

/// What one tree has had.
#[derive(Debug)]
struct Account {
    /// By all its threads together, up to `since`.
    had: Duration,
    since: Instant,
    at_work: usize,
    /// When it had work for another thread last, and no turn for it.
    wanted_more: Option<Instant>,
}

/// A thread that cannot go on without a turn.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    tree: usize,
    called: Arc<Condvar>,
}

/// One tree's part in the turns.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    turns: Arc<Shared>,
    tree: usize,
}

/// A thread that works for a tree.
struct Worker {
    share: Share,
    has_turn: Cell<bool>,
    looked: Cell<Instant>,
}

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

impl Turns {
    /// Turns of which so many threads can have one at once.
    pub fn new(at_once: NonZeroUsize) -> Turns {
        let state = State { free: at_once.get(), trees: Vec::new(), waiting: Vec::new(), tickets: 0 };
        Turns(Arc::new(Shared { state: Mutex::new(state), parts: AtomicUsize::new(0) }))
    }

    /// Waits for a turn and acts, for another tree than all so far. What walks trees in `act` shares the
    /// turns with the others. Whatever `act` waits for, it waits with a turn in its hand, unless it does so
    /// [`wait_aside`].
    pub fn take_part<T>(&self, act: impl FnOnce() -> T) -> T {
        let tree = {
            let mut state = self.0.lock();
            state.trees.push(Account {
                had: Duration::ZERO,
                since: Instant::now(),
                at_work: 0,
                wanted_more: None,
            });
            state.trees.len() - 1
        };
        let share = Share { turns: self.0.clone(), tree };
        let _part = Part::begin(&self.0);
        share.wait();
        let _enlisted = share.enlist();
        act()
    }
}

/// Lets other trees have their turn, where this thread's has had more than they. To be called often in
/// long work, and with no lock held.
pub fn give_way() {
    with_worker(|worker| {
        if worker.is_to_look() && worker.share.hand_over() {
            worker.share.wait();
        }
    });
}

/// Waits for something that other threads or the disk do, and lets others work meanwhile. With no lock held.
pub fn wait_aside<T>(wait: impl FnOnce() -> T) -> T {
    let _back = with_worker(|worker| {
        worker.share.give_back();
        worker.has_turn.set(false);
        Back
    });
    wait()
}

/// Takes a turn again when it is dropped.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        with_worker(|worker| {
            worker.share.wait();
            worker.has_turn.set(true);
        });
    }
}

/// Counts a tree among those that take part.
struct Part<'a>(&'a Shared);

impl Part<'_> {
    fn begin(turns: &Shared) -> Part<'_> {
        turns.parts.fetch_add(1, Relaxed);
        Part(turns)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.parts.fetch_sub(1, Relaxed);
    }
}

fn with_worker<T>(act: impl FnOnce(&Worker) -> T) -> Option<T> {
    WORKER.with(|worker| worker.borrow().as_ref().map(act))
}

/// Gives the calling thread's turn back when it is dropped.
pub(crate) struct Enlisted(Option<Worker>);

impl Drop for Enlisted {
    fn drop(&mut self) {
        let worker = WORKER.with(|worker| worker.replace(self.0.take()));
        if let Some(worker) = worker
            && worker.has_turn.get()
        {
            worker.share.give_back();
        }
    }
}

impl Worker {
    fn is_to_look(&self) -> bool {
        if self.share.turns.parts.load(Relaxed) < 2 || self.looked.get().elapsed() < LOOK {
            return false;
        }
        self.looked.set(Instant::now());
        true
    }
}

impl Share {
    /// That of the calling thread's tree.
    pub(crate) fn current() -> Option<Share> {
        with_worker(|worker| worker.share.clone())
    }

    /// Makes the calling thread, which has a turn, one of the tree's, until what this gives is dropped.
    pub(crate) fn enlist(&self) -> Enlisted {
        let looked = Cell::new(Instant::now());
        let worker = Worker { share: self.clone(), has_turn: Cell::new(true), looked };
        Enlisted(WORKER.with(|before| before.replace(Some(worker))))
    }

    /// Takes a turn for another thread of the tree, if there is one that nobody has a better claim to.
    pub(crate) fn try_take(&self) -> bool {
        let mut state = self.turns.lock();
        let now = state.settle();
        let mine = state.trees[self.tree].at_work;
        let others_first = state.trees.iter().any(|tree| tree.wants_more(now) && tree.at_work < mine);
        let taken = state.free > 0 && state.waiting.is_empty() && !others_first;
        if taken {
            state.free -= 1;
            state.trees[self.tree].at_work += 1;
        }
        state.trees[self.tree].wanted_more = (!taken).then_some(now);
        taken
    }

    /// Waits for a turn, which the calling thread then has.
    pub(crate) fn wait(&self) {
        let mut state = self.turns.lock();
        if state.free > 0 && state.waiting.is_empty() {
            state.settle();
            state.free -= 1;
            state.trees[self.tree].at_work += 1;
            return;
        }
        let (ticket, called) = (state.tickets, Arc::new(Condvar::new()));
        state.tickets += 1;
        state.waiting.push(Waiting { ticket, tree: self.tree, called: called.clone() });
        while state.waiting.iter().any(|waiting| waiting.ticket == ticket) {
            state = called.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives a turn back: to a thread that waits, if one does.
    pub(crate) fn give_back(&self) {
        let mut state = self.turns.lock();
        state.settle();
        state.trees[self.tree].at_work -= 1;
        match state.next() {
            Some(next) => self.turns.call(&mut state, next),
            None => state.free += 1,
        }
    }

    /// Gives the turn to a thread that waits, if its tree has had so much less. Whether it did.
    fn hand_over(&self) -> bool {
        let mut state = self.turns.lock();
        state.settle();
        let Some(next) = state.next() else { return false };
        let theirs = state.trees[state.waiting[next].tree].had;
        if theirs + SLICE > state.trees[self.tree].had {
            return false;
        }
        state.trees[self.tree].at_work -= 1;
        self.turns.call(&mut state, next);
        true
    }

    /// As [`give_way`], for a thread that its tree can do without: where another tree has work for one and two
    /// less at work, this one gives up its turn. Whether it goes on.
    pub(crate) fn stay(&self) -> bool {
        let goes_on = with_worker(|worker| {
            if !worker.is_to_look() {
                return true;
            }
            if self.hand_over() {
                self.wait();
            } else if self.is_ahead() {
                self.give_back();
                worker.has_turn.set(false);
                return false;
            }
            true
        });
        goes_on.unwrap_or(true)
    }

    fn is_ahead(&self) -> bool {
        let state = self.turns.lock();
        let (now, mine) = (Instant::now(), state.trees[self.tree].at_work);
        state.trees.iter().any(|tree| tree.wants_more(now) && tree.at_work + 1 < mine)
    }
}

impl Account {
    fn wants_more(&self, now: Instant) -> bool {
        self.wanted_more.is_some_and(|when| now.saturating_duration_since(when) < HOLDS)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a turn to this one of those that wait.
    fn call(&self, state: &mut State, next: usize) {
        let waiting = state.waiting.swap_remove(next);
        let tree = &mut state.trees[waiting.tree];
        tree.at_work += 1;
        waiting.called.notify_one();
    }
}

impl State {
    /// Brings up to date what each tree has had; the time.
    fn settle(&mut self) -> Instant {
        let now = Instant::now();
        for tree in &mut self.trees {
            let passed = now.saturating_duration_since(tree.since);
            tree.had += passed * u32::try_from(tree.at_work).unwrap_or(u32::MAX);
            tree.since = now;
        }
        now
    }

    /// Who of those that wait comes next: the tree that has had least, then who came first.
    fn next(&self) -> Option<usize> {
        let order = |waiting: &Waiting| (self.trees[waiting.tree].had, waiting.ticket);
        (0..self.waiting.len()).min_by_key(|&at| order(&self.waiting[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work of so many milliseconds, in small pieces.
    fn toil(milliseconds: u64) {
        let mut left = milliseconds;
        while left > 0 {
            std::thread::sleep(Duration::from_millis(1));
            give_way();
            left -= 1;
        }
    }

    #[test]
    fn a_small_one_is_done_long_before_the_large_ones_that_came_first() {
        let turns = Turns::new(NonZeroUsize::new(2).unwrap());
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (name, work) in [("large", 3000), ("larger", 3000), ("small", 20)] {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    turns.take_part(|| toil(work));
                    order.lock().unwrap().push(name);
                });
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert_eq!(order.into_inner().unwrap()[0], "small");
        assert_eq!(turns.0.lock().free, 2);
    }

    #[test]
    fn no_more_work_than_there_are_turns() {
        let turns = Turns::new(NonZeroUsize::new(3).unwrap());
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    turns.take_part(|| {
                        most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                        std::thread::sleep(Duration::from_millis(5));
                        now.fetch_sub(1, Relaxed);
                    });
                });
            }
        });
        assert_eq!(most.into_inner(), 3);
    }

    #[test]
    fn who_waits_aside_keeps_nobody_from_working() {
        let turns = Turns::new(NonZeroUsize::MIN);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let turns = &turns;
            scope.spawn(move || turns.take_part(|| wait_aside(|| told.recv().unwrap())));
            scope.spawn(move || turns.take_part(|| tell.send(()).unwrap()));
        });
        assert_eq!(turns.0.lock().free, 1);
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turns = Turns::new(NonZeroUsize::MIN);
        let panics = std::panic::catch_unwind(|| turns.take_part(|| panic!("on purpose")));
        assert!(panics.is_err());
        turns.take_part(|| {});
    }
}
