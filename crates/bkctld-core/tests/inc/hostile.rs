use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bkctld_core::inc::delete;
use bkctld_core::progress::Progress;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, mkfifoat, openat, renameat, symlinkat, unlinkat};
use rustix::io::write;

use crate::volume::{THREADS, Volume, may_run, name, on_each, settle};

/// Makes directories one in the other, each with a file.
fn dig(top: &Path, depth: usize, with_sibling: bool) {
    let mut at = OwnedFd::from(File::open(top).unwrap());
    let file = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    for _ in 0..depth {
        mkdirat(&at, c"d", Mode::RWXU).unwrap();
        if with_sibling {
            mkdirat(&at, c"e", Mode::RWXU).unwrap();
        }
        openat(&at, c"f", file, Mode::RUSR).unwrap();
        at = openat(&at, c"d", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    }
}

fn depth(top: &Path) -> usize {
    let mut at = OwnedFd::from(File::open(top).unwrap());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut depth = 0;
    while let Ok(next) = openat(&at, CString::from(c"d"), flags, Mode::empty()) {
        at = next;
        depth += 1;
    }
    depth
}

#[test]
fn a_tree_of_thousands_of_levels_is_copied_linked_and_deleted() {
    on_each(|volume| {
        dig(&volume.jail.data(), 3000, true);
        settle();
        assert_eq!(volume.make_clean("2026-01-01-00").counts.files, 3001);
        let record = volume.make_clean("2026-01-02-00");
        assert_eq!((record.counts.files, record.counts.linked), (3001, 3001));
        assert_eq!(depth(&volume.inc("2026-01-02-00").join("data")), 3000);
        let both = [name("2026-01-01-00"), name("2026-01-02-00")];
        assert!(delete(&volume.jail, &both, THREADS, &Progress::default()).unwrap().dir_removed);
    });
}

#[test]
fn a_deep_tree_takes_about_as_long_as_a_flat_one() {
    on_each(|volume| {
        let data = volume.jail.data();
        // Half of the directories are one below the other, the others all at the bottom.
        let take = |levels: usize, day: &str| {
            let mut at = OwnedFd::from(File::open(&data).unwrap());
            for _ in 0..levels {
                mkdirat(&at, c"d", Mode::RWXU).unwrap();
                at = openat(&at, c"d", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                    .unwrap();
            }
            for number in 0..4000 - levels {
                mkdirat(&at, format!("s{number}"), Mode::RWXU).unwrap();
            }
            let timed = |hour: u8| {
                let begun = Instant::now();
                let counts = volume.make(&format!("{day}-{hour:02}")).counts;
                // rootfs, data and var, and the top of all.
                assert_eq!(counts.directories, 4004);
                begun.elapsed()
            };
            let took = timed(0) + timed(1);
            let tops = File::open(volume.mount.join("jails/j")).unwrap();
            bkctld_tree::remove(&tops, "data".as_ref(), THREADS, &|_| {}).unwrap();
            fs::create_dir(&data).unwrap();
            took
        };
        let (flat, deep) = (take(0, "2026-01-01"), take(2000, "2026-01-02"));
        assert!(deep < flat * 4, "{deep:?} instead of {flat:?} on {}", volume.kind);
    });
}

#[test]
fn a_tree_too_deep_for_an_inc_is_a_clear_error_and_can_be_removed() {
    if !may_run() {
        return;
    }
    let volume = Volume::new("ext4");
    dig(&volume.jail.data(), 20_000, false);
    let error = volume.try_make("2026-01-01-00").unwrap_err().to_string();
    assert!(error.contains("levels deep"), "{error}");
    assert_eq!(volume.names(), Vec::<String>::new());
    let jails = File::open(volume.mount.join("jails")).unwrap();
    bkctld_tree::remove(&jails, "j".as_ref(), THREADS, &|_| {}).unwrap();
    assert!(!volume.jail.exists());
}

#[test]
fn a_client_that_swaps_what_is_copied_gets_nothing_of_the_server() {
    on_each(|volume| {
        let secret = volume.mount.join("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("file"), "SECRET").unwrap();
        let data = volume.jail.data();
        let make_dir = |path: &Path| {
            fs::create_dir(path).unwrap();
            for n in 0..30 {
                fs::write(path.join(format!("f{n}")), "mine").unwrap();
            }
            fs::write(path.join("file"), "mine").unwrap();
        };
        for n in 0..40 {
            make_dir(&data.join(format!("d{n}")));
        }
        symlink(&secret, data.join("trap")).unwrap();
        symlink(secret.join("file"), data.join("trap file")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for seed in 0..2_usize {
                let (stop, data) = (&stop, &data);
                scope.spawn(move || {
                    let mut n = seed;
                    while !stop.load(Relaxed) {
                        n += 7;
                        let dir = data.join(format!("d{}", n % 40));
                        // Over time, everything happens to every directory.
                        let what = n / 40 % 5;
                        if what == 0 {
                            let aside = data.join(format!("aside{seed}"));
                            let _ = fs::rename(&dir, &aside)
                                .and_then(|()| symlink("trap", &dir))
                                .and_then(|()| fs::remove_file(&dir))
                                .and_then(|()| fs::rename(&aside, &dir));
                            continue;
                        }
                        let other = data.join(format!("d{}", (n + 1) % 40));
                        let _ = swap_a_file(what, n % 90, &dir, &other);
                    }
                });
            }
            let until = Instant::now() + Duration::from_secs(4);
            let mut hour = 0;
            while Instant::now() < until && hour < 24 {
                volume.make(&format!("2026-01-01-{hour:02}"));
                hour += 1;
            }
            stop.store(true, Relaxed);
        });
        for inc in bkctld_core::inc::list(&volume.jail).unwrap() {
            let mut open = vec![volume.inc(&inc.to_string())];
            while let Some(path) = open.pop() {
                let kind = path.symlink_metadata().unwrap().file_type();
                if kind.is_dir() {
                    open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                } else if kind.is_file() {
                    assert!(!fs::read(&path).unwrap().starts_with(b"SECRET"), "{path:?}");
                }
            }
        }
        assert_eq!(fs::read(secret.join("file")).unwrap(), b"SECRET");
        assert_eq!(fs::read_dir(&secret).unwrap().count(), 1);
    });
}

#[test]
fn what_is_moved_about_while_an_inc_is_made_is_there_once_or_the_inc_says_so() {
    on_each(|volume| {
        let data = volume.jail.data();
        for dir in ["a", "b", "a/moves", "between"] {
            fs::create_dir(data.join(dir)).unwrap();
        }
        fs::write(data.join("a/moves/file"), "x").unwrap();
        for number in 0..2000 {
            fs::write(data.join(format!("between/{number}")), "x").unwrap();
        }
        settle();
        assert_eq!(volume.make_clean("2026-01-01-23").counts.files, 2002);
        let stop = AtomicBool::new(false);
        let (mut wrong, mut silent) = (0, Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let places = [data.join("a/moves"), data.join("b/moves")];
                let mut at = 0;
                while !stop.load(Relaxed) {
                    fs::rename(&places[at], &places[1 - at]).unwrap();
                    at = 1 - at;
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            for hour in 0..20 {
                let name = format!("2026-01-02-{hour:02}");
                let record = volume.make(&name);
                let inc = volume.inc(&name).join("data");
                let found =
                    ["a/moves/file", "b/moves/file"].iter().filter(|file| inc.join(file).exists()).count();
                if found != 1 {
                    wrong += 1;
                    if !record.warnings.iter().any(|warning| warning.contains("missing or there twice")) {
                        silent.push((found, record.warnings));
                    }
                }
            }
            stop.store(true, Relaxed);
        });
        eprintln!("{wrong} of 20 on {}", volume.kind);
        assert!(silent.is_empty(), "{} of {wrong}: {silent:?}", silent.len());
    });
}

/// A process that holds leases on files until it is dropped: who opens one waits, at the most for 45 seconds.
struct Leases(Child);

impl Leases {
    fn on(files: &[PathBuf]) -> Leases {
        // F_SETLEASE, F_WRLCK. The kernel asks by SIGIO to let go.
        let script =
            "$SIG{IO} = 'IGNORE'; for (@ARGV) { open($f[@f], '<', $_) && fcntl($f[-1], 1024, 1) or die $! }
                      $| = 1; print \"held\\n\"; sleep";
        let mut child =
            Command::new("perl").args(["-e", script]).args(files).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut line).unwrap();
        Leases(child)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn leases_cost_an_inc_as_much_however_many_there_are() {
    if !may_run() {
        return;
    }
    let volume = Volume::new("ext4");
    let data = volume.jail.data();
    let files = |numbers: std::ops::Range<usize>| {
        let path = |number| data.join(format!("f{number}"));
        let files: Vec<PathBuf> = numbers.map(path).collect();
        files.iter().for_each(|file| fs::write(file, "x").unwrap());
        files
    };
    let timed = |name| {
        let begun = Instant::now();
        let record = volume.make(name);
        assert!(record.warnings[0].contains("not copied"), "{:?}", record.warnings);
        begun.elapsed()
    };
    let _few = Leases::on(&files(0..30));
    let of_few = timed("2026-01-01-00");
    let _many = Leases::on(&files(30..300));
    let of_many = timed("2026-01-02-00");
    assert!(of_many < of_few * 4, "{of_many:?} with ten times as many as with {of_few:?}");
    drop((_few, _many));
    // What was missing for a lease is there the next time.
    assert_eq!(volume.make_clean("2026-01-03-00").counts.files, 301);
}

/// Changes a file of the directory into something else. The directory itself is not followed as a
/// link, for the other thread swaps it: a client in its sandbox could not reach the secret either.
fn swap_a_file(what: usize, fifo: usize, dir: &Path, other: &Path) -> rustix::io::Result<()> {
    let open =
        |path| openat(CWD, path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let dir = open(dir)?;
    let rewritten = || unlinkat(&dir, "file", AtFlags::empty());
    match what {
        1 => rewritten().and_then(|()| symlinkat("../trap file", &dir, "file")),
        2 => rewritten().and_then(|()| {
            let file = openat(&dir, "file", OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY, Mode::RUSR)?;
            write(file, b"mine too").map(drop)
        }),
        3 => mkfifoat(&dir, format!("f{fifo}"), Mode::RUSR),
        _ => renameat(&dir, "f3", open(other)?, "f4"),
    }
}
