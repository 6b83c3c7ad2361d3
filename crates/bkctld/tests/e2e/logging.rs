//! What arrives in the server's log: real sockets, bound where journald and syslog have theirs.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use crate::support::*;

/// A log daemon: everything that was sent to its socket.
struct Daemon {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Daemon {
    fn bind(server: &Server, name: &str) -> Daemon {
        let path = server.path(name);
        let socket = UnixDatagram::bind(&path).expect("bind");
        socket.set_nonblocking(true).expect("nonblocking");
        Daemon { socket, path }
    }

    /// What has arrived since the last call.
    fn received(&self) -> Vec<String> {
        let mut buffer = vec![0; 64 << 10];
        let mut all = Vec::new();
        while let Ok(len) = self.socket.recv(&mut buffer) {
            all.push(String::from_utf8(buffer[..len].to_vec()).expect("UTF-8"));
        }
        all
    }
}

/// `bkctld` where the log daemons' places are those of this test: in a mount namespace whose `/dev` and
/// `/run` are its own, as on a server with journald (`journal`) or syslog.
fn logging_to(server: &Server, daemon: &Daemon, args: &[&str]) -> Command {
    const PLACES: &str = r#"
        dir=${1%/} socket=$2; shift 2
        # Volumes of other tests, which would take this for one of their sessions.
        cut -d ' ' -f 5 /proc/self/mountinfo | while read -r mount; do
            case $mount in "$dir"/*) ;; "${dir%/*}"/bkctld-test-*) umount -l "$mount" ;; esac
        done
        mkdir -p "$dir/dev"
        mount -t tmpfs none "$dir/dev"
        for node in null zero full random urandom; do
            : >"$dir/dev/$node"
            mount --bind "/dev/$node" "$dir/dev/$node"
        done
        mount --move "$dir/dev" /dev
        mount -t tmpfs none /run
        mkdir -p /run/sshd /run/systemd/journal
        case $socket in
            */journal) ln -s "$socket" /run/systemd/journal/socket ;;
            */syslog) ln -s "$socket" /dev/log ;;
        esac
        exec "$@""#;
    let inner = server.command(args);
    let mut command = Command::new("unshare");
    server.environment(&mut command);
    command.args(["--mount", "--propagation", "private", "sh", "-euc", PLACES, "sh"]);
    command.arg(server.path("")).arg(&daemon.path).arg(inner.get_program()).args(inner.get_args());
    command
}

fn with_priority<'a>(lines: &'a [String], priority: &str, words: &str) -> Vec<&'a String> {
    lines.iter().filter(|line| line.starts_with(priority) && line.contains(words)).collect()
}

#[apply(as_root)]
fn syslog_has_each_change_with_its_jail_its_outcome_and_its_session() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("web01");
    let syslog = Daemon::bind(&server, "syslog");
    let bkctld = |args: &[&str]| run(logging_to(&server, &syslog, args));
    server.set("LOGLEVEL", "6");
    let hour = || sh("TZ=UTC LC_ALL=C date '+%b %e %H:'");
    let before = hour();
    bkctld(&["start", "web01"]).ok();
    let hours = [before, hour()];
    let started = syslog.received();
    // 3 is the facility, daemon: 8 × 3 + the severity.
    assert_eq!(with_priority(&started, "<30>", ": start web01: begins").len(), 1, "{started:#?}");
    assert_eq!(with_priority(&started, "<30>", ": listener web01: listening on port 2222").len(), 1);
    let done = with_priority(&started, "<29>", ": start web01: done after ");
    assert!(done.len() == 1 && done[0].ends_with("jail 'web01' started"), "{started:#?}");
    for line in &started {
        let at = line[4..].get(..hours[0].len()).unwrap_or_default();
        assert!(hours.iter().any(|hour| hour == at) && line.contains(" bkctld["), "{hours:?}: {line}");
    }

    client.ssh("exit 7").exits(7);
    server.last_session("web01");
    let session = syslog.received();
    assert_eq!(with_priority(&session, "<30>", "Accepted publickey for root").len(), 1, "{session:#?}");
    let closed = with_priority(&session, "<30>", " closed: command from 127.0.0.1 port ");
    assert!(closed.len() == 1 && closed[0].contains(", exit status 7, "), "{session:#?}");

    server.greets(2222);
    bkctld(&["start", "web01"]).ok();
    bkctld(&["--dry-run", "stop", "web01"]).ok();
    bkctld(&["--dry-run", "stop", "web03"]).exits(2);
    bkctld(&["start", "web02"]).exits(2);
    bkctld(&["inc", "web01"]).ok();
    bkctld(&["inc", "web01"]).ok();
    bkctld(&["status", "web01"]).ok();
    let lines = syslog.received();
    assert_eq!(with_priority(&lines, "<30>", ": start web01: skipped after ").len(), 1, "{lines:#?}");
    assert_eq!(with_priority(&lines, "<27>", ": start: no jail named 'web02'").len(), 1, "{lines:#?}");
    assert_eq!(with_priority(&lines, "<29>", ": inc web01: done after ").len(), 1, "{lines:#?}");
    assert_eq!(with_priority(&lines, "<28>", ": inc web01: skipped after ").len(), 1, "{lines:#?}");
    for silent in ["stop", "status", "refused:"] {
        assert_eq!(with_priority(&lines, "<", silent), Vec::<&String>::new());
    }
    bkctld(&["stop", "web01"]).ok();
    let stopped = syslog.received();
    assert_eq!(with_priority(&stopped, "<30>", ": listener web01: stopped").len(), 1, "{stopped:#?}");
    assert_eq!(with_priority(&stopped, "<29>", ": stop web01: done after ").len(), 1, "{stopped:#?}");
}

