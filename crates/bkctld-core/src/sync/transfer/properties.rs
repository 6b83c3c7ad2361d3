//! Properties of every output of rsync.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(lines: &[String], names: &[JailName]) {
    let jails: Vec<&JailName> = names.iter().collect();
    for line in lines {
        for tree in [Tree::Jails, Tree::Conf] {
            if let Some((jail, change)) = tree.change(line, &jails) {
                assert!(names.contains(&jail));
                assert_shown(change);
            }
        }
    }
    assert_shown(failed(lines.join("\n").as_bytes()));
}
