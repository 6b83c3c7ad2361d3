//! Trees that a client made to do harm, and everything that root does in them: it ends well, reaches nothing
//! that is not the jail's, and takes no longer than with a tame tree of as many names.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::volume::Volume;
use crate::support::*;

/// How many names there are in each of the two trees, some hundreds more or less. With
/// `BKCTLD_TEST_HOSTILE_NAMES=104000` there are 100,000 in one directory, which takes minutes.
fn names() -> usize {
    std::env::var("BKCTLD_TEST_HOSTILE_NAMES").map_or(12_000, |names| names.parse().unwrap())
}

/// How many times as long as the tame tree the hostile one may take, and what it may take in any case.
const TIMES: u32 = 6;
const GRACE: Duration = Duration::from_secs(20);

/// What each thing took.
type Times = Vec<(&'static str, Duration)>;

/// Files and links, a hundred in each directory.
const TAME: &str = r#"
for my $d (1 .. $names / 100) {
    mkdir "d$d" or die $!;
    for my $f (1 .. 10) { open(F, ">d$d/f$f") && print F "$d $f" or die $! }
    for my $f (11 .. 99) { link("d$d/f1", "d$d/f$f") or die $! }
}
"#;

/// 4,000 levels; one directory with all other names, most of them of one file, as many as it can have.
const HOSTILE: &str = r#"
mkdir "wide"; open(F, ">wide/f"); print F "x"; close F;
my $links = 0;
my $most = $names - 4000 < 65000 ? $names - 6000 : 65000;
for my $f (1 .. $most) { link("wide/f", "wide/l$f") or last; $links++ }
die "only $links links" if $links < $most - 1000;
for my $f ($links + 1 .. $names - 4000) { symlink("/etc/shadow", "wide/s$f") or die $! }
mkdir "deep"; chdir "deep";
for (1 .. 4000) { mkdir "d" or die $!; chdir "d" or die $! }
"#;

/// One of each thing that is no plain file, and names and numbers at their limits.
const ODD: &str = r#"
mkdir odd; cd odd
mkfifo fifo; mknod null c 1 3; mknod loop b 7 0; ln -s loop2 loop1; ln -s loop1 loop2; ln -s / root; ln -s "$1" secret
perl -e 'socket(S, 1, 1, 0) && bind(S, pack("S a*", 1, "socket")) or die'
perl -e 'for ("\e[31mred\e]0;title\a", "a\nb\rc", "\xff" x 255, " ", "-rf", "*") { open(F, ">", "./$_") && print F "x" or die $! }'
for owner in 2147483653 2147549183 4294967294; do : > owner$owner; chown $owner:$owner owner$owner; done
truncate -s 4611686018427387904 huge 2>/dev/null || truncate -s 15T huge
printf x | dd of=huge bs=1 seek=1T conv=notrunc status=none
: > large; for s in 65000 16000 3900; do setfattr -n user.large -v "$(printf "%${s}s" | tr ' ' x)" large 2>/dev/null && break; done
: > many; for n in $(seq 60); do setfattr -n user.n$n -v $n many 2>/dev/null || break; done
mkdir closed; : > closed/f; chmod 0 closed
touch -h -d '1901-12-14' fifo; touch -d '2446-01-01' large
"#;

/// What a client does all the while: swaps files, links, fifos, devices and directories, and moves them about.
const CHURN: &str = r#"
for my $d ("a", "b") { mkdir $d; for (1 .. 50) { open(F, ">$d/f$_"); print F "mine"; close F } }
$| = 1; print "go\n";
for (my $n = 0; ; $n++) {
    my $f = "a/f" . ($n % 50 + 1);
    rename("a", "aside"); symlink($secret, "a"); unlink("a"); rename("aside", "a");
    unlink($f); symlink("$secret/file", $f); unlink($f);
    system("mknod", $f, "c", 1, 3) if $n % 50 == 0; unlink($f);
    open(F, ">$f") && print F "mine"; close F;
    rename("b", "a/b"); rename("a/b", "b");
    open(F, ">>b/f1"); print F "more"; close F; truncate("b/f2", $n % 9000);
}
"#;

struct Churn(Child);

impl Churn {
    fn begin(data: &Path, secret: &Path) -> Churn {
        let dir = data.join("churn");
        fs::create_dir(&dir).unwrap();
        let script = format!("my $secret = shift; {CHURN}");
        let mut command = Command::new("perl");
        command.arg("-e").arg(script).arg(secret).current_dir(dir).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 3]).unwrap();
        Churn(child)
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn perl(script: &str, dir: &Path, names: usize) {
    let script = format!("use strict; my $names = {names}; {script}");
    let status = Command::new("perl").arg("-e").arg(script).current_dir(dir).status().unwrap();
    assert!(status.success());
}

fn make_hostile(fs: FsKind, data: &Path, secret: &Path, names: usize) {
    perl(HOSTILE, data, names);
    sh(&format!("set -e; cd '{}'; set -- '{}'\n{ODD}", data.display(), secret.display()));
    if fs == FsKind::Btrfs {
        sh(&format!(
            "cd '{}'; btrfs -q subvolume create nested; btrfs -q subvolume create nested/inner; echo x > nested/inner/f",
            data.display()
        ));
    }
}

/// Runs it to its end, whatever that is; it may not panic, and prints nothing that a terminal acts on.
#[track_caller]
fn timed(server: &Server, times: &mut Times, what: &'static str, hours: i8, args: &[&str], codes: &[i32]) {
    let begun = Instant::now();
    let output = server.command_ahead(hours, args).stdin(Stdio::null()).output().unwrap();
    times.push((what, begun.elapsed()));
    let code = output.status.code().unwrap_or(-1);
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(codes.contains(&code), "{args:?}: exit {code}: {told}");
    assert!(!told.contains("panicked"), "{args:?}: {told}");
    assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{args:?}: {told:?}");
}

/// Everything that root does in the tree of a jail, until there is nothing of it.
fn ordeal(server: &Server, name: &str, churn: Option<Churn>, archives: &Path) -> Times {
    let mut times = Times::new();
    let any = [0, 1, 2, 3];
    server.settle();
    timed(server, &mut times, "inc", 0, &["inc", name], &[0]);
    timed(server, &mut times, "second inc", 1, &["inc", name], &[0]);
    timed(server, &mut times, "stats", 1, &["stats"], &[0]);
    for what in ["check-jails", "check-incs", "check-canary", "check-setup", "metrics", "report", "list"] {
        timed(server, &mut times, what, 1, &[what], &any);
    }
    timed(server, &mut times, "status", 1, &["status", name], &[0]);
    assert_eq!(server.incs(name).len(), 2);
    timed(server, &mut times, "rm of one", 1, &["rm", name], &[0]);
    assert!(!server.incs(name).is_empty(), "the policy keeps one of this day");
    drop(churn);
    timed(server, &mut times, "archive", 1, &["-f", "archive", name], &[0]);
    assert!(!server.jail(name).exists() && archives.join(name).join("data").is_dir());
    server.policy(name, "");
    timed(server, &mut times, "rm of all", 1, &["-f", "rm", name], &[0]);
    assert!(server.incs(name).is_empty());
    times
}

#[apply(on_each_fs)]
fn everything_that_root_does_in_a_hostile_tree_ends_as_soon_as_in_a_tame_one(fs: FsKind) {
    let server = Server::on(fs);
    let secret = server.path("secret");
    write(&secret.join("file"), "SECRET");
    let second = server.path("second");
    fs::create_dir(&second).unwrap();
    let volume = Volume::make(&second, fs, 8 << 10);
    let archives = volume.mount.join("archives");
    server.set("ARCHIVESDIR", &archives.display().to_string());
    let policy = "+%Y-%m-%d.-0day\n";

    server.init("tame");
    server.policy("tame", policy);
    perl(TAME, &server.data("tame"), names());
    let tame = ordeal(&server, "tame", None, &archives);
    fs::remove_dir_all(archives.join("tame")).unwrap();

    server.init("hostile");
    server.policy("hostile", policy);
    make_hostile(fs, &server.data("hostile"), &secret, names());
    let churn = Churn::begin(&server.data("hostile"), &secret);
    let hostile = ordeal(&server, "hostile", Some(churn), &archives);
    for ((what, tame), (_, hostile)) in tame.iter().zip(&hostile) {
        eprintln!("{fs:?} {what}: {tame:.1?} tame, {hostile:.1?} hostile");
    }
    for ((what, tame), (_, hostile)) in tame.iter().zip(&hostile) {
        assert!(*hostile < *tame * TIMES + GRACE, "{what}: {hostile:?} instead of {tame:?}");
    }
    // Nothing of the server's came into the archive, and nothing of it was changed.
    let found =
        Command::new("grep").args(["-rlF", "SECRET"]).arg(archives.join("hostile/data/churn")).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
    assert_eq!(fs::read_to_string(secret.join("file")).unwrap(), "SECRET");
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);

    // A jail that is removed as its client left it.
    server.init("removed");
    make_hostile(fs, &server.data("removed"), &secret, names());
    drop(Churn::begin(&server.data("removed"), &secret));
    let mut times = Times::new();
    timed(&server, &mut times, "remove", 0, &["-f", "remove", "removed"], &[0]);
    assert!(!server.jail("removed").exists());
    let of_rm = tame.iter().find(|(what, _)| *what == "rm of all").unwrap().1;
    assert!(times[0].1 < of_rm * TIMES + GRACE, "remove: {:?} instead of {of_rm:?}", times[0].1);
    assert_eq!(fs::read_to_string(secret.join("file")).unwrap(), "SECRET");
    volume.unmount();
}

