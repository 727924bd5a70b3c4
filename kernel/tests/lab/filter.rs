//! nf_tables, judged by nft(8).

use std::process::Command;

use kernel::netlink::Socket;
use kernel::nft::{
    self, BaseChain, Batch, Ct, Element, Field, Hook, Key, Kind, Meta, Missing, Op, Payload, Reg,
    Rule, Set, Table, Values, Verdict,
};

use crate::isolation::isolated;

const TABLE: Table = Table::inet("demo");
const HOSTS: Set = Set::new("hosts", &[Field::Ipv4]);
const PORTS: Set =
    Set::map("ports", &[Field::L4Proto, Field::Port], Values::Fields(&[Field::Ipv4, Field::Port]));
const RANGES: Set =
    Set::map("ranges", &[Field::L4Proto, Field::Port], Values::Fields(&[Field::Ipv4])).of_ranges();
const PAIRS: Set = Set::new("pairs", &[Field::Ipv4, Field::Ipv4]).of_ranges();
const LINKS: Set = Set::map("links", &[Field::IfName], Values::Verdict);
const NEIGHBOURS: Set = Set::new("neighbours", &[Field::IfName, Field::IfName]);

fn here() -> Socket {
    Socket::open_netfilter("the test's namespace").unwrap()
}

fn listed(what: &str) -> String {
    let arguments = format!("list {what}");
    let done = Command::new("nft").args(arguments.split(' ')).output().unwrap();
    assert!(done.status.success(), "nft {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn base() -> Batch {
    let mut batch = Batch::new();
    batch.add_table(&TABLE, "of a test");
    for set in [&HOSTS, &PORTS, &RANGES, &PAIRS, &LINKS, &NEIGHBOURS] {
        batch.add_set(&TABLE, set);
    }
    batch
}

fn port(number: u16, to: [u8; 4]) -> Element {
    Element::new(Key::new().l4proto(6).port(number))
        .value(Key::new().v4(to.into()).port(80))
        .comment("web/c1/eth0")
}

#[track_caller]
fn assert_says(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

#[test]
fn nft_reads_sets_and_elements_as_they_were_meant() {
    isolated(|| {
        let mut batch = base();
        batch.add_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 2]));
        let v4 = |last| Key::new().v4([10, 1, 0, last].into());
        batch.add_element(&TABLE, &HOSTS, &Element::new(v4(2)).comment("c1"));
        let key = |number| Key::new().l4proto(17).port(number);
        let range = Element::new(key(5000)).to(key(5999)).value(v4(2)).comment("c1");
        batch.add_element(&TABLE, &RANGES, &range);
        let pair = |last| v4(last).v4([10, 1, 0, last].into());
        batch.add_element(&TABLE, &PAIRS, &Element::new(pair(0)).to(pair(255)));
        let cni0 = "cni0".parse().unwrap();
        let link = Element::new(Key::new().ifname(&cni0)).verdict(Verdict::Drop);
        batch.add_element(&TABLE, &LINKS, &link);
        batch.add_element(
            &TABLE,
            &NEIGHBOURS,
            &Element::new(Key::new().ifname(&cni0).ifname(&cni0)),
        );
        batch.commit(&here()).unwrap();

        let text = listed("table inet demo");
        assert_says(
            &text,
            &[
                "comment \"of a test\"",
                "type inet_proto . inet_service : ipv4_addr . inet_service",
                "tcp . 8080 comment \"web/c1/eth0\" : 10.1.0.2 . 80",
                "elements = { 10.1.0.2 comment \"c1\" }",
                "udp . 5000-5999 comment \"c1\" : 10.1.0.2",
                "10.1.0.0/24 . 10.1.0.0/24",
                "\"cni0\" : drop",
                "\"cni0\" . \"cni0\"",
            ],
        );
    });
}

