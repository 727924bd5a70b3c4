//! What was written, be it as a key or as an option by the name of another program.

use std::fmt;
use std::str::FromStr;

use cni::json::{Object, Value};
use cni::schema::{COMMON, nearest};
use cni::{Error, code};

use crate::keys::KEYS;
use crate::options::{self, Written};

/// The keys and options of one network.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) keys: Object<'a>,
    options: Vec<Written<'a>>,
}

impl<'a> Given<'a> {
    /// Reads which there are.
    ///
    /// # Errors
    /// Code 7 for a key or option that nobody knows, with the nearest that somebody does.
    pub(crate) fn read(keys: Object<'a>) -> Result<Self, Error> {
        refuse_unknown(&keys)?;
        let options = options::read(&keys)?;
        Ok(Self { keys, options })
    }

    /// The flag `key`.
    ///
    /// # Errors
    /// Codes 6 and 7 as in all that follow; 7 where a key and an option contradict each other.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.one(key, Value::boolean, |text| match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(format!("\"{text}\" is neither true nor false")),
        })
    }

    /// The integer `key`.
    pub(crate) fn integer(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, Error> {
        let (first, last) = (*range.start(), *range.end());
        self.one(
            key,
            |value| value.integer(range.clone()),
            |text| {
                let number = text.parse().map_err(|_| format!("\"{text}\" is no integer"))?;
                match (first..=last).contains(&number) {
                    true => Ok(number),
                    false => Err(format!("{number} is outside {first}..{last}")),
                }
            },
        )
    }

    /// The text `key` as one of `words`.
    pub(crate) fn word(&self, key: &str, words: &[&str]) -> Result<Option<String>, Error> {
        let word = |text: &str| match words.contains(&text) || text.is_empty() {
            true => Ok(text.to_owned()),
            false => Err(format!("\"{text}\" is none of {}", words.join(", "))),
        };
        let of_key = |value: &Value<'_>| {
            let text = match value.raw().get() {
                // Where a word is a flag's, the flag means it.
                flag @ ("true" | "false") if words.contains(&flag) => flag.to_owned(),
                _ => value.string()?,
            };
            word(&text).map_err(|why| value.invalid(why))
        };
        Ok(self.one(key, of_key, word)?.filter(|text| !text.is_empty()))
    }

    /// The text `key` as a value of a type that cannot be wrong.
    pub(crate) fn parsed<T>(&self, key: &str) -> Result<Option<T>, Error>
    where
        T: FromStr + PartialEq,
        T::Err: fmt::Display,
    {
        let parse = |text: &str| text.parse::<T>().map_err(|why| why.to_string());
        let of_key = |value: &Value<'_>| match value.string()?.as_str() {
            "" => Ok(None),
            text => parse(text).map(Some).map_err(|why| value.invalid(why)),
        };
        Ok(self.one(key, of_key, |text| parse(text).map(Some))?.flatten())
    }

    /// As [`Self::parsed`] for what has no key at this place.
    pub(crate) fn parsed_option<T>(&self, key: &str) -> Result<Option<T>, Error>
    where
        T: FromStr + PartialEq,
        T::Err: fmt::Display,
    {
        let parse = |text: &str| text.parse::<T>().map_err(|why| why.to_string());
        self.one(key, |value| Err(value.invalid("it is no key")), parse)
    }

    fn one<T: PartialEq>(
        &self,
        key: &str,
        of_key: impl Fn(&Value<'a>) -> Result<T, Error>,
        of_text: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let mut found = self.keys.get(key).map(|value| of_key(&value)).transpose()?;
        let of_this = |option: &&Written<'_>| option.key == key && !option.text.is_empty();
        for option in self.options.iter().filter(of_this) {
            let value = of_text(&option.text).map_err(|why| option.value.invalid(why))?;
            match &found {
                Some(found) if *found != value => {
                    let text = format!("it contradicts what is said of \"{key}\" elsewhere");
                    return Err(option.value.invalid(text).with_hint("say it once"));
                }
                _ => found = Some(value),
            }
        }
        Ok(found)
    }
}

/// A misspelled key would turn off what it was to turn on.
fn refuse_unknown(keys: &Object<'_>) -> Result<(), Error> {
    let known = || KEYS.iter().chain(COMMON).map(|key| first_part(key.path));
    for (name, value) in keys.entries() {
        // Those of runtimes have a prefix with a slash, as the specification has it.
        if name.contains('/')
            || value.is_null()
            || known().any(|known| known.eq_ignore_ascii_case(name))
        {
            continue;
        }
        let told = Error::new(code::INVALID_CONFIG, format!("unknown key \"{name}\""));
        let known: Vec<&str> = known().collect();
        return Err(match (nearest(name, &known), name) {
            (_, "ipam") => told.with_hint("user-bridge has addresses of its own: see \"subnets\""),
            (Some(meant), _) => told.with_hint(format!("did you mean \"{meant}\"?")),
            (None, _) => told.with_hint("docs/plugins/user-bridge.md has all keys"),
        });
    }
    Ok(())
}

fn first_part(path: &'static str) -> &'static str {
    path.split(['.', '[']).next().unwrap_or(path)
}
