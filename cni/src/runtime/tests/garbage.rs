//! Whatever a file holds, loading it ends in a network or an error.

use proptest::prelude::*;

use super::Stage;
use crate::runtime::{Capabilities, NetworkList, PluginConfig, directory};

/// Text that is close to a configuration: the bugs are near the border.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("\"name\""),
        Just("\"n\""),
        Just("\"plugins\""),
        Just("\"type\""),
        Just("\"../x\""),
        Just("\"cniVersion\""),
        Just("\"1.0.0\""),
        Just("\"cniVersions\""),
        Just("null"),
        Just("\"disableGC\""),
        Just("\"capabilities\""),
        Just("\"ipam\""),
        Just("true"),
        Just("\"kind\""),
        Just("\"cniCacheV1\""),
        Just("\"config\""),
        Just("\"e30=\""),
        Just("1e999"),
        Just("-1"),
        Just("\"\\ud800\""),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(":"),
        Just(","),
        Just("\u{feff}"),
        Just("\0"),
        Just("\"é"),
    ];
    let joined = prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes());
    prop_oneof![joined, prop::collection::vec(any::<u8>(), 0..200), mutated()]
}

/// A good list with a few bytes replaced.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    const GOOD: &[u8] = br#"{"cniVersion":"1.1.0","cniVersions":["1.0.0"],"name":"n","disableCheck":"true","plugins":[{"type":"x","capabilities":{"ips":true},"ipam":{"type":"y"}}]}"#;
    prop::collection::vec((0..GOOD.len(), any::<u8>()), 0..4).prop_map(|changes| {
        let mut text = GOOD.to_vec();
        for (at, byte) in changes {
            text[at] = byte;
        }
        text
    })
}

proptest! {
    #[test]
    fn any_text_is_a_list_or_an_error(text in nearly_json()) {
        for list in [NetworkList::parse(&text), NetworkList::parse_single(&text)].into_iter().flatten() {
            prop_assert!(!list.plugins().is_empty());
            for plugin in list.plugins() {
                prop_assert!(!plugin.kind.is_empty());
                let _ = (plugin.capabilities(), plugin.ipam_kind());
            }
        }
        let _ = PluginConfig::parse(&text, None);
        let _ = Capabilities::parse(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_record_is_an_attachment_or_passed_over(text in nearly_json()) {
        let stage = Stage::new();
        stage.scratch.write("cni/results/n-c-eth0", "");
        std::fs::write(&stage.cached()[0], &text).unwrap();
        let runtime = stage.runtime();
        prop_assert!(runtime.cache().attachments().unwrap().len() <= 1);
        let list = super::list("1.0.0", &["x"]);
        let _ = runtime.cache().read(&super::container().attachment(&list));
    }

    #[test]
    fn any_directory_gives_lists_and_errors(texts in prop::collection::vec(nearly_json(), 3)) {
        let stage = Stage::new();
        for (text, name) in texts.iter().zip(["a.conflist", "b.conf", "n/c.conf"]) {
            let file = stage.scratch.write(name, "");
            std::fs::write(file, text).unwrap();
        }
        let dirs = [stage.scratch.path().to_owned()];
        prop_assert_eq!(directory::all(&dirs).unwrap().len(), 2);
        let _ = directory::find(&dirs, &"n".parse().unwrap());
    }
}
