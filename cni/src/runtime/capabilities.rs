use serde_json::value::RawValue;

use crate::error::Error;
use crate::json::Object;

/// Values that a runtime has for capabilities (`portMappings`, `ips`, …), each as the JSON it was
/// given, to the letter.
#[derive(Clone, Debug, Default)]
pub struct Capabilities(Vec<(String, Box<RawValue>)>);

impl Capabilities {
    /// Reads an object of values, as `CAP_ARGS` of `cnitool` holds it. A later value of a name
    /// replaces an earlier one.
    ///
    /// # Errors
    /// Code 6 when `text` is no JSON object.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Self::default();
        for (name, value) in Object::parse(text.as_bytes())?.entries() {
            all.set(name, value.raw().to_owned());
        }
        Ok(all)
    }

    /// Gives `name` a value, in place of one that it has.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// As [`set`](Self::set) with the value as JSON text.
    ///
    /// # Errors
    /// Code 6 when `value` is not one JSON value.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let value = RawValue::from_string(value.to_owned()).map_err(|e| {
            Error::new(crate::code::DECODE, format!("value of capability `{name}`: {e}"))
        })?;
        self.set(name, value);
        Ok(())
    }

    /// Whether nothing is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// Those values whose name is in `wanted`, as one JSON object; `None` when there is none.
    pub(super) fn object_of(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut object = super::request::JsonObject::new();
        for (name, value) in self.iter().filter(|(name, _)| wanted(name)) {
            object.raw(name, value.get());
        }
        (!object.is_empty()).then(|| object.finish())
    }
}
