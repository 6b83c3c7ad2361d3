//! Properties of every list of nft.

use super::*;
use crate::firewall::JailRules;
use crate::fuzzing::assert_shown;
use crate::jail::AllowedAddresses;

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(listing) = serde_json::from_slice::<Value>(bytes) else { return };
    let mut wanted = Rules::default();
    compared(&listing, &wanted).iter().for_each(assert_shown);
    let addresses =
        ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::1"].iter().filter_map(|it| it.parse().ok());
    let (Ok(jail), Ok(port)) = ("web".parse(), "2222".parse()) else { return };
    let Some(addresses) = AllowedAddresses::new(addresses) else { return };
    wanted.set(JailRules { jail, port, addresses });
    compared(&listing, &wanted).iter().for_each(assert_shown);
}
