//! The line at the bottom of a terminal while something takes long: which jail, how many files,
//! how fast, how long still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bkctld_core::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::Ui;

const REDRAW: Duration = Duration::from_millis(200);

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
            let (progress, stop) = (Arc::clone(progress), Arc::clone(&stop));
            std::thread::spawn(move || draw(&title, &progress, &stop))
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

fn draw(title: &str, progress: &Progress, stop: &AtomicBool) {
    let bar = ProgressBar::no_length().with_message(title.to_owned());
    bar.set_style(style("{msg}: {human_pos} files, {per_sec}"));
    let mut counted = false;
    while !stop.load(Relaxed) {
        let (jails, all) = (progress.jails.load(Relaxed), progress.expected_jails.load(Relaxed));
        if all > 1 {
            bar.set_message(format!("{title}, jail {} of {all}", (jails + 1).min(all)));
        }
        let expected = progress.expected_files.load(Relaxed);
        if expected > 0 && !counted {
            bar.set_style(style("{msg}: {human_pos} of about {human_len} files, {per_sec}, {eta} left"));
            counted = true;
        }
        let done = progress.files.load(Relaxed);
        if counted {
            // The last run's number is a guess: never show more done than there is.
            bar.set_length(expected.max(done));
        }
        bar.set_position(done);
        std::thread::park_timeout(REDRAW);
    }
    bar.finish_and_clear();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
