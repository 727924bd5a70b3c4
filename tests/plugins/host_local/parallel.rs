//! Many processes on one directory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use netns_fixtures::lab_with_plugins;

use super::{addresses, leases, subnet};

const AT_ONCE: usize = 8;
const ROUNDS: usize = 25;

#[test]
fn processes_at_once_never_get_the_same_address() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/24");
        let call = |id: &str, verb: &str| {
            let call = lab.plugin("host-local").env("CNI_CONTAINERID", id).config(&config);
            call.env("CNI_NETNS", "/run/netns/none").verb(verb).run()
        };
        // Each thread keeps half of what it gets.
        let kept = thread::scope(|scope| {
            let work = |thread: usize| {
                let mut kept = Vec::new();
                for round in 0..ROUNDS {
                    let id = format!("c{thread}-{round}");
                    let got = addresses(&call(&id, "ADD").result());
                    if round % 2 == 0 {
                        call(&id, "DEL").is_silent();
                    } else {
                        kept.extend(got);
                    }
                }
                kept
            };
            let threads: Vec<_> =
                (0..AT_ONCE).map(|thread| scope.spawn(move || work(thread))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let distinct: BTreeSet<&String> = kept.iter().collect();
        assert_eq!(distinct.len(), kept.len(), "{kept:?}");
        let mut expected = kept.clone();
        expected.sort();
        assert_eq!(leases(), expected);
    });
}

#[test]
fn the_last_address_is_given_to_one_of_many() {
    lab_with_plugins(|lab| {
        let config = subnet("10.1.0.0/30");
        let winners = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..AT_ONCE {
                let call = lab.plugin("host-local").config(&config).verb("ADD");
                let call = call.env("CNI_CONTAINERID", format!("c{thread}"));
                let call = call.env("CNI_NETNS", "/run/netns/none");
                let winners = &winners;
                scope.spawn(move || {
                    let outcome = call.run();
                    if outcome.status.success() {
                        winners.fetch_add(1, Ordering::Relaxed);
                    } else {
                        outcome.error().says(&["no IP addresses available"]);
                    }
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
        assert_eq!(leases(), ["10.1.0.2"]);
    });
}