#[apply(on_each_fs)]
fn a_version_1_jail_with_a_hostile_tree_is_converted_without_a_look_into_it(fs: FsKind) {
    let server = Server::on(fs);
    let secret = server.path("secret");
    write(&secret.join("file"), "SECRET");
    original::old_jail(&server, fs, "old", 2230);
    original::old_jail(&server, fs, "plain", 2231);
    let data = server.jail("old").join("var/backup");
    make_hostile(fs, &data, &secret, 70_000);
    let mut times = Times::new();
    timed(&server, &mut times, "tame", 0, &["convert-v2", "plain"], &[0]);
    timed(&server, &mut times, "hostile", 0, &["convert-v2", "old"], &[0]);
    assert!(times[1].1 < times[0].1 * TIMES + GRACE, "{times:?}");
    assert!(server.data("old").join("wide").is_dir());
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
}

#[apply(as_root)]
fn sync_takes_nothing_of_a_hostile_tree_along() {
    let (here, there) = Machine::pair(FsKind::Ext4);
    here.set("NODE=10.9.0.2");
    here.bkctld(&["init", "a"]).ok();
    let secret = here.path("secret");
    write(&secret.join("file"), "SECRET");
    let data = here.jail("a").join("data");
    make_hostile(FsKind::Ext4, &data, &secret, names());
    let _churn = Churn::begin(&data, &secret);
    here.bkctld(&["sync", "a"]).ok();
    assert!(there.jail("a").join("rootfs").is_dir());
    assert_eq!(fs::read_dir(there.jail("a").join("data")).unwrap().count(), 0);
}
