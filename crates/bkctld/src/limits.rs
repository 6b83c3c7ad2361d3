//! The limit of open files. It applies to the whole process, which walks several trees at once; each walk
//! keeps directories open, and the usual 1024 can be too few for all of them together.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Far more than the walks need. Without a limit, some programs would close every possible descriptor.
const ENOUGH: u64 = 65_536;

/// The soft limit to set; none if the present one suffices.
fn raised(limit: &Rlimit) -> Option<u64> {
    let wanted = limit.maximum.map_or(ENOUGH, |hard| hard.min(ENOUGH));
    limit.current.is_some_and(|soft| soft < wanted).then_some(wanted)
}

/// The descriptors that the walk of one tree takes at the very most, however deep that is.
const OF_ONE_WALK: u64 = 512;

/// Raises the limit as far as the administrator's hard limit allows, and says how many trees may then be walked
/// at once, taking turns. As many as there are descriptors for: of those that wait for others to end, a few
/// nasty ones would decide how long. Called by commands that walk trees only: those that start listeners
/// would hand the limit on to sessions.
pub fn room_for_trees() -> usize {
    raise();
    let files = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH).min(ENOUGH);
    usize::try_from(files / OF_ONE_WALK).unwrap_or(usize::MAX).max(1)
}

fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if let Some(current) = raised(&limit) {
        // If this is refused, a walk that runs out of descriptors reports it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_allowed_and_never_lowered() {
        for (current, maximum, expected) in [
            (Some(1024), Some(4096), Some(4096)),
            (Some(1024), Some(524_288), Some(ENOUGH)),
            (Some(1024), None, Some(ENOUGH)),
            (Some(1024), Some(1024), None),
            (Some(100_000), Some(524_288), None),
            (None, None, None),
        ] {
            assert_eq!(raised(&Rlimit { current, maximum }), expected, "{current:?} {maximum:?}");
        }
    }
}
