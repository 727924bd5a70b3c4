use std::path::Path;

use kernel::netlink::Socket;
use netfilter::tunnels::{Changed, Guard, Tunnels};
use netns_fixtures::{Namespace, lab};

use crate::{FILE, desired, two_hosts};

/// Does `act` with the guard of a host.
fn guarding<T: Send>(host: &Namespace, act: impl FnOnce(&Guard, Tunnels) -> T + Send) -> T {
    host.within(|| {
        let wanted = desired(&Socket::open("a host").unwrap(), FILE, "a").tunnels();
        act(&Guard::open(Path::new("/run/cais")).unwrap(), wanted)
    })
}

#[test]
fn the_guard_is_written_once_changed_by_what_differs_and_goes_with_the_last_network() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        guarding(&a, |guard, wanted| {
            assert!(!guard.holds(&wanted).unwrap());
            let first = guard.keep(&wanted).unwrap();
            assert!(first.added > 0 && first.removed == 0, "{first:?}");
            assert!(guard.holds(&wanted).unwrap());
            assert_eq!(guard.keep(&wanted).unwrap(), Changed::default());
            let mut fewer = wanted.clone();
            fewer.peers.pop();
            // Two blocks and the host.
            assert_eq!(guard.keep(&fewer).unwrap(), Changed { added: 0, removed: 3 });
            assert!(!guard.holds(&wanted).unwrap());
            let other = Tunnels {
                network: "red".parse().unwrap(),
                vni: 4104,
                peers: wanted.peers.clone(),
                links: vec!["ob-001008".parse().unwrap()],
                gateways: vec!["10.78.1.1".parse().unwrap()],
                ..wanted.clone()
            };
            guard.keep(&other).unwrap();
            guard.remove(&wanted.network).unwrap();
            assert!(guard.holds(&other).unwrap(), "the port and the rules are still needed");
        });
        let left = a.run("nft list table inet cais-overlay");
        assert!(left.contains("10.78.1.1") && !left.contains("10.77.1.1"), "{left}");
        guarding(&a, |guard, _| guard.remove(&"red".parse().unwrap()).unwrap());
        assert_eq!(a.run("nft list ruleset").trim(), "");
    });
}

#[test]
fn rules_that_somebody_flushed_are_written_again() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        guarding(&a, |guard, wanted| guard.keep(&wanted).unwrap());
        let before = a.run("nft -s list table inet cais-overlay");
        for command in [
            "flush chain inet cais-overlay over4",
            "flush table inet cais-overlay",
            "flush ruleset",
        ] {
            a.run(&format!("nft {command}"));
            guarding(&a, |guard, wanted| {
                assert!(!guard.holds(&wanted).unwrap(), "{command}");
                guard.keep(&wanted).unwrap();
                assert!(guard.holds(&wanted).unwrap());
            });
            assert_eq!(a.run("nft -s list table inet cais-overlay"), before, "{command}");
        }
    });
}

#[test]
fn the_number_of_rules_does_not_depend_on_networks_and_hosts() {
    lab(|lab| {
        let (a, _) = two_hosts(lab);
        let rules = |host: &Namespace| {
            let all = host.run("nft -s list table inet cais-overlay");
            println!("{all}");
            all.lines()
                .filter(|l| l.contains(" drop") || l.contains("accept") || l.contains("return"))
                .count()
        };
        guarding(&a, |guard, wanted| guard.keep(&wanted).unwrap());
        let few = rules(&a);
        guarding(&a, |guard, mut wanted| {
            for host in 10..60_u8 {
                let blocks = vec![format!("10.77.{host}.0/24").parse().unwrap()];
                wanted.peers.push((format!("10.99.1.{host}").parse().unwrap(), blocks));
            }
            guard.keep(&wanted).unwrap();
            assert!(guard.holds(&wanted).unwrap());
        });
        assert_eq!(rules(&a), few);
    });
}
