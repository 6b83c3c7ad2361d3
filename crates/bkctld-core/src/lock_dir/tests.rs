use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_is_made_for_root_alone_and_found_again() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("a/b");
    assert!(open(&dir).unwrap().is_none());
    open_or_make(&dir).unwrap();
    assert_eq!((mode(&top.path().join("a")), mode(&dir)), (0o755, 0o700));
    assert!(open(&dir).unwrap().is_some());
}

#[test]
fn what_others_may_write_to_is_refused_and_named() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("a/b");
    open_or_make(&dir).unwrap();
    for (place, modes) in [("a", [0o775, 0o777, 0o757]), ("a/b", [0o770, 0o1777, 0o702])] {
        let place = top.path().join(place);
        let before = mode(&place);
        for mode in modes {
            set_mode(&place, mode);
            let error = open_or_make(&dir).unwrap_err().to_string();
            let named = format!("{} may be written to by others (mend that", place.display());
            assert!(error.contains(&named) && error.contains("LOCKDIR"), "{error}");
        }
        set_mode(&place, before);
    }
    // As in /tmp: others cannot touch what is root's in there.
    set_mode(&top.path().join("a"), 0o1777);
    assert!(!anyone_could_make(&top.path().join("a")) && anyone_could_make(&dir));
    open_or_make(&dir).unwrap();
}

#[test]
fn a_link_is_followed_only_where_nobody_else_could_have_made_it() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    fs::create_dir_all(at("real/deep")).unwrap();
    fs::create_dir(at("shared")).unwrap();
    symlink("real/./deep/..", at("link")).unwrap();
    symlink(at("real"), at("absolute")).unwrap();
    open_or_make(&at("link/locks")).unwrap();
    assert!(at("real/locks").is_dir() && open(&at("absolute/locks")).unwrap().is_some());
    symlink("../real", at("shared/link")).unwrap();
    open(&at("shared/link")).unwrap().unwrap();
    set_mode(&at("shared"), 0o1777);
    let error = open_or_make(&at("shared/link")).unwrap_err().to_string();
    assert!(error.contains("shared/link is a link that others could have made"), "{error}");
    symlink("loop", at("loop")).unwrap();
    assert!(open(&at("loop")).is_err());
    fs::write(at("file"), "").unwrap();
    assert!(open(&at("file")).unwrap_err().to_string().contains("file is not a directory"));
}

#[test]
fn the_earlier_place_is_kept_until_the_new_one_is_there() {
    let top = tempfile::tempdir().unwrap();
    let (place, earlier) = (top.path().join("new"), top.path().join("lock/earlier"));
    let usual = || usual_of(&place, &earlier);
    fs::create_dir(top.path().join("lock")).unwrap();
    set_mode(&top.path().join("lock"), 0o1777);
    assert_eq!(usual(), place);
    fs::create_dir(&earlier).unwrap();
    assert_eq!(usual(), earlier);
    set_mode(&earlier, 0o777);
    assert_eq!(usual(), place, "others may write there");
    fs::remove_dir(&earlier).unwrap();
    symlink("..", &earlier).unwrap();
    assert_eq!(usual(), place, "a link that anyone could have made");
    fs::remove_file(&earlier).unwrap();
    fs::create_dir(&earlier).unwrap();
    open_or_make(&place).unwrap();
    assert_eq!(usual(), place);
}
