//! Builds a runtime and makes it current.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::RuntimeStore;
use super::programs::{self, Files};
use crate::config::Settings;
use crate::error::{Error, IoContext, Result};
use crate::file;
use crate::lock::Lock;
use crate::program::CHROOT;
use crate::text;

/// The directories that a root file system without merged `/usr` would have beside it.
const BESIDE_USR: [&str; 7] = ["bin", "sbin", "lib", "lib64", "lib32", "libx32", "libo32"];

/// The collection that new sessions get after [`build`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The digest that names the collection.
    pub name: String,
    /// Whether it differs from the previous runtime.
    pub changed: bool,
}

/// Collects the server's programs and libraries and makes the result the current runtime. Running sessions
/// keep theirs. `waiting` is called when another process is building.
pub fn build(settings: &Settings, waiting: impl FnOnce()) -> Result<Built> {
    let store = RuntimeStore::new(settings);
    file::make_private_dir(store.dir(), 0o700)?;
    store.close_to_others()?;
    let _lock = Lock::take(&settings.lock_dir.join("runtime.build"), waiting)?;
    let files = programs::collect(&settings.jail_programs)?;
    let aside = store.dir().join(".building");
    if aside.exists() {
        fs::remove_dir_all(&aside).context("cannot delete", &aside)?;
    }
    let name = fill(&aside, &files)?;
    verify(&aside, &files)?;
    let place = store.dir().join(&name);
    if place.is_dir() {
        fs::remove_dir_all(&aside).context("cannot delete", &aside)?;
    } else {
        let dir = File::open(&aside).context("cannot open", &aside)?;
        rustix::fs::syncfs(&dir).context("cannot sync", &aside)?;
        fs::rename(&aside, &place).context("cannot rename to", &place)?;
    }
    let changed = fs::read_link(store.current()).ok().as_deref() != Some(Path::new(&name));
    if changed {
        let link = store.dir().join(".current");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("cannot delete", &link)?
            }
            _ => symlink(&name, &link).context("cannot make link", &link)?,
        }
        fs::rename(&link, store.current()).context("cannot rename to", store.current())?;
    }
    store.remove_unused(&name)?;
    Ok(Built { name, changed })
}

/// Copies the files and returns the digest of everything that a session could see of them.
fn fill(root: &Path, files: &Files) -> Result<String> {
    let mut digest = Sha256::new();
    for (below, source) in files {
        let target = root.join(below);
        if let Some(dir) = target.parent() {
            make_readable_dirs(root, dir)?;
        }
        let content = fs::read(source).context("cannot read", source)?;
        fs::write(&target, &content).context("cannot write", &target)?;
        // Neither setuid nor writable, whatever the mode of the server's file is.
        fs::set_permissions(&target, Permissions::from_mode(0o755))
            .context("cannot set the mode of", &target)?;
        digest.update(below.as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(&content);
    }
    for name in beside_usr(files) {
        let link = root.join(&name);
        symlink(Path::new("usr").join(&name), &link).context("cannot make link", &link)?;
    }
    Ok(digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Creates the directories below `root`, readable for all regardless of the umask, because the jails' users
/// are unprivileged on the server.
fn make_readable_dirs(root: &Path, dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).context("cannot create directory", dir)?;
    for made in dir.ancestors().take_while(|made| made.starts_with(root)) {
        fs::set_permissions(made, Permissions::from_mode(0o755)).context("cannot set the mode of", made)?;
    }
    Ok(())
}

/// `bin`, `lib64` and the like: those that the collection has below `usr`.
fn beside_usr(files: &Files) -> BTreeSet<String> {
    BESIDE_USR
        .iter()
        .filter(|name| files.keys().any(|path| path.starts_with(Path::new("usr").join(name))))
        .map(|name| (*name).to_owned())
        .collect()
}

/// Lets the loader inside the collection load each program there, so that a runtime that lacks a library
/// never becomes the current one.
fn verify(root: &Path, files: &Files) -> Result<()> {
    let Some(loader) = files.keys().find(|path| is_loader(path)) else {
        return Ok(()); // Every program is static.
    };
    let loader = Path::new("/").join(loader);
    for (program, source) in files.iter().filter(|(path, _)| is_program(path)) {
        // The loader would die of it: there is nothing in it that it could load.
        if programs::is_static(source)? {
            continue;
        }
        let mut chroot = CHROOT.command();
        chroot.arg(root).arg(&loader).arg("--list").arg(Path::new("/").join(program));
        let output = CHROOT.output(chroot.env_clear())?;
        let said = [output.stdout, output.stderr].concat();
        let lacks = said.windows(9).any(|words| words == b"not found");
        if !output.status.success() || lacks {
            let said = text::printable(said.trim_ascii()).into_owned();
            let reason =
                if said.is_empty() { format!("the loader ended with {}", output.status) } else { said };
            let path = text::path(program);
            let program = format_args!("loading {path} in the new runtime");
            return Err(Error::program(program, reason));
        }
    }
    Ok(())
}

fn is_loader(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"ld-") || name.starts_with(b"ld64.") || name.starts_with(b"ld.so")
    })
}

fn is_program(path: &Path) -> bool {
    !path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path) -> Settings {
        let mut settings = Settings::on_partition(&dir.join("backup"));
        settings.data_dir = dir.join("data");
        settings.lock_dir = dir.join("lock");
        settings
    }

    #[test]
    fn a_second_build_of_the_same_packages_changes_nothing_and_a_new_program_does() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        let store = RuntimeStore::new(&settings);
        assert!(!store.is_built());
        let first = build(&settings, || ()).unwrap();
        assert!(first.changed && store.is_built());
        assert_eq!(build(&settings, || ()).unwrap(), Built { changed: false, ..first.clone() });

        // A session uses the first; the second build must keep it, the third finds it unused.
        let in_use = File::open(store.dir().join(&first.name)).unwrap();
        in_use.lock_shared().unwrap();
        settings.jail_programs.push("/usr/bin/env".into());
        let second = build(&settings, || ()).unwrap();
        assert!(second.changed && second.name != first.name);
        assert!(store.dir().join(&first.name).is_dir());
        drop(in_use);
        build(&settings, || ()).unwrap();
        assert!(!store.dir().join(&first.name).exists());
        assert!(store.current().join("usr/bin/env").is_file());
    }

    #[test]
    fn a_runtime_that_lacks_a_library_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = programs::collect(&[]).unwrap();
        files.retain(|path, _| !path.to_string_lossy().contains("libcrypto"));
        fill(dir.path(), &files).unwrap();
        let error = verify(dir.path(), &files).unwrap_err().to_string();
        assert!(error.contains("libcrypto"), "{error}");
    }

    #[test]
    fn what_an_interrupted_build_left_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let store = RuntimeStore::new(&settings);
        fs::create_dir_all(store.dir().join(".building/usr/half")).unwrap();
        build(&settings, || ()).unwrap();
        let names: Vec<_> =
            fs::read_dir(store.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