#[test]
fn nft_reads_chains_and_rules_as_they_were_meant() {
    isolated(|| {
        let mut batch = base();
        let nat = |hook, priority| BaseChain { kind: Kind::Nat, hook, priority };
        batch.add_base_chain(&TABLE, "pre", nat(Hook::Prerouting, -101));
        batch.add_base_chain(&TABLE, "post", nat(Hook::Postrouting, 99));
        let forward = BaseChain { kind: Kind::Filter, hook: Hook::Forward, priority: 0 };
        batch.add_base_chain(&TABLE, "fwd_base", forward);
        batch.add_chain(&TABLE, "lookup");
        let v4 = libc_nfproto_v4();
        batch.add_rule(
            &TABLE,
            "pre",
            &Rule::new().to_local().verdict(&Verdict::Goto("lookup".into())),
        );
        let dnat = Rule::new()
            .nfproto(v4)
            .load_meta(Meta::L4Proto, Reg::FIRST)
            .load(Payload::DPORT, Reg::word(1))
            .map(&PORTS)
            .dnat(v4, Some(Reg::word(1)))
            .comment("all ports");
        batch.add_rule(&TABLE, "lookup", &dnat);
        let pair = Rule::new()
            .ct_bits(Ct::Status, Ct::STATUS_DNAT)
            .nfproto(v4)
            .load(Payload::IP_SADDR, Reg::FIRST)
            .load(Payload::IP_DADDR, Reg::word(1))
            .in_set(&PAIRS)
            .masquerade();
        batch.add_rule(&TABLE, "post", &pair);
        batch.add_rule(
            &TABLE,
            "fwd_base",
            &Rule::new().load_meta(Meta::OifName, Reg::FIRST).vmap(&LINKS),
        );
        let last = Rule::new()
            .ifname(Meta::IifName, Op::Ne, "veth*")
            .l4proto(Op::Eq, 6)
            .counter()
            .verdict(&Verdict::Drop);
        batch.add_rule(&TABLE, "fwd_base", &last);
        batch.commit(&here()).unwrap();

        assert_says(
            &listed("table inet demo"),
            &[
                "type nat hook prerouting priority dstnat - 1; policy accept;",
                "fib daddr type local goto lookup",
                "dnat ip to meta l4proto . th dport map @ports comment \"all ports\"",
                "ct status dnat ip saddr . ip daddr @pairs masquerade",
                "oifname vmap @links",
                "iifname != \"veth*\" meta l4proto tcp counter packets 0 bytes 0 drop",
            ],
        );
        let socket = here();
        let names: Vec<_> =
            nft::chains(&socket, &TABLE).unwrap().into_iter().map(|chain| chain.name).collect();
        assert_eq!(names, ["pre", "post", "fwd_base", "lookup"]);
        let rules = nft::rules(&socket, &TABLE, "pre").unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].target.as_deref(), Some("lookup"));
        let rules = nft::rules(&socket, &TABLE, "lookup").unwrap();
        assert_eq!(rules[0].comment.as_deref(), Some("all ports"));
        let mut batch = Batch::new();
        batch.del_rule(&TABLE, "lookup", rules[0].handle);
        batch.commit(&socket).unwrap();
        assert!(!listed("chain inet demo lookup").contains("dnat"));
    });
}

fn libc_nfproto_v4() -> u8 {
    2
}

#[test]
fn one_refused_element_leaves_nothing_of_its_batch_and_is_named() {
    isolated(|| {
        let socket = here();
        let mut batch = base();
        batch.add_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 2]));
        batch.commit(&socket).unwrap();
        let mut again = Batch::new();
        again.add_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 2]));
        again.commit(&socket).unwrap();

        let before = listed("ruleset");
        let mut batch = Batch::new();
        batch.add_element(&TABLE, &PORTS, &port(8081, [10, 1, 0, 3]));
        batch.add_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 3]));
        let error = batch.commit(&socket).unwrap_err();
        assert!(error.is_exists(), "{error}");
        let text = error.to_string();
        assert_says(
            &text,
            &["add element tcp . 8080 of map ports of table inet demo (web/c1/eth0)"],
        );
        assert_eq!(listed("ruleset"), before);
    });
}

#[test]
fn deletions_of_what_is_not_there_are_skipped_on_request_and_the_others_are_made() {
    isolated(|| {
        let socket = here();
        let mut batch = base();
        batch.add_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 2]));
        batch.commit(&socket).unwrap();
        let mut gone = Batch::new();
        gone.del_element(&TABLE, &PORTS, &port(8081, [10, 1, 0, 2]));
        gone.del_element(&TABLE, &PORTS, &port(8080, [10, 1, 0, 2]));
        gone.del_element(&TABLE, &PORTS, &port(8082, [10, 1, 0, 2]));
        assert!(gone.commit(&socket).unwrap_err().is_missing());
        assert!(listed("map inet demo ports").contains("8080"));
        gone.commit_skipping_missing(&socket).unwrap();
        assert!(!listed("map inet demo ports").contains("8080"));

        let mut table = Batch::new();
        table.del_table(&TABLE);
        table.commit(&socket).unwrap();
        gone.commit_skipping_missing(&socket).unwrap();
        assert!(!nft::has_table(&socket, &TABLE).unwrap());
        assert_eq!(nft::elements(&socket, &TABLE, &PORTS).unwrap(), []);
    });
}

