//! Which names are found from where: cases 1 to 18, 58, 76 and 83.

use std::collections::BTreeMap;
use std::thread;

use netns_fixtures::lab_with_plugins;
use serde_json::json;

use super::asking::at_each_door;
use super::message::kind::{A, AAAA};
use super::message::{Message, Record};
use super::resident::{Resident, api, cli, db, web};
use super::town::{N1, N2, Network, Town};
use super::upstream::knowing;
use crate::echo::{Tcp, Udp};

#[test]
fn case_01_a_name_is_found_by_a_container_of_its_network() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            for protocol in [Udp, Tcp] {
                door.send(protocol, &Message::query("web", A)).addresses(&["10.90.1.2"]).owned();
            }
            door.ask("www", A).addresses(&["10.90.1.2"]).owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_02_case_does_not_matter_and_is_echoed() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            let told = door.ask("wEb", A);
            told.addresses(&["10.90.1.2"]).owned();
            told.must(told.reply.question().name == "wEb", "the question's case");
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_03_04_the_other_family_is_answered_or_there_is_none() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _others = [town.receive(web()), town.receive(db())];
        at_each_door(&town, |door| {
            door.ask("web", AAAA).addresses(&["fd00:90:1::2"]).owned();
            door.ask("db", AAAA).nodata().owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_05_07_08_short_id_host_name_and_dotted_alias_are_names() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (web, _db) = (town.receive(web()), town.receive(db()));
        at_each_door(&town, |door| {
            door.ask(&web.id()[..12], A).addresses(&["10.90.1.2"]).owned();
            door.ask("dbhost", A).addresses(&["10.90.2.4"]).owned();
            door.ask("a.b", A).addresses(&["10.90.2.4"]).owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_06_a_whole_id_is_a_name_that_nobody_has() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let web = town.receive(web());
        // A label of 64 bytes is no label. The whole id is no name even where it is split.
        at_each_door(&town, |door| {
            let id = web.id();
            door.ask(&format!("{}.{}", &id[..63], &id[63..]), A).nxdomain();
        });
    });
}

#[test]
fn case_09_an_alias_of_several_containers_is_spread() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _holders = [town.receive(web()), town.receive(api())];
        at_each_door(&town, |door| {
            let mut first: BTreeMap<String, u32> = BTreeMap::new();
            for _ in 0..200 {
                let told = door.ask("app", A);
                told.addresses(&["10.90.1.2", "10.90.1.3"]).owned();
                *first.entry(told.said()[0].clone()).or_default() += 1;
            }
            assert!(
                first.len() == 2 && first.values().all(|n| (80..=120).contains(n)),
                "{first:?}"
            );
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_10_many_clients_at_once_are_spread_as_well() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _holders = [town.receive(web()), town.receive(api())];
        at_each_door(&town, |door| {
            let firsts: Vec<String> = thread::scope(|scope| {
                let ask = || {
                    let told = door.ask("app", A);
                    told.addresses(&["10.90.1.2", "10.90.1.3"]);
                    told.said()[0].clone()
                };
                let asking: Vec<_> = (0..200).map(|_| scope.spawn(ask)).collect();
                asking.into_iter().map(|asking| asking.join().unwrap()).collect()
            });
            let web = firsts.iter().filter(|first| *first == "10.90.1.2").count();
            assert!((80..=120).contains(&web), "web was first {web} times of 200");
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_11_the_first_network_that_has_a_name_answers_alone() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _api = town.receive(api());
        at_each_door(&town, |door| {
            door.ask("api", A).addresses(&["10.90.1.3"]).owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_11_all_networks_answer_where_they_are_merged() {
    lab_with_plugins(|lab| {
        let town = Town::with(lab, &json!({ "multiNetwork": "merge" }));
        let _api = town.receive(api());
        at_each_door(&town, |door| {
            let told = door.ask("api", A);
            told.addresses(&["10.90.1.3", "10.90.2.3"]).owned();
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_11_the_higher_priority_decides_which_network_is_the_first() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _api = town.receive(api());
        let asker = Resident::new("asker").on(N1, 20, &[]).on(N2, 20, &[]);
        let asker = town.receive(asker.with(&json!({ "gwPriority": 5 })));
        asker.own_door().ask("api", A).addresses(&["10.90.2.3"]).owned();
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_12_13_14_a_name_may_say_on_which_network() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _others = [town.receive(web()), town.receive(api())];
        at_each_door(&town, |door| {
            door.ask("api.n2", A).addresses(&["10.90.2.3"]).owned();
            door.ask("API.N2", A).addresses(&["10.90.2.3"]).owned();
            door.ask("web.n2", A).nxdomain();
        });
        town.assert_nobody_was_asked();
    });
}

const DEV: &Network =
    &Network { name: "dev", bridge: "br-dev", v4: "10.90.4", v6: None, internal: false };

#[test]
fn case_14a_a_network_that_is_called_as_a_domain_of_the_internet_does_not_hide_it() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.u1.does(knowing(vec![Record::address("example.dev", "192.0.2.7", 100)]));
        let asker = town.receive(Resident::new("asker").on(DEV, 2, &[]));
        asker.own_door().ask("asker.dev", A).addresses(&["10.90.4.2"]).owned();
        town.assert_nobody_was_asked();
        asker.own_door().ask("example.dev", A).addresses(&["192.0.2.7"]);
    });
}

#[test]
fn case_15_the_suffix_may_follow_every_name() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(web());
        at_each_door(&town, |door| {
            for name in ["web.dns.podman", "WEB.DNS.PODMAN", "web.n1.dns.podman"] {
                door.ask(name, A).addresses(&["10.90.1.2"]).owned();
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_16_nothing_below_the_suffix_is_asked_for_outside() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        at_each_door(&town, |door| {
            for name in ["nope.dns.podman", "NOPE.DNS.PODMAN", "x.y.dns.podman"] {
                let told = door.ask(name, A);
                told.nxdomain().owned();
                told.must(told.soa().is_some(), "a SOA record");
            }
        });
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_17_18_a_container_of_another_network_is_not_seen() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (web, _db) = (town.receive(web()), town.receive(db()));
        for door in web.doors() {
            door.ask("db.n2", A).nxdomain();
        }
        town.assert_nobody_was_asked();
        // As a plain name of one label, which the host's servers may know.
        for door in web.doors() {
            door.ask("db", A).nxdomain();
        }
        assert_ne!(town.u1.times("db"), 0, "{}", town.report());
        town.forget();
        let asker = Resident::new("asker").on(N1, 20, &[]).with(&json!({ "resolver": "netns" }));
        let asker = town.receive(asker);
        asker.own_door().ask("db.n2", A).nxdomain();
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_17_a_name_of_one_label_that_nobody_has_stays_here_by_option() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        town.configure(&json!({ "singleLabel": "nxdomain" }));
        at_each_door(&town, |door| {
            door.ask("nope", A).nxdomain();
            town.assert_nobody_was_asked();
        });
    });
}

#[test]
fn case_58_a_name_stays_ours_for_a_moment_after_its_container_left() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let cli = town.receive(cli());
        for door in cli.doors() {
            let web = town.receive(web());
            door.ask("web", A).addresses(&["10.90.1.2"]);
            web.leave();
            web.container.remove();
            door.ask("web", A).nxdomain();
            door.ask("www", A).nxdomain();
            door.ask("web", AAAA).nxdomain();
            town.assert_nobody_was_asked();
        }
    });
}

#[test]
fn case_76_names_may_have_capitals_underscores_and_63_bytes_and_no_more() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let (long, longer) = ("l".repeat(63), "l".repeat(64));
        let aliases = ["My_Alias", &*long];
        let _odd = town.receive(Resident::new("odd_one").on(N1, 20, &aliases));
        at_each_door(&town, |door| {
            for name in ["odd_one", "my_alias", "MY_ALIAS", &*long] {
                door.ask(name, A).addresses(&["10.90.1.20"]).owned();
            }
        });
        let refused = Resident::new("refused").on(N1, 21, &[&*longer]);
        let refused = super::resident::Person::born(&town, refused);
        let error = refused.attach(0).expect_err("an alias that is no name");
        assert_eq!(error.code, 7, "{error:?}");
        error.says(&["alias", &longer]);
        town.assert_nobody_was_asked();
    });
}

#[test]
fn case_83_an_alias_may_stand_for_all_names_below_one() {
    lab_with_plugins(|lab| {
        let town = Town::new(lab);
        let _web = town.receive(Resident::new("web").on(N1, 2, &["*.foo.local"]));
        let _other = town.receive(Resident::new("other").on(N1, 5, &["own.foo.local"]));
        at_each_door(&town, |door| {
            door.ask("a.foo.local", A).addresses(&["10.90.1.2"]).owned();
            door.ask("a.b.foo.local", A).addresses(&["10.90.1.2"]).owned();
            door.ask("own.foo.local", A).addresses(&["10.90.1.5"]).owned();
            assert_eq!(town.u1.times("a.foo.local") + town.u1.times("a.b.foo.local"), 0);
            door.ask("foo.local", A).nxdomain();
        });
        assert_ne!(town.u1.times("foo.local"), 0, "{}", town.report());
    });
}
