//! Reading JSON as CNI callers write it: keys in any case, `null` for "not given", unknown keys
//! kept, the last of several equal keys wins. Errors name the key by its path.
//!
//! Values are parsed only where they are asked for, and what is not asked for is passed on to the
//! letter: numbers keep their digits and objects the order of their keys.
//!
//! ```
//! use cni::json::Object;
//! let config = Object::parse(br#"{"MTU": 1400, "ipam": {"type": "static"}, "dns": null}"#)?;
//! assert_eq!(config.integer("mtu", 68..=65535)?, Some(1400));
//! assert!(config.object("dns")?.is_none());
//! let error = config.object("ipam")?.unwrap().integer("type", 0..=1).unwrap_err();
//! assert_eq!(error.msg, r#"key "ipam.type": expected an integer, found the string "static""#);
//! # Ok::<(), cni::Error>(())
//! ```

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::Serialize;
use serde_json::value::RawValue;

use crate::error::{Error, code};

/// `value` as indented JSON in the form that the reference plugins print: four spaces, no newline
/// at the end.
pub fn pretty(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string_pretty(value)
        .expect("our own types have text keys and no failing parts");
    // Without `std` serde_json indents by two only. Text never holds a raw newline, so the spaces
    // that a line starts with are all indentation.
    let mut wide = String::with_capacity(text.len() * 2);
    for line in text.split_inclusive('\n') {
        let depth = line.len() - line.trim_start_matches(' ').len();
        wide.extend(std::iter::repeat_n(' ', depth));
        wide.push_str(line);
    }
    wide.into_bytes()
}

/// The document `json` in the same form, each number and text to the letter.
#[must_use]
pub fn indented(json: &str) -> String {
    let mut wide = String::with_capacity(json.len() * 2);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("    ", depth));
    };
    let (mut depth, mut inside, mut escaped, mut opened) = (0_usize, false, false, false);
    for c in json.chars() {
        if inside {
            wide.push(c);
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        // What is empty stays on one line.
        if opened != closes {
            line(&mut wide, depth);
        }
        wide.push(c);
        opened = matches!(c, '{' | '[');
        match c {
            '{' | '[' => depth += 1,
            ',' => line(&mut wide, depth),
            ':' => wide.push(' '),
            '"' => inside = true,
            _ => {}
        }
    }
    wide
}

/// A JSON value that knows where in the document it stands.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    path: String,
    raw: &'a RawValue,
}

