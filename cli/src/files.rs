//! The files that a container gets of its networks: resolv.conf(5) and hosts(5).

use std::fmt::Write as _;
use std::net::IpAddr;

use cni::Dns;
use cni::json::Object;

/// Appends the name servers of a result.
pub(crate) fn merge(dns: &mut Dns, result: &[u8]) {
    let read = || Dns::decode(&Object::parse(result).ok()?.object("dns").ok()??).ok();
    let Some(more) = read() else { return };
    append(&mut dns.nameservers, more.nameservers);
    append(&mut dns.search, more.search);
    append(&mut dns.options, more.options);
    if dns.domain.is_empty() {
        dns.domain = more.domain;
    }
}

/// Several networks may say the same.
fn append(list: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !list.contains(&text) {
            list.push(text);
        }
    }
}

/// The content of a resolv.conf(5).
pub(crate) fn resolv_conf(dns: &Dns) -> String {
    let mut text = "# made by cais of the networks' results\n".to_owned();
    for server in &dns.nameservers {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !dns.domain.is_empty() {
        let _ = writeln!(text, "domain {}", dns.domain);
    }
    // Of `domain` and `search` the last one counts.
    for (key, words) in [("search", &dns.search), ("options", &dns.options)] {
        if !words.is_empty() {
            let _ = writeln!(text, "{key} {}", words.join(" "));
        }
    }
    text
}

/// The content of a hosts(5) file: the loopback addresses, and those of the container itself.
pub(crate) fn hosts(name: &str, addresses: &[IpAddr], more: &[(String, String)]) -> String {
    let mut text = "# made by cais run\n127.0.0.1\tlocalhost\n".to_owned();
    text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\n");
    for address in addresses {
        let _ = writeln!(text, "{address}\t{name}");
    }
    for (name, address) in more {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_networks_say_is_listed_once() {
        let mut dns = Dns::default();
        for servers in [r#"["10.0.0.1","127.0.0.11"]"#, r#"["127.0.0.11"]"#] {
            let result = format!(r#"{{"dns":{{"nameservers":{servers},"search":["a.b"]}}}}"#);
            merge(&mut dns, result.as_bytes());
        }
        merge(&mut dns, b"no result");
        let text = resolv_conf(&dns);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, ["nameserver 10.0.0.1", "nameserver 127.0.0.11", "search a.b"]);
    }

    #[test]
    fn a_container_finds_itself_and_whom_it_was_told_of() {
        let more = [("db".to_owned(), "192.0.2.1".to_owned())];
        let text = hosts("web", &["10.0.0.2".parse().unwrap()], &more);
        assert!(text.ends_with("10.0.0.2\tweb\n192.0.2.1\tdb\n"), "{text}");
    }
}
