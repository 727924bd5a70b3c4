//! Standard input as a whole.

use super::judge::Bench;
use crate::battery::USUAL;
use crate::under_test::{least_config, only_ours};

/// More than a configuration may have, in bytes.
const HUGE: usize = 17 << 20;

every_plugin! {
    fn what_is_no_document_is_refused_in_every_verb(lab, plugin) {
        only_ours(lab, "has other verbs");
        let bench = Bench::new(lab, plugin, USUAL);
        let whole = least_config(plugin, USUAL).to_string().into_bytes();
        for verb in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
            for (what, text) in odd_documents(&whole) {
                let call = bench.call().verb(verb).stdin(text);
                bench.try_one(&format!("{verb} with {what}"), &call, |answer| {
                    answer
                        .refused_naming(&["error unmarshall network config"])
                        .and_then(|()| answer.with_code(&[6]))
                });
            }
        }
        bench.assert_clean("documents");
        bench.finish();
    }

    fn a_document_torn_at_any_byte_is_refused(lab, plugin) {
        only_ours(lab, "is judged elsewhere");
        let bench = Bench::new(lab, plugin, USUAL);
        let whole = least_config(plugin, USUAL).to_string().into_bytes();
        for end in 0..whole.len() {
            let call = bench.call().verb("ADD").stdin(&whole[..end]);
            bench.try_one(&format!("the first {end} bytes"), &call, |answer| {
                // What lacks its end is said with the place of it, if there is a line at all.
                answer.refused_naming(&["line 1 column"]).and_then(|()| answer.with_code(&[6]))
            });
        }
        bench.assert_clean("torn documents");
        bench.finish();
    }

    fn version_looks_at_nothing(lab, plugin) {
        only_ours(lab, "is judged elsewhere");
        let bench = Bench::new(lab, plugin, USUAL);
        for text in ["", "{", "\u{feff}", "[[[["] {
            let call = bench.call().verb("VERSION").stdin(text).env("CNI_CONTAINERID", "../..");
            let call = call.env("CNI_IFNAME", "a/b").env("CNI_PATH", "").env("CNI_NETNS", "");
            let versions = call.run().result();
            assert_eq!(versions["cniVersion"], "1.1.0", "{versions}");
        }
        bench.assert_clean("VERSION");
    }
}

fn odd_documents(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let around = |before: &[u8], after: &[u8]| [before, whole, after].concat();
    let padding = vec![b' '; HUGE];
    let utf16 = whole.iter().flat_map(|&byte| [byte, 0]).collect();
    vec![
        ("nothing", Vec::new()),
        ("blanks", b" \n\t ".to_vec()),
        ("a byte order mark", around(b"\xef\xbb\xbf", b"")),
        ("a comment", around(b"// hosts\n", b"")),
        ("data after it", around(b"", b" x")),
        ("two documents", around(b"", whole)),
        ("two documents on two lines", around(b"", &[b"\n", whole].concat())),
        ("a NUL after it", around(b"", b"\0")),
        ("UTF-16", utf16),
        ("a list around it", around(b"[", b"]")),
        ("a string around it", b"\"{}\"".to_vec()),
        ("a number", b"1".to_vec()),
        ("17 MiB of blanks after it", around(b"", &padding)),
        ("17 MiB of brackets", vec![b'['; HUGE]),
        ("17 MiB of zeros", vec![0; HUGE]),
        ("17 MiB of a string", [b"{\"name\":\"".as_slice(), &vec![b'x'; HUGE]].concat()),
    ]
}
