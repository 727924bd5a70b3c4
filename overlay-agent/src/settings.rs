//! How the daemon is configured: its own file, and what a plugin's configuration says of the store.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::{Encryption, Network, Underlay, Vni};
use serde::{Deserialize, Serialize};
use types::{Cidr, Family, Mtu, NetworkName};

use crate::store::{EtcdConfig, Keys, Login, Number, Tls};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// A file cannot be read.
    #[error("read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is not what it should be.
    #[error("{0}")]
    Invalid(String),
}

/// The daemon's own file, `/etc/cais/overlayd.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Where hosts tell each other of networks; `None`: as the first plugin that asks says.
    pub store: Option<StoreSettings>,
    /// What people call this host; `None`: its host name.
    pub host_name: Option<String>,
    /// By which of its addresses the others reach it, at most one of each family; `None`: those of
    /// the link with the default route.
    pub underlay: Option<Vec<IpAddr>>,
}

/// Where hosts tell each other of networks. Texts are as they were written, so that two can be
/// compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StoreSettings {
    /// `etcd`.
    #[serde(rename = "type")]
    kind: String,
    endpoints: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The user's password is in this file, so that configurations may be read by all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// How long a host counts as present after it was heard of last, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

/// Seconds that presence may last: shorter ones load etcd, longer ones help nobody.
const TTL: std::ops::RangeInclusive<u64> = 5..=3600;

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

