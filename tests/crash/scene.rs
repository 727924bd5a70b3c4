//! What is killed: a plugin with a configuration, and the network that it works on.

use netns_fixtures::{Call, Container, Feature, Lab};
use serde_json::{Value, json};

use crate::under_test::{
    DEVICE, MASTER, NETWORK, PEERS, call_master_eth0, end_of, furnish, furnish_host, needs_driver,
    of_a_pair, peers, result_before, with_a_pair,
};

/// The newest version, which alone has GC.
const VERSION: &str = "1.1.0";

/// Names the last child that deleted a link.
pub(crate) const DELETER: &str = "/run/cais/deleter";

/// What differs after any two calls, wherever they ended: cursors and indices of the pool, which say
/// where to look for a free address first, and the file that names the last child which deleted a
/// link.
pub(crate) const HINTS: &[&str] =
    &["/last_reserved_ip.", "/cais/index/", "file /run/cais/deleter "];

/// A plugin with its configuration.
pub(crate) struct Scene {
    plugin: &'static str,
    config: Value,
    /// What can be held once only, and the plugin that gives it.
    stock: Option<(&'static str, Value)>,
}

impl Scene {
    /// A gateway of both families, and a pool with room for one container.
    pub(crate) fn bridge() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "bridge", "bridge": "cni0",
            "isDefaultGateway": true, "ipam": pool_of_one(),
        });
        Self { plugin: "bridge", config, stock: Some(("host-local", of_host_local())) }
    }

    /// The same with all that it wants of the packet filter.
    pub(crate) fn filtered_bridge() -> Self {
        let mut scene = Self::bridge();
        scene.config["ipMasq"] = json!(true);
        scene.config["macspoofchk"] = json!(true);
        scene
    }

    /// Published ports of both families, and the host's 127.0.0.1 opened for them.
    pub(crate) fn portmap() -> Self {
        let ports = json!([
            { "hostPort": 80, "containerPort": 80, "protocol": "tcp" },
            { "hostPort": 80, "containerPort": 81, "protocol": "udp", "hostIP": "192.0.2.1" },
            { "hostPort": 90, "containerPort": 90, "protocol": "tcp", "hostIP": "::" },
            { "hostPort": 91, "containerPort": 91, "protocol": "tcp", "hostIP": "::" },
        ]);
        let ips = json!([{ "address": "10.1.0.2/24" }, { "address": "fd00:1::2/64" }]);
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "portmap",
            "prevResult": { "cniVersion": VERSION, "ips": ips },
            "runtimeConfig": { "portMappings": ports },
        });
        Self { plugin: "portmap", config: config.clone(), stock: Some(("portmap", config)) }
    }

    /// The reference's chains of both families, and a bridge that is closed to others.
    pub(crate) fn firewall() -> Self {
        let ips = json!([{ "address": "10.1.0.2/24" }, { "address": "fd00:1::2/64" }]);
        let interfaces = json!([{ "name": "cni0", "mac": "02:00:00:00:00:01" }]);
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "firewall",
            "backend": "iptables", "ingressPolicy": "isolated",
            "prevResult": { "cniVersion": VERSION, "interfaces": interfaces, "ips": ips },
        });
        Self { plugin: "firewall", config, stock: None }
    }

    /// A network with all that it can have, and room for one container.
    pub(crate) fn user_bridge() -> Self {
        let ports = json!([
            { "hostPort": 80, "containerPort": 80, "protocol": "tcp" },
            { "hostPort": 80, "containerPort": 81, "protocol": "udp" },
        ]);
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "user-bridge", "quarantine": 0,
            "subnets": [
                { "subnet": "10.1.0.0/30" },
                { "subnet": "fd00:1::/126", "ipRange": "fd00:1::2-fd00:1::2" },
            ],
            "runtimeConfig": { "portMappings": ports },
        });
        Self { plugin: "user-bridge", config: config.clone(), stock: Some(("user-bridge", config)) }
    }

    /// A network that goes on on another host, and room for one container.
    pub(crate) fn overlay() -> Self {
        let mut scene = Self::user_bridge();
        scene.plugin = "overlay";
        scene.config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "overlay", "quarantine": 0,
            "store": { "type": "static", "peers": PEERS },
            "runtimeConfig": scene.config["runtimeConfig"],
        });
        scene.stock = Some(("overlay", scene.config.clone()));
        scene
    }

    /// A link on a master of the host, and room for one container.
    pub(crate) fn macvlan() -> Self {
        Self::sublink("macvlan")
    }

    /// The same at layer 3.
    pub(crate) fn ipvlan() -> Self {
        let mut scene = Self::sublink("ipvlan");
        scene.config["mode"] = json!("l3");
        scene
    }

    /// A VLAN.
    pub(crate) fn vlan() -> Self {
        let mut scene = Self::sublink("vlan");
        scene.config["vlanId"] = json!(7);
        scene
    }

    /// No IPv6, whose addresses are probed for as long as it takes, since calls are counted.
    fn sublink(plugin: &'static str) -> Self {
        let pool = json!({ "type": "host-local", "subnet": "10.1.0.0/30" });
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": plugin, "master": MASTER,
            "ipam": pool,
        });
        let mut stock = of_host_local();
        stock["ipam"] = pool;
        Self { plugin, config, stock: Some(("host-local", stock)) }
    }

    /// The same on a VLAN that is made for it.
    pub(crate) fn macvlan_on_a_vlan() -> Self {
        let mut scene = Self::macvlan();
        scene.config["master"] = json!(format!("{MASTER}.50"));
        scene
    }

    /// The same over a link of the host that has the name of the container's.
    pub(crate) fn macvlan_over_eth0() -> Self {
        let mut scene = Self::macvlan();
        scene.config["master"] = json!("eth0");
        scene
    }

    /// A tap with owner, address and bridge, and room for one container.
    pub(crate) fn tap() -> Self {
        let mut scene = Self::macvlan();
        scene.plugin = "tap";
        scene.config["type"] = json!("tap");
        scene.config["owner"] = json!(0);
        scene.config["group"] = json!(0);
        scene.config["mac"] = json!("02:00:00:00:00:cc");
        scene
    }

    /// A link of the host, and room for one container.
    pub(crate) fn host_device() -> Self {
        let mut scene = Self::sublink("host-device");
        scene.config["device"] = json!(DEVICE);
        scene
    }

    /// A link that leads nowhere, and room for one container.
    pub(crate) fn dummy() -> Self {
        let mut scene = Self::bridge();
        scene.plugin = "dummy";
        scene.config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "dummy", "ipam": pool_of_one(),
        });
        scene
    }

    /// A wire of both families whose packets are masqueraded, and a pool with room for one container.
    pub(crate) fn ptp() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "ptp", "ipMasq": true,
            "ipam": pool_of_one(),
        });
        Self { plugin: "ptp", config, stock: Some(("host-local", of_host_local())) }
    }

    /// The pool alone.
    pub(crate) fn host_local() -> Self {
        let stock = Some(("host-local", of_host_local()));
        Self { plugin: "host-local", config: of_host_local(), stock }
    }

    /// Ports of the host.
    pub(crate) fn host() -> Self {
        let ports = json!([{ "hostPort": 80, "containerPort": 80, "protocol": "tcp" }]);
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "host",
            "runtimeConfig": { "portMappings": ports },
        });
        Self { plugin: "host", config: config.clone(), stock: Some(("host", config)) }
    }

    /// Every attribute of an interface, and sysctls of it and of another. None of those for which the
    /// kernel may begin the call once more (`restart_syscall`), since calls are counted.
    pub(crate) fn tuning() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "tuning",
            "mac": "02:00:00:00:00:cc", "mtu": 1400, "promisc": true, "allmulti": true,
            "txQLen": 17,
            "sysctl": {
                "net.ipv4.conf.IFNAME.arp_notify": "1", "net.ipv4.conf.IFNAME.rp_filter": "2",
                "net.ipv4.conf.lo.arp_notify": "1",
            },
            "prevResult": result_before(VERSION, ""),
        });
        Self { plugin: "tuning", config, stock: None }
    }

    /// Both directions of a pair, with a queue in a queue, and a network that is not limited.
    pub(crate) fn bandwidth() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "bandwidth",
            "ingressRate": 8_000_000, "ingressBurst": 80_000_000,
            "egressRate": 8_000_000, "egressBurst": 80_000_000,
            "unshapedSubnets": ["10.9.0.0/16"],
        });
        Self { plugin: "bandwidth", config, stock: None }
    }

    /// Rules and tables of an interface that has routes.
    pub(crate) fn sbr() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "sbr",
            "prevResult": result_before(VERSION, ""),
        });
        Self { plugin: "sbr", config, stock: None }
    }

    /// An interface with addresses of both families and routes, whose VRF is to be made.
    pub(crate) fn vrf() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "vrf", "vrfname": "blue",
            "prevResult": result_before(VERSION, ""),
        });
        Self { plugin: "vrf", config, stock: None }
    }

    /// Names, asked for at the bridge's address and at 127.0.0.11.
    pub(crate) fn dnsname() -> Self {
        let config = json!({
            "cniVersion": VERSION, "name": NETWORK, "type": "dnsname", "domainName": "dns.podman",
            "prevResult": {
                "cniVersion": VERSION,
                "interfaces": [
                    { "name": "cni0" },
                    { "name": "eth0", "mac": "02:00:00:00:00:aa", "sandbox": "/run/netns/c1" },
                ],
                "ips": [{ "address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1 }],
            },
        });
        Self { plugin: "dnsname", config, stock: None }
    }

    /// A container that has all that the plugin needs.
    pub(crate) fn container(&self, lab: &Lab, name: &str) -> Container {
        let container = lab.container(name);
        furnish(&container, self.plugin);
        if self.plugin == "bandwidth" {
            with_a_pair(lab, &container);
        }
        if self.plugin == "vrf" {
            // Going down and up, it would be given a link-local address that is probed again.
            container.run("ip link set dev eth0 addrgenmode none");
        }
        if matches!(self.plugin, "sbr" | "vrf") {
            for command in [
                "ip link set dev peer0 up",
                "ip link set dev eth0 up",
                "ip addr add 10.1.0.2/24 dev eth0",
                "ip route add default via 10.1.0.1",
            ] {
                container.run(command);
            }
        }
        container
    }

    /// Ends a container, with all that others gave it.
    pub(crate) fn remove(&self, lab: &Lab, container: &Container) {
        container.remove();
        if self.plugin == "bandwidth" {
            lab.host().wait_until_gone(&end_of(container));
        }
    }

    /// A plugin that works inside of the container only.
    pub(crate) fn inside(plugin: &'static str) -> Self {
        let config = json!({ "cniVersion": VERSION, "name": NETWORK, "type": plugin });
        Self { plugin, config, stock: None }
    }

    /// As the plugin's errors name it.
    pub(crate) fn plugin(&self) -> &'static str {
        self.plugin
    }

    /// Makes on the host what plugins before this one would have made.
    pub(crate) fn prepare(&self, lab: &Lab) {
        needs_driver(lab, self.plugin);
        furnish_host(lab.host(), self.plugin);
        needs_driver(lab, self.plugin);
        if self.plugin == "overlay" {
            std::fs::write(PEERS, peers("30", "126").to_string()).unwrap();
        }
        match self.config["master"].as_str() {
            Some("eth0") => call_master_eth0(lab.host()),
            Some(name) if name != MASTER => lab.needs(Feature::Vlan),
            _ => {}
        }
        if matches!(self.plugin, "portmap" | "dnsname") {
            lab.host().run("ip link add dev cni0 type bridge");
            lab.host().run("ip addr add 10.1.0.1/24 dev cni0");
            lab.host().run("ip link set dev cni0 up");
        }
    }

    /// A call for `container`.
    pub(crate) fn call<'lab>(
        &self,
        lab: &'lab Lab,
        verb: &str,
        container: &Container,
    ) -> Call<'lab> {
        let call = lab.plugin(self.plugin).verb(verb).container(container).config(&self.config);
        match self.plugin {
            "bandwidth" => {
                let mut config = self.config.clone();
                config["prevResult"] = of_a_pair(VERSION, container);
                call.config(&config)
            }
            // Its containers live in the host's namespace.
            "host" => call.env("CNI_NETNS", lab.host().path()),
            _ => call,
        }
    }

    /// GC to which no attachment is valid.
    pub(crate) fn gc_of_all<'lab>(&self, lab: &'lab Lab) -> Call<'lab> {
        let mut config = self.config.clone();
        config["cni.dev/valid-attachments"] = json!([]);
        lab.plugin(self.plugin).verb("GC").config(&config)
    }

    /// Claims that another container can have all addresses or ports: nobody holds one.
    #[track_caller]
    pub(crate) fn assert_nothing_is_held(&self, lab: &Lab) {
        let Some((plugin, config)) = &self.stock else { return };
        let call = lab.plugin(plugin).env("CNI_CONTAINERID", "another").config(config);
        let try_it = |call: Call<'_>| {
            call.clone().verb("ADD").run().succeeded();
            call.verb("DEL").run().succeeded();
        };
        match *plugin {
            "host" => try_it(call.env("CNI_NETNS", lab.host().path())),
            "portmap" | "user-bridge" | "overlay" => {
                lab.scratch(|another| try_it(call.env("CNI_NETNS", another.path())));
            }
            _ => try_it(call.env("CNI_NETNS", "/run/netns/another")),
        }
    }
}

fn of_host_local() -> Value {
    json!({ "cniVersion": VERSION, "name": NETWORK, "type": "host-local", "ipam": pool_of_one() })
}

/// One address of each family beside the gateway's.
fn pool_of_one() -> Value {
    json!({ "type": "host-local", "ranges": [
        [{ "subnet": "10.1.0.0/30" }],
        [{ "subnet": "fd00:1::/126", "rangeEnd": "fd00:1::2" }],
    ] })
}
