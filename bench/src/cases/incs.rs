//! Making and deleting incs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::measure::{Times, print, print_cost, print_faster};
use crate::server::Server;
use crate::volume::{Kind, Volume, command, many_files};

const FILES: usize = 200_000;
const FILE_BYTES: usize = 200;
const RUNS: usize = 5;

/// Ours against `cp -al` (which is what the original does) and `rsync --link-dest`. The peers work on
/// a twin of the jail: `cp -al` gives every live inode another link and so a new ctime, after which
/// nothing there would count as unchanged.
pub fn detached() -> Result<()> {
    for kind in [Kind::Ext4, Kind::Xfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 16)?;
        let server = Server::on(&volume)?;
        server.run(&["init", "a"])?;
        let data = server.jail("a").join("data");
        many_files(&data, FILES, FILE_BYTES)?;
        let (twin, twins_inc) = (server.root.join("twin"), server.root.join("twins-inc"));
        for copy in [&twin, &twins_inc] {
            command(Command::new("cp").arg("-a").arg(server.jail("a")).arg(copy))?;
        }
        server.run(&["inc", "a"])?;
        let first = newest_inc(&server.incs("a"))?;
        let (mut ours, mut copies, mut rsyncs) = (Times::default(), Times::default(), Times::default());
        let mut peak = 0;
        for run in 0..RUNS {
            // What was changed for the inc before is of no age yet, and would be copied again.
            std::thread::sleep(std::time::Duration::from_secs(3));
            for tree in [&data, &twin.join("data")] {
                touch_one_percent(tree, run)?;
            }
            // The inc of this hour gives way, so that the next is made from the one before it.
            rename_inc(&first, &server.incs("a").join(format!("2001-01-01-{run:02}")))?;
            settle(&volume)?;
            ours.take(|| {
                peak = peak.max(peak_memory(server.command(&["inc", "a"]))?);
                Ok(())
            })?;
            let copy = server.root.join("copy");
            settle(&volume)?;
            copies.take(|| command(Command::new("cp").arg("-al").arg(&twin).arg(&copy)))?;
            settle(&volume)?;
            let linked = server.root.join("linked");
            rsyncs.take(|| {
                command(
                    Command::new("rsync")
                        .arg("-aHAX")
                        .arg(format!("--link-dest={}", twins_inc.display()))
                        .arg(format!("{}/", twin.display()))
                        .arg(&linked),
                )
            })?;
            for gone in [&copy, &linked] {
                fs::remove_dir_all(gone)?;
            }
        }
        print("bkctld inc", &ours);
        print("cp -al", &copies);
        print("rsync -aHAX --link-dest", &rsyncs);
        print_faster("2 x cp -al", &ours, &copies);
        print_faster("7 x rsync", &ours, &rsyncs);
        println!("  -> {peak} KiB at most resident (goal: under 65536)");
    }
    Ok(())
}

/// Ours against nothing but the ioctls.
pub fn snapshots() -> Result<()> {
    const JAILS: usize = 100;
    let volume = Volume::new(Kind::Btrfs, 8)?;
    let server = Server::on(&volume)?;
    let names: Vec<String> = (0..JAILS).map(|number| format!("a{number:03}")).collect();
    for name in &names {
        server.run(&["init", name])?;
    }
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..RUNS {
        settle(&volume)?;
        ours.take(|| server.run(&["inc"]))?;
        server.run(&["rm", "-f"]).ok();
        for name in &names {
            delete_snapshots(&server.incs(name))?;
        }
        let target = server.root.join("bare");
        fs::create_dir_all(&target)?;
        settle(&volume)?;
        bare.take(|| {
            let dir = File::open(&target)?;
            for name in &names {
                let source = File::open(server.jail(name))?;
                bkctld_sys::btrfs::snapshot(&source, &dir, name.as_ref(), true)?;
            }
            Ok(())
        })?;
        delete_snapshots(&target)?;
    }
    print("bkctld inc", &ours);
    print("100 snapshot ioctls", &bare);
    print_cost("1.5", &ours, &bare);
    Ok(())
}

