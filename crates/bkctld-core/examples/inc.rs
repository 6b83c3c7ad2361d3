//! Makes or deletes one inc of a jail below a backup partition, and prints what it took: what the
//! benchmarks of `bench/` run. `inc make|delete PARTITION JAIL NAME [THREADS]`
#![allow(missing_docs, clippy::print_stdout)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use bkctld_core::inc::{MakeOptions, Outcome, delete, make};
use bkctld_core::progress::Progress;
use bkctld_core::{Jail, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [action, partition, jail, name, rest @ ..] = args.as_slice() else {
        return Err("inc make|delete PARTITION JAIL NAME [THREADS]".into());
    };
    let jail = Jail::new(&Settings::on_partition(Path::new(partition)), jail.parse()?);
    let threads: NonZeroUsize =
        rest.first().map_or(Ok(NonZeroUsize::MIN.saturating_add(1)), |n| n.parse())?;
    let progress = Progress::default();
    let start = Instant::now();
    if action == "delete" {
        let deleted = delete(&jail, &[name.parse()?], threads, &progress)?;
        println!("{:.3} s {} files {deleted:?}", start.elapsed().as_secs_f64(), progress.files.into_inner());
        return Ok(());
    }
    let options = MakeOptions { threads, now: &jiff::Timestamp::now, session_active: &|| false };
    match make(&jail, name.parse()?, &options, &progress)? {
        Outcome::AlreadyThere => println!("there already"),
        Outcome::Made(made) => println!("{:.3} s {:?}", start.elapsed().as_secs_f64(), made.record),
    }
    Ok(())
}
