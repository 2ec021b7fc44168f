//! Proof that the sanitizer is on where `tests/tools/sanitizer.sh` says so. Elsewhere there is
//! nothing here: what it does is undefined without one.

#![cfg(sanitized)]

use std::process::Command;

/// Set in the process that this file starts again.
const ROLE: &str = "PENSTOCK_TEST_ROLE";

#[test]
fn a_use_after_free_is_reported() {
    if std::env::var_os(ROLE).is_some() {
        use_after_free();
        return;
    }
    let program = std::env::current_exe().expect("a test is a program");
    let output = Command::new(program)
        .args(["--exact", "a_use_after_free_is_reported", "--nocapture"])
        .env(ROLE, "broken")
        .output()
        .expect("it starts");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a use after free went unseen");
    assert!(report.contains("AddressSanitizer: heap-use-after-free"), "{report}");
}

fn use_after_free() {
    let pointer = Box::into_raw(Box::new([1_u8; 64]));
    #[expect(unsafe_code, reason = "the bug that the sanitizer must see")]
    // SAFETY: freed once; that is sound.
    drop(unsafe { Box::from_raw(pointer) });
    #[expect(unsafe_code, reason = "the bug that the sanitizer must see")]
    // SAFETY: none, on purpose: the process is about to be stopped for it.
    let read = unsafe { pointer.read_volatile() };
    assert_eq!(read[0], 1);
}
