//! Commands over many jails.

use std::fs;
use std::process::Command;

use crate::Result;
use crate::measure::{Times, print};
use crate::server::Server;
use crate::volume::{Kind, Volume, command};

const RUNS: usize = 9;

/// `rm` that finds nothing to delete.
pub fn retention() -> Result<()> {
    let volume = Volume::new(Kind::Ext4, 4)?;
    let (server, _) = hundred_jails(&volume)?;
    let mut times = Times::default();
    for _ in 0..RUNS {
        times.take(|| server.run(&["rm"]))?;
    }
    print("bkctld rm", &times);
    println!("  (goal: under 50 ms; the shell program took 18.6 s)");
    Ok(())
}

/// `check-incs` and `check-jails` that find everything well.
pub fn checks() -> Result<()> {
    let volume = Volume::new(Kind::Ext4, 4)?;
    let (server, names) = hundred_jails(&volume)?;
    // A year of a client that pushes every hour and is looked at by monitoring.
    let records: String = (0..4000).map(record).collect();
    for name in names {
        let dir = server.root.join("data/sessions").join(name);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("finished.jsonl"), &records)?;
    }
    for (arguments, theirs) in [(["check-incs", "all"].as_slice(), "5 to 26 s"), (&["check-jails"], "0.9 s")]
    {
        let mut times = Times::default();
        for _ in 0..RUNS {
            times.take(|| server.run(arguments))?;
        }
        print(&format!("bkctld {}", arguments.join(" ")), &times);
        println!("  (goal: under 50 ms; the shell program took {theirs})");
    }
    Ok(())
}

/// A line of the finished sessions.
fn record(number: u32) -> String {
    let kind = if number.is_multiple_of(2) { "rsync-push" } else { "command" };
    format!(
        "{{\"id\":\"{number}-1\",\"begin\":\"2026-01-01T00:00:00Z\",\"end\":\"2026-01-01T00:01:00Z\",\
         \"source\":\"192.0.2.7\",\"source_port\":40000,\"key\":null,\"kind\":\"{kind}\",\"command\":null,\
         \"exit\":0,\"bytes_in\":1048576,\"bytes_out\":4096,\"ending\":\"closed\"}}\n"
    )
}

/// 100 jails, each with 32 incs and a rule for each of them that is older than they are.
fn hundred_jails(volume: &Volume) -> Result<(Server, Vec<String>)> {
    let server = Server::on(volume)?;
    server.run(&["init", "a"])?;
    let rules: String = (0..32).map(|back| format!("+%Y-%m-%d.-{back}day\n")).collect();
    let policy = server.root.join("etc/a.d/incs_policy");
    fs::write(&policy, rules)?;
    command(Command::new("touch").args(["-d", "-60 days"]).arg(&policy))?;
    let names = server.copy_jail("a", 100)?;
    for name in &names {
        for inc in last_days(32)? {
            fs::create_dir_all(server.incs(name).join(format!("{inc}-00")))?;
        }
    }
    Ok((server, names))
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

/// `report` and `metrics` of many jails.
pub fn report() -> Result<()> {
    let volume = Volume::new(Kind::Ext4, 4)?;
    let server = Server::on(&volume)?;
    server.run(&["init", "a"])?;
    for name in server.copy_jail("a", 300)? {
        for inc in last_days(5)? {
            fs::create_dir_all(server.incs(&name).join(format!("{inc}-00")))?;
        }
    }
    let (mut reports, mut metrics) = (Times::default(), Times::default());
    for _ in 0..RUNS {
        reports.take(|| server.run(&["report"]))?;
        metrics.take(|| server.run(&["metrics"]))?;
    }
    print("bkctld report", &reports);
    println!("  (goal: under 150 ms; the shell program took 9.4 s)");
    print("bkctld metrics", &metrics);
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
