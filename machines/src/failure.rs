//! What a test that panicked reports: the message with the place, once.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use libtest_mimic::Failed;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps each panic's place and message for [`caught`], in place of printing them among other tests' lines.
pub fn remember_places() {
    set_hook(Box::new(|panic| LAST.with(|last| *last.borrow_mut() = panic.to_string())));
}

/// Runs a test; its panic becomes its failure.
pub fn caught(test: impl FnOnce()) -> Result<(), Failed> {
    catch_unwind(AssertUnwindSafe(test)).map_err(|_| Failed::from(LAST.with(|last| last.take())))
}
