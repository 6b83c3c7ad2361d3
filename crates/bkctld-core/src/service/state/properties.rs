//! Properties of every state of a listener.

use super::*;

pub(crate) fn hold(bytes: &[u8]) {
    let Ok(state) = serde_json::from_slice::<ListenerState>(bytes) else { return };
    let again = serde_json::to_vec(&state).ok().and_then(|text| serde_json::from_slice(&text).ok());
    assert_eq!(again, Some(state));
}
