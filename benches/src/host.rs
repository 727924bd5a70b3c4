//! A host of a subject's own with one container on it, so that the rules of one subject never slow
//! another.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use types::Attachment;

use crate::call::Plugin;
use crate::isolation::{Container, Scratch};

/// The subnet of the container, of which [`Host::BRIDGE`] has the first address.
pub(crate) const SUBNET: &str = "10.90.0.0/16";

/// The network, and the name of its interface in each container.
const NETWORK: &str = "bench";
const IFNAME: &str = "eth0";

/// A network namespace that plays the host.
pub(crate) struct Host {
    pub(crate) namespace: Container,
    pub(crate) container: Container,
    /// Where its plugins are.
    plugins: PathBuf,
    /// Where their state is.
    pub(crate) state: PathBuf,
}

impl Host {
    /// The bridge of its network.
    pub(crate) const BRIDGE: &str = "bench0";

    /// Makes a host called `name` that has the plugins of a folder.
    pub(crate) fn new(plugins: &Path, name: &str, scratch: &Scratch) -> Result<Host> {
        Ok(Host {
            namespace: Container::new(name)?,
            container: Container::new(&format!("{name}-c"))?,
            plugins: plugins.to_owned(),
            state: scratch.path(name),
        })
    }

    /// Makes another container, which its plugins know nothing of yet.
    pub(crate) fn neighbour(&self) -> Result<Container> {
        Container::new(&self.neighbours_name())
    }

    /// The id of that container.
    pub(crate) fn neighbours_name(&self) -> String {
        format!("{}-n", self.namespace.name)
    }

    /// One of its plugins, for its container.
    pub(crate) fn plugin(&self, name: &str, config: &Value) -> Plugin {
        self.plugin_for(&self.container, name, config)
    }

    /// One of its plugins, for any container.
    pub(crate) fn plugin_for(&self, container: &Container, name: &str, config: &Value) -> Plugin {
        let plugin = Plugin::new(&self.plugins, name, config)
            .with("CNI_NETNS", container.path.clone())
            .with("CNI_IFNAME", IFNAME)
            .with("CNI_CONTAINERID", container.name.clone())
            .with("CAIS_ROOT", self.state.join("root").display().to_string());
        Plugin { host: Some(self.namespace.path.clone().into()), ..plugin }
    }

    /// What names an attachment of the container `id`.
    pub(crate) fn attachment(id: &str) -> Result<Attachment> {
        Ok(Attachment {
            network: NETWORK.parse()?,
            container: id.parse()?,
            ifname: IFNAME.parse()?,
        })
    }

    /// The configuration of `bridge` with addresses from `host-local`, masqueraded or not.
    pub(crate) fn bridge(&self, masquerade: bool) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": NETWORK,
            "type": "bridge",
            "bridge": Self::BRIDGE,
            "isGateway": true,
            "ipMasq": masquerade,
            "ipam": pool(&self.state.join("leases")),
        })
    }
}

/// The part of a configuration that hands out addresses from [`SUBNET`].
pub(crate) fn pool(leases: &Path) -> Value {
    json!({
        "type": "host-local",
        "dataDir": leases.display().to_string(),
        "ranges": [[{ "subnet": SUBNET }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    })
}

/// The configuration of `portmap` that leads `ports` of the host, in pairs with those of the
/// container, there.
pub(crate) fn portmap(ports: &[(u16, u16)], backend: Option<&str>) -> Value {
    let mappings: Vec<Value> = ports
        .iter()
        .map(|(host, container)| json!({ "hostPort": host, "containerPort": container, "protocol": "tcp" }))
        .collect();
    let mut config = json!({
        "cniVersion": "1.0.0",
        "name": NETWORK,
        "type": "portmap",
        "runtimeConfig": { "portMappings": mappings },
    });
    if let Some(backend) = backend {
        config["backend"] = backend.into();
    }
    config
}

/// `config` with the result of the plugin before.
pub(crate) fn after(result: &Value, config: &Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = result.clone();
    config
}
