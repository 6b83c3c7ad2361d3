//! Properties of every address.

use super::*;
use crate::fuzzing::assert_shown;

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut list = AllowedAddresses::everyone();
    for line in text.lines() {
        of_address(line);
        match line.parse::<AddressChange>() {
            Err(error) => assert_shown(error),
            Ok(change) => match list.changed(change) {
                Err(error) => assert_shown(error),
                Ok(changed) => list = changed,
            },
        }
        assert!(list.iter().next().is_some(), "nobody may connect");
        assert!(list.is_everyone() || list.iter().all(|address| !address.is_everyone()));
    }
    let shown = list.to_string();
    assert_shown(&shown);
    let again = AllowedAddresses::new(shown.split(',').filter_map(|address| address.parse().ok()));
    assert_eq!(again, Some(list));
}

fn of_address(text: &str) {
    let address = match text.parse::<AllowedAddress>() {
        Ok(address) => address,
        Err(error) => return assert_shown(error),
    };
    assert_eq!(address.to_string().parse::<AllowedAddress>().ok(), Some(address));
    assert!(address.contains(address.network().addr()));
    assert_eq!(address.network().trunc(), address.network());
}
