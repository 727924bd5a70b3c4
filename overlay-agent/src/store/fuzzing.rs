//! The one door for fuzzers: records as anybody may have written them.

use super::cache::{Cache, Listing, Loss};
use super::etcd::{Change, Entry};
use super::keys::{Key, Keys};
use super::records::{self, Index, Named};

/// Reads `bytes` as a record: its key up to the first line break, then its value. Must not panic,
/// whatever they hold.
///
/// # Panics
/// When what was read and is written again is read as something else.
pub fn record(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let value = bytes.get(end + 1..).unwrap_or_default();
    let Ok(key) = std::str::from_utf8(&bytes[..end]) else { return };
    let keys = Keys::default();
    let entry =
        Entry { key: key.to_owned(), value: value.to_vec(), created: 1, modified: 1, lease: 0 };
    let mut cache = Cache::new(keys.clone());
    cache.apply(Change::Put(entry.clone()));
    let told = |cache: &Cache| (cache.view(), cache.names(), cache.config());
    let before = told(&cache);
    let mut again = Cache::new(keys.clone());
    again.restore(cache.snapshot().as_bytes());
    // What is no text is no record either, and left out.
    if std::str::from_utf8(value).is_ok() {
        assert_eq!(told(&again), before, "a snapshot shows something else");
    }
    // Neither a listing without it nor one with it may trip over it.
    for (prefix, entries) in [(keys.hosts(), vec![]), (keys.index(), vec![entry.clone()])] {
        cache.relist(vec![Listing { prefix, entries }], 2, Loss::Suspected);
    }
    rewrite(&keys, &entry);
}

fn rewrite(keys: &Keys, entry: &Entry) {
    let value = &entry.value;
    match keys.parse(&entry.key) {
        Some(Key::Net(name)) => {
            if let Ok(network) = records::network(&name, value) {
                let again = records::network(&name, &records::network_value(&network));
                assert_eq!(again, Ok(network));
            }
        }
        Some(Key::Index) => {
            if let Ok(index) = Index::parse(value) {
                for name in index.nets.keys() {
                    let without = Index::without(value, name).expect("it was read before");
                    let without = Index::parse(&without).expect("one entry less spoils nothing");
                    assert_eq!(without.nets.len() + 1, index.nets.len());
                }
            }
        }
        Some(Key::Name(..)) => {
            if let Ok(named) = Named::parse(value) {
                assert_eq!(Named::parse(&named.value()), Ok(named));
            }
        }
        Some(Key::Block(_, cidr)) if records::block(cidr, value, 1).is_ok() => {
            let released = records::released(value, 7).expect("it was read before");
            let (_, until) = records::block(cidr, &released, 1).expect("it is a block still");
            assert_eq!(until, Some(7));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_of_one_kind_below_the_key_of_another_are_borne() {
        let kinds = [
            "config",
            "netindex",
            "nets/a",
            "hosts/a",
            "alive/a",
            "blocks/a/10.0.0.0-24",
            "names/a/b/c",
        ];
        let values = [
            "",
            "{}",
            "{\"v\":1}",
            "[1]",
            "{\"v\":1,\"nets\":{\"a\":{\"vni\":0,\"pools\":[]}}}",
            "{\"v\":1,\"nets\":{\"a\":{\"vni\":7,\"pools\":[\"10.0.0.0/8\"]}}}",
            "{\"v\":1,\"host\":\"a\",\"mac\":\"02:00:00:00:00:01\",\"state\":\"active\"}",
            "{\"v\":1,\"names\":[\"a\"],\"ips\":[\"10.0.0.1\"]}",
            "{\"v\":1,\"name\":\"a\",\"vni\":7,\"pools\":[\"10.0.0.0/8\",\"::/0\"],\"blockLen4\":24,\
             \"blockLen6\":126,\"port\":1,\"masq\":true,\"mtu\":4294967295}",
        ];
        for kind in kinds {
            for value in values {
                super::record(format!("/overlay/v1/{kind}\n{value}").as_bytes());
            }
        }
    }
}
