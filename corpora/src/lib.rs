//! Parsers of what comes from outside, each as a function of bytes that must not panic.
//!
//! The workspace in `fuzz/` feeds them with generated input; `cargo test` feeds them with the
//! inputs kept in `fuzz/corpus/`, a folder for each. So an input that once broke something is
//! tried again by everybody, without a nightly compiler:
//!
//! ```
//! for (name, target) in corpora::TARGETS {
//!     target(b"");
//!     println!("{name} bears nothing at all");
//! }
//! ```
//!
//! Beside not to panic, some promise more: what was read and written is read again as the same.
//! Nothing here touches a namespace; files are made in a directory that goes with the process.

mod config;
mod conflist;
mod delegate;
mod directory;
mod dns;
mod leases;
mod record;
mod request;
mod result;
mod scratch;
mod table;
mod text;

/// A function that bears any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the name of their folder in `fuzz/corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("config", config::target),
    ("conflist", conflist::target),
    ("dbus_reply", firewalld::fuzzing::stream),
    ("delegate", delegate::target),
    ("dhcp_entry", dhcp::fuzzing::entry),
    ("dhcp_frame", dhcp::fuzzing::frame),
    ("dhcp_request", dhcp::fuzzing::request),
    ("dns_control", names::fuzzing::message),
    ("dns_link", resolver::fuzzing::link),
    ("dns_query", dns::query),
    ("dns_reply", dns::reply),
    ("iptables_save", netfilter::fuzzing::iptables_save),
    ("lease_directory", directory::target),
    ("lease_table", table::target),
    ("netlink_reply", kernel::fuzzing::reply),
    ("overlay_record", overlay_agent::store::fuzzing::record),
    ("peers", peers::fuzzing::file),
    ("proxy_message", proxy::fuzzing::message),
    ("record", record::target),
    ("request", request::target),
    ("resolv_conf", resolver::fuzzing::resolv_conf),
    ("result", result::target),
    ("text", text::target),
];

/// Feeds `data` to the target `name`.
///
/// # Panics
/// When there is no such target, and when the target has a bug.
pub fn feed(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(data);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::PathBuf;

    use super::{TARGETS, feed};

    fn fuzz() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "..", "fuzz"].iter().collect()
    }

    /// Names of what is in a folder of `fuzz/`, without endings.
    fn names(folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz().join(folder)).unwrap();
        let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        entries.map(|entry| name(entry.unwrap().path())).collect()
    }

    #[test]
    fn every_target_has_its_program_and_its_corpus() {
        let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("fuzz_targets"), known);
        assert_eq!(names("corpus"), known);
    }

    #[test]
    fn no_input_of_the_corpora_breaks_anything() {
        let mut inputs = 0;
        for (name, _) in TARGETS {
            for entry in fs::read_dir(fuzz().join("corpus").join(name)).unwrap() {
                let path = entry.unwrap().path();
                let data = fs::read(&path).unwrap();
                let fed = catch_unwind(AssertUnwindSafe(|| feed(name, &data)));
                assert!(fed.is_ok(), "{} breaks {name}", path.display());
                inputs += 1;
            }
        }
        assert!(inputs > TARGETS.len(), "only {inputs} inputs: are the corpora there?");
    }
}
