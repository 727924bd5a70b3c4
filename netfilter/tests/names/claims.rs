//! Claims with resolvers: made, compared, written again, taken back.

use netfilter::{Claimant, kind};
use netns_fixtures::{Lab, lab};

use crate::ground::{
    GATEWAYS, PORT, assert_answers, bridge, claim, container, filter, key, of_kind, serve, sh,
};

fn elements(lab: &Lab, map: &str) -> String {
    lab.host().run(&format!("nft list map inet cais {map}"))
}

#[test]
fn what_leads_to_a_resolver_stays_until_the_networks_last_attachment_has_gone() {
    lab(|lab| {
        bridge(lab);
        let (a, b, other) = (container(lab, 2), container(lab, 3), container(lab, 4));
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        for (network, c) in [("web", &a), ("web", &b)] {
            filter().add(&claim(network, c, PORT)).unwrap();
        }
        let mut elsewhere = claim("shop", &other, PORT);
        elsewhere.resolvers.clear();
        filter().add(&elsewhere).unwrap();
        assert!(!filter().remove(&key("web", &a), &[]).unwrap().was_last_of_network);
        assert_answers(&b, (GATEWAYS[0], 53), "resolver", "10.1.0.3");
        filter().remove(&key("web", &b), &[]).unwrap();
        for map in ["dns4", "dns6"] {
            assert!(!elements(lab, map).contains(BRIDGE_IN_QUOTES), "{}", elements(lab, map));
        }
        let sets = lab.host().run("nft list sets inet");
        assert!(!sets.contains("1021"), "{sets}");
        filter().remove(&key("web", &b), &[]).unwrap();
    });
}

const BRIDGE_IN_QUOTES: &str = "\"cni0\"";

#[test]
fn an_interface_plugin_may_have_its_resolvers_in_its_own_claim() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        let mut claim = claim("web", &c, PORT);
        claim.claimant = Claimant::Interface;
        claim.masquerade = vec!["10.1.0.2/24".parse().unwrap()];
        let filter = of_kind(&kind::Interface);
        filter.add(&claim).unwrap();
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        filter.check(&claim).unwrap();
        filter.remove(&claim.key, &[]).unwrap();
        assert_eq!(lab.host().run("nft list ruleset"), "");
    });
}

#[test]
fn a_resolver_that_moved_moves_for_all_attachments_of_the_network() {
    lab(|lab| {
        bridge(lab);
        let (a, b) = (container(lab, 2), container(lab, 3));
        filter().add(&claim("web", &a, 1020)).unwrap();
        filter().add(&claim("web", &b, PORT)).unwrap();
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_answers(&a, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        let now = filter().store().read(&key("web", &a), Claimant::Names).unwrap();
        assert_eq!(now, claim("web", &a, PORT));
        filter().check(&now).unwrap();
        let sets = lab.host().run("nft list ruleset");
        assert!(!sets.contains("1020"), "{sets}");
        filter().reload().unwrap();
        assert_answers(&a, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
    });
}

#[test]
fn two_networks_with_resolvers_of_their_own_at_one_address_of_a_bridge_are_refused() {
    lab(|lab| {
        bridge(lab);
        let (a, b) = (container(lab, 2), container(lab, 3));
        filter().add(&claim("web", &a, PORT)).unwrap();
        let before = lab.host().run("nft list ruleset");
        let error = filter().add(&claim("shop", &b, 1020)).unwrap_err();
        let text = error.to_string();
        let words = "lead names of 10.1.0.1 on cni0 to the resolver of shop/c3/eth0: network web has \
                     one at port 1021";
        assert_eq!(text, words);
        let error = cni::Error::from(error);
        assert_eq!(error.code, 7);
        assert!(format!("{error:?}").contains("a bridge or a gateway address of its own"));
        assert_eq!(lab.host().run("nft list ruleset"), before);
        assert!(filter().store().read(&key("shop", &b), Claimant::Names).is_none());
        // The same resolver may serve both, and stays until the last of both has gone.
        filter().add(&claim("shop", &b, PORT)).unwrap();
        filter().remove(&key("web", &a), &[]).unwrap();
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_answers(&b, (GATEWAYS[0], 53), "resolver", "10.1.0.3");
    });
}

#[test]
fn the_resolver_of_a_dead_network_is_in_nobodys_way() {
    lab(|lab| {
        bridge(lab);
        let (a, b) = (container(lab, 2), container(lab, 3));
        filter().add(&claim("web", &a, 1020)).unwrap();
        a.remove();
        filter().add(&claim("shop", &b, PORT)).unwrap();
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_answers(&b, (GATEWAYS[0], 53), "resolver", "10.1.0.3");
        let web = "web".parse().unwrap();
        let sweep = netfilter::Sweep { network: &web, valid: None };
        assert_eq!(filter().sweep(sweep).unwrap().len(), 1);
        assert_answers(&b, (GATEWAYS[0], 53), "resolver", "10.1.0.3");
    });
}

#[test]
fn check_names_what_is_missing_and_reload_writes_it_again() {
    lab(|lab| {
        bridge(lab);
        let c = container(lab, 2);
        let claim = claim("web", &c, PORT);
        filter().add(&claim).unwrap();
        filter().check(&claim).unwrap();
        sh(lab, "nft flush map inet cais dns4");
        let text = filter().check(&claim).unwrap_err().to_string();
        assert!(text.contains("element cni0 . 10.1.0.1 of map dns4"), "{text}");
        sh(lab, "nft flush ruleset");
        filter().check(&claim).unwrap_err();
        filter().reload().unwrap();
        filter().check(&claim).unwrap();
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_answers(&c, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        sh(lab, "nft flush chain inet cais pre");
        let text = filter().check(&claim).unwrap_err().to_string();
        assert!(text.contains("chain inet cais pre has 0 of its"), "{text}");
    });
}

/// As an earlier cais left it: without what leads to resolvers, with a rule of an administrator.
#[test]
fn a_table_of_the_layout_before_is_completed_and_keeps_the_rules_of_users() {
    lab(|lab| {
        bridge(lab);
        let (a, b) = (container(lab, 2), container(lab, 3));
        let mut old = claim("web", &a, PORT);
        old.claimant = Claimant::Interface;
        old.resolvers.clear();
        old.masquerade = vec!["10.1.0.2/24".parse().unwrap()];
        of_kind(&kind::Interface).add(&old).unwrap();
        sh(
            lab,
            "nft add rule inet cais user_fwd ip saddr 192.0.2.9 drop
             nft flush chain inet cais pre; nft flush chain inet cais admit
             for one in dns4 dns6; do nft delete map inet cais $one; done
             for one in listening4 listening6 layout_2; do nft delete set inet cais $one; done
             for one in admit admitted; do nft delete chain inet cais $one; done
             nft add set inet cais layout_1 '{ type mark; }'
             nft add element inet cais layout_1 '{ 1 }'",
        );
        of_kind(&kind::Interface).check(&old).unwrap();
        filter().add(&claim("web", &b, PORT)).unwrap();
        let now = lab.host().run("nft list table inet cais");
        assert!(now.contains("layout_2") && !now.contains("layout_1"), "{now}");
        assert!(now.contains("ip saddr 192.0.2.9 drop") && now.contains("10.1.0.2 "), "{now}");
        serve(lab.host(), "resolver", (GATEWAYS[0], PORT));
        assert_answers(&a, (GATEWAYS[0], 53), "resolver", "10.1.0.2");
        of_kind(&kind::Interface).check(&old).unwrap();
    });
}