impl Settings {
    /// Reads the file at `path`; what is usual where there is none.
    ///
    /// # Errors
    /// [`BadSettings`], which names the file.
    pub fn read(path: &Path) -> Result<Self, BadSettings> {
        match read(path) {
            Ok(bytes) => Self::parse(&bytes)
                .map_err(|why| BadSettings::Invalid(format!("{}: {why}", path.display()))),
            Err(BadSettings::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`BadSettings::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSettings> {
        let settings: Self = serde_json::from_slice(bytes).map_err(|why| invalid(&why))?;
        if let Some(store) = &settings.store {
            store.check()?;
        }
        if let Some(addresses) = &settings.underlay {
            underlay(addresses)?;
        }
        Ok(settings)
    }
}

/// At most one address of each family.
///
/// # Errors
/// [`BadSettings::Invalid`].
pub fn underlay(addresses: &[IpAddr]) -> Result<Underlay, BadSettings> {
    let mut underlay = Underlay::default();
    for address in addresses {
        let taken = match address {
            IpAddr::V4(ip) => underlay.v4.replace(*ip).is_some(),
            IpAddr::V6(ip) => underlay.v6.replace(*ip).is_some(),
        };
        let unusable = match address {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_multicast() || *ip == Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(ip) => {
                ip.is_loopback()
                    || ip.is_multicast()
                    || ip.is_unicast_link_local()
                    || *ip == Ipv6Addr::UNSPECIFIED
            }
        };
        if taken || unusable {
            let why = if taken { "is the second of its family" } else { "reaches no other host" };
            return Err(BadSettings::Invalid(format!("key \"underlay\": {address} {why}")));
        }
    }
    match underlay.addresses().is_empty() {
        true => Err(BadSettings::Invalid("key \"underlay\": it has no address".to_owned())),
        false => Ok(underlay),
    }
}

impl StoreSettings {
    /// Reads one that a plugin sent.
    ///
    /// # Errors
    /// [`BadSettings::Invalid`] with what is wrong where.
    pub fn parse(text: &str) -> Result<Self, BadSettings> {
        let store: Self = serde_json::from_str(text).map_err(|why| invalid(&why))?;
        store.check()?;
        Ok(store)
    }

    fn check(&self) -> Result<(), BadSettings> {
        let refuse = |why: String| Err(BadSettings::Invalid(why));
        if self.kind != "etcd" {
            return refuse(format!("store type {:?}: this daemon knows \"etcd\"", self.kind));
        }
        if self.endpoints.is_empty() {
            return refuse("key \"endpoints\": etcd needs one".to_owned());
        }
        for endpoint in &self.endpoints {
            if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) {
                return refuse(format!(
                    "endpoint {endpoint:?}: it begins with http:// or https://"
                ));
            }
        }
        if self.cert.is_some() != self.key.is_some() {
            return refuse("keys \"cert\" and \"key\" belong together".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            return refuse("keys \"user\" and \"passwordFile\" belong together".to_owned());
        }
        if self.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) {
            return refuse(format!("key \"ttl\": from {} to {} seconds", TTL.start(), TTL.end()));
        }
        if self.prefix.as_ref().is_some_and(|prefix| !prefix.starts_with('/')) {
            return refuse("key \"prefix\": it begins with /".to_owned());
        }
        Ok(())
    }

    /// What the store's client needs, with the files that are named.
    ///
    /// # Errors
    /// [`BadSettings::File`].
    pub fn etcd(&self) -> Result<EtcdConfig, BadSettings> {
        let mut config = EtcdConfig::new(self.endpoints.clone());
        if let Some(ca) = &self.ca {
            let identity = match (&self.cert, &self.key) {
                (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
                _ => None,
            };
            config.tls = Some(Tls { ca: read(ca)?, identity });
        }
        if let (Some(name), Some(file)) = (&self.user, &self.password_file) {
            let password = String::from_utf8_lossy(&read(file)?).trim_end().to_owned();
            config.login = Some(Login { name: name.clone(), password });
        }
        if let Some(prefix) = &self.prefix {
            config.keys = Keys::below(prefix);
        }
        if let Some(ttl) = self.ttl {
            config.ttl = Duration::from_secs(ttl);
        }
        Ok(config)
    }
}

/// How a network is to be, for the first host that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Create {
    pools: Vec<String>,
    vni: Option<u32>,
    block_len4: Option<u8>,
    block_len6: Option<u8>,
    port: Option<u16>,
    mtu: Option<u32>,
    masq: Option<bool>,
    encryption: Option<String>,
    #[serde(default)]
    reserved: Vec<String>,
}

/// Reads what key `create` of a plugin's configuration says of the network `name`.
///
/// # Errors
/// [`BadSettings::Invalid`] with what is wrong where.
pub fn create(name: &NetworkName, text: &str) -> Result<(Network, Number), BadSettings> {
    let shape: Create = serde_json::from_str(text).map_err(|why| invalid(&why))?;
    let told = |part: &str, why: &dyn std::fmt::Display| {
        BadSettings::Invalid(format!("create: key \"{part}\": {why}"))
    };
    let cidrs = |part: &str, texts: &[String]| -> Result<Vec<Cidr>, BadSettings> {
        let one = |text: &String| text.parse().map_err(|why| told(part, &why));
        texts.iter().map(one).collect()
    };
    let (vni, number) = match shape.vni {
        Some(vni) => (Vni::try_from(vni).map_err(|why| told("vni", &why))?, Number::Given),
        None => (Vni::try_from(1).map_err(|why| told("vni", &why))?, Number::Any),
    };
    let mut network = Network::new(name.clone(), vni, cidrs("pools", &shape.pools)?);
    network.reserved = cidrs("reserved", &shape.reserved)?;
    // Small pools have small blocks: at least four of them.
    for pool in &network.pools {
        let (usual, most) = match pool.family() {
            Family::V4 => (&mut network.block_len4, 30),
            Family::V6 => (&mut network.block_len6, 126),
        };
        *usual = (*usual).max((pool.prefix() + 2).min(most));
    }
    network.block_len4 = shape.block_len4.unwrap_or(network.block_len4);
    network.block_len6 = shape.block_len6.unwrap_or(network.block_len6);
    network.port = shape.port.unwrap_or(network.port);
    network.masquerade = shape.masq.unwrap_or(true);
    network.mtu = match shape.mtu {
        None | Some(0) => None,
        Some(mtu) => Some(Mtu::try_from(mtu).map_err(|why| told("mtu", &why))?),
    };
    network.encryption = match shape.encryption.as_deref() {
        None | Some("" | "none") => Encryption::None,
        Some("wireguard") => Encryption::Wireguard,
        Some(other) => return Err(told("encryption", &format!("{other:?} is unknown"))),
    };
    Ok((network, number))
}

fn read(path: &Path) -> Result<Vec<u8>, BadSettings> {
    let failed = |source| BadSettings::File { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        let why = format!("{}: it is longer than {MAX_BYTES} bytes", path.display());
        return Err(BadSettings::Invalid(why));
    }
    fs::read(path).map_err(failed)
}

fn invalid(why: &serde_json::Error) -> BadSettings {
    BadSettings::Invalid(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Settings::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_configuration_names_what_is_wrong_in_it() {
        let store = |inner: &str| refused(&format!("{{\"store\": {{{inner}}}}}"));
        let etcd = "\"type\": \"etcd\", \"endpoints\": [\"http://192.0.2.1:2379\"]";
        assert!(store("\"type\": \"consul\", \"endpoints\": []").contains("consul"));
        assert!(store("\"type\": \"etcd\", \"endpoints\": []").contains("endpoints"));
        assert!(store("\"type\": \"etcd\", \"endpoints\": [\"192.0.2.1\"]").contains("http://"));
        assert!(store(&format!("{etcd}, \"cert\": \"c\"")).contains("belong together"));
        assert!(store(&format!("{etcd}, \"ttl\": 1")).contains("from 5 to 3600"));
        assert!(store(&format!("{etcd}, \"tls\": 1")).contains("unknown field `tls`"));
        assert!(refused("{\"underlay\": [\"127.0.0.1\"]}").contains("reaches no other host"));
        assert!(refused("{\"underlay\": [\"192.0.2.1\", \"192.0.2.2\"]}").contains("second"));
        assert!(refused("{\"underlay\": []}").contains("no address"));
        Settings::parse(format!("{{\"store\": {{{etcd}}}}}").as_bytes()).unwrap();
    }

    #[test]
    fn blocks_of_a_small_pool_are_small() {
        let of = |pool: &str| {
            let text = format!("{{\"pools\": [\"{pool}\"]}}");
            let (network, number) = create(&"blue".parse().unwrap(), &text).unwrap();
            assert_eq!(number, Number::Any);
            (network.block_len4, network.block_len6)
        };
        assert_eq!(of("10.77.0.0/16"), (24, 64));
        assert_eq!(of("10.77.0.0/24"), (26, 64));
        assert_eq!(of("fd77::/64"), (24, 66));
    }

    #[test]
    fn a_network_to_be_created_names_what_is_wrong_in_it() {
        let refused = |text: &str| create(&"blue".parse().unwrap(), text).unwrap_err().to_string();
        assert!(refused("{\"pools\": [\"10.77.0.0/33\"]}").contains("pools"));
        assert!(refused("{\"pools\": [], \"vni\": 0}").contains("vni"));
        assert!(refused("{\"pools\": [], \"encryption\": \"rot13\"}").contains("rot13"));
        assert!(refused("{\"pool\": []}").contains("unknown field"));
    }
}
