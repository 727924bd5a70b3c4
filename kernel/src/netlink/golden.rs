//! The bytes of every kind of request, kept in `golden.txt`.
//!
//! They were first written by the crate `netlink-packet-route`, which our own encoder replaced:
//! that both write the same is what this proves. Run with `CAIS_GOLDEN=write` to write the file
//! anew after a change that is meant, and read the difference.
#![cfg(target_endian = "little")]

use std::os::fd::{AsFd, AsRawFd};

use types::{Cidr, Family, IfName, MacAddr, Mtu, VlanId};

use super::Request;
use crate::addr::{self, Addr, Dad, PrefixRoute};
use crate::announce;
use crate::fdb;
use crate::link::{
    self, Bridge, Dev, Dummy, Ifb, Ipvlan, IpvlanFlag, IpvlanMode, Macvlan, MacvlanMode, PortVlan,
    Queues, Side, Veth, Vlan, VlanProtocol, Vrf, Vxlan,
};
use crate::neigh;
use crate::netns::Netns;
use crate::route::{self, Route};
use crate::rule::{self, Rule};
use crate::tc::{Bucket, Class, End, Filter, Handle, Match, Qdisc, Queue};

type Cases = Vec<(&'static str, Request)>;

#[test]
fn every_request_has_the_bytes_it_always_had() {
    let netns = Netns::open("/proc/self/ns/net").expect("the test's own namespace");
    let mut seen = String::new();
    for (label, request) in cases(&netns) {
        let bytes = without_fd(&hex(&request.bytes(0x0403_0201)), &netns);
        seen.push_str(&format!("{label}: {bytes}\n"));
    }
    if std::env::var("CAIS_GOLDEN").is_ok_and(|word| word == "write") {
        std::fs::write("src/netlink/golden.txt", &seen).expect("the file in the source tree");
    }
    let golden = include_str!("golden.txt");
    for (seen, golden) in seen.lines().zip(golden.lines()) {
        assert_eq!(seen, golden, "(left is what the encoder writes, right what is kept)");
    }
    assert_eq!(seen.lines().count(), golden.lines().count(), "number of requests");
}

/// What `strace -e trace=sendmsg -x ip link add … type ipvlan mode M F` shows of iproute2 6.1.
#[test]
fn mode_and_flag_of_ipvlan_are_in_the_bytes_that_iproute2_sends() {
    use {IpvlanFlag as Flag, IpvlanMode as Mode};
    for (mode, flag, data) in [
        (Mode::L2, Flag::Bridge, "06000100 00000000 06000200 00000000"),
        (Mode::L3, Flag::Private, "06000100 01000000 06000200 01000000"),
        (Mode::L3s, Flag::Vepa, "06000100 02000000 06000200 02000000"),
    ] {
        let seen = hex(&Ipvlan::new(name("eth0"), &dev(), mode).flag(flag).create().bytes(1));
        assert!(seen.ends_with(data), "{seen}");
    }
}

/// The number of a descriptor differs from run to run; `IFLA_NET_NS_FD` is 28.
fn without_fd(hex: &str, netns: &Netns) -> String {
    let fd = netns.as_fd().as_raw_fd().to_ne_bytes();
    let attribute = self::hex(&[&[8, 0, 28, 0], &fd[..]].concat());
    hex.replace(&attribute, "08001c00 <netnsfd>")
}

/// In words of four bytes.
fn hex(bytes: &[u8]) -> String {
    let word = |word: &[u8]| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(4).map(word).collect::<Vec<_>>().join(" ")
}

fn cases(netns: &Netns) -> Cases {
    [
        links(netns),
        stacked(netns),
        changes(netns),
        ports(),
        queries(),
        addresses(),
        routes(),
        rules(),
        neighbours(),
        shaping(),
    ]
    .concat()
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a network")
}

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}

fn mac() -> MacAddr {
    MacAddr::from_bytes([2, 0x11, 0x22, 0x33, 0x44, 0x55])
}

