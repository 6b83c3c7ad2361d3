//! Properties of every text of assignments.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let env = |name: &str| (name == "HOME").then(|| "/root".to_owned());
    let script = match parse(bytes, &env) {
        Ok(script) => script,
        Err(fault) => {
            assert!(fault.line >= 1 && fault.line <= 1 + bytes.iter().filter(|byte| **byte == b'\n').count());
            return assert_shown(fault.reason);
        }
    };
    let values: usize = script.assignments.iter().map(|assignment| assignment.value.len()).sum();
    assert!(values <= bytes.len() + MAX_EXPANDED, "{values} bytes out of {}", bytes.len());
    assert!(script.assignments.windows(2).all(|pair| pair[0].line <= pair[1].line));
    let quoted: Vec<u8> = script.assignments.iter().flat_map(quoted).collect();
    let same = |script: &Script| -> Vec<(String, Vec<u8>)> {
        script.assignments.iter().map(|one| (one.name.clone(), one.value.clone())).collect()
    };
    let again = parse(&quoted, &|_| None).map(|again| same(&again));
    assert_eq!(again, Ok(same(&script)));
}

/// The assignment as a line without references.
fn quoted(assignment: &Assignment) -> Vec<u8> {
    let mut line = format!("{}='", assignment.name).into_bytes();
    for byte in &assignment.value {
        match byte {
            b'\'' => line.extend_from_slice(b"'\\''"),
            byte => line.push(*byte),
        }
    }
    line.extend_from_slice(b"'\n");
    line
}
