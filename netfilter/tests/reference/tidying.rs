use netfilter::Protocol;
use netfilter::claim::{Forward, Forwarder, Ingress};
use netfilter::reference::{firewall, portmap, tidy};
use netns_fixtures::{Feature, Namespace, lab};

use crate::ground::{asked, done, mapping, publication, removed, saved, saved_with, sh, usual};

fn forward() -> Forward {
    Forward {
        addresses: vec!["10.1.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        by: Forwarder::Chains("CNI-ADMIN".into()),
        ingress: Ingress::Isolated,
        bridge: Some("cni0".parse().unwrap()),
    }
}

fn add_all(host: &Namespace) {
    let publication = publication("c1", vec![mapping(Protocol::Tcp, 8080, 80)]);
    done(host, |socket, batch| {
        let mut added = portmap::add(socket, batch, &publication, &usual(), &[])?;
        added.extend(firewall::add(socket, batch, &forward(), &[])?);
        Ok(added)
    });
}

fn remove_all(host: &Namespace) {
    assert!(removed(host, |socket, batch| {
        let ports = portmap::remove(socket, batch, ("mynet", "c1"), &[])?;
        let forwarding = firewall::remove(socket, batch, (&forward().addresses, &[]), &[])?;
        let ingress = firewall::remove_ingress(socket, batch, "cni0")?;
        Ok(ports && forwarding && ingress)
    }));
}

fn tidied(host: &Namespace) -> bool {
    asked(host, tidy).unwrap()
}

#[test]
fn a_host_whose_last_container_is_gone_has_no_tables_left() {
    lab(|lab| {
        let host = lab.host();
        assert!(!tidied(host), "nothing is there");
        add_all(host);
        assert!(!tidied(host), "all is in use");
        asked(host, |socket| firewall::check(socket, &forward(), &[])).unwrap();
        remove_all(host);
        assert!(tidied(host));
        assert_eq!(sh(host, "nft list ruleset"), "");
    });
}

#[test]
fn what_an_administrator_wrote_stays_and_so_do_policies() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let host = lab.host();
        sh(
            host,
            "iptables -P FORWARD DROP; iptables -N CNI-ADMIN; iptables -A CNI-ADMIN -j RETURN; \
             iptables -t nat -A PREROUTING -p tcp --dport 1 -j REDIRECT --to-ports 2; \
             ip6tables -N MINE",
        );
        let before = saved(host);
        add_all(host);
        remove_all(host);
        assert!(tidied(host));
        assert_eq!(saved(host), before);
        assert!(!tidied(host), "a second time");
    });
}

#[test]
fn a_chain_that_somebody_leads_to_or_writes_to_stays() {
    lab(|lab| {
        lab.needs(Feature::Iptables);
        let host = lab.host();
        add_all(host);
        remove_all(host);
        sh(
            host,
            "iptables -t nat -N MINE; iptables -t nat -A MINE -j CNI-HOSTPORT-SETMARK; \
             iptables -t nat -A CNI-HOSTPORT-MASQ -j RETURN; \
             iptables -A CNI-FORWARD -s 192.0.2.1 -j ACCEPT",
        );
        assert!(tidied(host));
        let left = |text| saved_with(host, text).len();
        assert_eq!(left("-A MINE -j CNI-HOSTPORT-SETMARK"), 1);
        assert_eq!(left("-A CNI-HOSTPORT-SETMARK"), 1);
        assert_eq!(left("-A CNI-HOSTPORT-MASQ -j RETURN"), 1);
        assert_eq!(left("-j CNI-HOSTPORT-MASQ"), 1, "what leads there");
        assert_eq!(left("-A CNI-FORWARD -s 192.0.2.1/32 -j ACCEPT"), 1);
        assert_eq!(left("-A FORWARD"), 1, "what leads there");
        assert_eq!(left("CNI-HOSTPORT-DNAT"), 0);
        assert_eq!(left("CNI-ISOLATION"), 0);
    });
}
