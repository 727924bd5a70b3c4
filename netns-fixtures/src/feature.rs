//! What a case needs from kernel or machine, and how it says that this is missing.

use std::env;
use std::panic::resume_unwind;
use std::path::Path;

use crate::Lab;

/// Something that not every kernel or machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `CONFIG_BRIDGE_VLAN_FILTERING`.
    BridgeVlanFiltering,
    /// `CONFIG_BRIDGE_NETFILTER`, its module being loaded.
    BrNetfilter,
    /// `CONFIG_VLAN_8021Q`.
    Vlan,
    /// `CONFIG_DUMMY`.
    Dummy,
    /// `CONFIG_IPVLAN`.
    Ipvlan,
    /// `CONFIG_NET_VRF`.
    Vrf,
    /// `CONFIG_TUN`, and the right to open its device file.
    Tun,
    /// `CONFIG_WIREGUARD`.
    Wireguard,
    /// A network card on the PCI bus that nobody misses: `0000:00:1e.0` of the VM lane's guest.
    SpareNic,
    /// IPv6, which can be switched off at boot.
    Ipv6,
    /// The Go reference plugins, Debian's package `containernetworking-plugins`.
    ReferencePlugins,
    /// iptables over nf_tables, as `iptables` and `ip6tables`: Debian's package `iptables`.
    Iptables,
    /// The program `iperf3`, Debian's package of that name.
    Iperf3,
    /// The program `strace`, Debian's package of that name.
    Strace,
    /// containerd with its client `ctr` and `runc`.
    Containerd,
    /// Podman 4, which still speaks CNI, and `runc`.
    Podman,
    /// Podman 4 as ordinary users have it: with `runc` or `crun`, `slirp4netns` and `newuidmap`.
    RootlessPodman,
    /// iptables of the legacy variant, and its tables in the kernel.
    LegacyIptables,
    /// A `busybox` that needs no libraries: all that a container of a test consists of.
    Busybox,
    /// firewalld, and what a system bus needs: `dbus-daemon` with its tools.
    Firewalld,
    /// The web server and proxy `nginx`.
    Nginx,
    /// A C compiler for the C library musl, `musl-gcc`.
    Musl,
    /// etcd and its command `etcdctl`.
    Etcd,
}

/// Features that the machine of our CI lacks. The VM lane runs the cases which need them; a skip
/// for any other reason is a failure there.
const RUN_IN_THE_VM_LANE: &[Feature] = &[
    Feature::BridgeVlanFiltering,
    Feature::Vlan,
    Feature::Dummy,
    Feature::Ipvlan,
    Feature::Vrf,
    Feature::Wireguard,
    Feature::SpareNic,
];

/// Thrown, not as a failure, by a case that cannot run here.
pub(crate) struct Skip {
    pub(crate) reason: String,
}

/// Ends the case without a verdict, because of something that this machine cannot change.
///
/// Use [`Lab::needs`] for what a machine can be given: that is a failure under `CI=true`.
pub fn skip(reason: &str) -> ! {
    throw(format!("{BY_DESIGN}{reason}"))
}

/// Begins the reason of a skip that is right on every machine.
const BY_DESIGN: &str = "by design: ";

fn throw(reason: String) -> ! {
    // Not a panic: the hook would print it as one.
    resume_unwind(Box::new(Skip { reason }))
}

/// In the outer process: prints the reason, or fails where nothing may be left out.
#[track_caller]
pub(crate) fn accept_skip(reason: &str) {
    let excused = reason.starts_with(BY_DESIGN)
        || !in_the_vm_lane() && RUN_IN_THE_VM_LANE.iter().any(|feature| reason == feature.name());
    let in_ci = env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci || excused, "skipped in CI, where nothing may be left out: {reason}");
    println!("skipped: {reason}");
}