/// Ours against `rm -rf` and `rsync --delete` from an empty directory (what the original does).
pub fn delete() -> Result<()> {
    for kind in [Kind::Ext4, Kind::Xfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 12)?;
        let server = Server::on(&volume)?;
        server.run(&["init", "a"])?;
        many_files(&server.jail("a").join("data"), FILES, FILE_BYTES)?;
        // One rule that keeps none of the incs below.
        fs::write(server.root.join("etc/a.d/incs_policy"), "+%Y-%m-%d.-3650day\n")?;
        let model = server.root.join("model");
        command(Command::new("cp").arg("-a").arg(server.jail("a")).arg(&model))?;
        let empty = server.root.join("empty");
        fs::create_dir(&empty)?;
        let (mut ours, mut removes, mut rsyncs) = (Times::default(), Times::default(), Times::default());
        for _ in 0..RUNS {
            let link = |to: &Path| command(Command::new("cp").arg("-al").arg(&model).arg(to));
            let inc = server.incs("a").join("2001-01-01-00");
            fs::create_dir_all(server.incs("a"))?;
            link(&inc)?;
            settle(&volume)?;
            ours.take(|| server.run(&["rm", "a"]))?;
            let tree = server.root.join("tree");
            link(&tree)?;
            settle(&volume)?;
            removes.take(|| command(Command::new("rm").arg("-rf").arg(&tree)))?;
            link(&tree)?;
            settle(&volume)?;
            rsyncs.take(|| {
                let source = format!("{}/", empty.display());
                command(
                    Command::new("rsync")
                        .args(["-a", "--delete"])
                        .arg(source)
                        .arg(format!("{}/", tree.display())),
                )
            })?;
            fs::remove_dir(&tree)?;
        }
        print("bkctld rm", &ours);
        print("rm -rf", &removes);
        print("rsync -a --delete empty/", &rsyncs);
        print_faster("1.8 x rm -rf", &ours, &removes);
        print_faster("2.5 x rsync", &ours, &rsyncs);
    }
    Ok(())
}

/// Writes what is pending, so that no run pays for the one before it.
fn settle(volume: &Volume) -> Result<()> {
    command(Command::new("sync").arg("-f").arg(volume.path()))
}

fn touch_one_percent(data: &Path, run: usize) -> Result<()> {
    for group in
        (0..FILES / 100).map(|group| data.join(format!("{:03}", group / 100)).join(format!("{group:05}")))
    {
        fs::write(group.join(format!("file-{:02}", run % 100)), format!("changed in run {run}"))?;
    }
    Ok(())
}

/// The newest inc in this directory.
pub(super) fn newest_inc(incs: &Path) -> Result<PathBuf> {
    let name = fs::read_dir(incs)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .max()
        .ok_or("no inc was made")?;
    Ok(incs.join(name))
}

/// Gives the inc another date, with what is known of it.
pub(super) fn rename_inc(from: &Path, to: &Path) -> Result<()> {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    fs::rename(from, to)?;
    for part in ["index", "record"] {
        let hidden = |path: &Path| path.with_file_name(format!(".{}.{part}", name(path)));
        if hidden(from).exists() {
            fs::rename(hidden(from), hidden(to))?;
        }
    }
    Ok(())
}

fn delete_snapshots(dir: &Path) -> Result<()> {
    let handle = File::open(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bkctld_sys::btrfs::destroy(&handle, &entry.file_name(), File::open(entry.path())?)?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Runs the command and returns the most memory that it had at once, in KiB.
fn peak_memory(mut measured: Command) -> Result<u64> {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%M"]).arg(measured.get_program()).args(measured.get_args());
    for (name, value) in measured.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    match timed.output() {
        Ok(output) if output.status.success() => {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok(words.split_whitespace().next_back().and_then(|word| word.parse().ok()).unwrap_or(0))
        }
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        // Without time(1) the figure is missing, nothing else.
        Err(_) => command(&mut measured).map(|()| 0),
    }
}
