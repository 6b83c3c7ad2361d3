//! What `stats` takes against `du -s`, and without anything new.

use std::fs;
use std::process::Command;

use crate::Result;
use crate::measure::{Times, print, print_faster};
use crate::server::Server;
use crate::volume::{Kind, Volume, command, many_files};

const FILES: usize = 1_000_000;
/// Small, so that the volume stays small: what counts are the names.
const FILE_BYTES: usize = 200;
const RUNS: usize = 5;

/// A first run (which `-f` makes of any) and `du -s` in turn, then runs with nothing changed.
pub fn stats() -> Result<()> {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 24)?;
        let server = Server::on(&volume)?;
        // As on a server: what is known from earlier runs is not on the backup partition.
        let elsewhere = tempfile::tempdir()?;
        let config = server.root.join("config");
        let text = fs::read_to_string(&config)?;
        fs::write(&config, format!("{text}DATADIR={}\n", elsewhere.path().display()))?;
        server.run(&["init", "a"])?;
        many_files(&server.jail("a").join("data"), FILES, FILE_BYTES)?;
        command(Command::new("sync").arg("-f").arg(volume.path()))?;
        let (mut first, mut peers, mut second) = (Times::default(), Times::default(), Times::default());
        // The peer begins, so that it is not we who read the disk.
        for _ in 0..RUNS {
            peers.take(|| command(Command::new("du").arg("-s").arg(server.jail("a"))))?;
            first.take(|| server.run(&["-f", "stats"]))?;
        }
        for _ in 0..RUNS {
            second.take(|| server.run(&["stats"]))?;
        }
        print("bkctld stats, first run", &first);
        print("du -s", &peers);
        print("bkctld stats, nothing changed", &second);
        print_faster("not slower than du -s", &first, &peers);
        print_faster("10 x the first run", &second, &first);
    }
    Ok(())
}
