//! The directory that netavark writes for `aardvark-dns`: one file for each network.
//!
//! The first line has the addresses to listen at and, after a blank, the servers of the network.
//! Each further line is a container: id, IPv4 addresses, IPv6 addresses, names and, where it has
//! any, its own servers, parted by one blank; several of a kind are parted by commas.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use names::{Name, Record, Server};
use types::{Attachment, Cidr};

/// End of the name of an internal network's file.
const INTERNAL: &str = "%int";

/// One network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// What stands for all of it where an attachment is asked for.
    pub key: Attachment,
    /// Where it is asked.
    pub listen: Vec<IpAddr>,
    /// Its containers; what they share is in each.
    pub records: Vec<Record>,
}

/// Reads all networks of a directory, whose names may be followed by `suffix`. `prefix_of` gives the
/// length of the subnet of an address to listen at. What cannot be read of a file is told, and the
/// rest of it is used: one bad line must not take its network's names away.
///
/// # Errors
/// When the directory cannot be listed.
pub fn read(
    dir: &Path,
    suffix: Option<&Name>,
    prefix_of: impl Fn(IpAddr) -> u8,
) -> io::Result<(Vec<Network>, Vec<String>)> {
    let (mut networks, mut wrong) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(dir).map_err(|error| {
        io::Error::new(error.kind(), format!("list {}: {error}", dir.display()))
    })?;
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if matches!(name, "aardvark.pid" | "aardvark.lock") || !path.is_file() {
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => {
                let file = File { name, suffix, prefix_of: &prefix_of };
                let (network, bad) = file.parse(&text);
                networks.extend(network);
                wrong.extend(bad.iter().map(|why| format!("{}: {why}", path.display())));
            }
            // It may just have been removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => wrong.push(format!("read {}: {error}", path.display())),
        }
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((networks, wrong))
}

struct File<'a> {
    name: &'a str,
    suffix: Option<&'a Name>,
    prefix_of: &'a dyn Fn(IpAddr) -> u8,
}

impl File<'_> {
    fn parse(&self, text: &str) -> (Option<Network>, Vec<String>) {
        let mut wrong = Vec::new();
        let name = self.name.strip_suffix(INTERNAL).unwrap_or(self.name);
        let mut lines = text.lines();
        let mut fields = lines.next().unwrap_or_default().split(' ');
        let listen: Vec<IpAddr> = list(fields.next(), &mut wrong);
        let servers: Vec<IpAddr> = list(fields.next(), &mut wrong);
        let (Ok(network), false) = (name.parse(), listen.is_empty()) else {
            wrong.push("no network with an address to listen at".to_owned());
            return (None, wrong);
        };
        let key = Attachment {
            network,
            container: "gateway".parse().expect("it is a container id"),
            ifname: eth0(),
        };
        let shared = Shared { name, listen: &listen, servers: &servers };
        let records = lines
            .filter(|line| !line.is_empty())
            .filter_map(|line| self.container(&shared, line, &mut wrong))
            .collect();
        (Some(Network { name: name.to_owned(), key, listen, records }), wrong)
    }

    fn container(
        &self,
        shared: &Shared<'_>,
        line: &str,
        wrong: &mut Vec<String>,
    ) -> Option<Record> {
        let mut fields = line.split(' ');
        let id = fields.next().unwrap_or_default();
        let v4: Vec<IpAddr> = list(fields.next(), wrong);
        let v6: Vec<IpAddr> = list(fields.next(), wrong);
        let names: Vec<Name> = list(fields.next(), wrong);
        let own: Vec<IpAddr> = list(fields.next(), wrong);
        let (Ok(network), Ok(container)) = (shared.name.parse(), id.parse()) else {
            wrong.push(format!("no container in {line:?}"));
            return None;
        };
        let of_family = |address: &IpAddr| {
            let gateway = shared.listen.iter().find(|ip| ip.is_ipv4() == address.is_ipv4());
            let prefix = gateway
                .map_or(if address.is_ipv4() { 32 } else { 128 }, |ip| (self.prefix_of)(*ip));
            Cidr::new(*address, prefix)
        };
        let server = |ip: &IpAddr| Server(SocketAddr::new(*ip, 53));
        Some(Record {
            names: names.into_iter().collect(),
            addresses: v4.iter().chain(&v6).filter_map(of_family).collect(),
            gateways: shared.listen.to_vec(),
            merge: true,
            internal: self.name.ends_with(INTERNAL),
            suffix: self.suffix.cloned(),
            servers: shared.servers.iter().map(server).collect(),
            own_servers: own.iter().map(server).collect(),
            ..Record::bare(Attachment { network, container, ifname: eth0() }, Vec::new())
        })
    }
}

struct Shared<'a> {
    name: &'a str,
    listen: &'a [IpAddr],
    servers: &'a [IpAddr],
}

/// The directory does not say how interfaces are called within containers.
fn eth0() -> types::IfName {
    "eth0".parse().expect("eth0 is an interface name")
}

/// What of a list can be read.
fn list<T>(field: Option<&str>, wrong: &mut Vec<String>) -> Vec<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let items = field.unwrap_or_default().split(',').filter(|item| !item.is_empty());
    let parsed = items.filter_map(|item| match item.parse() {
        Ok(item) => Some(item),
        Err(error) => {
            wrong.push(format!("{item:?}: {error}"));
            None
        }
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, text: &str) -> (Option<Network>, Vec<String>) {
        let suffix = "dns.podman".parse().unwrap();
        File { name, suffix: Some(&suffix), prefix_of: &|ip| if ip.is_ipv4() { 24 } else { 64 } }
            .parse(text)
    }

    #[test]
    fn a_file_of_netavark_is_read_whole() {
        let (network, wrong) = parse(
            "n1%int",
            "10.89.0.1,fd10::1 1.1.1.1\n\
             68fb 10.89.0.2 fd10::2 web,68fb291b0318,WWW 8.8.8.8,9.9.9.9\n\
             9a00 10.89.0.3  api\n",
        );
        assert_eq!(wrong, [""; 0]);
        let network = network.unwrap();
        assert_eq!(network.name, "n1");
        assert_eq!(network.listen.len(), 2);
        let [web, api] = &network.records[..] else { panic!("{network:?}") };
        assert_eq!(web.names.to_string(), "web, 68fb291b0318, www");
        assert_eq!(
            web.addresses,
            ["10.89.0.2/24", "fd10::2/64"].map(|cidr| cidr.parse::<Cidr>().unwrap())
        );
        assert_eq!(web.own_servers.len(), 2);
        assert!(web.internal && web.merge);
        assert_eq!((api.addresses.len(), api.own_servers.len(), api.servers.len()), (1, 0, 1));
    }

    #[test]
    fn one_bad_line_is_told_and_takes_nothing_else_away() {
        let (network, wrong) = parse(
            "n1",
            "10.89.0.1,x\n\n\
             68fb\n\
             / 10.89.0.2  a\n\
             9a00 10.89.0.300  api,a b\n\
             9a01 10.89.0.4  db\n",
        );
        let names: Vec<String> =
            network.unwrap().records.iter().map(|record| record.names.to_string()).collect();
        assert_eq!(names, ["", "api, a", "db"]);
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        for text in ["", "no address\n", "\n68fb 10.0.0.1  a\n"] {
            assert_eq!(parse("n1", text).0, None, "{text:?}");
        }
        assert_eq!(parse("-", "10.89.0.1\n").0, None);
    }
}
