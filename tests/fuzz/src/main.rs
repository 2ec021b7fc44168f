//! One program for all targets: libFuzzer's command line, and `PENSTOCK_FUZZ_TARGET` names the one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use penstock_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PENSTOCK_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("PENSTOCK_FUZZ_TARGET={name} is no target"))
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.check)(bytes);
});
