//! Commands over many jails.

use std::fs;
use std::process::Command;

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

/// `init`, whole, and where the template asks for no RSA key: making one takes ten times as long as all
/// the rest, and never the same time twice.
pub fn init() -> Result<()> {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        println!("{}:", kind.name());
        let volume = Volume::new(kind, 4)?;
        let server = Server::on(&volume)?;
        server.run(&["init", "first"])?;
        let (mut whole, mut without) = (Times::default(), Times::default());
        for run in 0..RUNS {
            whole.take(|| server.run(&["init", &format!("a{run}")]))?;
            template_without_rsa(&server, true)?;
            without.take(|| server.run(&["init", &format!("b{run}")]))?;
            template_without_rsa(&server, false)?;
        }
        print("bkctld init", &whole);
        print("the making of an RSA key aside", &without);
        let used = Command::new("du").args(["-sk"]).arg(server.jail("a0")).output()?;
        let text = String::from_utf8_lossy(&used.stdout).into_owned();
        println!("  -> {} KiB on disk", text.split_whitespace().next().unwrap_or("?"));
        println!("  (goals: under 50 ms and 200 kB; the shell program took 1.0 s and 19 MB)");
    }
    Ok(())
}

/// Puts a template of the administrator's in place that names no RSA key, or takes it away.
fn template_without_rsa(server: &Server, there: bool) -> Result<()> {
    let template = server.root.join("templates/sshd_config");
    if !there {
        return Ok(fs::remove_file(template)?);
    }
    fs::create_dir_all(server.root.join("templates"))?;
    let text = include_str!("../../../templates/sshd_config");
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("_rsa_")).collect();
    Ok(fs::write(template, lines.join("\n") + "\n")?)
}

/// The dates of today and of the days before it, as `date` has them.
fn last_days(count: usize) -> Result<Vec<String>> {
    (0..count)
        .map(|back| {
            let output = Command::new("date").args(["-d", &format!("-{back} day"), "+%F"]).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        })
        .collect()
}