/// A JSON object that knows where in the document it stands.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    path: String,
    entries: Vec<(String, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a whole document, which must be an object; `null` is an empty one.
    ///
    /// # Errors
    /// Code 6 with the line and column where the text is not JSON.
    pub fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let raw: &RawValue =
            serde_json::from_slice(text).map_err(|e| Error::new(code::DECODE, e.to_string()))?;
        if raw.get() == "null" {
            return Ok(Self::default());
        }
        Value { path: String::new(), raw }.object()
    }

    /// Where this object stands: `ipam.ranges[0]`; empty for the document itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Keys and values in the order they were written.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.entries.iter().map(|(key, raw)| (key.as_str(), Value { path: self.path_of(key), raw }))
    }

    /// The value of `key` in any spelling of upper and lower case; `None` when absent or `null`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let (_, raw) = self
            .entries
            .iter()
            .rev()
            .find(|(k, raw)| k.eq_ignore_ascii_case(key) && raw.get() != "null")?;
        Some(Value { path: self.path_of(key), raw })
    }

    /// Whether `key` was written at all, be it as `null`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.eq_ignore_ascii_case(key))
    }

    /// The text at `key`.
    ///
    /// # Errors
    /// Code 6 when it is no string; so in all the following for their own kinds.
    pub fn string(&self, key: &str) -> Result<Option<String>, Error> {
        self.get(key).map(|v| v.string()).transpose()
    }

    /// The boolean at `key`, `false` when absent.
    ///
    /// # Errors
    /// Code 6 when it is no boolean.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        Ok(self.get(key).map(|v| v.boolean()).transpose()?.unwrap_or(false))
    }

    /// The integer at `key`.
    ///
    /// # Errors
    /// Code 6 when it is no integer, code 7 when it is outside `range`.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Error> {
        self.get(key).map(|v| v.integer(range)).transpose()
    }

    /// The object at `key`.
    ///
    /// # Errors
    /// Code 6 when it is no object.
    pub fn object(&self, key: &str) -> Result<Option<Object<'a>>, Error> {
        self.get(key).map(|v| v.object()).transpose()
    }

    /// The elements of the list at `key`; empty when absent.
    ///
    /// # Errors
    /// Code 6 when it is no list.
    pub fn list(&self, key: &str) -> Result<Vec<Value<'a>>, Error> {
        Ok(self.get(key).map(|v| v.list()).transpose()?.unwrap_or_default())
    }

    /// The texts of the list at `key`; empty when absent.
    ///
    /// # Errors
    /// Code 6 when it is no list of strings.
    pub fn strings(&self, key: &str) -> Result<Vec<String>, Error> {
        self.list(key)?.iter().map(Value::string).collect()
    }

    /// The text at `key` turned into a value of a type that cannot be wrong. An empty text counts
    /// as absent, since configuration writers leave keys empty that they do not use.
    ///
    /// # Errors
    /// Code 6 when it is no string, code 7 with the type's own words when it cannot be that type.
    pub fn parsed<T>(&self, key: &str) -> Result<Option<T>, Error>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.string()?.as_str() {
                "" => Ok(None),
                text => value.parse_text(text).map(Some),
            },
        }
    }

    /// The IP address at `key`; an empty text counts as absent, IPv4-mapped IPv6 as IPv4.
    ///
    /// # Errors
    /// Code 6 when it is no string, code 7 when it is no address.
    pub fn ip(&self, key: &str) -> Result<Option<IpAddr>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.string()?.as_str() {
            "" => Ok(None),
            text => match types::parse_ip(text) {
                Some(ip) => Ok(Some(ip)),
                None => Err(value.invalid(format!("invalid IP address: {text}"))),
            },
        }
    }

    /// The unsigned 32-bit number at `key`.
    ///
    /// # Errors
    /// Code 6 when it is no integer, code 7 when it is negative or larger.
    pub fn number(&self, key: &str) -> Result<Option<u32>, Error> {
        let number = self.integer(key, 0..=i64::from(u32::MAX))?;
        Ok(number.map(|n| u32::try_from(n).expect("integer() kept it within 32 bits")))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Value<'a> {
    /// A value that is a document of its own.
    #[must_use]
    pub fn root(raw: &'a RawValue) -> Self {
        Self { path: String::new(), raw }
    }

    /// Where this value stands in the document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value as it was written.
    #[must_use]
    pub fn raw(&self) -> &'a RawValue {
        self.raw
    }

    /// Whether it is `null`, which callers write for "not given".
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.raw.get() == "null"
    }

    /// The value as text.
    ///
    /// # Errors
    /// Code 6 when it is no string; so in all the following for their own kinds.
    pub fn string(&self) -> Result<String, Error> {
        self.decode("a string")
    }

    /// The value as a boolean.
    ///
    /// # Errors
    /// Code 6 when it is neither `true` nor `false`.
    pub fn boolean(&self) -> Result<bool, Error> {
        self.decode("true or false")
    }

    /// The value as an integer; `1500.0` is none.
    ///
    /// # Errors
    /// Code 6 when it is no integer, code 7 when it is outside `range`.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Result<i64, Error> {
        let text = self.raw.get();
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.wrong_kind("an integer"));
        }
        match text.parse::<i64>() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.invalid(format!(
                "{} is outside {}..{}",
                shortened(text),
                range.start(),
                range.end()
            ))),
        }
    }

    /// The value as an object.
    ///
    /// # Errors
    /// Code 6 when it is no object.
    pub fn object(&self) -> Result<Object<'a>, Error> {
        let Entries(entries) =
            serde_json::from_str(self.raw.get()).map_err(|_| self.wrong_kind("an object"))?;
        Ok(Object { path: self.path.clone(), entries })
    }

    /// The value as a list.
    ///
    /// # Errors
    /// Code 6 when it is no list.
    pub fn list(&self) -> Result<Vec<Value<'a>>, Error> {
        let elements: Vec<&RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.wrong_kind("a list"))?;
        let path = |i| format!("{}[{i}]", self.path);
        Ok(elements.into_iter().enumerate().map(|(i, raw)| Value { path: path(i), raw }).collect())
    }

    /// The text turned into a value of a type that cannot be wrong.
    ///
    /// # Errors
    /// Code 6 when it is no string, code 7 with the type's own words when it cannot be that type.
    pub fn parsed<T>(&self) -> Result<T, Error>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        self.parse_text(&self.string()?)
    }

    /// An error about this value: code 7 and its path.
    #[must_use]
    pub fn invalid(&self, why: impl fmt::Display) -> Error {
        Error::new(code::INVALID_CONFIG, format!("key \"{}\": {why}", self.path))
    }

    fn parse_text<T>(&self, text: &str) -> Result<T, Error>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        text.parse().map_err(|e: T::Err| self.invalid(e))
    }

    fn decode<T: Deserialize<'a>>(&self, kind: &str) -> Result<T, Error> {
        serde_json::from_str(self.raw.get()).map_err(|_| self.wrong_kind(kind))
    }

    fn wrong_kind(&self, expected: &str) -> Error {
        let text = self.raw.get();
        let found = match text.as_bytes().first() {
            Some(b'"') => format!("the string {}", shortened(text)),
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'-' | b'0'..=b'9') => format!("the number {}", shortened(text)),
            _ => text.to_owned(),
        };
        let place =
            if self.path.is_empty() { String::new() } else { format!("key \"{}\": ", self.path) };
        Error::new(code::DECODE, format!("{place}expected {expected}, found {found}"))
    }
}

