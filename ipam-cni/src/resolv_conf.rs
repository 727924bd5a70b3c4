use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use cni::{Dns, Error, code};

/// No resolver reads more of such a file, in bytes.
const MOST: u64 = 1 << 20;

/// Reads a file in the format of resolv.conf(5): `nameserver` (its second word), `domain` (the last
/// wins), `search` and `options` (all of them). Lines that start with `#` or `;` are comments.
///
/// # Errors
/// Code 5 when it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Dns, Error> {
    let text = read_file(path).map_err(|e| {
        Error::new(code::IO, format!("read resolvConf {}: {e}", path.display()))
            .with_hint("\"resolvConf\" must be the path of a readable file")
    })?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Reads a regular file: a pipe may stay silent for ever, and a device never end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        let keyword = words.next();
        let mut rest = words.map(str::to_owned);
        match keyword {
            Some("nameserver") => dns.nameservers.extend(rest.next()),
            Some("domain") => dns.domain = rest.next().unwrap_or_default(),
            Some("search") => dns.search.extend(rest),
            Some("options") => dns.options.extend(rest),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_end_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.msg, "read resolvConf /dev/zero: it is not a regular file");
        assert_eq!(error.hint(), Some("\"resolvConf\" must be the path of a readable file"));
    }

    #[test]
    fn the_last_domain_wins_and_the_rest_adds_up() {
        let dns = parse(
            "# comment\n; too\nnameserver 192.0.2.1 # x\nnameserver\tfd00::1\n\
             domain a\ndomain b\nsearch x y\nsearch z\noptions ndots:5 rotate\nfamily inet\n",
        );
        assert_eq!(dns.nameservers, ["192.0.2.1", "fd00::1"]);
        assert_eq!(dns.domain, "b");
        assert_eq!(dns.search, ["x", "y", "z"]);
        assert_eq!(dns.options, ["ndots:5", "rotate"]);
    }
}
