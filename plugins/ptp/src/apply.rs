//! ADD, in steps of which each pushes its inverse.

use attach::error::{no_netns, refused};
use attach::forwarding;
use attach::host::Host;
use attach::ipam::{self, Addresses};
use attach::layer3::{self, Manner};
use attach::steps::{self, step};
use cni::{AddResult, Call, Error};
use kernel::addr::{self, Addr, Dad, PrefixRoute};
use kernel::netlink::{Request, Socket};
use kernel::netns::Netns;
use kernel::route::Route;
use kernel::sysctl::Key;
use kernel::undo::Undo;
use netfilter::kind;
use pairs::claim;
use pairs::make::{self, Ends, Pair};
use types::{Family, IfName};

use crate::config::Config;
use crate::plan::Layer3;

/// Everything that ADD works with.
pub(crate) struct Adding<'a> {
    pub(crate) call: &'a Call,
    pub(crate) config: &'a Config,
    pub(crate) host: &'a Host,
    pub(crate) netns: &'a Netns,
    pub(crate) addresses: &'a dyn Addresses,
}

impl<'a> Adding<'a> {
    /// Makes the attachment, or takes back whatever it did.
    pub(crate) fn run(&self) -> Result<AddResult, Error> {
        steps::run(|undo| self.steps(undo))
    }

    fn steps(&self, undo: &mut Undo<'a>) -> Result<AddResult, Error> {
        step("record");
        let earlier = make::record(self.call, self.host, self.netns, undo)?;
        step("pair");
        let pair = Pair {
            key: &self.call.attachment,
            host: self.host,
            netns: self.netns,
            bridge: None,
            mtu: self.config.mtu,
            mac: self.config.mac,
        };
        let (ends, _) = pair.make(earlier, |_| Vec::new(), undo)?;
        step("ipam");
        let answer = ipam::lease(self.addresses, self.call, self.host, undo)?;
        let plan = Layer3::new(self.config, answer)?;
        step("host");
        for family in plan.families() {
            forwarding::turn_on(self.host, family, "ptp", undo)?;
        }
        self.outside(&plan, &ends)?;
        if self.config.masquerade {
            step("filter");
            let mut wanted = claim::of(self.call, self.netns)?;
            wanted.masquerade = plan.result.ips.iter().map(|ip| ip.address).collect();
            claim::add(&kind::Interface, wanted, &self.host.run_dir, undo)?;
        }
        step("container");
        self.netns.enter_for_good().map_err(|e| no_netns(&e))?;
        self.inside(&plan, &ends)?;
        step("forwarding");
        ends.wait_until_operational(self.host)?;
        step("done");
        Ok(AddResult { interfaces: ends.interfaces(self.call).into(), ..plan.result })
    }

    /// The gateways' addresses on the host's end, and the routes to the container; they go with it.
    fn outside(&self, plan: &Layer3, ends: &Ends) -> Result<(), Error> {
        let dev = &ends.host.dev;
        if plan.families().any(|family| family == Family::V6)
            && let Ok(name) = dev.name.parse()
        {
            // The host may have IPv6 off for links that nobody asked it for.
            let _ = Key::conf_v6(&name, "disable_ipv6").ensure("0");
            without_dad(&name);
        }
        let addr = |gateway| Addr::new(gateway).dad(Dad::Skip);
        let addresses = plan.gateways.iter().map(|gateway| addr::add(dev, addr(*gateway)));
        let routes = plan.outside(dev);
        // Where another link leads there already, the newest is preferred and the other one kept.
        let requests: Vec<Request> = addresses.chain(routes.iter().map(Route::prepend)).collect();
        self.host.socket.run_all(&requests).map_err(|e| refused(&e))
    }

    /// Addresses and routes in the container, in whose namespace the calling thread is.
    fn inside(&self, plan: &Layer3, ends: &Ends) -> Result<(), Error> {
        let ifname = &self.call.attachment.ifname;
        let socket =
            Socket::open(self.netns.path().display().to_string()).map_err(|e| refused(&e))?;
        without_dad(ifname);
        let manner = Manner {
            dad: Dad::Skip,
            // What the subnet's other addresses are reached by is the host.
            prefix_route: PrefixRoute::Leave,
            before: plan.inside(&ends.container),
        };
        layer3::configure(&socket, &ends.container, ifname, &plan.result, manner)
    }
}

/// Nobody else is on the wire whose address could be the same, and while a link looks for duplicates
/// it cannot ask for its IPv6 neighbours. Kernels without IPv6 have no such switch.
fn without_dad(link: &IfName) {
    let _ = Key::conf_v6(link, "accept_dad").write("0");
}
