//! Names of others, which servers ask about, and may keep.

use anyhow::{Result, ensure};

use super::load::Load;
use super::rounds::{compare, questions};
use super::server::{GATEWAY, Kind, Server};
use super::upstream::{ANSWER, KEPT_LETTER, Upstream};
use crate::host::Host;
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

/// Questions in a second: few enough for all.
const PER_SECOND: usize = 2_000;

/// Room in dnsmasq's cache for all names there are.
const CACHE: u32 = 10_000;

/// How many names are asked for again and again.
const KEPT_NAMES: usize = 100;

/// CPU time and latency of what is asked of others each time, and of what was kept.
pub(super) fn measure(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let mut servers = Vec::new();
    let mut upstreams = Vec::new();
    for kind in Kind::all(options, CACHE) {
        let host = Host::new(&options.ours, &format!("forwarded-{}", kind.name()), scratch)?;
        let server = Server::start(host, kind, options, 1)?;
        upstreams.push(Upstream::beside(&server.host)?);
        server.asker()?.must_find("begin.example", ANSWER)?;
        servers.push(server);
    }
    let count = questions(options);
    let asked = || -> Vec<usize> { upstreams.iter().map(Upstream::asked).collect() };

    let names: Vec<String> = (0..count).map(|number| format!("f{number}.bench.example")).collect();
    let load = Load::new(&scratch.path("questions"), &names, PER_SECOND)?;
    let before = asked();
    compare(options, ("asked of others", &load), &servers, |_| Goal::None, report)?;
    for ((server, before), after) in servers.iter().zip(before).zip(asked()) {
        let passed_on = after - before;
        let name = server.kind.name();
        ensure!(passed_on >= count, "{name} asked about {passed_on} of {count} names only");
    }

    let names: Vec<String> = (0..count)
        .map(|number| format!("{KEPT_LETTER}{}.bench.example", number % KEPT_NAMES))
        .collect();
    let load = Load::new(&scratch.path("questions"), &names, PER_SECOND)?;
    for server in &servers {
        load.ask(&server.host.container, GATEWAY)?;
    }
    let before = asked();
    compare(options, ("kept of others", &load), &servers, goal_of_kept, report)?;
    for ((server, before), after) in servers.iter().zip(before).zip(asked()) {
        let passed_on = after - before;
        let name = server.kind.name();
        // aardvark-dns keeps nothing; the others asked already.
        let right = server.kind == Kind::Aardvark || passed_on == 0;
        ensure!(right, "{name} asked about {passed_on} names that it should have kept");
    }
    Ok(())
}

/// Only who keeps answers as well is a measure.
fn goal_of_kept(peer: Kind) -> Goal {
    match peer {
        Kind::Dnsmasq { .. } => Goal::Ratio(1.0),
        Kind::Cais | Kind::UserBridge | Kind::Aardvark => Goal::None,
    }
}
