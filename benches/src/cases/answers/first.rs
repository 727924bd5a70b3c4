//! From the beginning of an ADD until another container finds the new one by its name.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::asker::Asker;
use super::owned::CACHE;
use super::server::{Kind, Place, Server, address_in, user_bridge};
use crate::call::{Plugin, Sample, Subject, first_json};
use crate::cases::chain::{Chain, NEIGHBOURS_PORTS, PORTS};
use crate::cases::in_turns;
use crate::host::{Host, portmap};
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

/// What the new container is called.
const NAME: &str = "fresh";

/// ADD beside many names, beside the same with one.
const FLAT: Goal = Goal::Ratio(1.1);

/// Our plugin for a new container, whose name the daemon knows when it returns.
struct Ours {
    plugin: Plugin,
    asker: Asker,
    _server: Server,
}

/// The Go plugins for a new container, and what tells dnsmasq its name.
struct Go {
    chain: Chain,
    asker: Asker,
    server: Server,
    /// The names that dnsmasq knows beside it.
    others: String,
}

/// With one name known to the daemon, with some and with many.
pub(super) fn measure(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let levels: [u16; 3] = if options.smoke { [1, 5, 20] } else { [1, 100, 1_000] };
    let mut of_ours = Vec::new();
    for held in levels {
        let ours = Ours::beside(options, scratch, held)?;
        let go = Go::beside(options, scratch, held)?;
        let subjects: [&dyn Subject; 2] = [&ours, &go];
        let [samples, of_go] = in_turns(&subjects, &["ADD", "DEL"], options.runs)?.swap_remove(0);
        let what = format!("ADD until the name is found, {held} names known");
        report.pair(&what, &samples, &of_go, Goal::None);
        of_ours.push(ours);
    }
    let plugins = [&of_ours[0].plugin, &of_ours[1].plugin, &of_ours[2].plugin];
    let [one, some, many] = in_turns(&plugins, &["ADD", "DEL"], options.runs)?.swap_remove(0);
    for (held, series) in levels[1..].iter().zip([&some, &many]) {
        let what = format!("user-bridge ADD, {held} names known, beside {}", levels[0]);
        report.pair(&what, series, &one, FLAT);
    }
    Ok(())
}

impl Ours {
    fn beside(options: &Options, scratch: &Scratch, held: u16) -> Result<Ours> {
        let name = format!("first-cais-{held}");
        let host = Host::new(&options.ours, &name, scratch)?;
        let place = Place::with_user_bridge(host)?;
        let server = Server::start(&place, Kind::Cais, options, held)?;
        let plugin = |container: &Container, name: &str, ports: &[(u16, u16)]| {
            let mappings = &portmap(ports, None)["runtimeConfig"]["portMappings"];
            let config = user_bridge(&json!({ "aliases": [name], "portMappings": mappings }));
            place.host.plugin_for(container, "user-bridge", &config)
        };
        plugin(&place.host.neighbour()?, "neighbour", &NEIGHBOURS_PORTS).call("ADD")?;
        let plugin = plugin(&Container::new(&format!("{name}-f"))?, NAME, &PORTS);
        let ours = Ours { plugin, asker: server.asker(53)?, _server: server };
        ours.call("ADD")?;
        ours.call("DEL")?;
        Ok(ours)
    }
}

impl Subject for Ours {
    fn call(&self, verb: &str) -> Result<Sample> {
        if verb != "ADD" {
            return self.plugin.call(verb);
        }
        let started = Instant::now();
        let (sample, printed) = self.plugin.answer(verb)?;
        self.asker.must_find(NAME, address_in(&first_json(&printed)?)?)?;
        Ok(Sample { wall: started.elapsed(), ..sample })
    }
}

impl Go {
    fn beside(options: &Options, scratch: &Scratch, held: u16) -> Result<Go> {
        let name = format!("first-go-{held}");
        let host = Host::new(&options.peer, &name, scratch)?;
        let place = Place::nameless(host)?;
        let server = Server::start(&place, Kind::Dnsmasq { cache: CACHE }, options, held)?;
        Chain::of(&place.host, &place.host.neighbour()?, &NEIGHBOURS_PORTS, false).call("ADD")?;
        let container = Container::new(&format!("{name}-f"))?;
        let chain = Chain::of(&place.host, &container, &PORTS, false);
        let others = fs::read_to_string(server.hosts_file()).context("read dnsmasq's names")?;
        let asker = server.asker(server.port)?;
        let go = Go { chain, asker, server, others };
        go.call("ADD")?;
        go.call("DEL")?;
        Ok(go)
    }

    /// Lets dnsmasq know the new container, or none.
    fn tell(&self, address: Option<Ipv4Addr>) -> Result<()> {
        let fresh = address.map(|address| format!("{address} {NAME}\n")).unwrap_or_default();
        fs::write(self.server.hosts_file(), format!("{}{fresh}", self.others))?;
        self.server.reload()
    }
}

impl Subject for Go {
    fn call(&self, verb: &str) -> Result<Sample> {
        if verb != "ADD" {
            self.tell(None)?;
            return self.chain.call(verb);
        }
        let started = Instant::now();
        let sample = self.chain.call(verb)?;
        let address = address_in(&self.chain.result.borrow())?;
        self.tell(Some(address))?;
        self.asker.must_find(NAME, address)?;
        Ok(Sample { wall: started.elapsed(), ..sample })
    }
}
