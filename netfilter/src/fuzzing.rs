//! The one door for fuzzers: everything that reads what a program printed.

/// Reads `printed` as what `iptables-save` prints, and plans removals from it. Must not panic, and
/// must not plan to delete what was not printed, whatever it holds.
pub fn iptables_save(printed: &[u8]) {
    crate::reference::legacy::fuzzing::removals(&String::from_utf8_lossy(printed));
}
