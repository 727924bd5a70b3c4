use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Serialize;

/// Error codes: 1 to 99 are the specification's, from 100 a plugin's own.
pub mod code {
    /// The configuration's version is not one that the plugin speaks.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A key of the configuration has a value that this plugin does not support.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown; the runtime need not clean up.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// An environment variable is missing or wrong.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Reading or writing failed.
    pub const IO: u32 = 5;
    /// A document cannot be decoded.
    pub const DECODE: u32 = 6;
    /// The network configuration is wrong.
    pub const INVALID_CONFIG: u32 = 7;
    /// The network namespace is wrong (the reference skeleton's code, not the specification's).
    pub const INVALID_NETNS: u32 = 8;
    /// Something passing is in the way; calling again may succeed.
    pub const TRY_AGAIN: u32 = 11;
    /// STATUS: the plugin cannot serve ADD.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: as 50, and containers that exist may have limited connectivity.
    pub const LIMITED_CONNECTIVITY: u32 = 51;
    /// An address or port is taken or the pool is full.
    pub const EXHAUSTED: u32 = 100;
    /// What is there differs from what was made (CHECK).
    pub const DIFFERS: u32 = 101;
    /// Anything else; the reference's generic code.
    pub const INTERNAL: u32 = 999;
}

/// What a failed call answers: an error object of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// One of [`code`], or the delegate's own.
    pub code: u32,
    /// One line: what was tried, on which interface, in which namespace, why it failed. Callers
    /// show nothing else for sure, so the cause is in it.
    pub msg: String,
    /// More lines, the hint what to do among them; may be empty.
    pub details: String,
}

impl Error {
    /// An error without details.
    #[must_use]
    pub fn new(code: u32, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    /// An error from any other, its causes joined to one line.
    #[must_use]
    pub fn from_chain(code: u32, error: &dyn std::error::Error) -> Self {
        let mut msg = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a String cannot fail.
            let _ = write!(msg, ": {error}");
            cause = error.source();
        }
        Self::new(code, msg)
    }

    /// The same error with a line of details appended.
    #[must_use]
    pub fn with_details(mut self, details: impl AsRef<str>) -> Self {
        if !self.details.is_empty() {
            self.details.push('\n');
        }
        self.details.push_str(details.as_ref());
        self
    }

    /// The same error with the next step for whoever reads it.
    #[must_use]
    pub fn with_hint(self, hint: impl AsRef<str>) -> Self {
        self.with_details(format!("hint: {}", hint.as_ref()))
    }

    /// The same as an answer of STATUS: code 50.
    #[must_use]
    pub fn unavailable(self) -> Self {
        Self { code: code::NOT_AVAILABLE, ..self }
    }

    /// The same error with what to do, where somebody knows that.
    #[must_use]
    pub fn with_hint_if_any(self, hint: Option<impl AsRef<str>>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// The same error with what was being done put before it.
    #[must_use]
    pub fn in_step(mut self, step: impl AsRef<str>) -> Self {
        self.msg = format!("{}: {}", step.as_ref(), self.msg);
        self
    }

    /// Several errors as one: the first one's code, all texts. `None` when there is none.
    #[must_use]
    pub fn joined(errors: Vec<Self>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        for other in errors {
            let _ = write!(first.msg, "; {}", other.msg);
            if !other.details.is_empty() && other.details != first.details {
                first = first.with_details(other.details);
            }
        }
        Some(first)
    }

    /// Whether all of several things went well; else all that went wrong, as one error.
    ///
    /// # Errors
    /// As [`joined`](Self::joined).
    pub fn all(outcomes: impl IntoIterator<Item = Result<(), Self>>) -> Result<(), Self> {
        Self::joined(outcomes.into_iter().filter_map(Result::err).collect()).map_or(Ok(()), Err)
    }

    /// The hint among the details, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.details.lines().find_map(|line| line.strip_prefix("hint: "))
    }

    /// The error object as the specification has it, `version` being the one in use.
    #[must_use]
    pub fn to_json(&self, version: &str) -> Vec<u8> {
        let (version, msg) = (presentable(version, 64), presentable(&self.msg, 1024));
        let details = presentable(&self.details, 4096);
        let object =
            ErrorObject { cni_version: &version, code: self.code, msg: &msg, details: &details };
        crate::json::pretty(&object)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if !self.details.is_empty() {
            write!(f, "; {}", self.details)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[derive(Serialize)]
struct ErrorObject<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: &'a str,
    code: u32,
    msg: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    details: &'a str,
}

/// `text` as people and their terminals can bear it: without control characters but line breaks,
/// and at most about `most` bytes of it. Texts quote what callers sent, which may be anything. The
/// middle is left out, since what was tried is at the start and the cause at the end.
pub(crate) fn presentable(text: &str, most: usize) -> Cow<'_, str> {
    let is_raw = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.len() <= most && !text.contains(is_raw) {
        return Cow::Borrowed(text);
    }
    let (start, end) = match text.len() <= most {
        true => (text.len(), text.len()),
        false => {
            (text.floor_char_boundary(most / 2), text.ceil_char_boundary(text.len() - most / 2))
        }
    };
    let mut shown = String::with_capacity(most + 32);
    let show = |shown: &mut String, part: &str| {
        for c in part.chars() {
            match is_raw(c) {
                true => shown.extend(c.escape_default()),
                false => shown.push(c),
            }
        }
    };
    show(&mut shown, &text[..start]);
    if start < end {
        // Writing to a String cannot fail.
        let _ = write!(shown, "… ({} bytes) …", end - start);
    }
    show(&mut shown, &text[end..]);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_echoes_the_version_and_drops_empty_details() {
        let text = String::from_utf8(Error::new(7, "missing network name").to_json("0.4.0"));
        let expected = "{\n    \"cniVersion\": \"0.4.0\",\n    \"code\": 7,\n    \"msg\": \"missing network name\"\n}";
        assert_eq!(text.as_deref(), Ok(expected));
    }

    #[test]
    fn what_callers_sent_is_quoted_in_part_and_without_control_characters() {
        let told = |msg: String| {
            let text = String::from_utf8(Error::new(7, msg).to_json("1.0.0")).unwrap();
            crate::json::Object::parse(text.as_bytes()).unwrap().string("msg").unwrap().unwrap()
        };
        assert_eq!(told("no \u{1b}[31m\0 such\nword".into()), "no \\u{1b}[31m\\u{0} such\nword");
        assert_eq!(told("é\u{7f}".repeat(2)), "é\\u{7f}é\\u{7f}");
        let long = told(format!("tried {}: why", "ü".repeat(35_000)));
        assert!(long.len() < 1100 && long.starts_with("tried ü") && long.ends_with("ü: why"));
        assert!(long.contains("… (68988 bytes) …"), "{long}");
    }

    #[test]
    fn joined_errors_keep_the_first_code_and_every_text() {
        let joined = Error::joined(vec![
            Error::new(11, "a").with_hint("wait"),
            Error::new(5, "b").with_hint("look"),
        ])
        .unwrap();
        assert_eq!((joined.code, joined.msg.as_str()), (11, "a; b"));
        assert_eq!(joined.details, "hint: wait\nhint: look");
        assert_eq!(joined.hint(), Some("wait"));
    }
}