impl Feature {
    /// As it is called in the reason of a skip.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BridgeVlanFiltering => "bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)",
            Self::BrNetfilter => "br_netfilter (CONFIG_BRIDGE_NETFILTER; modprobe br_netfilter)",
            Self::Vlan => "802.1Q links (CONFIG_VLAN_8021Q)",
            Self::Dummy => "dummy links (CONFIG_DUMMY)",
            Self::Ipvlan => "ipvlan links (CONFIG_IPVLAN)",
            Self::Vrf => "vrf links (CONFIG_NET_VRF)",
            Self::Tun => "taps (CONFIG_TUN)",
            Self::Wireguard => "wireguard links (CONFIG_WIREGUARD)",
            Self::SpareNic => "a spare network card (the VM lane's guest has one)",
            Self::Ipv6 => "IPv6",
            Self::ReferencePlugins => "the Go plugins (package containernetworking-plugins)",
            Self::Iptables => "iptables over nf_tables (package iptables)",
            Self::Iperf3 => "iperf3 (package iperf3)",
            Self::Strace => "strace (package strace)",
            Self::Containerd => "containerd (packages containerd and runc)",
            Self::Podman => "Podman (packages podman and runc)",
            Self::RootlessPodman => {
                "Podman without root (packages podman, runc, crun, slirp4netns and uidmap)"
            }
            Self::LegacyIptables => "iptables of the legacy variant (package iptables)",
            Self::Busybox => "a static busybox (package busybox-static)",
            Self::Firewalld => "firewalld (package firewalld)",
            Self::Nginx => "nginx (package nginx-light)",
            Self::Musl => "a C compiler for musl (package musl-tools)",
            Self::Etcd => "etcd (packages etcd-server and etcd-client)",
        }
    }

    /// Tries it, in a namespace that is thrown away.
    fn is_present(self, lab: &Lab) -> bool {
        let link = |kind: &str| {
            lab.scratch(|scratch| {
                // Some kinds need something to sit upon.
                scratch.run("ip link add dev base type veth peer name other");
                scratch.try_run(&format!("ip link add dev probe {kind}")).status.success()
            })
        };
        match self {
            // A kernel without it accepts the option and ignores it.
            Self::BridgeVlanFiltering => lab.scratch(|scratch| {
                scratch.run("ip link add dev probe type bridge");
                let tried = scratch.try_run("ip link set dev probe type bridge vlan_filtering 1");
                tried.status.success()
                    && scratch.run("ip -d link show dev probe").contains("vlan_filtering 1")
            }),
            Self::BrNetfilter => Path::new("/proc/sys/net/bridge").exists(),
            Self::Vlan => link("link base type vlan id 5"),
            Self::Dummy => link("type dummy"),
            Self::Ipvlan => link("link base type ipvlan"),
            Self::Vrf => link("type vrf table 10"),
            Self::Tun => lab.scratch(|scratch| {
                scratch.try_run("ip tuntap add mode tap dev probe").status.success()
            }),
            Self::Wireguard => link("type wireguard"),
            // Whatever is there on other machines may be their way out.
            Self::SpareNic => {
                in_the_vm_lane() && Path::new("/sys/bus/pci/devices/0000:00:1e.0").exists()
            }
            Self::Ipv6 => Path::new("/proc/sys/net/ipv6").exists(),
            Self::ReferencePlugins => crate::bins::reference().join("bridge").exists(),
            Self::Iptables => {
                are_installed(&["iptables", "ip6tables", "iptables-save", "ip6tables-save"])
                    && lab.scratch(|scratch| {
                        let tried = scratch.try_run("iptables --version");
                        crate::namespace::text(&tried.stdout).contains("nf_tables")
                    })
            }
            Self::Iperf3 => are_installed(&["iperf3"]),
            Self::Strace => are_installed(&["strace"]),
            Self::Containerd => are_installed(&["containerd", "ctr", "runc"]),
            Self::Podman => are_installed(&["podman", "runc"]),
            Self::RootlessPodman => {
                are_installed(&["podman", "runc", "crun", "slirp4netns", "newuidmap", "setpriv"])
            }
            Self::Nginx => are_installed(&["nginx"]),
            Self::Musl => are_installed(&["musl-gcc"]),
            Self::Etcd => are_installed(&["etcd", "etcdctl"]),
            Self::Firewalld => are_installed(&[
                "firewalld",
                "firewall-cmd",
                "dbus-daemon",
                "dbus-monitor",
                "dbus-send",
            ]),
            Self::LegacyIptables => {
                are_installed(&["iptables-legacy", "ip6tables-legacy"])
                    && lab.scratch(|scratch| {
                        let looks = |program| scratch.try_run(&format!("{program} -t nat -S"));
                        ["iptables-legacy", "ip6tables-legacy"]
                            .into_iter()
                            .all(|program| looks(program).status.success())
                    })
            }
            Self::Busybox => {
                // ldd says by its exit code that there is nothing to link at run time.
                are_installed(&["busybox"])
                    && !lab.host().try_run("ldd /bin/busybox").status.success()
            }
        }
    }
}

fn in_the_vm_lane() -> bool {
    env::var_os("CAIS_VM").is_some()
}

fn are_installed(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_found = |program: &&str| env::split_paths(&path).any(|dir| dir.join(program).exists());
    programs.iter().all(is_found)
}

impl Lab {
    /// Ends the case here, without a verdict, where `feature` is missing.
    pub fn needs(&self, feature: Feature) {
        if !feature.is_present(self) {
            throw(feature.name().to_owned());
        }
    }
}
