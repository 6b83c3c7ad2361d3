//! The line at the bottom of a terminal during long work: which jail, how many files, how fast, how much time
//! is left. It disappears at the end, and is not shown for work that is done at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bkctld_core::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::Ui;

const REDRAW: Duration = Duration::from_millis(200);

/// Shorter work has no line.
const PATIENCE: Duration = Duration::from_millis(500);

/// The line that is on the terminal now.
#[derive(Debug, Default)]
pub struct Drawn(Mutex<Option<ProgressBar>>);

impl Drawn {
    /// Writes something else to the terminal, on lines of its own: the line that moves is taken away before
    /// and is there again after it.
    pub fn beside(&self, write: impl FnOnce()) {
        // Held meanwhile, so that the line does not appear in the middle.
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(line) => line.suspend(write),
            None => write(),
        }
    }

    /// Shows the line as it is changed by this.
    fn show(&self, change: impl FnOnce(&ProgressBar)) {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(drawn.get_or_insert_with(ProgressBar::no_length));
    }

    fn clear(&self) {
        if let Some(line) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            line.finish_and_clear();
        }
    }
}

/// Draws until it is dropped; nothing at all where no terminal is there.
pub struct Display {
    stop: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl Display {
    /// Begins to draw what `progress` counts, headed by `title`.
    pub fn begin(ui: &Ui, title: String, progress: &Arc<Progress>) -> Display {
        let stop = Arc::new(AtomicBool::new(false));
        let drawer = ui.draws_progress().then(|| {
            let (progress, stop, drawn) = (Arc::clone(progress), Arc::clone(&stop), Arc::clone(&ui.drawn));
            std::thread::spawn(move || draw(&title, &progress, &stop, &drawn))
        });
        Display { stop, drawer }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(drawer) = self.drawer.take() {
            drawer.thread().unpark();
            let _ = drawer.join();
        }
    }
}

fn draw(title: &str, progress: &Progress, stop: &AtomicBool, drawn: &Drawn) {
    let began = Instant::now();
    while !stop.load(Relaxed) {
        let now = Counts::of(progress);
        if began.elapsed() >= PATIENCE && now != Counts::default() {
            drawn.show(|line| now.draw(title, line));
        }
        std::thread::park_timeout(REDRAW);
    }
    drawn.clear();
}

/// What is done so far, and what is expected where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    files: u64,
    expected_files: u64,
    /// Which jail it is, and of how many; none where it is only one.
    jail: Option<(u64, u64)>,
}

impl Counts {
    fn of(progress: &Progress) -> Counts {
        let (jails, all) = (progress.jails.load(Relaxed), progress.expected_jails.load(Relaxed));
        Counts {
            files: progress.files.load(Relaxed),
            expected_files: progress.expected_files.load(Relaxed),
            jail: (all > 1).then(|| ((jails + 1).min(all), all)),
        }
    }

    /// Only what there is something to say of: snapshots are made without a look at a file.
    fn template(self) -> &'static str {
        match (self.files, self.expected_files) {
            (0, _) => "{msg}",
            (_, 0) => "{msg}: {human_pos} files, {per_sec}",
            _ => "{msg}: {human_pos} of about {human_len} files, {per_sec}, {eta} left",
        }
    }

    fn draw(self, title: &str, line: &ProgressBar) {
        line.set_style(
            ProgressStyle::with_template(self.template()).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        line.set_message(match self.jail {
            Some((jail, all)) => format!("{title}, jail {jail} of {all}"),
            None => title.to_owned(),
        });
        if self.expected_files > 0 {
            // The last run's number is a guess: never show more done than there is.
            line.set_length(self.expected_files.max(self.files));
        }
        line.set_position(self.files);
        line.tick();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_told() {
        let progress = Progress::default();
        assert_eq!(Counts::of(&progress), Counts::default());
        progress.expect_jails(1);
        assert_eq!(Counts::of(&progress), Counts::default(), "one jail is not counted");
        progress.expect_jails(2);
        progress.jail();
        let counts = Counts::of(&progress);
        assert_eq!((counts.jail, counts.template()), (Some((2, 3)), "{msg}"));
        progress.file();
        assert!(Counts::of(&progress).template().ends_with("{human_pos} files, {per_sec}"));
        progress.expect(10);
        assert!(Counts::of(&progress).template().contains("of about {human_len}"));
        progress.jail();
        progress.jail();
        assert_eq!(Counts::of(&progress).jail, Some((3, 3)));
    }
}
