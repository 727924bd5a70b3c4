use netfilter::reference::{Added, masquerade, names};
use netns_fixtures::assert_same_lines;
use netns_fixtures::{Feature, lab};
use types::Cidr;

use crate::ground::{asked, done, removed, saved, saved_with, sh};

const WHO: (&str, &str) = ("mynet", "cid1");

fn addresses() -> Vec<Cidr> {
    ["10.1.0.2/24", "10.2.0.2/20", "fd00::2/64"].map(|text| text.parse().unwrap()).to_vec()
}

/// The commands of the Go library, for the addresses above.
const COMMANDS: &str = r#"
    C=CNI-a631aa8e1549a3b129110fd2
    W='name: "mynet" id: "cid1"'
    iptables -t nat -N $C; ip6tables -t nat -N $C
    masquerade() {
        $1 -t nat -C $C -d $2 -m comment --comment "$W" -j ACCEPT 2>/dev/null ||
            $1 -t nat -A $C -d $2 -m comment --comment "$W" -j ACCEPT
        $1 -t nat -C $C ! -d $4 -m comment --comment "$W" -j MASQUERADE 2>/dev/null ||
            $1 -t nat -A $C ! -d $4 -m comment --comment "$W" -j MASQUERADE
        $1 -t nat -A POSTROUTING -s $3 -m comment --comment "$W" -j $C
    }
    masquerade iptables 10.1.0.2/24 10.1.0.2 224.0.0.0/4
    masquerade iptables 10.2.0.2/20 10.2.0.2 224.0.0.0/4
    masquerade ip6tables fd00::2/64 fd00::2 ff00::/8
"#;

#[test]
fn addresses_are_masqueraded_as_the_reference_does_and_each_removes_the_others() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let (ours, theirs) = (lab.another_host("ours"), lab.another_host("theirs"));
        let add =
            |host| done(host, |socket, batch| masquerade::add(socket, batch, WHO, &addresses()));
        let handles = add(&ours);
        assert_eq!(handles.len(), 3);
        sh(&theirs, COMMANDS);
        assert_same_lines("iptables and ours", &saved(&theirs), &saved(&ours));
        for host in [&ours, &theirs] {
            asked(host, |socket| masquerade::check(socket, WHO, &addresses())).unwrap();
            assert!(asked(host, |socket| masquerade::owns(socket, WHO.0, WHO.1)).unwrap());
            let before = saved(host);
            add(host);
            assert_same_lines("a second time", &before, &saved(host));
        }
        for (host, stored) in [(&ours, &handles[..]), (&theirs, &[])] {
            assert!(removed(host, |socket, batch| masquerade::remove(socket, batch, WHO, stored)));
            assert_eq!(saved_with(host, "CNI-"), [""; 0]);
            asked(host, |socket| masquerade::check(socket, WHO, &addresses())).unwrap_err();
        }
    });
}

#[test]
fn a_busy_chain_is_emptied_and_a_dead_containers_is_swept() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let host = lab.host();
        sh(host, COMMANDS);
        let chain = names::masquerade(WHO.0, WHO.1);
        sh(host, &format!("iptables -t nat -N ELSE; iptables -t nat -A ELSE -j {chain}"));
        assert!(removed(host, |socket, batch| masquerade::remove(socket, batch, WHO, &[])));
        assert_eq!(saved_with(host, &format!("-A {chain}")), [""; 0]);
        assert_eq!(saved_with(host, "-A ELSE").len(), 1, "somebody else's rule stays");
        sh(host, "iptables -t nat -F; iptables -t nat -X");

        let add = |id| {
            done(host, |socket, batch| masquerade::add(socket, batch, ("mynet", id), &addresses()));
        };
        add("alive");
        let before = saved(host);
        add("dead");
        sh(host, "iptables -t nat -A POSTROUTING -m comment --comment mine -j ACCEPT");
        let mut count = 0;
        done(host, |socket, batch| {
            count = masquerade::sweep(socket, batch, |_, container| container == "alive")?;
            Ok(Added::default())
        });
        assert_eq!(count, 2, "one of each family");
        sh(host, "iptables -t nat -D POSTROUTING -m comment --comment mine -j ACCEPT");
        assert_same_lines("after the sweep", &before, &saved(host));
    });
}

#[test]
fn the_go_bridges_masquerade_is_known_and_removed() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        lab.needs(Feature::ReferencePlugins);
        let c = lab.container("c1");
        let config = serde_json::json!({
            "cniVersion": "1.0.0", "name": "mynet", "type": "bridge", "ipMasq": true,
            "isGateway": true,
            "ipam": { "type": "host-local", "ranges": [
                [{ "subnet": "10.1.0.0/24" }], [{ "subnet": "fd00:1::/64" }],
            ]},
        });
        lab.reference_plugin("bridge").container(&c).config(&config).verb("ADD").run().succeeded();
        let addresses = ["10.1.0.2/24", "fd00:1::2/64"].map(|text| text.parse().unwrap());
        let who = ("mynet", "c1");
        asked(lab.host(), |socket| masquerade::check(socket, who, &addresses)).unwrap();
        let before = saved(lab.host());
        done(lab.host(), |socket, batch| masquerade::add(socket, batch, who, &addresses));
        assert_same_lines("nothing was missing", &before, &saved(lab.host()));
        assert!(removed(lab.host(), |socket, batch| masquerade::remove(socket, batch, who, &[])));
        assert_eq!(saved_with(lab.host(), "CNI-"), [""; 0]);
    });
}
