//! Which sysctls the node's operator allows: `/etc/cni/tuning/allowlist.conf`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cni::{Error, code, state};
use regex_lite::Regex;

use crate::sysctl::Sysctl;

/// The lines of the file, each a regular expression for names as they are written in
/// configurations. An expression need not match a whole name: `^` and `$` are up to its author.
pub(crate) struct Allowlist {
    path: PathBuf,
    patterns: Vec<Regex>,
}

impl Allowlist {
    /// Refuses what the node's list does not allow. Without a list everything is allowed, and
    /// without sysctls nobody looks for one.
    ///
    /// # Errors
    /// Code 7 naming the sysctl; code 5 when the list cannot be read or understood.
    pub(crate) fn permit(sysctls: &[Sysctl]) -> Result<(), Error> {
        if sysctls.is_empty() {
            return Ok(());
        }
        match Self::read(&state::root().join("etc/cni/tuning/allowlist.conf"))? {
            None => Ok(()),
            Some(list) => sysctls.iter().try_for_each(|sysctl| list.permit_one(&sysctl.name)),
        }
    }

    /// `None` when there is no list.
    fn read(path: &Path) -> Result<Option<Self>, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => {
                let text = format!("read list of allowed sysctls {}: {e}", path.display());
                Err(Error::new(code::IO, text)
                    .with_hint("without that file every network sysctl is allowed"))
            }
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            patterns.push(Regex::new(line).map_err(|why| {
                let text = format!(
                    "read list of allowed sysctls {}: line {number}: {line}: {why}",
                    path.display()
                );
                Error::new(code::IO, text).with_hint("each line is one regular expression")
            })?);
        }
        Ok(Self { path: path.to_owned(), patterns })
    }

    fn permit_one(&self, name: &str) -> Result<(), Error> {
        if self.patterns.iter().any(|pattern| pattern.is_match(name)) {
            return Ok(());
        }
        let text = format!("key \"sysctl\": Sysctl {name} is not allowed");
        Err(Error::new(code::INVALID_CONFIG, text).with_hint(format!(
            "the node's operator allows it by a line in {} that matches the name as it is written",
            self.path.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Allowlist, Error> {
        Allowlist::parse(Path::new("/list"), text)
    }

    #[test]
    fn a_pattern_need_not_match_a_whole_name_and_blank_lines_match_none() {
        let list = list("\n^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\r\n  somaxconn\n \n").unwrap();
        for name in ["net.ipv4.conf.IFNAME.arp_filter", "net.core.somaxconn", "net/core/somaxconn2"]
        {
            list.permit_one(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for name in ["net.ipv4.conf.eth0.arp_filter", "net.ipv4.conf.IFNAME.arp_filter2", ""] {
            let error = list.permit_one(name).unwrap_err();
            assert_eq!(error.msg, format!("key \"sysctl\": Sysctl {name} is not allowed"));
            assert!(error.hint().is_some_and(|hint| hint.contains("/list")), "{error}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(list("").unwrap().permit_one("net.core.somaxconn").is_err());
    }

    #[test]
    fn a_line_that_is_no_pattern_is_named_by_its_number() {
        let error = list("a\n(b\n").map(drop).unwrap_err();
        assert_eq!(error.code, code::IO);
        assert!(
            error.msg.starts_with("read list of allowed sysctls /list: line 2: (b: "),
            "{error}"
        );
    }
}
