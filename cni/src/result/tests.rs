use super::*;
use crate::version::Version as V;

fn decode(text: &str, version: V) -> AddResult {
    let object = Object::parse(text.as_bytes()).unwrap();
    let result = match version {
        V::V0_1_0 | V::V0_2_0 => v0_1::decode(&object),
        _ => v1_0::decode(&object),
    };
    result.unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn encode(result: &AddResult, version: V) -> String {
    let text = result.encode(version, ResultShape::OfVersion).unwrap();
    let text = String::from_utf8(text).unwrap();
    // One line is easier to compare; no value here holds white space.
    text.split_whitespace().collect()
}

const V1_1: &str = r#"{"cniVersion":"1.1.0","dns":{"domain":"d","nameservers":["1.1.1.1"],"options":["ndots:5"],"search":["s"]},"interfaces":[{"mac":"aa:bb:cc:dd:ee:ff","mtu":1500,"name":"eth0","pciID":"0000:04:00.5","sandbox":"/ns","socketPath":"/x"}],"ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":0},{"address":"fd00::5/64"}],"routes":[{"advmss":1360,"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"priority":50,"scope":0,"table":100},{"dst":"fd01::/64"}]}"#;

#[test]
fn the_newest_version_comes_back_to_the_letter() {
    assert_eq!(encode(&decode(V1_1, V::V1_1_0), V::V1_1_0), V1_1);
}

#[test]
fn version_0_4_has_families_and_keeps_what_routes_know() {
    assert_eq!(
        encode(&decode(V1_1, V::V1_1_0), V::V0_4_0),
        r#"{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","mac":"aa:bb:cc:dd:ee:ff","sandbox":"/ns"}],"ips":[{"version":"4","interface":0,"address":"10.1.0.5/16","gateway":"10.1.0.1"},{"version":"6","address":"fd00::5/64"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"advmss":1360,"priority":50,"table":100,"scope":0},{"dst":"fd01::/64"}],"dns":{"nameservers":["1.1.1.1"],"domain":"d","search":["s"],"options":["ndots:5"]}}"#
    );
}

#[test]
fn version_0_2_keeps_one_address_a_family_with_its_routes() {
    let result = decode(V1_1, V::V1_1_0);
    let old = r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1","routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1"}]},"ip6":{"ip":"fd00::5/64","routes":[{"dst":"fd01::/64"}]},"dns":{"nameservers":["1.1.1.1"],"domain":"d","search":["s"],"options":["ndots:5"]}}"#;
    assert_eq!(encode(&result, V::V0_2_0), old);
    let back = decode(old, V::V0_2_0);
    assert_eq!(encode(&back, V::V0_1_0), old.replace("0.2.0", "0.1.0"));
    assert_eq!(back.routes.len(), 2);
    assert!(back.interfaces.is_empty() && back.ips.iter().all(|ip| ip.interface.is_none()));
}

#[test]
fn an_empty_result_prints_dns_only_in_the_middle_versions() {
    let empty = AddResult::default();
    assert_eq!(encode(&empty, V::V1_0_0), r#"{"cniVersion":"1.0.0"}"#);
    assert_eq!(encode(&empty, V::V0_3_1), r#"{"cniVersion":"0.3.1","dns":{}}"#);
    let error = empty.encode(V::V0_1_0, ResultShape::OfVersion).unwrap_err();
    assert_eq!(error.msg, "cannot convert: no valid IP addresses");
}

#[test]
fn an_index_of_minus_one_or_past_the_end_is_no_interface() {
    let text = |i: i64| {
        format!(
            r#"{{"interfaces":[{{"name":"a"}}],"ips":[{{"address":"10.0.0.1/8","interface":{i}}}]}}"#
        )
    };
    for (index, seen) in [(-1, None), (0, Some(0)), (1, None), (99, None)] {
        assert_eq!(decode(&text(index), V::V1_0_0).ips[0].interface, seen, "{index}");
    }
}

#[test]
fn a_result_is_read_by_its_own_version_else_by_the_configurations() {
    let read = |text: &'static str, expected| {
        let document = Object::parse(text.as_bytes()).unwrap();
        AddResult::decode(&document.get("r").unwrap(), expected)
    };
    let old = r#"{"r":{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8"}}}"#;
    assert_eq!(read(old, V::V1_0_0).unwrap().ips.len(), 1);
    let none = r#"{"r":{"ip4":{"ip":"10.0.0.1/8"}}}"#;
    assert_eq!(read(none, V::V0_1_0).unwrap().ips.len(), 1);
    assert_eq!(read(none, V::V1_0_0).unwrap().ips.len(), 0);
    let future = r#"{"r":{"cniVersion":"1.2.0"}}"#;
    let error = read(future, V::V1_0_0).unwrap_err();
    assert_eq!(error.msg, "unsupported CNI result version \"1.2.0\"");
}
