//! Names of others, which servers ask about, and may keep.

use anyhow::{Result, ensure};

use super::load::{Load, Pace};
use super::rounds::{compare, questions};
use super::server::{GATEWAY, Kind, Place, Server};
use super::upstream::{ANSWER, KEPT_LETTER, Upstream};
use crate::host::Host;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Questions in a second: few enough for all.
const STEADY: Pace = Pace::Steady(2_000);

/// Room in dnsmasq's cache for all names there are.
const CACHE: u32 = 10_000;

/// How many names are asked for again and again.
const KEPT_NAMES: usize = 100;

/// CPU time and latency of what is asked of others each time, and of what was kept.
pub(super) fn measure(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let place = Place::with_dnsname(Host::new(&options.ours, "forwarded", scratch)?)?;
    let upstream = Upstream::beside(&place.host)?;
    let mut servers = Vec::new();
    for kind in Kind::all(options, CACHE) {
        let server = Server::start(&place, kind, options, 1)?;
        server.asker(server.port)?.must_find("begin.example", ANSWER)?;
        servers.push(server);
    }
    let count = questions(options, STEADY);
    let passed_on = |server: &Server, load: &Load| -> Result<usize> {
        let before = upstream.asked();
        load.ask(&place.host.container, (GATEWAY, server.port).into())?;
        Ok(upstream.asked() - before)
    };

    let names: Vec<String> = (0..count).map(|number| format!("f{number}.bench.example")).collect();
    let load = Load::new(&scratch.path("questions"), &names, STEADY)?;
    for server in &servers {
        let (asked, name) = (passed_on(server, &load)?, server.kind.name());
        ensure!(asked >= count, "{name} asked about {asked} of {count} names only");
    }
    compare(options, ("asked of others", &load), &servers, |_| Goal::None, report)?;

    let kept = |pace| {
        let names: Vec<String> = (0..questions(options, pace))
            .map(|number| format!("{KEPT_LETTER}{}.bench.example", number % KEPT_NAMES))
            .collect();
        Load::new(&scratch.path("questions"), &names, pace)
    };
    let load = kept(STEADY)?;
    for server in &servers {
        passed_on(server, &load)?;
        let (asked, name) = (passed_on(server, &load)?, server.kind.name());
        // aardvark-dns keeps nothing; the others asked already.
        let right = server.kind == Kind::Aardvark || asked == 0;
        ensure!(right, "{name} asked about {asked} names that it should have kept");
    }
    compare(options, ("kept of others", &load), &servers, goal_of_kept, report)?;
    // aardvark-dns would ask the upstream, and so measure that.
    let who_keep: Vec<Server> =
        servers.into_iter().filter(|server| server.kind != Kind::Aardvark).collect();
    let load = kept(Pace::Full)?;
    compare(options, ("kept of others, without rest", &load), &who_keep, goal_of_kept, report)
}

/// Only who keeps answers as well is a measure.
fn goal_of_kept(peer: Kind) -> Goal {
    match peer {
        Kind::Dnsmasq { .. } => Goal::Ratio(1.0),
        Kind::Cais | Kind::Aardvark => Goal::None,
    }
}
