//! One program for all targets: `BKCTLD_FUZZ_TARGET` says which. `fuzz/run` builds and runs it.
//!
//! What must hold lies beside each parser, in its `properties` module, and not here: there it can see what
//! is private, and `cargo test` holds it against the same corpus.
#![no_main]

use std::sync::OnceLock;

static HOLDS: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("BKCTLD_FUZZ_TARGET").unwrap_or_default();
        let mut all = bkctld_core::fuzzing::PROPERTIES.iter().chain(bkctld_sandbox::fuzzing::PROPERTIES);
        let Some((_, holds)) = all.find(|(known, _)| *known == name) else {
            eprintln!("BKCTLD_FUZZ_TARGET names no target: '{name}'");
            std::process::exit(2);
        };
        let _ = HOLDS.set(*holds);
    },
    |data: &[u8]| {
        if let Some(holds) = HOLDS.get() {
            holds(data);
        }
    }
);
