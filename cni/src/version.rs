use std::fmt;
use std::str::FromStr;

/// A version of the CNI specification that cais speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 0.1.0 (2016): ADD and DEL, one address a family.
    V0_1_0,
    /// 0.2.0 (2017): VERSION.
    V0_2_0,
    /// 0.3.0 (2017): interfaces, lists of plugins, `prevResult`.
    V0_3_0,
    /// 0.3.1 (2017): the same with a typing error mended.
    V0_3_1,
    /// 0.4.0 (2019): CHECK.
    V0_4_0,
    /// 1.0.0 (2021): addresses no longer carry their family.
    V1_0_0,
    /// 1.1.0 (2024): GC and STATUS.
    V1_1_0,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    /// The newest version.
    pub const LATEST: Self = Self::V1_1_0;

    /// The version as it is written in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is none of the versions that cais speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVersion(pub String);

impl FromStr for Version {
    type Err = UnknownVersion;

    /// Exact: `1.0` is not `1.0.0`. The empty text is 0.1.0, which had no such key.
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        if text.is_empty() {
            return Ok(Self::V0_1_0);
        }
        Self::ALL
            .into_iter()
            .find(|v| v.as_str() == text)
            .ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

/// Up to three dot-separated numbers, missing ones 0, as numbers to compare by. The empty text is
/// 0.1.0. Anything else has no order: the error says which part is wrong.
pub(crate) fn ordinal(text: &str) -> Result<[u64; 3], String> {
    if text.is_empty() {
        return Ok([0, 1, 0]);
    }
    let mut numbers = [0; 3];
    let names = ["major", "minor", "micro"];
    for (i, part) in text.split('.').enumerate() {
        if i == 3 {
            return Err(format!("invalid version \"{text}\": too many parts"));
        }
        numbers[i] = part.parse().map_err(|_| {
            format!("failed to convert {} version part \"{part}\" of \"{text}\"", names[i])
        })?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_equal_only_to_the_letter() {
        assert_eq!("1.0.0".parse(), Ok(Version::V1_0_0));
        assert_eq!("".parse(), Ok(Version::V0_1_0));
        assert!("1.0".parse::<Version>().is_err());
        assert!("1.2.0".parse::<Version>().is_err());
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert_eq!(ordinal("1"), Ok([1, 0, 0]));
        assert_eq!(ordinal("0.10.2"), Ok([0, 10, 2]));
        for bad in ["1.0.0.0", "a", "1.x", "1.0.0-rc1", "1..0"] {
            assert!(ordinal(bad).is_err(), "{bad}");
        }
    }
}
