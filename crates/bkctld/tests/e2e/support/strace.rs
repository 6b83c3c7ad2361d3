//! SIGKILL at chosen places of a command, by strace's injection.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::run::{Ran, run};
use super::server::{BKCTLD, Server};

/// The calls that change something outside of the process, or start or wait for what does.
const STEPS: &str = "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,fsync,syncfs,\
                     fchmod,chmod,clone3,vfork,wait4,waitid,flock,ioctl";

/// Runs the command once as it is, then again and again, killed each time at another of its steps. Calls
/// `restore` after each run, with what was done in words: it looks at what is there, and makes it what it
/// was before. How many runs were killed.
#[track_caller]
pub fn killed_at_each(server: &Server, args: &[&str], mut restore: impl FnMut(&str)) -> usize {
    let trace = server.path("trace");
    traced(server, &trace, None, args).ok();
    let steps = fs::read_to_string(&trace).expect("trace");
    restore("whole");
    let mut killed = 0;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in steps.lines() {
        // A line of a call; not that of a signal or of the end.
        let Some(name) = line.split_once('(').map(|(name, _)| name).filter(|name| STEPS.contains(name))
        else {
            continue;
        };
        let count = counts.entry(name).or_default();
        *count += 1;
        let ran = traced(server, &trace, Some((name, *count)), args);
        killed += usize::from(ran.code == 128 + 9);
        restore(&format!("killed at {name} {count}, which is {line}"));
    }
    killed
}

fn traced(server: &Server, trace: &std::path::Path, kill_at: Option<(&str, usize)>, args: &[&str]) -> Ran {
    let mut command = Command::new("strace");
    server.environment(&mut command);
    command.arg("-o").arg(trace).args(["-qqq", "-e", &format!("trace={STEPS}")]);
    if let Some((name, count)) = kill_at {
        command.args(["-e", &format!("inject={name}:signal=SIGKILL:when={count}")]);
    }
    command.arg(BKCTLD).args(args);
    run(command)
}
