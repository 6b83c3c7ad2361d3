//! Everything that goes through trees, against an earlier build of the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::measure::{Times, print, print_cost};
use crate::server::Server;
use crate::volume::{Kind, Volume, command, many_files};

/// The program of before.
const BEFORE: &str = "BKCTLD_BENCH_BEFORE";
const FILES: usize = 50_000;
const FILE_BYTES: usize = 200;
const RUNS: usize = 11;

/// What is timed, one after the other.
const STEPS: [&str; 4] = ["inc, all copied", "inc, all linked", "stats -f", "rm of both incs"];

/// Both in turn, each with every step; which of them begins changes from run to run.
pub fn trees() -> Result<()> {
    let Some(before) = std::env::var_os(BEFORE).map(PathBuf::from) else {
        println!("  (not run: {BEFORE} names no earlier build of bkctld)");
        return Ok(());
    };
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 8)?;
        let server = Server::on(&volume)?;
        // A plain directory, on btrfs as well: a snapshot goes through no tree.
        server.run(&["init", "made"])?;
        command(Command::new("cp").arg("-a").arg(server.jail("made")).arg(server.jail("a")))?;
        server.run(&["-f", "remove", "made"])?;
        many_files(&server.jail("a").join("data"), FILES, FILE_BYTES)?;
        fs::create_dir_all(server.root.join("etc/a.d"))?;
        // One rule that keeps none of the incs below.
        fs::write(server.root.join("etc/a.d/incs_policy"), "+%Y-%m-%d.-3650day\n")?;
        // What has changed within the last two seconds is copied again by the second inc.
        std::thread::sleep(std::time::Duration::from_secs(3));
        let mut times: [[Times; 2]; 4] = Default::default();
        for run in 0..RUNS {
            for which in [run % 2, 1 - run % 2] {
                let program = if which == 0 { &server.program } else { &before };
                round(&volume, &server, program, |step, work| times[step][which].take(work))?;
            }
        }
        for (step, [ours, theirs]) in STEPS.iter().zip(&times) {
            print(step, ours);
            print("  before", theirs);
            print_cost("1.00", ours, theirs);
        }
    }
    Ok(())
}

/// One program, all steps.
fn round(
    volume: &Volume,
    server: &Server,
    program: &Path,
    mut timed: impl FnMut(usize, &dyn Fn() -> Result<()>) -> Result<()>,
) -> Result<()> {
    let run = |arguments: &[&str]| command(&mut server.command_of(program, arguments));
    for (step, arguments) in [["inc", "a"], ["inc", "a"], ["-f", "stats"], ["rm", "a"]].iter().enumerate() {
        command(Command::new("sync").arg("-f").arg(volume.path()))?;
        timed(step, &|| run(arguments))?;
        if arguments[0] == "inc" {
            // The next inc may be of the same hour.
            super::incs::rename_inc(
                &super::incs::newest_inc(&server.incs("a"))?,
                &server.incs("a").join(format!("2001-01-01-{step:02}")),
            )?;
        }
    }
    Ok(())
}
