//! The files of an original that was installed from its sources and not as a package: no package replaces
//! them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The paths of its installation instructions. Its programs are found before ours in root's `PATH`; its
/// scripts in the library directory still run the original's code for their callers.
const PROGRAMS: [&str; 2] = ["/usr/local/sbin/bkctld", "/usr/local/bin/bkctld"];
const LIBRARY: &str = "/usr/local/lib/bkctld";

/// The existing paths. The running program itself, or a link to it, is not included.
pub fn left() -> Vec<PathBuf> {
    let file = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let own = file(Path::new("/proc/self/exe"));
    let programs = PROGRAMS.iter().map(Path::new).filter(|path| file(path).is_some_and(|it| Some(it) != own));
    let library = Some(Path::new(LIBRARY)).filter(|path| path.is_dir());
    programs.chain(library).map(Path::to_path_buf).collect()
}