fn mtu() -> Mtu {
    Mtu::try_from(1450).expect("an MTU")
}

fn vlan(id: u32) -> VlanId {
    VlanId::try_from(id).expect("a VLAN")
}

fn dev() -> Dev {
    Dev::new(0x0102, "dev0")
}

fn links(netns: &Netns) -> Cases {
    let bridge = || Bridge::new(name("cni0"));
    let veth = || Veth::new(name("veth1"), name("eth0"));
    let full_veth = veth()
        .mac(mac())
        .mtu(mtu())
        .master(&dev())
        .netns(netns)
        .up()
        .peer_netns(netns)
        .peer_mac(mac())
        .peer_mtu(mtu());
    vec![
        ("bridge", bridge().create()),
        ("bridge, common", bridge().mac(mac()).mtu(mtu()).up().netns(netns).create()),
        ("bridge, options", bridge().vlan_filtering(true).default_pvid(None).up().create()),
        ("bridge, pvid", bridge().default_pvid(Some(vlan(4094))).vlan_filtering(false).create()),
        ("veth", veth().create()),
        ("veth, queues", veth().queues(Queues::PerCpu).create()),
        ("veth, all", full_veth.create()),
        ("dummy", Dummy::new(name("a")).create()),
        ("dummy, common", Dummy::new(name("fifteen-letters")).mac(mac()).up().create()),
        ("ifb", Ifb::new(name("bwp0")).mtu(mtu()).up().create()),
        ("vrf", Vrf::new(name("red"), 1001).up().create()),
    ]
}

fn stacked(netns: &Netns) -> Cases {
    let macvlan = |mode| Macvlan::new(name("eth0"), &dev(), mode);
    let ipvlan = |mode| Ipvlan::new(name("eth0"), &dev(), mode);
    let vlan = |id| Vlan::new(name("eth0.7"), &dev(), vlan(id));
    let vxlan = || Vxlan::new(name("vx0"), 0x00ab_cdef);
    vec![
        ("macvlan, private", macvlan(MacvlanMode::Private).create()),
        ("macvlan, vepa", macvlan(MacvlanMode::Vepa).create()),
        ("macvlan, bridge", macvlan(MacvlanMode::Bridge).mac(mac()).netns(netns).create()),
        ("macvlan, passthru", macvlan(MacvlanMode::Passthru).broadcast_queue(5000).create()),
        ("macvlan, source", macvlan(MacvlanMode::Source).sources(&[mac(), mac()]).create()),
        ("ipvlan, l2", ipvlan(IpvlanMode::L2).mtu(mtu()).netns(netns).up().create()),
        ("ipvlan, l3", ipvlan(IpvlanMode::L3).create()),
        ("ipvlan, l3s", ipvlan(IpvlanMode::L3s).create()),
        ("ipvlan, l3 private", ipvlan(IpvlanMode::L3).flag(IpvlanFlag::Private).create()),
        ("ipvlan, l3s vepa", ipvlan(IpvlanMode::L3s).flag(IpvlanFlag::Vepa).create()),
        ("ipvlan, l2 bridge", ipvlan(IpvlanMode::L2).flag(IpvlanFlag::Bridge).create()),
        ("vlan", vlan(7).create()),
        ("vlan, 802.1ad", vlan(4094).protocol(VlanProtocol::Dot1Ad).netns(netns).create()),
        ("vlan, 0", Vlan::new(name("eth0.7"), &dev(), None).create()),
        ("vxlan", vxlan().create()),
        (
            "vxlan, ipv4",
            vxlan().port(8472).local(ip("192.0.2.1")).lower(&dev()).learning(false).create(),
        ),
        ("vxlan, ipv6", vxlan().local(ip("2001:db8::1")).learning(true).mtu(mtu()).create()),
    ]
}

