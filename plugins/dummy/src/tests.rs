use cni::Error;

use crate::config::{self, Config};

fn parse(text: &str) -> Result<Config, Error> {
    let text = format!(r#"{{"cniVersion":"1.1.0","name":"n","type":"dummy"{text}}}"#);
    config::parse(&cni::Config::parse(text.as_bytes())?)
}

#[test]
fn a_dummy_has_to_have_addresses() {
    assert_eq!(parse(r#","ipam":{"type":"static"}"#).unwrap().ipam, "static");
    for text in ["", r#","ipam":{}"#, r#","ipam":{"type":""}"#, r#","ipam":null"#] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.code, error.msg.as_str()), (7, "key \"ipam.type\" is required by dummy"));
    }
}