#[apply(as_root)]
fn the_level_decides_what_is_logged_and_the_environment_overrides_the_file() {
    let server = Server::plain();
    server.bkctld(&["init", "web01"]).ok();
    let syslog = Daemon::bind(&server, "syslog");
    let priorities = |level: Option<&str>| {
        let mut command = logging_to(&server, &syslog, &["ip", "web01", "192.0.2.7"]);
        command.envs(level.map(|level| ("LOGLEVEL", level)));
        run(command).ok();
        run(logging_to(&server, &syslog, &["port", "web01", "0x"])).fails();
        let mut command = logging_to(&server, &syslog, &["stop", "web02"]);
        command.envs(level.map(|level| ("LOGLEVEL", level)));
        run(command).fails();
        syslog.received().iter().map(|line| line[..4].to_owned()).collect::<Vec<_>>()
    };
    for (file, environment, expected) in [
        ("2", None, &[][..]),
        ("3", None, &["<27>"]),
        ("5", None, &["<29>", "<27>"]),
        ("6", None, &["<30>", "<29>", "<27>"]),
        ("6", Some("3"), &["<27>"]),
        ("3", Some("7"), &["<30>", "<29>", "<27>"]),
    ] {
        server.set("LOGLEVEL", file);
        assert_eq!(priorities(environment), expected, "LOGLEVEL={file}, in the environment {environment:?}");
    }
    server.write_config("no assignment\n");
    run(logging_to(&server, &syslog, &["inc"])).fails();
    let lines = syslog.received();
    assert_eq!(with_priority(&lines, "<27>", "bkctld.conf:1: ").len(), 1, "{lines:#?}");
    server.set("LOGLEVEL", "0");
}

#[apply(as_root)]
fn journald_has_the_jail_the_command_and_the_outcome_as_fields() {
    let server = Server::on(FsKind::Ext4);
    let client = server.init("web01");
    let journal = Daemon::bind(&server, "journal");
    server.set("LOGLEVEL", "7");
    run(logging_to(&server, &journal, &["start", "web01"])).ok();
    client.ssh("true").ok();
    let id = server.last_session("web01")["id"].as_str().unwrap().to_owned();
    // A connection that does not log in is for who looks for it.
    server.greets(2222);
    wait_for("both sessions have ended", || server.active_sessions("web01") == 0);
    run(logging_to(&server, &journal, &["port", "web01", "70000"])).fails();
    run(logging_to(&server, &journal, &["stop", "web01"])).ok();
    let lines = journal.received();
    let fields = |words: &str| -> Vec<&str> {
        let found: Vec<_> = lines.iter().filter(|line| line.contains(words)).collect();
        assert_eq!(found.len(), 1, "'{words}': {lines:#?}");
        found[0].lines().collect()
    };
    let started = fields("jail 'web01' started");
    for field in [
        "PRIORITY=5",
        "SYSLOG_FACILITY=3",
        "SYSLOG_IDENTIFIER=bkctld",
        "BKCTLD_JAIL=web01",
        "BKCTLD_COMMAND=start",
        "BKCTLD_RESULT=done",
    ] {
        assert!(started.contains(&field), "{field}: {started:?}");
    }
    assert!(started.iter().any(|field| field.starts_with("BKCTLD_DURATION_MS=")), "{started:?}");
    let session = format!("BKCTLD_SESSION={id}");
    for words in ["Accepted publickey", " closed: command from "] {
        let line = fields(words);
        assert!(line.contains(&session.as_str()) && line.contains(&"BKCTLD_JAIL=web01"), "{line:?}");
    }
    assert!(fields(" refused: no command from ").contains(&"PRIORITY=7"));
    assert!(lines.iter().all(|line| line.contains("BKCTLD_JAIL=web01")), "{lines:#?}");
}

#[apply(as_root)]
fn a_service_of_systemd_does_not_say_twice_what_the_journal_has() {
    let server = Server::plain();
    let journal = Daemon::bind(&server, "journal");
    server.set("LOGLEVEL", "6");
    let stderr = server.path("stderr");
    let service = |stream: &str| {
        let command = logging_to(&server, &journal, &["start", "web01"]);
        let mut service = Command::new("sh");
        server.environment(&mut service);
        let script = format!("exec 2>{}; export JOURNAL_STREAM={stream}; exec \"$@\"", stderr.display());
        service.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        run(service).exits(2);
        assert_eq!(journal.received().len(), 1);
        fs::read_to_string(&stderr).unwrap()
    };
    assert_eq!(service("$(stat -Lc %d:%i /dev/fd/2)"), "");
    // The variable of a service whose standard error was put elsewhere, by cron in it, say.
    assert!(service("1:1").contains("no jail named 'web01'"));
}

#[apply(as_root)]
fn a_log_that_nobody_reads_holds_no_command_up() {
    let server = Server::plain();
    server.set("LOGLEVEL", "7");
    server.bkctld(&["init", "web01"]).ok();
    let syslog = Daemon::bind(&server, "syslog");
    for _ in 0..20 {
        run(logging_to(&server, &syslog, &["ip", "web01", "192.0.2.7"])).ok();
    }
    // More than the socket's queue (net.unix.max_dgram_qlen) takes: what came too late is lost.
    assert!(syslog.received().len() < 40);
    run(logging_to(&server, &syslog, &["ip", "web01", "all"])).ok();
    assert_eq!(syslog.received().len(), 2);
}
