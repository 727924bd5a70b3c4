//! What a container may be called.

use std::fmt;
use std::str::FromStr;

use types::ContainerId;

/// Most bytes of a name, and of one of its labels (RFC 1035, 2.3.4, without length and root).
const MOST_BYTES: usize = 253;
const MOST_LABEL_BYTES: usize = 63;

/// Start of an id that stands for it.
const SHORT_ID: usize = 12;
/// Length of ids that nobody types.
const WHOLE_ID: usize = 64;

/// A host name: labels of 1 to 63 letters, digits, `_` and `-`, 253 bytes in all, in lower case. As
/// an alias the first label may be `*`, which stands for all names below the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadName {
    /// There is none.
    Empty,
    /// It has another character than those allowed.
    Character(char),
    /// It has more bytes than fit.
    TooLong(usize),
    /// One of its labels has none, or more bytes than fit.
    Label(String),
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::Character(character) => {
                write!(f, "has {character:?}: letters, digits, `_`, `-` and `.` are allowed")
            }
            Self::TooLong(bytes) => write!(f, "has {bytes} bytes, {MOST_BYTES} are allowed"),
            Self::Label(label) if label.is_empty() => f.write_str("has an empty label"),
            Self::Label(label) => write!(
                f,
                "has a label of {} bytes ({label}), {MOST_LABEL_BYTES} are allowed",
                label.len()
            ),
        }
    }
}

impl std::error::Error for BadName {}

impl Name {
    /// The name in lower case, without a dot at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a wildcard stands below; `None` for any other name.
    #[must_use]
    pub fn wildcard(&self) -> Option<&str> {
        self.0.strip_prefix("*.")
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        let plain = text.strip_prefix("*.").unwrap_or(text);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some(character) = plain.chars().find(|c| !allowed(*c)) {
            return Err(BadName::Character(character));
        }
        if text.len() > MOST_BYTES {
            return Err(BadName::TooLong(text.len()));
        }
        let fits = |label: &&str| (1..=MOST_LABEL_BYTES).contains(&label.len());
        if let Some(label) = plain.split('.').find(|label| !fits(label)) {
            return Err(BadName::Label(label.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All names of a container on one network, none twice. The first is what its addresses are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<Name>);

impl Names {
    /// In Docker's order: what it is called, its aliases, the first 12 characters of its id, its host
    /// name. An id that people chose, which is any but one of 64 hexadecimal digits, is a name as
    /// well, where it can be: the first, when nobody gave another.
    #[must_use]
    pub fn new(
        name: Option<&Name>,
        aliases: &[Name],
        id: &ContainerId,
        hostname: Option<&Name>,
    ) -> Self {
        let id = id.as_str();
        let digits = id.len() == WHOLE_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let chosen = if digits { None } else { id.parse().ok() };
        let short = id.get(..SHORT_ID.min(id.len())).and_then(|short| short.parse().ok());
        let first = name.cloned().or_else(|| chosen.clone());
        let all = first.into_iter().chain(aliases.iter().cloned());
        all.chain(chosen).chain(short).chain(hostname.cloned()).collect()
    }

    /// The names in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Name] {
        &self.0
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        let mut all: Vec<Name> = Vec::new();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        Self(all)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            name.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case_and_keep_underscores_and_dots() {
        for (text, name) in
            [("Web", "web"), ("a.b", "a.b"), ("_x-1.", "_x-1"), ("*.Foo.local", "*.foo.local")]
        {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), name);
        }
        let longest = "a".repeat(MOST_LABEL_BYTES);
        assert_eq!(longest.parse::<Name>().unwrap().as_str(), longest);
    }

    #[test]
    fn what_no_name_can_be_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "is empty"),
            (".", "is empty"),
            ("a b", "has ' ': letters"),
            ("a,b", "has ',': letters"),
            ("a\nb", "has '\\n': letters"),
            ("ä", "has 'ä': letters"),
            ("a.*", "has '*': letters"),
            ("a..b", "has an empty label"),
            (&"x".repeat(64), "has a label of 64 bytes"),
            (&"x.".repeat(140), "has 279 bytes, 253 are allowed"),
        ] {
            let error = text.parse::<Name>().unwrap_err().to_string();
            assert!(error.starts_with(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn ids_of_digits_are_names_only_by_their_beginning_and_others_as_a_whole() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let of = |id: &str| {
            let host = name("host");
            Names::new(
                Some(&name("web")),
                &[name("www"), name("web")],
                &id.parse().unwrap(),
                Some(&host),
            )
            .to_string()
        };
        assert_eq!(of(&"0a".repeat(32)), "web, www, 0a0a0a0a0a0a, host");
        assert_eq!(of("shop"), "web, www, shop, host");
        assert_eq!(of("my-long-container"), "web, www, my-long-container, my-long-cont, host");
        assert_eq!(of(&"x".repeat(70)), "web, www, xxxxxxxxxxxx, host");
        let nameless = Names::new(None, &[name("www")], &"shop".parse().unwrap(), None);
        assert_eq!(nameless.to_string(), "shop, www");
    }
}
