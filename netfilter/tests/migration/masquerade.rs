use kernel::nft::Batch;
use netfilter::reference::masquerade_nft;
use netns_fixtures::{Lab, lab};
use types::{Attachment, Cidr};

use crate::reference::{assert_same, here, key, load, on, ruleset};

/// As the reference's v1.9 leaves it for `mynet/cid1/eth0`, with another attachment beside it.
const REFERENCE: &str = r#"
add table inet cni_plugins_masquerade { comment "Masquerading for plugins from github.com/containernetworking/plugins"; }
add chain inet cni_plugins_masquerade masq_checks { comment "of attachments"; }
add chain inet cni_plugins_masquerade postrouting { type nat hook postrouting priority 100; }
add rule inet cni_plugins_masquerade postrouting ip daddr 224.0.0.0/4 return
add rule inet cni_plugins_masquerade postrouting ip6 daddr ff00::/8 return
add rule inet cni_plugins_masquerade postrouting goto masq_checks
add rule inet cni_plugins_masquerade masq_checks ip saddr 10.1.0.2 ip daddr != 10.1.0.0/24 masquerade comment "d23676b4f2d9fe04-0b65a318f52e521b, net: mynet, if: eth0, id: cid1"
add rule inet cni_plugins_masquerade masq_checks ip6 saddr fd00:1::2 ip6 daddr != fd00:1::/64 masquerade comment "d23676b4f2d9fe04-0b65a318f52e521b, net: mynet, if: eth0, id: cid1"
"#;
const OTHERS: &str = r#"
add rule inet cni_plugins_masquerade masq_checks ip saddr 10.2.0.2 ip daddr != 10.2.0.0/24 masquerade comment "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one"
add rule inet cni_plugins_masquerade masq_checks ip saddr 10.9.0.9 masquerade comment "of an administrator"
"#;

fn ours() -> Attachment {
    on("mynet", "cid1")
}

fn addresses() -> [Cidr; 2] {
    ["10.1.0.2/24", "fd00:1::2/64"].map(|text| text.parse().unwrap())
}

fn write(key: &Attachment) {
    let mut batch = Batch::new();
    masquerade_nft::write(&here(), &mut batch, key, &addresses()).unwrap();
    batch.commit(&here()).unwrap();
}

/// Rules, without the comments of chains, which nobody reads.
fn rules(lab: &Lab) -> String {
    let text = ruleset(lab);
    text.lines().filter(|line| !line.starts_with("\t\tcomment")).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_attachment_takes_its_rules_along_and_leaves_those_of_others() {
    lab(|lab| {
        load(lab, REFERENCE);
        load(lab, OTHERS);
        let all = ruleset(lab);
        masquerade_nft::remove(&here(), &key("cid1")).unwrap();
        assert_same("another network's attachment took nothing", &all, &ruleset(lab));
        masquerade_nft::remove(&here(), &ours()).unwrap();
        let left = ruleset(lab);
        let without: Vec<&str> = all.lines().filter(|line| !line.contains("mynet")).collect();
        assert_eq!(all.lines().count() - without.len(), 2);
        assert_same("the rest stays", &without.join("\n"), &left);
        masquerade_nft::remove(&here(), &ours()).unwrap();
        assert_same("a second time", &left, &ruleset(lab));
    });
}

#[test]
fn removing_and_sweeping_make_nothing_on_a_host_without_the_table() {
    lab(|lab| {
        masquerade_nft::remove(&here(), &ours()).unwrap();
        masquerade_nft::sweep(&here(), &ours().network, &[]).unwrap();
        masquerade_nft::remove_table_if_unused(&here()).unwrap();
        assert_eq!(ruleset(lab), "");
    });
}

#[test]
fn the_rules_of_the_reference_count_as_masquerade_of_their_addresses() {
    lab(|lab| {
        let is_present =
            |ip: &str| masquerade_nft::is_present(&here(), &ours(), ip.parse().unwrap()).unwrap();
        assert!(!is_present("10.1.0.2"), "without a table");
        load(lab, REFERENCE);
        load(lab, OTHERS);
        assert!(is_present("10.1.0.2"));
        assert!(is_present("fd00:1::2"));
        assert!(!is_present("10.1.0.3"));
        assert!(!is_present("10.2.0.2"), "another attachment's");
    });
}

#[test]
fn a_sweep_takes_the_dead_of_its_network_alone() {
    lab(|lab| {
        load(lab, REFERENCE);
        load(lab, OTHERS);
        let all = ruleset(lab);
        let valid = |container: &str, ifname: Option<&str>| cni::GcAttachment {
            container: container.parse().unwrap(),
            ifname: ifname.map(|name| name.parse().unwrap()),
        };
        let sweep = |network: &str, valid: &[cni::GcAttachment]| {
            masquerade_nft::sweep(&here(), &network.parse().unwrap(), valid).unwrap();
        };
        sweep("mynet", &[valid("cid1", Some("eth0"))]);
        sweep("mynet", &[valid("other", None), valid("cid1", None)]);
        sweep("third", &[]);
        assert_same("the living stay", &all, &ruleset(lab));
        sweep("mynet", &[valid("cid1", Some("eth1")), valid("cid2", None)]);
        let left = ruleset(lab);
        assert!(!left.contains("mynet"), "{left}");
        assert!(left.contains("unit-test") && left.contains("of an administrator"), "{left}");
    });
}

#[test]
fn what_is_written_reads_as_what_the_reference_writes() {
    lab(|lab| {
        load(lab, REFERENCE);
        let reference = rules(lab);
        lab.host().run("nft flush ruleset");
        write(&ours());
        assert_same("reference, ours", &reference, &rules(lab));
        write(&ours());
        assert_same("a second time", &reference, &rules(lab));
        load(lab, REFERENCE);
    });
}

#[test]
fn the_table_goes_when_asked_to_and_only_without_rules_of_attachments() {
    lab(|lab| {
        load(lab, REFERENCE);
        let all = ruleset(lab);
        masquerade_nft::remove_table_if_unused(&here()).unwrap();
        assert_same("with rules", &all, &ruleset(lab));
        masquerade_nft::remove(&here(), &ours()).unwrap();
        assert!(ruleset(lab).contains("masq_checks"), "not asked to");
        masquerade_nft::remove_table_if_unused(&here()).unwrap();
        assert_eq!(ruleset(lab), "");
    });
}
