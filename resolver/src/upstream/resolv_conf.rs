//! The format of resolv.conf(5), as far as it concerns who asks the servers.
//!
//! `search`, `domain`, `ndots` and the like are the business of the client's own file and ignored
//! here, as is every line that cannot be read: a typing error must not cost a host its names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::set::{Options, PORT, Server};

/// Servers and how to ask them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// All servers in their order. The C library takes the first three only; there is no such limit
    /// here.
    pub servers: Vec<Server>,
    /// `timeout`, `attempts` and `rotate`; the last word on each counts.
    pub options: Options,
}

impl ResolvConf {
    /// Reads the text of such a file; what cannot be read is left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut read = Self::default();
        for line in String::from_utf8_lossy(text).lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(server);
                    read.servers.extend(server.filter(|server| !read.servers.contains(server)));
                }
                Some("options") => words.for_each(|word| option(word, &mut read.options)),
                _ => {}
            }
        }
        read
    }
}

/// An address, with `%` and the scope where it is of one link only: the index of the link, or its
/// name, which is looked up when a socket is made, so that the link may come later.
fn server(word: &str) -> Option<Server> {
    let (address, scope) = match word.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (word, None),
    };
    let mut server = Server::new(address.parse::<IpAddr>().ok()?);
    match (server.address.ip(), scope) {
        (_, None) => Some(server),
        (IpAddr::V6(ip), Some(scope)) => {
            match scope.parse() {
                Ok(index) => server.address = scoped(ip, index),
                Err(_) => server.link = Some(link(scope)?),
            }
            Some(server)
        }
        (IpAddr::V4(_), Some(_)) => None,
    }
}

fn scoped(ip: Ipv6Addr, index: u32) -> SocketAddr {
    SocketAddrV6::new(ip, PORT, 0, index).into()
}

/// A name that a link can have: at most 15 bytes, `dev_valid_name` in the kernel.
fn link(name: &str) -> Option<String> {
    let valid = !name.is_empty() && name.len() < 16 && !name.contains(['/', ':']);
    valid.then(|| name.to_owned())
}

/// Bounds are those of the C library: 1 to 30 s, 1 to 5 attempts.
fn option(word: &str, options: &mut Options) {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    match (name, value.parse::<u32>()) {
        ("timeout", Ok(seconds)) => {
            options.timeout = Duration::from_secs(seconds.clamp(1, 30).into());
        }
        ("attempts", Ok(attempts)) => options.attempts = attempts.clamp(1, 5),
        ("rotate", _) => options.rotate = true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let read = ResolvConf::parse(text.as_bytes());
        read.servers.iter().map(|server| server.address.to_string()).collect()
    }

    #[test]
    fn case_66_scopes_tabs_carriage_returns_and_four_servers_are_read_in_order() {
        let text = "# made by hand\r\n; really\r\nnameserver\t fe80::1%eth0 \r\nnameserver 192.0.2.1\r\n\
                    search corp.example\r\nnameserver 2001:db8::1 # the third\r\nnameserver fe80::2%7\r\n";
        let read = ResolvConf::parse(text.as_bytes());
        let expected = ["[fe80::1]:53", "192.0.2.1:53", "[2001:db8::1]:53", "[fe80::2%7]:53"];
        assert_eq!(addresses(text), expected);
        let links: Vec<_> = read.servers.iter().map(|server| server.link.as_deref()).collect();
        assert_eq!(links, [Some("eth0"), None, None, None]);
    }

    #[test]
    fn case_66_lines_that_make_no_sense_cost_nothing_but_themselves() {
        let text = "nameserver\nnameserver nowhere\nnameserver 1.2.3\nnameserver 10.0.0.1%eth0\n\
                    nameserver fe80::1%\nnameserver fe80::1%a/b\nnameserverr 9.9.9.9\n\u{0}\n\
                    \x20 nameserver 192.0.2.7\nnameserver 192.0.2.7";
        assert_eq!(addresses(text), ["192.0.2.7:53"]);
        assert_eq!(ResolvConf::parse(b"\xff\xfe\nnameserver 192.0.2.8").servers.len(), 1);
    }

    #[test]
    fn options_are_kept_within_the_bounds_of_the_c_library() {
        let of = |text: &str| ResolvConf::parse(text.as_bytes()).options;
        assert_eq!(of("nameserver 1.1.1.1"), Options::default());
        let read = of("options ndots:2 timeout:2 attempts:9\noptions rotate edns0 timeout:x");
        assert_eq!((read.timeout, read.attempts, read.rotate), (Duration::from_secs(2), 5, true));
        assert_eq!(of("options timeout:0 attempts:0").attempts, 1);
    }
}
