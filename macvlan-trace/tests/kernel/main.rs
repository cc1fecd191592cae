//! Tests on a real kernel: the real binary, the real `ip`.

/// The guest runs what we give it, as root.
#[test]
fn the_guest_runs_tests_as_root() {
    assert!(std::fs::metadata("/proc/self").is_ok());
}