fn changes(netns: &Netns) -> Cases {
    let set = || link::set(&dev());
    let everything = set()
        .up()
        .promisc(false)
        .allmulticast(true)
        .mtu(mtu())
        .mac(mac())
        .master(&dev())
        .netns(netns)
        .alias("c1/eth0")
        .txqueuelen(1000);
    vec![
        ("set, name up", link::set(&name("eth0")).up().request()),
        ("set, index down", link::set(7).down().request()),
        ("set, nothing", set().request()),
        ("set, promisc on", set().promisc(true).request()),
        ("set, promisc off", set().promisc(false).request()),
        ("set, allmulticast on", set().allmulticast(true).request()),
        ("set, allmulticast off", set().allmulticast(false).request()),
        ("set, mtu", set().mtu(mtu()).request()),
        ("set, mac", set().mac(mac()).request()),
        ("set, master", set().master(&dev()).request()),
        ("set, nomaster", set().nomaster().request()),
        ("set, netns", set().netns(netns).request()),
        ("set, alias", set().alias("c1").request()),
        ("set, no alias", set().alias("").request()),
        ("set, txqueuelen", set().txqueuelen(0).request()),
        ("set, addrgenmode", set().addrgenmode_none().request()),
        ("set, vxlan local", set().vxlan_local(ip("192.0.2.1")).request()),
        ("set, vxlan local6", set().vxlan_local(ip("2001:db8::1")).request()),
        ("set, everything", everything.request()),
        ("rename", link::rename(&dev(), &name("eth1"))),
        ("move", link::move_to(&dev(), netns, &name("eth1")).request()),
        ("delete, name", link::delete(&name("eth0"))),
        ("delete, dev", link::delete(&dev())),
        ("delete, index", link::delete(7)),
        ("announce", announce::by_kernel(&dev(), mac())),
    ]
}

fn ports() -> Cases {
    let port = || link::set_port(&dev());
    let all = port().hairpin(true).isolated(true).learning(false).flood(false).neigh_suppress(true);
    let access = PortVlan::access(vlan(7));
    let tagged = PortVlan::tagged(vlan(10)..=vlan(20));
    let untagged = PortVlan { ids: vlan(1)..=vlan(4094), pvid: false, untagged: true };
    let three = [access.clone(), tagged.clone(), untagged];
    vec![
        ("port, hairpin", port().hairpin(true).request()),
        ("port, name", link::set_port(&name("veth1")).hairpin(false).request()),
        ("port, all", all.request()),
        ("port, rest", port().isolated(false).learning(true).flood(true).request()),
        ("port, suppress", port().neigh_suppress(false).request()),
        ("port, nothing", port().request()),
        ("vlans, access", link::add_vlans(&dev(), Side::Port, std::slice::from_ref(&access))),
        ("vlans, self", link::add_vlans(&dev(), Side::Bridge, std::slice::from_ref(&tagged))),
        ("vlans, three", link::add_vlans(&dev(), Side::Port, &three)),
        ("vlans, del", link::del_vlans(&dev(), Side::Port, &[tagged])),
        ("vlans, del self", link::del_vlans(&dev(), Side::Bridge, &[access])),
        ("vlans, none", link::del_vlans(&dev(), Side::Port, &[])),
    ]
}

fn queries() -> Cases {
    vec![
        ("query, name", link::query(&name("eth0"))),
        ("query, dev", link::query(&dev())),
        ("query, index", link::query(7)),
        ("list links", link::read::list_request()),
        ("list vlans", link::vlans::list_request(&dev())),
        ("list addresses", addr::list_request(0, "all".into())),
        ("list addresses of dev", addr::list_request(dev().index, "dev".into())),
        ("list neighbours", neigh::list_request(&dev())),
        ("list fdb", fdb::list_request(&dev())),
        ("list rules, ipv4", rule::list_request(Family::V4)),
        ("list rules, ipv6", rule::list_request(Family::V6)),
    ]
}

