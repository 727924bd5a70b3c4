//! A configuration with something at one place of it that `serde_json` would never write.

use serde_json::{Map, Value};

/// Where the members of the innermost object go; no key and no value is called that.
const PLACE: &str = "@@";

/// A configuration with a place kept open for one key.
pub(crate) struct Document {
    before: Vec<u8>,
    after: Vec<u8>,
    key: String,
}

impl Document {
    /// `base` without the key at `path`, and with all that is needed around it: `[]` becomes a list
    /// with one element.
    pub(crate) fn around(path: &str, base: &Value) -> Self {
        let mut config = base.clone();
        let parts: Vec<&str> = path.split('.').collect();
        let (last, outer) = parts.split_last().expect("split gives one part at least");
        let mut place = &mut config;
        for part in outer {
            place = below(place, part);
        }
        let (key, lists) = (last.trim_end_matches("[]"), last.matches("[]").count());
        assert_eq!(lists, 0, "{path}: an element has no key of its own");
        let members = object(place);
        members.retain(|member, _| !member.eq_ignore_ascii_case(key));
        members.insert(PLACE.to_owned(), Value::Null);
        let text = config.to_string();
        let (before, after) = text
            .split_once(&format!("\"{PLACE}\":null"))
            .unwrap_or_else(|| panic!("the place is lost: {text}"));
        Self { before: before.into(), after: after.into(), key: key.to_owned() }
    }

    /// The document with `value` at the key.
    pub(crate) fn with(&self, value: &[u8]) -> Vec<u8> {
        self.with_members(&[(self.key.as_str(), value)])
    }

    /// The document without the key.
    pub(crate) fn without(&self) -> Vec<u8> {
        // A key that nobody knows keeps the commas right.
        self.with_members(&[(PLACE, b"null")])
    }

    /// The document with the key twice, in two spellings.
    pub(crate) fn with_both(&self, value: &[u8], upper: &[u8]) -> Vec<u8> {
        let shouted = self.key.to_ascii_uppercase();
        self.with_members(&[(self.key.as_str(), value), (&shouted, upper)])
    }

    fn with_members(&self, members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut text = self.before.clone();
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            text.extend_from_slice(format!("\"{key}\":").as_bytes());
            text.extend_from_slice(value);
        }
        text.extend_from_slice(&self.after);
        text
    }
}

/// The object at `part` of `place`, made where it is missing.
fn below<'a>(place: &'a mut Value, part: &str) -> &'a mut Value {
    let key = part.trim_end_matches("[]");
    let mut inner = object(place).entry(key).or_insert(Value::Null);
    for _ in 0..part.matches("[]").count() {
        if !inner.is_array() {
            *inner = Value::Array(vec![Value::Null]);
        }
        inner = &mut inner[0];
    }
    inner
}

fn object(place: &mut Value) -> &mut Map<String, Value> {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place.as_object_mut().expect("it was made one above")
}

#[test]
fn a_place_deep_inside_is_kept_open() {
    let base = serde_json::json!({ "name": "net", "ipam": { "type": "x", "subnet": "y" } });
    let document = Document::around("ipam.ranges[][].subnet", &base);
    let text = String::from_utf8(document.with_both(b"1", b"2")).unwrap();
    let expected =
        r#"{"ipam":{"ranges":[[{"subnet":1,"SUBNET":2}]],"subnet":"y","type":"x"},"name":"net"}"#;
    assert_eq!(text, expected);
    let text = String::from_utf8(Document::around("name", &base).with(b"[]")).unwrap();
    assert_eq!(text, r#"{"name":[],"ipam":{"subnet":"y","type":"x"}}"#);
}
