//! Commands over many jails.

use std::fs;

use crate::Result;
use crate::measure::{Times, print};
use crate::server::Server;
use crate::volume::{Kind, Volume};

const RUNS: usize = 9;

/// `rm` that finds nothing to delete.
pub fn retention() -> Result<()> {
    let volume = Volume::new(Kind::Ext4, 4)?;
    let server = Server::on(&volume)?;
    server.run(&["init", "a"])?;
    let rules: String = (0..32).map(|back| format!("+%Y-%m-%d.-{back}day\n")).collect();
    fs::write(server.root.join("etc/a.d/incs_policy"), rules)?;
    for name in server.copy_jail("a", 100)? {
        for inc in last_days(32)? {
            fs::create_dir_all(server.incs(&name).join(format!("{inc}-00")))?;
        }
    }
    let mut times = Times::default();
    for _ in 0..RUNS {
        times.take(|| server.run(&["rm"]))?;
    }
    print("bkctld rm", &times);
    println!("  (goal: under 50 ms; the shell program took 18.6 s)");
    Ok(())
}

/// `status` of many jails.
pub fn status() -> Result<()> {
    let volume = Volume::new(Kind::Ext4, 4)?;
    let server = Server::on(&volume)?;
    server.run(&["init", "a"])?;
    server.copy_jail("a", 300)?;
    let mut times = Times::default();
    for _ in 0..RUNS {
        times.take(|| server.run(&["status", "all"]))?;
    }
    print("bkctld status all", &times);
    println!("  (goal: under 100 ms; the shell program took 9.4 s)");
    Ok(())
}

/// `init`, with the share of the RSA host key measured beside it.
pub fn init() -> Result<()> {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 4)?;
        let server = Server::on(&volume)?;
        server.run(&["init", "first"])?;
        let (mut whole, mut rsa) = (Times::default(), Times::default());
        for run in 0..RUNS {
            whole.take(|| server.run(&["init", &format!("a{run}")]))?;
            rsa.take(|| {
                crate::volume::command(
                    std::process::Command::new("ssh-keygen")
                        .args(["-q", "-N", "", "-t", "rsa", "-f"])
                        .arg(server.root.join(format!("rsa-{run}"))),
                )
            })?;
        }
        print("bkctld init", &whole);
        print("of it, an RSA key", &rsa);
        println!("  -> {:.1} ms without (goal: under 50 ms)", (whole.median() - rsa.median()) * 1e3);
        let used = std::process::Command::new("du").args(["-sk"]).arg(server.jail("a0")).output()?;
        let text = String::from_utf8_lossy(&used.stdout).into_owned();
        println!("  -> {} KiB on disk (goal: under 200 kB)", text.split_whitespace().next().unwrap_or("?"));
    }
    Ok(())
}

/// The dates of today and of the days before it, as `date` has them.
fn last_days(count: usize) -> Result<Vec<String>> {
    (0..count)
        .map(|back| {
            let output =
                std::process::Command::new("date").args(["-d", &format!("-{back} day"), "+%F"]).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        })
        .collect()
}
