use super::*;

fn shape_of(text: &str) -> ResultShape {
    shape(&Config::parse(text.as_bytes()).unwrap())
}

#[test]
fn a_result_of_its_own_has_the_newest_shape_under_every_version_that_is_named() {
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let text = format!(r#"{{"CniVersion":"{version}","name":"n","prevResult":null}}"#);
        assert_eq!(shape_of(&text), ResultShape::Newest, "{version}");
    }
}

#[test]
fn a_configuration_without_version_gets_the_shape_of_the_oldest() {
    assert_eq!(shape_of(r#"{"name":"n"}"#), ResultShape::OfVersion);
    assert_eq!(shape_of(r#"{"name":"n","cniVersion":""}"#), ResultShape::OfVersion);
}

#[test]
fn what_is_passed_through_keeps_the_shape_of_the_version() {
    let text = r#"{"name":"n","cniVersion":"0.4.0","prevResult":{}}"#;
    assert_eq!(shape_of(text), ResultShape::OfVersion);
}

#[test]
fn a_prev_result_that_is_none_is_refused_before_anything_is_done() {
    let config = Config::parse(br#"{"name":"n","cniVersion":"1.0.0","prevResult":5}"#).unwrap();
    let error = Loopback.validate(&config).unwrap_err();
    assert_eq!(error.code, cni::code::DECODE);
    assert!(error.msg.starts_with("could not parse prevResult"), "{}", error.msg);
}