fn addresses() -> Cases {
    let (v4, v6) = (cidr("10.1.2.3/24"), cidr("2001:db8::3/64"));
    let quiet = |cidr| Addr::new(cidr).prefix_route(PrefixRoute::Leave);
    vec![
        ("addr add, ipv4", addr::add(&dev(), v4)),
        ("addr add, /31", addr::add(&dev(), cidr("10.1.2.3/31"))),
        ("addr add, /32", addr::add(&dev(), cidr("10.1.2.3/32"))),
        ("addr add, loopback", addr::add(&dev(), cidr("127.0.0.1/8"))),
        ("addr add, ipv6 loopback", addr::add(&dev(), cidr("::1/128"))),
        ("addr add, noprefixroute", addr::add(&dev(), quiet(v4))),
        ("addr add, ipv6", addr::add(&dev(), v6)),
        ("addr add, ipv6 dad", addr::add(&dev(), Addr::new(v6).dad(Dad::Detect))),
        ("addr add, ipv6 noprefixroute", addr::add(&dev(), quiet(v6))),
        ("addr replace, ipv4", addr::replace(&dev(), v4)),
        ("addr replace, ipv6", addr::replace(&dev(), v6)),
        ("addr del, ipv4", addr::del(&dev(), v4)),
        ("addr del, ipv6", addr::del(&dev(), v6)),
    ]
}

fn routes() -> Cases {
    let v4 = || Route::to(cidr("10.9.0.0/16"));
    let v6 = || Route::to(cidr("2001:db8:9::/48"));
    let full = |route: Route, gw, src| Route {
        src: Some(ip(src)),
        metric: Some(50),
        table: 1000,
        mtu: Some(1400),
        advmss: Some(1360),
        onlink: true,
        protocol: 4,
        ..route.via(ip(gw)).dev(&dev())
    };
    let filter = route::Filter { table: Some(1000), dev: Some(7), ..route::Filter::default() };
    vec![
        ("route add, onlink", v4().onlink(ip("10.9.0.0"), &dev()).add()),
        ("route add, dev", v4().dev(&dev()).add()),
        ("route add, via", v4().via(ip("10.1.0.1")).add()),
        ("route add, full", full(v4(), "10.1.0.1", "10.1.0.2").add()),
        ("route add, mtu", Route { mtu: Some(1400), ..v4().dev(&dev()) }.add()),
        ("route add, advmss", Route { advmss: Some(1360), ..v4().dev(&dev()) }.add()),
        ("route add, scope", Route { scope: Some(254), ..v4().dev(&dev()) }.add()),
        ("route add, table 255", Route { table: 255, ..v4().dev(&dev()) }.add()),
        ("route add, table 256", Route { table: 256, ..v4().dev(&dev()) }.add()),
        ("route add, default", Route::default(Family::V4).via(ip("10.1.0.1")).add()),
        ("route add, ipv6 dev", v6().dev(&dev()).add()),
        ("route add, ipv6 full", full(v6(), "2001:db8::1", "2001:db8::2").add()),
        (
            "route add, ipv6 default",
            Route::default(Family::V6).via(ip("fe80::1")).dev(&dev()).add(),
        ),
        ("route prepend", v4().dev(&dev()).prepend()),
        ("route append", v4().dev(&dev()).append()),
        ("route replace", v4().dev(&dev()).replace()),
        ("route del", v4().dev(&dev()).del()),
        ("route del, scope", Route { scope: Some(253), ..v4() }.del()),
        ("route del, ipv6", v6().via(ip("2001:db8::1")).del()),
        ("list routes, ipv4", filter.request(Family::V4)),
        ("list routes, ipv6", route::Filter::default().request(Family::V6)),
    ]
}

