use super::*;
use crate::others::Other;

fn other(is_up: bool, addresses: &[&str]) -> Other {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Other { name: "eth0".into(), is_up, addresses }
}

fn own() -> AddResult {
    lo::result(&["127.0.0.1/8".parse().unwrap(), "::1/128".parse().unwrap()], "/ns".into())
}

#[test]
fn a_link_that_is_down_and_bare_does_not_matter() {
    assert!(!other(false, &[]).is_usable());
    assert!(other(true, &[]).is_usable());
    assert!(other(false, &["10.0.0.2/24"]).is_usable());
}

#[test]
fn another_interface_is_named_with_its_state_and_addresses() {
    let text = other(true, &["10.0.0.2/24", "fd00::2/64"]).to_string();
    assert_eq!(text, "eth0 (up, 10.0.0.2/24, fd00::2/64)");
    assert_eq!(other(false, &[]).to_string(), "eth0 (down)");
}

#[test]
fn lo_is_appended_to_a_result_with_its_addresses_pointing_at_it() {
    let before = Interface { name: "x".into(), sandbox: "/ns".into(), ..Interface::default() };
    let previous = AddResult { interfaces: vec![before.clone()], ..AddResult::default() };
    let result = merged(Some(previous), own());
    assert_eq!(result.interfaces[0], before);
    assert_eq!(result.interface("lo", "/ns").map(|(index, _)| index), Some(1));
    let indices: Vec<_> = result.ips.iter().map(|ip| ip.interface).collect();
    assert_eq!(indices, [Some(1), Some(1)]);
}

#[test]
fn lo_of_an_earlier_loopback_plugin_is_not_told_twice() {
    assert_eq!(merged(Some(own()), own()), own());
    assert_eq!(merged(None, own()), own());
}
