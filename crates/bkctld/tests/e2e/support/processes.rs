//! What runs on behalf of a server: its listeners, and everything inside of its sessions.

use std::fs;

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The command line, words separated by spaces.
    pub command: String,
    /// Dead, and not yet waited for.
    pub zombie: bool,
    /// Sees the volume from a mount namespace of its own, as only sessions do.
    pub in_session: bool,
}

/// The processes in this thread's network that are `bkctld`, and those that see this volume from
/// another mount namespace than ours.
pub fn of_volume(device: &str) -> Vec<Process> {
    let link = |of: &str, what: &str| fs::read_link(format!("/proc/{of}/ns/{what}")).ok();
    let (our_net, our_mnt) = (link("thread-self", "net"), link("thread-self", "mnt"));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else { continue };
        if pid == std::process::id() as i32 {
            continue;
        }
        // A process may end while we look: whatever cannot be read then is not there.
        let Some((parent, zombie, comm)) = stat(&name) else { continue };
        let command = fs::read(format!("/proc/{name}/cmdline"))
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned())
            .unwrap_or_default();
        let ours = link(&name, "net") == our_net && our_net.is_some();
        let listener = ours && (comm.contains("bkctld") || command.contains("bkctld"));
        let in_session = !zombie
            && link(&name, "mnt").is_some_and(|mnt| Some(mnt) != our_mnt)
            && fs::read_to_string(format!("/proc/{name}/mountinfo"))
                .is_ok_and(|table| table.lines().any(|line| line.split(' ').nth(2) == Some(device)));
        if listener || in_session {
            found.push(Process { pid, parent, command, zombie, in_session });
        }
    }
    found
}

fn stat(pid: &str) -> Option<(i32, bool, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let comm = text[text.find('(')? + 1..text.rfind(')')?].to_owned();
    let mut rest = text[text.rfind(')')? + 2..].split(' ');
    let zombie = rest.next()? == "Z";
    Some((rest.next()?.parse().ok()?, zombie, comm))
}

/// SIGKILL; that it is gone already is no failure.
pub fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