/// Long values are cut, since an error is one line.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_in_any_case_the_last_wins_and_null_is_absent() {
        let o = Object::parse(br#"{"mtu":1,"MTU":2,"Mtu":null,"x":null}"#).unwrap();
        assert_eq!(o.integer("mtu", 0..=9).unwrap(), Some(2));
        assert_eq!(o.string("x").unwrap(), None);
        assert!(o.has("X") && !o.has("y"));
    }

    #[test]
    fn errors_name_the_path_and_what_was_found() {
        let o = Object::parse(br#"{"a":{"b":[{"c":1.0}]},"n":99999999999999999999}"#).unwrap();
        let b = o.object("a").unwrap().unwrap().list("b").unwrap();
        let c = b[0].object().unwrap();
        let text = |e: Error| (e.code, e.msg);
        assert_eq!(
            text(c.integer("c", 0..=9).unwrap_err()),
            (6, r#"key "a.b[0].c": expected an integer, found the number 1.0"#.to_owned())
        );
        assert_eq!(
            text(o.integer("n", 0..=9).unwrap_err()),
            (7, r#"key "n": 99999999999999999999 is outside 0..9"#.to_owned())
        );
        assert_eq!(
            text(o.list("a").unwrap_err()),
            (6, r#"key "a": expected a list, found an object"#.to_owned())
        );
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in
            ["", "[]", "{} x", "\u{feff}{}", "{\"a\":1,}", "// c\n{}", "\"a\"", "{\"a\":\"\n\"}"]
        {
            assert_eq!(Object::parse(text.as_bytes()).unwrap_err().code, 6, "{text:?}");
        }
        assert_eq!(Object::parse(b"{\"a\": \"\xff\"}").unwrap_err().code, 6);
        assert!(Object::parse(b"null").unwrap().entries.is_empty());
    }

    #[test]
    fn indenting_gives_the_form_of_the_reference_and_keeps_every_letter() {
        let text = r#"{"a":[1.50,{}],"b { \"":[ ],"c":{"d":null}}"#;
        let expected = "{\n    \"a\": [\n        1.50,\n        {}\n    ],\n    \"b { \\\"\": [],\n    \"c\": {\n        \"d\": null\n    }\n}";
        assert_eq!(indented(text), expected);
        assert_eq!(indented(expected), expected);
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(pretty(&value), indented(&value.to_string()).into_bytes());
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let text = "[".repeat(100_000);
        assert_eq!(Object::parse(format!("{{\"a\":{text}").as_bytes()).unwrap_err().code, 6);
    }
}
