//! Which servers the host itself asks.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::resolv_conf::ResolvConf;
use super::set::Server;

/// Where the list of the host's servers is.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that it asks itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// Where NetworkManager writes the servers that its own resolver asks.
const NETWORK_MANAGER: &str = "/run/NetworkManager/no-stub-resolv.conf";

/// Addresses of systemd-resolved's two listeners.
const RESOLVED_LISTENS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(127, 0, 0, 54)];

/// The files that name the host's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFiles {
    /// What the C library reads.
    pub resolv_conf: PathBuf,
    /// What systemd-resolved asks.
    pub resolved: PathBuf,
    /// What NetworkManager's resolver asks.
    pub network_manager: PathBuf,
}

impl Default for HostFiles {
    fn default() -> Self {
        Self::with_resolv_conf(Path::new(RESOLV_CONF))
    }
}

impl HostFiles {
    /// The usual files, but for `resolv_conf`.
    #[must_use]
    pub fn with_resolv_conf(resolv_conf: &Path) -> Self {
        Self {
            resolv_conf: resolv_conf.to_owned(),
            resolved: RESOLVED.into(),
            network_manager: NETWORK_MANAGER.into(),
        }
    }

    /// All of them, to be watched.
    #[must_use]
    pub fn paths(&self) -> [&Path; 3] {
        [&self.resolv_conf, &self.resolved, &self.network_manager]
    }

    /// The host's servers now.
    ///
    /// A resolver on loopback is asked itself, since it knows which names go where (VPNs, split
    /// DNS). The servers that it asks come behind it, as last resort for when it is dead.
    ///
    /// # Errors
    /// When the file that the C library reads cannot be read. That the others cannot means there are
    /// none.
    pub fn read(&self) -> io::Result<ResolvConf> {
        self.read_or(None)
    }

    /// The same for a process that gave up its rights: `opened` is the file that the C library reads,
    /// for when that may not be looked up. What took its place since is not seen then.
    ///
    /// # Errors
    /// As [`HostFiles::read`].
    pub fn read_or(&self, opened: Option<&File>) -> io::Result<ResolvConf> {
        let text = match (std::fs::read(&self.resolv_conf), opened) {
            (Err(error), Some(opened)) if error.kind() == io::ErrorKind::PermissionDenied => {
                from_the_start(opened)
            }
            (read, _) => read,
        };
        let mut read = ResolvConf::parse(&text.map_err(|error| {
            let path = self.resolv_conf.display();
            io::Error::new(error.kind(), format!("read the host's servers from {path}: {error}"))
        })?);
        let all_local = read.servers.iter().all(is_local);
        if !read.servers.is_empty() && all_local {
            let behind = std::fs::read(self.behind(&read.servers)).unwrap_or_default();
            let behind = ResolvConf::parse(&behind).servers;
            let usable = behind.into_iter().filter(|server| !is_local(server));
            read.servers.extend(usable.map(|server| Server { last_resort: true, ..server }));
        }
        Ok(read)
    }

    /// The file that lists whom the resolver among `servers` asks.
    fn behind(&self, servers: &[Server]) -> &Path {
        let is_resolved = |server: &Server| match server.address.ip() {
            IpAddr::V4(ip) => RESOLVED_LISTENS.contains(&ip),
            IpAddr::V6(_) => false,
        };
        if servers.iter().any(is_resolved) { &self.resolved } else { &self.network_manager }
    }
}

fn from_the_start(mut file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

fn is_local(server: &Server) -> bool {
    server.address.ip().to_canonical().is_loopback()
}
