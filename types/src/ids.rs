use std::fmt;
use std::str::FromStr;

use crate::IfName;

/// Why a text is neither a container id nor a network name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// The text is empty.
    Empty,
    /// A first character outside `[a-zA-Z0-9]`, or a later one outside `[a-zA-Z0-9_.-]`.
    Characters,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Characters => {
                "must start with a letter or digit and go on with letters, digits, `_`, `.` or `-`"
            }
        })
    }
}

impl std::error::Error for BadId {}

/// The alphabet that the CNI specification sets for container ids and network names. It keeps both
/// usable as part of a file name.
fn checked(text: &str) -> Result<String, BadId> {
    let mut bytes = text.bytes();
    match bytes.next() {
        None => return Err(BadId::Empty),
        Some(first) if !first.is_ascii_alphanumeric() => return Err(BadId::Characters),
        Some(_) => {}
    }
    if bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
        Ok(text.to_owned())
    } else {
        Err(BadId::Characters)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }
    };
}

id! {
    /// What a runtime calls a container (`CNI_CONTAINERID`). It has no limit of length.
    ContainerId
}

id! {
    /// Name of a network (`name` of its configuration); one host knows a network by it.
    NetworkName
}

/// The key of everything that cais keeps: one interface of one container on one network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The network.
    pub network: NetworkName,
    /// The container.
    pub container: ContainerId,
    /// The interface inside the container.
    pub ifname: IfName,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.network, self.container, self.ifname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_leave_their_directory() {
        for text in ["", ".", "..", "../x", "-a", "_a", "a/b", "a b", "ä", "a\0"] {
            assert!(text.parse::<ContainerId>().is_err(), "{text:?}");
            assert!(text.parse::<NetworkName>().is_err(), "{text:?}");
        }
        for text in ["a", "0", "a..", "a_b.c-d", &"x".repeat(300)] {
            assert!(text.parse::<ContainerId>().is_ok(), "{text:?}");
        }
    }
}
