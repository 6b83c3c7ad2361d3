//! What an original leaves that was installed from its sources and not as a package: no package replaces it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where its instructions put it. The programs come before ours in root's `PATH`; the scripts of the library go on
/// running the original's code for whatever calls them.
const PROGRAMS: [&str; 2] = ["/usr/local/sbin/bkctld", "/usr/local/bin/bkctld"];
const LIBRARY: &str = "/usr/local/lib/bkctld";

/// What is there of it. The program that runs, or a link to it, is none of it.
pub fn left() -> Vec<PathBuf> {
    let file = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let own = file(Path::new("/proc/self/exe"));
    let programs = PROGRAMS.iter().map(Path::new).filter(|path| file(path).is_some_and(|it| Some(it) != own));
    let library = Some(Path::new(LIBRARY)).filter(|path| path.is_dir());
    programs.chain(library).map(Path::to_path_buf).collect()
}