fn rules() -> Cases {
    let v4 = || Rule::lookup(Family::V4, 100);
    let v6 =
        || Rule::lookup(Family::V6, 1000).from(cidr("2001:db8::/64")).to(cidr("2001:db8::/96"));
    let full = v4().from(cidr("10.1.0.0/16")).to(cidr("10.2.0.0/24")).iif(&name("lo"));
    let full = Rule { oif: Some("eth0".into()), ..full.fwmark(0x2000).priority(512) };
    vec![
        ("rule add", v4().add()),
        ("rule add, full", full.add()),
        ("rule add, ipv6", v6().add()),
        ("rule add, mask", Rule { fwmark: Some((1, 0xff)), ..v4() }.add()),
        ("rule del", v4().del()),
        ("rule del, full", full.del()),
        ("rule del, ipv6", v6().priority(1).del()),
    ]
}

fn neighbours() -> Cases {
    vec![
        ("fdb replace, ipv4", fdb::replace(&dev(), mac(), ip("192.0.2.2"))),
        ("fdb replace, ipv6", fdb::replace(&dev(), mac(), ip("2001:db8::2"))),
        ("fdb del", fdb::del(&dev(), mac())),
        ("neigh replace, ipv4", neigh::replace(&dev(), ip("10.1.0.9"), mac())),
        ("neigh replace, ipv6", neigh::replace(&dev(), ip("2001:db8::9"), mac())),
        ("neigh del, ipv4", neigh::del(&dev(), ip("10.1.0.9"))),
        ("neigh del, ipv6", neigh::del(&dev(), ip("2001:db8::9"))),
    ]
}

/// Each beside the words that make iproute2 send the same options.
fn shaping() -> Cases {
    let root = Handle::new(1, 0);
    let qdisc = |parent, handle, queue| Qdisc { parent, handle, queue };
    let bucket = |bytes_per_second, burst_bytes| Bucket { bytes_per_second, burst_bytes };
    let tbf = |bucket| qdisc(Handle::ROOT, root, Queue::Tbf { bucket, limit_bytes: 221_786 });
    let htb = Queue::Htb { default: 0x30, direct_packets: 1000 };
    let class = |bucket| Class { handle: Handle::new(1, 0x30), bucket };
    let bfifo = qdisc(Handle::new(1, 1), Handle::new(2, 0), Queue::Bfifo { limit_bytes: 9000 });
    let filter = |matches, class, redirect| Filter {
        parent: Handle::new(0xffff, 0),
        priority: 7,
        handle: 0,
        matches: Some(matches),
        class,
        redirect,
    };
    let to = |side, network| Match::Network(side, cidr(network));
    vec![
        ("qdisc add, tbf", tbf(bucket(6_250_000, 65_536)).add(&dev())),
        ("qdisc add, tbf of 40 Gbit/s", tbf(bucket(5_000_000_000, 65_536)).add(&dev())),
        ("qdisc add, tbf of a long burst", tbf(bucket(1000, 1_000_000)).add(&dev())),
        ("qdisc add, bfifo", bfifo.add(&dev())),
        ("qdisc add, htb", qdisc(Handle::ROOT, root, htb).add(&dev())),
        ("class add, htb", class(bucket(6_250_000, 65_536)).add(&dev())),
        ("class add, htb of 40 Gbit/s", class(bucket(5_000_000_000, 65_536)).add(&dev())),
        (
            "qdisc add, ingress",
            qdisc(Handle::INGRESS, Handle::new(0xffff, 0), Queue::Ingress).add(&dev()),
        ),
        ("qdisc del", tbf(bucket(1, 1)).del(&dev())),
        ("filter add, all", filter(Match::All, Handle::new(1, 1), Some(9)).add(&dev())),
        ("filter add, ipv4", filter(to(End::Source, "10.1.0.0/16"), root, None).add(&dev())),
        (
            "filter add, ipv6",
            filter(to(End::Destination, "2001:db8:8000::/33"), root, Some(9)).add(&dev()),
        ),
        (
            "filter del",
            Filter { handle: 0x8000_0800, ..filter(Match::All, root, None) }.del(&dev()),
        ),
        ("list filters", crate::tc::list_request(&dev(), root)),
    ]
}
