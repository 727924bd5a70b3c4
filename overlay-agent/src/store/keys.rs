//! Where things are in the store: the one place that makes keys and takes them apart.

use std::net::IpAddr;

use peers::{HostId, Vni};
use types::{Cidr, NetworkName, parse_ip};

/// The keys below one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Without a slash at its end.
    prefix: String,
}

/// A key taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// What holds for all hosts.
    Config,
    /// Which networks there are.
    Index,
    /// A network.
    Net(NetworkName),
    /// A host.
    Host(HostId),
    /// That a host is there.
    Alive(HostId),
    /// A block of a network.
    Block(NetworkName, Cidr),
    /// Names of a host's endpoint.
    Name(NetworkName, HostId, String),
}

impl Default for Keys {
    fn default() -> Self {
        Self::below("/overlay/v1")
    }
}

impl Keys {
    /// Keys below `prefix`.
    #[must_use]
    pub fn below(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn config(&self) -> String {
        self.at("config")
    }

    pub(crate) fn index(&self) -> String {
        self.at("netindex")
    }

    pub(crate) fn nets(&self) -> String {
        self.at("nets/")
    }

    pub(crate) fn net(&self, network: &NetworkName) -> String {
        self.at(&format!("nets/{network}"))
    }

    pub(crate) fn vni(&self, vni: Vni) -> String {
        self.at(&format!("vni/{:06x}", vni.get()))
    }

    pub(crate) fn hosts(&self) -> String {
        self.at("hosts/")
    }

    pub(crate) fn host(&self, id: &HostId) -> String {
        self.at(&format!("hosts/{id}"))
    }

    pub(crate) fn vtep(&self, ip: IpAddr) -> String {
        self.at(&format!("vtep/{ip}"))
    }

    pub(crate) fn alive_all(&self) -> String {
        self.at("alive/")
    }

    pub(crate) fn alive(&self, id: &HostId) -> String {
        self.at(&format!("alive/{id}"))
    }

    pub(crate) fn blocks(&self, network: &NetworkName) -> String {
        self.at(&format!("blocks/{network}/"))
    }

    /// The network whose blocks are below `prefix`, if all of them are.
    pub(crate) fn network_of_blocks(&self, prefix: &str) -> Option<NetworkName> {
        prefix.strip_prefix(&self.all_blocks())?.strip_suffix('/')?.parse().ok()
    }

    pub(crate) fn all_blocks(&self) -> String {
        self.at("blocks/")
    }

    pub(crate) fn block(&self, network: &NetworkName, block: Cidr) -> String {
        self.at(&format!("blocks/{network}/{}-{}", block.ip(), block.prefix()))
    }

    pub(crate) fn all_names(&self) -> String {
        self.at("names/")
    }

    pub(crate) fn names(&self, network: &NetworkName) -> String {
        self.at(&format!("names/{network}/"))
    }

    pub(crate) fn name(&self, network: &NetworkName, id: &HostId, endpoint: &str) -> String {
        self.at(&format!("names/{network}/{id}/{endpoint}"))
    }

    pub(crate) fn collector(&self) -> String {
        self.at("gc")
    }

    fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// Takes `key` apart; `None` for one that is not ours or that nothing here reads.
    pub(crate) fn parse(&self, key: &str) -> Option<Key> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let Some((kind, rest)) = rest.split_once('/') else {
            return match rest {
                "config" => Some(Key::Config),
                "netindex" => Some(Key::Index),
                _ => None,
            };
        };
        Some(match kind {
            "nets" => Key::Net(rest.parse().ok()?),
            "hosts" => Key::Host(rest.parse().ok()?),
            "alive" => Key::Alive(rest.parse().ok()?),
            "blocks" => {
                let (network, block) = rest.split_once('/')?;
                let (ip, prefix) = block.rsplit_once('-')?;
                let block = Cidr::new(parse_ip(ip)?, prefix.parse().ok()?)?;
                let key_again = self.block(&network.parse().ok()?, block);
                // One block, one key: no second spelling guards the same addresses.
                (key_again == key).then_some(())?;
                Key::Block(network.parse().ok()?, block)
            }
            "names" => {
                let (network, rest) = rest.split_once('/')?;
                let (host, endpoint) = rest.split_once('/')?;
                (!endpoint.is_empty() && !endpoint.contains('/')).then_some(())?;
                Key::Name(network.parse().ok()?, host.parse().ok()?, endpoint.to_owned())
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blue() -> NetworkName {
        "blue".parse().unwrap()
    }

    #[test]
    fn keys_are_taken_apart_as_they_were_made() {
        let keys = Keys::default();
        let id: HostId = "7f3c".parse().unwrap();
        let block: Cidr = "10.77.4.0/24".parse().unwrap();
        let block6: Cidr = "fd77:0:0:4::/64".parse().unwrap();
        for (made, key) in [
            (keys.index(), Key::Index),
            (keys.config(), Key::Config),
            (keys.net(&blue()), Key::Net(blue())),
            (keys.host(&id), Key::Host(id.clone())),
            (keys.alive(&id), Key::Alive(id.clone())),
            (keys.block(&blue(), block), Key::Block(blue(), block)),
            (keys.block(&blue(), block6), Key::Block(blue(), block6)),
            (keys.name(&blue(), &id, "c1-eth0"), Key::Name(blue(), id.clone(), "c1-eth0".into())),
        ] {
            assert_eq!(keys.parse(&made), Some(key), "{made}");
        }
        assert_eq!(keys.block(&blue(), block), "/overlay/v1/blocks/blue/10.77.4.0-24");
        assert_eq!(keys.vni(Vni::try_from(4103).unwrap()), "/overlay/v1/vni/001007");
    }

    #[test]
    fn a_second_spelling_of_a_block_is_no_key() {
        let keys = Keys::below("/p/");
        assert!(keys.parse("/p/blocks/blue/fd77::4:0-112").is_some());
        for key in [
            "/p/blocks/blue/FD77::4:0-112",
            "/p/blocks/blue/fd77:0::4:0-112",
            "/p/blocks/blue/10.77.4.0-024",
            "/p/blocks/blue/10.77.4.0",
            "/p/blocks/blue/10.77.4.0-33",
            "/p/names/blue/a/b/c",
            "/p/hosts/UPPER",
            "/other/hosts/a",
        ] {
            assert_eq!(keys.parse(key), None, "{key}");
        }
    }
}
