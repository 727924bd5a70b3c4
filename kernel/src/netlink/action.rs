use std::fmt;

/// What a request attempts: the first half of its error text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Open a netlink socket.
    Open,
    /// Join a multicast group, to hear of changes.
    Subscribe,
    /// Create a link.
    Create {
        /// Kind as in `ip link add type`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Read one link.
    Find {
        /// Its name, or `#` and its index.
        link: String,
    },
    /// Change a link.
    Change {
        /// The link.
        link: String,
        /// What to: `up`, `mtu 1400`, …
        to: String,
    },
    /// Change options of a bridge port.
    ChangePort {
        /// The port.
        link: String,
        /// What to: `hairpin on`, …
        to: String,
    },
    /// Add or remove VLANs of a bridge port.
    ChangeVlans {
        /// The port.
        link: String,
        /// `add VLANs 1-10` or the like.
        change: String,
    },
    /// Delete a link.
    Delete {
        /// The link.
        link: String,
    },
    /// Wait until a link is operational.
    WaitUp {
        /// The link.
        link: String,
    },
    /// Add, change or delete an address.
    Addr {
        /// `add`, `del` or `replace`.
        verb: &'static str,
        /// The address.
        addr: String,
        /// On which link.
        link: String,
    },
    /// Add, change or delete a route.
    Route {
        /// `add`, `del` or `replace`.
        verb: &'static str,
        /// As `ip route` writes it.
        route: String,
    },
    /// Add, change or delete a neighbour.
    Neigh {
        /// `add`, `del` or `replace`.
        verb: &'static str,
        /// Address or MAC.
        neigh: String,
        /// On which link.
        link: String,
    },
    /// Change or delete a forwarding entry of a device.
    Fdb {
        /// `del` or `replace`.
        verb: &'static str,
        /// Its Ethernet address.
        mac: String,
        /// Of which device.
        link: String,
    },
    /// Add or delete a policy routing rule.
    Rule {
        /// `add` or `del`.
        verb: &'static str,
        /// As `ip rule` writes it.
        rule: String,
    },
    /// Add or delete a queueing discipline, or a class of one.
    Qdisc {
        /// `add` or `del`.
        verb: &'static str,
        /// Its kind, as tc(8) calls it.
        kind: String,
        /// Its place.
        parent: String,
        /// Of which link.
        link: String,
    },
    /// Add or delete a filter of traffic control.
    Filter {
        /// `add` or `del`.
        verb: &'static str,
        /// Of which link.
        link: String,
    },
    /// List objects.
    List {
        /// Which.
        what: String,
    },
    /// Change or read the packet filter.
    Nft {
        /// `add table`, `delete`, `list`, …
        verb: &'static str,
        /// The object, as nft(8) names it.
        what: String,
    },
    /// Read or change the table of tracked connections.
    Conntrack {
        /// `count`, `list` or `delete`.
        verb: &'static str,
    },
    /// List the sockets that wait on a port.
    Listeners {
        /// In lower case.
        protocol: &'static str,
        /// Of which addresses.
        family: types::Family,
    },
    /// Ask the kernel to announce the addresses of a link to its neighbours.
    Announce {
        /// The link.
        link: String,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open a netlink socket"),
            Self::Subscribe => f.write_str("subscribe to link changes"),
            Self::Create { kind, name } => write!(f, "create {kind} {name}"),
            Self::Find { link } => write!(f, "look up link {link}"),
            Self::Change { link, to } => write!(f, "set link {link} {to}"),
            Self::ChangePort { link, to } => write!(f, "set bridge port {link} {to}"),
            Self::ChangeVlans { link, change } => write!(f, "{change} on bridge port {link}"),
            Self::Delete { link } => write!(f, "delete link {link}"),
            Self::WaitUp { link } => write!(f, "wait for link {link} to be operational"),
            Self::Addr { verb, addr, link } => write!(f, "{verb} address {addr} on {link}"),
            Self::Route { verb, route } => write!(f, "{verb} route {route}"),
            Self::Fdb { verb, mac, link } => {
                write!(f, "{verb} forwarding entry {mac} of {link}")
            }
            Self::Neigh { verb, neigh, link } => write!(f, "{verb} neighbour {neigh} on {link}"),
            Self::Rule { verb, rule } => write!(f, "{verb} rule {rule}"),
            Self::Qdisc { verb, kind, parent, link } => {
                write!(f, "{verb} qdisc {kind} at {parent} of {link}")
            }
            Self::Filter { verb, link } => write!(f, "{verb} filter of {link}"),
            Self::List { what } => write!(f, "list {what}"),
            Self::Nft { verb, what } => write!(f, "{verb} {what}"),
            Self::Conntrack { verb } => write!(f, "{verb} tracked connections"),
            Self::Listeners { protocol, family } => {
                write!(f, "list listeners of {protocol} over {family}")
            }
            Self::Announce { link } => write!(f, "announce the addresses of {link}"),
        }
    }
}
