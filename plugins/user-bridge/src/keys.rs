//! The keys of `user-bridge`, in the order of its page.

use cni::schema::{Key, Kind};

/// Values of `gatewayMode`.
pub(crate) const GATEWAY_MODES: &[&str] = &["nat", "nat-unprotected", "routed", "isolated"];
/// Values of `resolver`.
pub(crate) const RESOLVERS: &[&str] = &["auto", "gateway", "netns"];
/// Values of `multiNetwork`.
pub(crate) const MULTI_NETWORK: &[&str] = &["first", "merge"];

/// Least and greatest `gwPriority`: the metric of a route is 100 less it, and at least 1.
pub(crate) const GW_PRIORITY: (i64, i64) = (-1_000_000, 99);
/// Greatest `metric`.
pub(crate) const METRIC_MAX: i64 = u32::MAX as i64;
/// Longest `quarantine` in seconds: a week.
pub(crate) const QUARANTINE_MAX: i64 = 7 * 24 * 60 * 60;

const fn flag(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::Flag, default, doc }
}

const fn text(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::Text, default, doc }
}

const fn list(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::List, default, doc }
}

const fn modes(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, kind: Kind::OneOf(GATEWAY_MODES), default, doc }
}

/// The table.
pub const KEYS: &[Key] = &[
    list(
        "subnets",
        "picked from defaultPools",
        "Subnets; a container gets one address of each. A family without one gets one picked, which it keeps.",
    ),
    text(
        "subnets[].subnet",
        "required",
        "Network in CIDR form without host bits, with at least two of them. `0.0.0.0/24` or `::/64` is any free one of that size.",
    ),
    text(
        "subnets[].gateway",
        "the first address",
        "Address of the bridge in this subnet, never handed out.",
    ),
    text(
        "subnets[].ipRange",
        "the whole subnet",
        "Addresses handed out unasked: a network or FIRST-LAST within the subnet.",
    ),
    text("subnet", "absent", "One subnet, before those of the list."),
    text("gateway", "the first address", "Gateway of that one subnet."),
    text(
        "ipRange",
        "the whole subnet",
        "Addresses of that one subnet that are handed out unasked.",
    ),
    flag("ipv4", "true", "Whether an IPv4 subnet is picked where none is given."),
    flag(
        "ipv6",
        "false",
        "Whether an IPv6 subnet is picked where none is given: a /64 of fd00::/8.",
    ),
    list(
        "defaultPools",
        "172.18.0.0/16 to 172.31.0.0/16 as /16, 192.168.0.0/16 as /20, then 10.89.0.0/16 to 10.255.0.0/16 as /24",
        "Where subnets are picked from, in this order. What overlaps routes of the host, its name servers or other networks is passed over.",
    ),
    text("defaultPools[].base", "required", "Network that is cut up."),
    Key {
        path: "defaultPools[].size",
        kind: Kind::Integer(1, 126),
        default: "required",
        doc: "Prefix length of the pieces.",
    },
    text(
        "bridge",
        "br- and 12 digits of the network's id",
        "Name of the bridge. One that is there is used and never deleted; one that was made goes with the last container.",
    ),
    Key {
        path: "mtu",
        kind: Kind::Integer(0, 65535),
        default: "0 (that of the default route's link when the bridge is made, else 1500)",
        doc: "MTU in bytes of bridge and containers; 0, or 68 to 65535, with IPv6 at least 1280.",
    },
    flag(
        "internal",
        "false",
        "Lets nothing into or out of the network; the host is still reached. Published ports have no effect, and no default route is given.",
    ),
    flag(
        "icc",
        "true",
        "Whether containers of the network reach each other other than by published ports.",
    ),
    Key {
        path: "isolate",
        kind: Kind::FlagOr(&["strict"]),
        default: "strict",
        doc: "Keeps the network apart from others, both ways: strict from all, true from all but open ones, false (open) from all but open and true ones. Only published ports are reached from outside.",
    },
    modes(
        "gatewayMode",
        "nat",
        "How others reach containers: nat by published ports of the host; nat-unprotected directly as well, but for other networks; routed by published ports at the container's own address; isolated not at all, the bridge having no address (internal, without the host).",
    ),
    modes(
        "gatewayMode4",
        "that of gatewayMode",
        "The same for IPv4. A network of both families needs the same for both.",
    ),
    modes("gatewayMode6", "that of gatewayMode", "The same for IPv6."),
    flag(
        "ipMasq",
        "true in the modes nat and nat-unprotected",
        "Masquerades what leaves the network, but multicast.",
    ),
    text(
        "hostBinding",
        "0.0.0.0 (all addresses of both families)",
        "Address of the host for ports that are published without one. `::` is all of IPv6.",
    ),
    Key {
        path: "onListener",
        kind: Kind::OneOf(&["warn", "error"]),
        default: "warn",
        doc: "What to do where a program of the host listens on a port that is to be published, and would not be reached any more.",
    },
    Key {
        path: "gwPriority",
        kind: Kind::Integer(GW_PRIORITY.0, GW_PRIORITY.1),
        default: "0",
        doc: "Of several networks of a container the one with the highest gives the default route. Its metric is 100 less this.",
    },
    Key {
        path: "metric",
        kind: Kind::Integer(1, METRIC_MAX),
        default: "100 less gwPriority",
        doc: "Metric of the default routes; the lowest wins. Excludes gwPriority.",
    },
    flag("noDefaultRoute", "false", "Gives no default route."),
    Key {
        path: "quarantine",
        kind: Kind::Integer(0, QUARANTINE_MAX),
        default: "30",
        doc: "Seconds for which a released address goes to nobody but its last owner, unless requested.",
    },
    Key {
        path: "options",
        kind: Kind::Object,
        default: "{}",
        doc: "Options by the names of Docker (`com.docker.network.…`) and Podman, as texts. An unknown one is an error.",
    },
    text("domainName", "none", "Domain of the containers' names: the first of the search list."),
    list(
        "servers",
        "those of the host",
        "Name servers that what is no container's name is asked of.",
    ),
    Key {
        path: "resolver",
        kind: Kind::OneOf(RESOLVERS),
        default: "auto",
        doc: "Where names are answered: at the gateway, at 127.0.0.11 in the container (netns), or whichever fits.",
    },
    Key {
        path: "multiNetwork",
        kind: Kind::OneOf(MULTI_NETWORK),
        default: "first",
        doc: "Which addresses a name on several networks of the asking container has: those on the first of them, or all.",
    },
    flag("dnsRequired", "true", "Whether ADD fails where names cannot be answered."),
    Key {
        path: "dns",
        kind: Kind::Object,
        default: "{}",
        doc: "Name service beside the network's own.",
    },
    list("dns.nameservers", "[]", "Addresses of name servers."),
    text("dns.domain", "none", "Local domain."),
    list("dns.search", "[]", "Search list."),
    list("dns.options", "[]", "Resolver options."),
    list(
        "runtimeConfig.portMappings",
        "[]",
        "Ports to publish. The runtime fills in what `capabilities` names, here and below.",
    ),
    Key {
        path: "runtimeConfig.portMappings[].hostPort",
        kind: Kind::Integer(1, 65535),
        default: "required",
        doc: "Port of the host.",
    },
    Key {
        path: "runtimeConfig.portMappings[].containerPort",
        kind: Kind::Integer(1, 65535),
        default: "required",
        doc: "Port of the container.",
    },
    Key {
        path: "runtimeConfig.portMappings[].protocol",
        kind: Kind::OneOf(&["tcp", "udp", "sctp"]),
        default: "tcp",
        doc: "Protocol, in upper or lower case.",
    },
    text(
        "runtimeConfig.portMappings[].hostIP",
        "that of hostBinding",
        "Address of the host. `0.0.0.0` is all of IPv4, `::` all of IPv6.",
    ),
    list(
        "runtimeConfig.ips",
        "[]",
        "Addresses asked for, at most one of each subnet, within ipRange or not; CNI_ARGS IP is one more.",
    ),
    text(
        "runtimeConfig.mac",
        "a random one",
        "Address of the container's end; stronger than args.cni.mac.",
    ),
    Key {
        path: "runtimeConfig.dns",
        kind: Kind::Object,
        default: "{}",
        doc: "The container's own name service: servers, searches, options.",
    },
    list("runtimeConfig.dns.servers", "[]", "Addresses of name servers."),
    list("runtimeConfig.dns.searches", "[]", "Search list."),
    list("runtimeConfig.dns.options", "[]", "Resolver options."),
    list("args.cni.ips", "[]", "Addresses asked for, besides the others."),
    text("args.cni.mac", "a random one", "Address of the container's end; CNI_ARGS MAC is weaker."),
    text("args.cni.hostname", "none", "A name of the container beside K8S_POD_NAME of CNI_ARGS."),
];
