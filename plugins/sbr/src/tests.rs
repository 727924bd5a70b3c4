use cni::{Config as Network, Error};
use kernel::link::Dev;
use kernel::route::{MAIN, Route};
use kernel::rule::Rule;
use types::{Cidr, Family};

use crate::config::Config;
use crate::inside::addresses_of;
use crate::plan::{Plan, Present, rule_for};

fn network(members: &str) -> Network {
    let text = format!(r#"{{"cniVersion":"1.0.0","name":"net","type":"sbr"{members}}}"#);
    Network::parse(text.as_bytes()).unwrap()
}

fn parse(members: &str) -> Result<Config, Error> {
    Config::parse(&network(members))
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

fn dev() -> Dev {
    Dev::new(7, "net1")
}

fn route(dst: &str) -> Route {
    Route::to(cidr(dst)).dev(&dev())
}

fn present(routes: Vec<Route>, rules: Vec<Rule>) -> Present {
    Present { dev: dev(), rules, routes }
}

/// Two addresses of one family and one of the other.
const ADDRESSES: &str = r#","prevResult":{"cniVersion":"1.0.0",
    "interfaces":[{"name":"net1","sandbox":"/run/netns/c1"},{"name":"eth0","sandbox":"/run/netns/c1"}],
    "ips":[{"address":"10.1.0.2/24","gateway":"10.1.0.1","interface":0},
           {"address":"10.2.0.2/24","gateway":"10.2.0.1","interface":0},
           {"address":"fd00:1::2/64","gateway":"fd00:1::1","interface":0},
           {"address":"10.3.0.2/24","gateway":"10.3.0.1","interface":1}]}"#;

fn plan(config: &Config, present: &Present) -> Plan {
    let result = network(ADDRESSES).prev_result().unwrap().unwrap();
    Plan::new(config, &result, &addresses_of(&result, "net1"), present)
}

#[test]
fn keys_are_read_and_wrong_ones_are_named() {
    let config = parse(r#","gateways":["10.1.0.9","fd00:1::9"],"addSourceHints":true"#).unwrap();
    assert_eq!(config.gateway(Family::V6), Some(ip("fd00:1::9")));
    assert!(config.source_hints);
    let stronger = parse(r#","table":200,"args":{"cni":{"table":201}}"#).unwrap();
    assert_eq!(stronger.table, Some(201));
    assert_eq!(Config::table_for_del(&network(r#","table":200"#)), Some(200));
    assert_eq!(Config::table_for_del(&network(r#","table":"x""#)), None);
    for (members, word) in [
        (r#","table":0"#, "table"),
        (r#","table":4294967296"#, "table"),
        (r#","gateways":["10.1.0.1","10.2.0.1"]"#, "a second gateway of IPv4"),
        (r#","gateways":["x"]"#, "invalid IP address: x"),
        (r#","args":{"cni":{"table":-1}}"#, "args.cni.table"),
    ] {
        let error = parse(members).unwrap_err();
        assert!(error.msg.contains(word), "{}", error.msg);
    }
}

#[test]
fn each_address_has_a_table_that_nobody_uses_and_its_own_routes() {
    let by = |dst: &str, gw: &str| route(dst).via(ip(gw));
    let src = |dst: &str, src: &str| Route { src: Some(ip(src)), ..route(dst) };
    let other = Route { dev: Some(2), table: 101, ..route("10.9.0.0/16") };
    let before = present(
        vec![
            src("10.1.0.0/24", "10.1.0.2"),
            src("10.2.0.0/24", "10.2.0.2"),
            by("10.8.0.0/16", "10.1.0.5"),
            // Of a next hop that is in no subnet of the interface's.
            by("10.7.0.0/16", "192.0.2.1"),
            route("fd00:1::/64"),
            route("fe80::/64"),
            Route { dev: Some(2), ..route("10.3.0.0/24") },
            other,
        ],
        vec![Rule::lookup(Family::V4, 100).from(cidr("192.0.2.7/32"))],
    );
    let plan = plan(&Config::default(), &before);
    let tables: Vec<_> = plan.rules.iter().map(|rule| (rule.from.unwrap(), rule.table)).collect();
    let expected = [("10.1.0.2/32", 102), ("10.2.0.2/32", 103), ("fd00:1::2/128", 104)];
    assert_eq!(tables, expected.map(|(from, table)| (cidr(from), table)));
    let of = |table: u32| -> Vec<String> {
        let routes = plan.routes.iter().filter(|route| route.table == table);
        routes.map(|route| route.dst.to_string()).collect()
    };
    assert_eq!(of(102), ["10.1.0.0/24", "10.8.0.0/16", "10.7.0.0/16", "0.0.0.0/0"]);
    assert_eq!(of(103), ["10.2.0.0/24", "10.7.0.0/16", "0.0.0.0/0"]);
    assert_eq!(of(104), ["fd00:1::/64", "::/0"]);
    let leaving: Vec<_> = plan.leaving.iter().map(|route| route.dst.to_string()).collect();
    let expected = ["10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64", "10.8.0.0/16", "10.7.0.0/16"];
    assert_eq!(leaving, expected);
    assert!(plan.routes.iter().all(|route| route.dev == Some(7)));
}

#[test]
fn a_second_call_takes_what_the_first_made() {
    let made = [
        Route { table: 100, src: Some(ip("10.1.0.2")), ..route("10.1.0.0/24") },
        Route { table: 100, ..route("0.0.0.0/0").via(ip("10.1.0.1")) },
    ];
    let rule = rule_for(cidr("10.1.0.2/24"), 100).priority(32_765);
    let plan = plan(&Config::default(), &present(made.to_vec(), vec![rule.clone()]));
    assert_eq!(plan.old_rules, [rule]);
    assert_eq!(plan.old_routes, made);
    // The old ones serve until the new ones do.
    assert_eq!(plan.rules[0].table, 101);
    let of_first: Vec<_> = plan.routes.iter().filter(|route| route.table == 101).collect();
    assert_eq!(of_first.len(), 2, "{of_first:?}");
}

#[test]
fn with_a_table_there_are_rules_alone_and_none_twice() {
    let there = rule_for(cidr("10.1.0.2/24"), 200).priority(5);
    let result = network(ADDRESSES).prev_result().unwrap().unwrap();
    let plan = Plan::to_table(200, &addresses_of(&result, "net1"), &[there]);
    assert_eq!(plan.rules.len(), 2);
    assert!(plan.rules.iter().all(|rule| rule.table == 200));
    assert_eq!(Plan { rules: Vec::new(), ..plan }, Plan::default());
}

#[test]
fn source_hints_leave_subnets_in_the_main_table() {
    let config = parse(r#","addSourceHints":true,"gateways":["10.1.0.9"]"#).unwrap();
    let routes = vec![
        Route { src: Some(ip("10.1.0.2")), ..route("10.1.0.0/24") },
        route("fd00:1::/64"),
        route("10.8.0.0/16").via(ip("10.1.0.5")),
    ];
    let plan = plan(&config, &present(routes, Vec::new()));
    let leaving: Vec<_> = plan.leaving.iter().map(|route| route.dst.to_string()).collect();
    assert_eq!(leaving, ["10.8.0.0/16"]);
    let hint = &plan.hints[0];
    assert_eq!((plan.hints.len(), hint.src, hint.table), (1, Some(ip("fd00:1::2")), MAIN));
    let default = plan.routes.iter().find(|route| route.dst.is_default()).unwrap();
    assert_eq!(default.gw, Some(ip("10.1.0.9")));
}
