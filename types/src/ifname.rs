use std::fmt;
use std::str::FromStr;

/// Name of a network interface: 1 to 15 bytes that both the CNI specification and the kernel take.
///
/// The rules are those of the CNI reference skeleton (not `.` or `..`, no `/`, `:` or white space)
/// and two more that keep people safe: no `%` (the kernel would expand `%d`) and no control
/// character. See `dev_valid_name` in the kernel's `net/core/dev.c`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

impl IfName {
    /// Longest name in bytes: the kernel's `IFNAMSIZ` less its terminating NUL.
    pub const MAX_BYTES: usize = 15;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an interface name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIfName {
    /// The text is empty.
    Empty,
    /// More than [`IfName::MAX_BYTES`] bytes.
    TooLong,
    /// The text is `.` or `..`.
    Dots,
    /// It holds `/`, `:` or white space.
    Separator,
    /// It holds `%` or a control character.
    Unsafe,
}

impl fmt::Display for BadIfName {
    // The first four texts are those that CNI users already search for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "interface name is empty",
            Self::TooLong => "interface name is too long",
            Self::Dots => "interface name is . or ..",
            Self::Separator => "interface name contains / or : or whitespace characters",
            Self::Unsafe => "interface name contains % or control characters",
        })
    }
}

impl std::error::Error for BadIfName {}

impl FromStr for IfName {
    type Err = BadIfName;

    fn from_str(text: &str) -> Result<Self, BadIfName> {
        if text.is_empty() {
            return Err(BadIfName::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(BadIfName::TooLong);
        }
        if text == "." || text == ".." {
            return Err(BadIfName::Dots);
        }
        if text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace()) {
            return Err(BadIfName::Separator);
        }
        if text.chars().any(|c| c == '%' || c.is_control()) {
            return Err(BadIfName::Unsafe);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_own_answer() {
        let cases = [
            ("", BadIfName::Empty),
            ("sixteen_bytes_xx", BadIfName::TooLong),
            (".", BadIfName::Dots),
            ("..", BadIfName::Dots),
            ("a/b", BadIfName::Separator),
            ("a:b", BadIfName::Separator),
            ("a b", BadIfName::Separator),
            ("a\u{a0}b", BadIfName::Separator),
            ("veth%d", BadIfName::Unsafe),
            ("a\u{1}b", BadIfName::Unsafe),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<IfName>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn names_that_the_kernel_takes_are_taken() {
        for text in ["lo", "eth0", "fifteen_bytes_x", "br-1.100", "veth0@x", "é"] {
            assert_eq!(text.parse::<IfName>().map(|n| n.to_string()), Ok(text.to_owned()));
        }
    }
}
