//! A plugin's result as the next plugin, the cache and the caller get it.

use super::list::NetworkList;
use super::request::{JsonObject, compact};
use crate::error::{Error, code};
use crate::json::{Object, Value};
use crate::result::{AddResult, ResultShape};
use crate::version::{Version, ordinal};

/// A result as the list's other plugins must see it: to the letter where it is of the list's
/// version already, which it also is when it names none; else converted.
pub(super) fn in_version_of(list: &NetworkList, stdout: &[u8]) -> Result<String, Error> {
    let failed = |e: Error| e.in_step("failed to unmarshal raw result");
    let object = Object::parse(stdout).map_err(failed)?;
    let wanted = list.version_text();
    let own = object.get("cniVersion").and_then(|v| v.string().ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(stdout);
    if own == wanted && !own.is_empty() {
        decode(&text, list.version()).map_err(failed)?;
        return Ok(text.trim().to_owned());
    }
    // A later 1.x only adds keys, so it can be read as the newest that we know.
    let later = own.parse::<Version>().is_err()
        && ordinal(&own).is_ok_and(|number| number[0] == 1 && !own.is_empty());
    if own.is_empty() || later {
        let named = with_version(&object, if wanted.is_empty() { "0.1.0" } else { wanted });
        decode(&named, list.version()).map_err(failed)?;
        return Ok(named);
    }
    let result = decode(&text, list.version()).map_err(failed)?;
    let bytes = result.encode(list.version(), ResultShape::OfVersion)?;
    Ok(compact(&String::from_utf8_lossy(&bytes)))
}

fn decode(text: &str, expected: Version) -> Result<AddResult, Error> {
    let raw = serde_json::from_str(text)
        .map_err(|e: serde_json::Error| Error::new(code::DECODE, e.to_string()))?;
    let value = Value::root(raw);
    if value.is_null() {
        return Ok(AddResult::default());
    }
    AddResult::decode(&value, expected)
}

fn with_version(result: &Object<'_>, version: &str) -> String {
    let mut named = JsonObject::new();
    named.text("cniVersion", version);
    for (key, value) in result.entries().filter(|(k, _)| !k.eq_ignore_ascii_case("cniVersion")) {
        named.raw(key, value.raw().get());
    }
    named.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str) -> NetworkList {
        let text = format!(r#"{{"cniVersion":"{version}","name":"n","plugins":[{{"type":"x"}}]}}"#);
        NetworkList::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_result_of_the_lists_version_passes_to_the_letter() {
        let result = r#"{ "cniVersion":"1.0.0", "big": 123456789012345678901, "ips":[] }"#;
        assert_eq!(in_version_of(&list("1.0.0"), result.as_bytes()).unwrap(), result);
    }

    #[test]
    fn a_result_without_version_takes_the_lists() {
        for nameless in
            [r#"{"x":1.50}"#, r#"{"cniVersion":"","x":1.50}"#, r#"{"cniVersion":7,"x":1.50}"#]
        {
            let named = in_version_of(&list("0.4.0"), nameless.as_bytes()).unwrap();
            assert_eq!(named, r#"{"cniVersion":"0.4.0","x":1.50}"#);
        }
        assert_eq!(in_version_of(&list(""), b"null").unwrap(), r#"{"cniVersion":"0.1.0"}"#);
    }

    #[test]
    fn a_result_of_another_version_is_converted() {
        let old = br#"{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16","gateway":"10.1.0.1"}}"#;
        assert_eq!(
            in_version_of(&list("1.1.0"), old).unwrap(),
            r#"{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1"}]}"#
        );
        let later = br#"{"cniVersion":"1.9.0","ips":[{"address":"10.1.0.5/16"}],"new":{}}"#;
        assert_eq!(
            in_version_of(&list("1.1.0"), later).unwrap(),
            r#"{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.5/16"}],"new":{}}"#
        );
    }

    #[test]
    fn what_is_no_result_is_refused() {
        for text in ["", "[]", "{", r#"{"cniVersion":"7.0.0"}"#, r#"{"ips":{}}"#] {
            let error = in_version_of(&list("1.0.0"), text.as_bytes()).expect_err(text);
            assert!(error.msg.starts_with("failed to unmarshal raw result: "), "{error}");
        }
    }
}