#[test]
fn single_elements_are_found_by_key_and_many_by_their_comment() {
    isolated(|| {
        let socket = here();
        base().commit(&socket).unwrap();
        let many: Vec<Element> = (1..=5000)
            .map(|number| {
                let to = Key::new().v4([10, 1, (number >> 8) as u8, number as u8].into()).port(80);
                let whose = if number % 1000 == 0 { "mine" } else { "other" };
                Element::new(Key::new().l4proto(6).port(number)).value(to).comment(whose)
            })
            .collect();
        let mut batch = Batch::new();
        batch.add_elements(&TABLE, &PORTS, &many);
        let range = |first, last| {
            let key = |number| Key::new().l4proto(6).port(number);
            Element::new(key(first)).to(key(last)).value(Key::new().v4([10, 1, 0, 9].into()))
        };
        batch.add_element(&TABLE, &RANGES, &range(30_000, 39_999).comment("ranged"));
        batch.commit(&socket).unwrap();

        let key = |number| Key::new().l4proto(6).port(number);
        let (there, inside, not) = (key(4000), key(35_000), key(6000));
        let wanted = [(&PORTS, &there), (&RANGES, &inside), (&PORTS, &not), (&RANGES, &not)];
        let found = nft::element(&socket, &TABLE, &wanted).unwrap();
        assert_eq!(found[0].as_ref().unwrap().comment.as_deref(), Some("mine"));
        assert_eq!(found[1].as_ref().unwrap().comment.as_deref(), Some("ranged"));
        assert!(key(30_000).is(&found[1].as_ref().unwrap().key));
        assert_eq!(found[2..], [None, None]);

        let mine = nft::find_elements(&socket, &TABLE, &PORTS, |text| text == "mine").unwrap();
        assert_eq!(mine.len(), 5);
        assert_eq!(nft::elements(&socket, &TABLE, &PORTS).unwrap().len(), 5000);
    });
}

#[test]
fn a_batch_of_many_thousand_elements_is_one_transaction() {
    isolated(|| {
        let socket = here();
        let many: Vec<Element> = (1..=u16::MAX).map(|number| port(number, [10, 1, 0, 2])).collect();
        let mut batch = base();
        batch.add_elements(&TABLE, &PORTS, &many);
        batch.commit(&socket).unwrap();
        assert_eq!(nft::elements(&socket, &TABLE, &PORTS).unwrap().len(), 65_535);
    });
}

#[test]
fn a_rule_is_found_and_deleted_by_the_handle_that_its_batch_told() {
    isolated(|| {
        let socket = here();
        let mut batch = base();
        batch.add_chain(&TABLE, "many");
        batch.add_chain(&TABLE, "other");
        let jump = Rule::new().verdict(&Verdict::Jump("other".into()));
        batch.add_rule(&TABLE, "many", &Rule::new().counter());
        let ticket = batch.add_rule_with_handle(&TABLE, "many", &jump);
        batch.add_rule(&TABLE, "many", &Rule::new().counter());
        // What is skipped before it does not shift it.
        let mut skipping = Batch::new();
        skipping.del_chain(&TABLE, "gone");
        let again = skipping.add_rule_with_handle(&TABLE, "many", &jump);

        let handles = batch.commit_with_handles(&socket, Missing::Fail).unwrap();
        let first = handles.get(ticket).unwrap();
        let found = nft::find_rules(&socket, &TABLE, "many", &[first, first + 1000]).unwrap();
        assert_eq!(found[0].as_ref().unwrap().target.as_deref(), Some("other"));
        assert_eq!(found[1], None);
        let second =
            skipping.commit_with_handles(&socket, Missing::Skip).unwrap().get(again).unwrap();
        assert_ne!(first, second);

        let chains = [(&TABLE, "many"), (&TABLE, "gone"), (&TABLE, "other")];
        let found = nft::find_chains(&socket, &chains).unwrap();
        let uses = |at: usize| found[at].as_ref().map(|chain| chain.uses);
        assert_eq!([uses(0), uses(1), uses(2)], [Some(4), None, Some(2)]);
        let mut delete = Batch::new();
        delete.del_rule(&TABLE, "many", first);
        delete.del_rule(&TABLE, "many", second);
        delete.del_chain(&TABLE, "other");
        delete.commit(&socket).unwrap();
        assert!(!listed("table inet demo").contains("other"));
    });
}

