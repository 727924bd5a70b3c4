use crate::error::{Error, code};

/// `CNI_ARGS`: `K=V;K=V`, keys to the letter, values without `=` or `;`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args(Vec<(String, String)>);

impl Args {
    /// The pairs of `text`, as the reference's drop-in plugins take them on ADD: a pair that is
    /// none is an error, and so is a key outside `known` unless `IgnoreUnknown` is `1` or `true`.
    ///
    /// # Errors
    /// Code 4; the text names the pair.
    pub fn strict(text: &str, known: &[&str]) -> Result<Self, Error> {
        let bad = |what: String| {
            Err(Error::new(code::INVALID_ENVIRONMENT, format!("CNI_ARGS: ARGS: {what}")).with_hint(
                "CNI_ARGS is a list KEY=VALUE;KEY=VALUE with exactly one = in each pair",
            ))
        };
        let mut pairs = Vec::new();
        for pair in text.split(';').filter(|_| !text.is_empty()) {
            match pair.split_once('=') {
                Some((key, value)) if !value.contains('=') => {
                    pairs.push((key.to_owned(), value.to_owned()));
                }
                _ => return bad(format!("invalid pair \"{pair}\"")),
            }
        }
        let args = Self(pairs);
        let ignore = match args.get("IgnoreUnknown").map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => return bad(format!("IgnoreUnknown must be 0 or 1, not \"{other}\"")),
        };
        let unknown: Vec<String> = args
            .0
            .iter()
            .filter(|(key, _)| key != "IgnoreUnknown" && !known.contains(&key.as_str()))
            .map(|(key, value)| format!("\"{key}={value}\""))
            .collect();
        if ignore || unknown.is_empty() {
            return Ok(args);
        }
        Err(Error::new(
            code::INVALID_ENVIRONMENT,
            format!("CNI_ARGS: ARGS: unknown args [{}]", unknown.join(" ")),
        )
        .with_hint(format!("known here: {}; IgnoreUnknown=1 allows others", known.join(", "))))
    }

    /// What can be read of `text`, for verbs that never fail because of it.
    #[must_use]
    pub fn lenient(text: &str) -> Self {
        let pair = |p: &str| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self(text.split(';').filter_map(pair).collect())
    }

    /// The value of `key`; the last of several.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_unless_they_may_be_ignored() {
        let error = Args::strict("mac=x;IP=1.2.3.4", &["MAC", "IP"]).unwrap_err();
        assert_eq!(error.msg, "CNI_ARGS: ARGS: unknown args [\"mac=x\"]");
        assert!(error.details.contains("known here: MAC, IP"));
        let args = Args::strict("IgnoreUnknown=TRUE;mac=x;IP=1.2.3.4", &["IP"]).unwrap();
        assert_eq!(args.get("IP"), Some("1.2.3.4"));
    }

    #[test]
    fn a_pair_has_exactly_one_equals_sign_even_when_unknown_ones_are_ignored() {
        for text in ["a", "IgnoreUnknown=1;a=b=c", "IgnoreUnknown=1;;", "IgnoreUnknown=2"] {
            assert_eq!(Args::strict(text, &[]).unwrap_err().code, 4, "{text}");
        }
        assert_eq!(Args::strict("", &[]), Ok(Args::default()));
    }
}
