//! Files that people write, read by the command.

use std::fs;

use netns_fixtures::{Lab, lab_with_plugins};

use crate::under_test::only_ours;

const FILE: &str = "/run/bad.conflist";

/// A list with a plugin that has many keys.
const LIST: &str = r#"{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"bridge","mtu":1400,
"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/24"}]]}},{"type":"none"}]}"#;

#[test]
fn a_list_torn_or_mangled_at_any_byte_is_judged_in_words_and_never_panics() {
    lab_with_plugins(|lab| {
        only_ours(lab, "has no such command");
        fs::write(FILE, LIST).unwrap();
        assert_eq!(validate(lab), "", "the list is right as it is");
        for at in 0..LIST.len() {
            let (before, after) = LIST.as_bytes().split_at(at);
            judged(lab, &format!("torn at {at}"), before);
            for byte in [b'"', 0xff] {
                let mangled = [before, &[byte], &after[1..]].concat();
                fs::write(FILE, mangled).unwrap();
                let said = validate(lab);
                assert!(!said.contains("panicked"), "byte {byte:#x} at {at}: {said}");
            }
        }
    });
}

/// Claims that the file with this content is refused, and that its place is named.
fn judged(lab: &Lab, what: &str, content: &[u8]) {
    fs::write(FILE, content).unwrap();
    let said = validate(lab);
    assert!(said.starts_with(&format!("{FILE}:")), "{what}: {said}");
    assert!(said.contains("error: ") && !said.contains("panicked"), "{what}: {said}");
}

/// What `cais validate` says, nothing when the file is right.
fn validate(lab: &Lab) -> String {
    let command = lab.plugins().join("cais");
    let path = lab.plugins();
    let call = format!("env CNI_PATH={} {} validate {FILE}", path.display(), command.display());
    let done = lab.host().try_run(&call);
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    match done.status.code() {
        Some(0) => String::new(),
        Some(1) => said.into_owned(),
        _ => panic!("{}: {said}", done.status),
    }
}
