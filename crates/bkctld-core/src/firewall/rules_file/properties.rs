//! Properties of every rules file.

use super::*;
use crate::fuzzing::assert_shown;
use crate::jail::AllowedAddresses;

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(jail) = "web".parse::<JailName>() else { return };
    let addresses = ["192.0.2.7", "2001:db8::/32"].iter().filter_map(|it| it.parse().ok());
    let (Ok(port), Some(addresses)) = ("2222".parse(), AllowedAddresses::new(addresses)) else { return };
    let rules = JailRules { jail: jail.clone(), port, addresses };
    let mut wanted = Rules::default();
    wanted.set(rules.clone());
    differences(bytes, &wanted).iter().for_each(assert_shown);
    let admit = std::slice::from_ref(&rules);
    let new = edited(bytes, &[], admit);
    assert!(new.ends_with(lines(&rules).as_bytes()));
    assert_eq!(edited(&new, &[], admit), new);
    assert!(differences(&new, &wanted).iter().all(|told| !told.contains("'web'")));
    // All other lines are kept, in order.
    let others = |text: &[u8]| -> Vec<Vec<u8>> {
        let lines =
            text.split_inclusive(|byte| *byte == b'\n').filter(|line| last_word(line) != Some(b"#web"));
        lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec()).collect()
    };
    assert_eq!(others(&edited(&new, &[jail], &[])), others(bytes));
}