#[test]
fn a_batch_tells_the_handles_of_all_its_rules_however_many_or_makes_none() {
    isolated(|| {
        let socket = here();
        for count in [400, 4_000] {
            let mut batch = base();
            batch.add_chain(&TABLE, "many");
            let tickets: Vec<_> = (0..count)
                .map(|_| batch.add_rule_with_handle(&TABLE, "many", &Rule::new().counter()))
                .collect();
            match batch.commit_with_handles(&socket, Missing::Fail) {
                Ok(handles) => {
                    let told = tickets.iter().filter(|ticket| handles.get(**ticket).is_some());
                    assert_eq!(told.count(), count);
                    // Nothing is left on the socket that would take the next answer's room.
                    let found = nft::find_chains(&socket, &[(&TABLE, "many")]).unwrap();
                    assert_eq!(found[0].as_ref().unwrap().uses, count as u32);
                    let mut delete = Batch::new();
                    delete.del_table(&TABLE);
                    delete.commit(&socket).unwrap();
                }
                // Only root may have a receive buffer beyond the host's limit.
                Err(error) => {
                    assert!(error.to_string().contains("SO_RCVBUF") && count > 400, "{error}");
                    assert!(!nft::has_table(&socket, &TABLE).unwrap(), "{count} rules");
                }
            }
        }
    });
}

#[test]
fn what_cannot_be_added_is_never_skipped() {
    isolated(|| {
        let socket = here();
        base().commit(&socket).unwrap();
        let before = listed("ruleset");
        let mut batch = Batch::new();
        batch.del_chain(&TABLE, "gone");
        batch.add_rule(&TABLE, "gone", &Rule::new().counter());
        let error = batch.commit_skipping_missing(&socket).unwrap_err();
        assert_says(&error.to_string(), &["add rule to chain inet demo gone"]);
        assert_eq!(listed("ruleset"), before);
    });
}

#[test]
fn a_chain_or_table_with_something_in_it_is_not_deleted_as_an_empty_one() {
    isolated(|| {
        let socket = here();
        let mut batch = base();
        batch.create_chain(&TABLE, "full");
        batch.create_chain(&TABLE, "full"); // made by this batch
        batch.add_rule(&TABLE, "full", &Rule::new().counter());
        batch.commit(&socket).unwrap();
        let mut create = Batch::new();
        create.create_chain(&TABLE, "full");
        assert!(create.commit(&socket).unwrap_err().is_exists());
        let before = listed("ruleset");
        let mut chain = Batch::new();
        chain.del_empty_chain(&TABLE, "full");
        assert!(chain.commit(&socket).unwrap_err().is_busy());
        let mut table = Batch::new();
        table.del_empty_table(&TABLE);
        assert!(table.commit(&socket).unwrap_err().is_busy());
        assert_eq!(listed("ruleset"), before);
        assert_eq!(nft::table_uses(&socket, &TABLE).unwrap(), Some(7), "six sets and a chain");
        assert_eq!(nft::table_uses(&socket, &Table::inet("gone")).unwrap(), None);
    });
}

#[test]
fn the_hook_and_type_of_a_base_chain_are_read_and_its_policy_stays() {
    isolated(|| {
        let socket = here();
        let done = Command::new("nft")
            .arg(
                "add table inet demo; add chain inet demo gate \
                 { type filter hook forward priority 5; policy drop; }",
            )
            .status();
        assert!(done.unwrap().success());
        let found = nft::find_chains(&socket, &[(&TABLE, "gate")]).unwrap().remove(0).unwrap();
        assert!(found.is_base && found.drops);
        assert_eq!((found.hook, found.kind.as_str()), (Some(Hook::Forward), "filter"));
        let mut batch = Batch::new();
        let base = BaseChain { kind: Kind::Filter, hook: Hook::Forward, priority: 5 };
        batch.create_base_chain(&TABLE, "gate", base);
        assert!(batch.commit(&socket).unwrap_err().is_exists());
        assert!(listed("ruleset").contains("policy drop"));
    });
}
