//! What the daemon of a host tells the plugin: one file for each network.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Cidr, IfName, Mtu, NetworkName};

use crate::error::{Error, parse};
use crate::file::{read, short, write_whole};
use crate::ids::{HostId, Vni};
use crate::record::State;

/// A network as this host takes part in it. It lives in the run directory, so until the next boot,
/// like the links that it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// The network.
    pub network: NetworkName,
    /// Its number.
    pub vni: Vni,
    /// Grows with every change of what follows.
    pub epoch: u64,
    /// This host.
    pub host: HostId,
    /// Bridge of the containers.
    pub bridge: IfName,
    /// The device whose packets travel between hosts.
    pub device: IfName,
    /// MTU of containers.
    pub mtu: Mtu,
    /// This host's blocks, in the order in which addresses are taken of them.
    pub blocks: Vec<LocalBlock>,
    /// All addresses of the network.
    pub pools: Vec<Cidr>,
    /// Whether what leaves the network is masqueraded.
    pub masquerade: bool,
    /// Name servers for containers.
    pub dns: Vec<IpAddr>,
    /// Why no container may be added; `None` where it may.
    pub denied: Option<String>,
}

/// A block of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalBlock {
    /// Which.
    pub cidr: Cidr,
    /// The bridge's address in it.
    pub gateway: IpAddr,
    /// Whether addresses are handed out.
    pub state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    v: u32,
    #[serde(with = "crate::text")]
    network: NetworkName,
    vni: u32,
    epoch: u64,
    #[serde(with = "crate::text")]
    host_id: HostId,
    #[serde(with = "crate::text")]
    bridge: IfName,
    #[serde(with = "crate::text")]
    device: IfName,
    mtu: u32,
    blocks: Vec<BlockShape>,
    #[serde(with = "crate::text::list")]
    pool: Vec<Cidr>,
    masq: bool,
    #[serde(with = "crate::text::list")]
    dns: Vec<IpAddr>,
    add_allowed: bool,
    add_denied_reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct BlockShape {
    #[serde(with = "crate::text")]
    cidr: Cidr,
    #[serde(with = "crate::text")]
    gw: IpAddr,
    state: StateShape,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateShape {
    Active,
    Draining,
    Released,
}

impl NodeFile {
    /// Where it is below `run_dir`.
    #[must_use]
    pub fn path(run_dir: &Path, network: &NetworkName) -> PathBuf {
        run_dir.join("overlay").join(format!("{}.json", short(network.as_str())))
    }

    /// Reads that of `network`; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(run_dir: &Path, network: &NetworkName) -> Result<Option<Self>, Error> {
        let path = Self::path(run_dir, network);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let file = Self::parse(&bytes)?;
        match file.network == *network {
            true => Ok(Some(file)),
            false => Err(Error::Invalid(format!("it is about network {}", file.network))),
        }
    }

    /// Writes it, whole or not at all, for everybody to read.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, run_dir: &Path) -> Result<(), Error> {
        write_whole(&Self::path(run_dir, &self.network), &self.encode())
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Layout`], else [`Error::Invalid`] with what is wrong where.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let shape: Shape = parse(bytes)?;
        let told = |why: &dyn std::fmt::Display| Error::Invalid(why.to_string());
        let mut blocks = Vec::new();
        for BlockShape { cidr, gw, state } in shape.blocks {
            if cidr != cidr.network() || !cidr.contains(gw) {
                return Err(Error::Invalid(format!("{gw} is no gateway of block {cidr}")));
            }
            let state = match state {
                StateShape::Active => State::Active,
                StateShape::Draining => State::Draining,
                StateShape::Released => State::Released,
            };
            blocks.push(LocalBlock { cidr, gateway: gw, state });
        }
        Ok(Self {
            network: shape.network,
            vni: Vni::try_from(shape.vni).map_err(|why| told(&why))?,
            epoch: shape.epoch,
            host: shape.host_id,
            bridge: shape.bridge,
            device: shape.device,
            mtu: Mtu::try_from(shape.mtu).map_err(|why| told(&why))?,
            blocks,
            pools: shape.pool,
            masquerade: shape.masq,
            dns: shape.dns,
            denied: match shape.add_allowed {
                true => None,
                false => Some(shape.add_denied_reason.unwrap_or_default()),
            },
        })
    }

    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        let block = |block: &LocalBlock| BlockShape {
            cidr: block.cidr,
            gw: block.gateway,
            state: match block.state {
                State::Active => StateShape::Active,
                State::Draining => StateShape::Draining,
                State::Released => StateShape::Released,
            },
        };
        let shape = Shape {
            v: crate::LAYOUT,
            network: self.network.clone(),
            vni: self.vni.get(),
            epoch: self.epoch,
            host_id: self.host.clone(),
            bridge: self.bridge.clone(),
            device: self.device.clone(),
            mtu: self.mtu.get(),
            blocks: self.blocks.iter().map(block).collect(),
            pool: self.pools.clone(),
            masq: self.masquerade,
            dns: self.dns.clone(),
            add_allowed: self.denied.is_none(),
            add_denied_reason: self.denied.clone(),
        };
        serde_json::to_string(&shape).expect("it has text keys and no failing parts")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) fn example() -> NodeFile {
        NodeFile {
            network: "blue".parse().unwrap(),
            vni: Vni::try_from(4103).unwrap(),
            epoch: 1842,
            host: "7f3c".parse().unwrap(),
            bridge: "ob-001007".parse().unwrap(),
            device: "ov-001007".parse().unwrap(),
            mtu: Mtu::try_from(1450).unwrap(),
            blocks: vec![LocalBlock {
                cidr: "10.77.4.0/24".parse().unwrap(),
                gateway: "10.77.4.1".parse().unwrap(),
                state: State::Draining,
            }],
            pools: vec!["10.77.0.0/16".parse().unwrap()],
            masquerade: true,
            dns: vec!["10.77.4.1".parse().unwrap()],
            denied: Some("quarantined".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_by_everybody() {
        let dir = std::env::temp_dir().join(format!("cais-node-file-{}", std::process::id()));
        let file = example();
        assert_eq!(NodeFile::read(&dir, &file.network).unwrap(), None);
        file.write(&dir).unwrap();
        assert_eq!(NodeFile::read(&dir, &file.network).unwrap(), Some(file.clone()));
        let path = NodeFile::path(&dir, &file.network);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "what it was written to is left");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_torn_file_or_another_layout_is_an_error() {
        let text = example().encode();
        for length in 0..text.len() {
            assert!(NodeFile::parse(&text.as_bytes()[..length]).is_err(), "cut at {length}");
        }
        let other = NodeFile::parse(text.replace("\"v\":1", "\"v\":7").as_bytes()).unwrap_err();
        assert!(other.to_string().contains("layout 7, this program reads 1"), "{other}");
        let gateway = text.replace("\"gw\":\"10.77.4.1\"", "\"gw\":\"10.77.5.1\"");
        let error = NodeFile::parse(gateway.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "10.77.5.1 is no gateway of block 10.77.4.0/24");
    }
}
