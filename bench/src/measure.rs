//! Timing two ways of the same work in turn.

use std::time::{Duration, Instant};

use crate::Result;

/// The times of one way.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds what the work took.
    pub fn take(&mut self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let begin = Instant::now();
        work()?;
        self.0.push(begin.elapsed());
        Ok(())
    }

    /// The middle one, in seconds.
    pub fn median(&self) -> f64 {
        let mut times = self.0.clone();
        times.sort();
        times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
    }

    fn spread(&self) -> String {
        let seconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
        format!("{} .. {}", show(seconds(self.0.iter().min())), show(seconds(self.0.iter().max())))
    }
}

/// Prints one way's median and spread.
pub fn print(what: &str, times: &Times) {
    println!(
        "  {what:<34} median {:>9}   {}   ({} runs)",
        show(times.median()),
        times.spread(),
        times.0.len()
    );
}

/// Prints how many times as long `theirs` takes as `ours`.
pub fn print_faster(goal: &str, ours: &Times, theirs: &Times) {
    println!("  -> {:.2} x faster (goal: {goal})", theirs.median() / ours.median());
}

/// Prints how many times as long `ours` takes as `theirs`.
pub fn print_cost(goal: &str, ours: &Times, theirs: &Times) {
    println!("  -> {:.3} x the time (goal: {goal})", ours.median() / theirs.median());
}

fn show(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}
