//! `dnsname` behind `bridge`, and behind whatever else makes an interface: what it tells runtimes,
//! what it writes down, and what it leaves. How names are answered is in `tests/dns`.

mod aliases;
mod check;
mod del;
mod gc;
mod parallel;
mod places;
mod required;
mod result;

use netns_fixtures::{Container, Lab, lab_with_plugins};
use serde_json::{Value, json};

use crate::battery::Family;
use crate::chain::{Attach, Chain};
use crate::under_test::{NETWORK, only_ours, with_keys};
use crate::uplink::bridge;

/// Why nothing of this is compared: the reference set has no such plugin.
const NO_SUCH_PLUGIN: &str = "set has no dnsname";

/// State that is kept for the next call, and no attachment's: cursors of the pool.
const OF_THE_POOL: &[&str] = &["/var/lib/cni/", "/run/cais/deleter"];

/// The plugin as Podman writes it.
fn dnsname() -> Value {
    json!({ "type": "dnsname", "domainName": "dns.podman", "capabilities": { "aliases": true } })
}

/// `bridge` and `dnsname` on `cni1` (network 1), with more keys of the latter.
fn named_with<'lab>(lab: &'lab Lab, family: Family, keys: &Value) -> Chain<'lab> {
    only_ours(lab, NO_SUCH_PLUGIN);
    Chain::new(lab, &[bridge(family, 1), with_keys(dnsname(), keys)])
}

/// The same without more keys.
fn named(lab: &Lab, family: Family) -> Chain<'_> {
    named_with(lab, family, &json!({}))
}

/// `eth0` of a container that publishes nothing.
fn eth0(container: &Container) -> Attach<'_> {
    const NONE: &Value = &Value::Null;
    Attach::new(container, NONE)
}

/// What is written down of `container`, or null.
fn record_of(container: &Container) -> Value {
    let path = format!("/run/cais/dns/{NETWORK}/{}@eth0", container.id());
    std::fs::read(path).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
}

/// ADD of `bridge` and then `dnsname` as `args` and `config` have it; the result.
#[track_caller]
fn add_with(chain: &Chain<'_>, container: &Container, args: &str) -> Value {
    let of = eth0(container);
    let result = chain.call(0, "ADD", of, None).run().result();
    chain.call(1, "ADD", of, Some(&result)).args(args).run().result()
}

#[test]
fn the_example_of_its_page_works() {
    lab_with_plugins(|lab| {
        only_ours(lab, NO_SUCH_PLUGIN);
        let list = include_str!("../../../docs/examples/dnsname.conflist");
        let page = include_str!("../../../docs/plugins/dnsname.md");
        let list = super::example::of_page(list, page);
        let chain = Chain::of_list(lab, &list);
        let c = lab.container("c1");
        let result = chain.add(eth0(&c));
        assert_eq!(result["dns"]["nameservers"], json!(["10.22.0.1", "fd00:22::1"]));
        assert_eq!(result["dns"]["search"], json!(["dns.podman"]));
        assert!(chain.check(eth0(&c)).is_ok());
        chain.del(eth0(&c));
    });
}
