//! What a daemon needs for networks of many hosts: to start, in memory, and to put back what was
//! taken away.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use kernel::link;
use kernel::netlink::Socket;
use kernel::route::{self, Filter};
use peers::message::Request;
use serde_json::Value;
use types::IfName;

use super::town::{Site, Town, VNI};
use super::{await_that, ms, pause, records};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};

const NETWORK: &str = "blue";
/// `rtm_protocol` of our routes.
const PROTOCOL: u8 = 202;

/// Hosts, how long a start may take in milliseconds, and how many megabytes the daemon may have.
const LEVELS: &[(u16, f64, Option<f64>)] =
    &[(10, 50.0, None), (100, 100.0, None), (1000, 300.0, Some(15.0)), (5000, 1500.0, Some(40.0))];
/// From so many hosts on it is measured how soon a deleted device is back.
const REBUILT: u16 = 1000;

/// With 10 hosts to 5000, whose records are in etcd.
pub(crate) fn start(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "start");
    let site = town.host(1)?;
    let mut config = town.config(NETWORK, &["10.0.0.0/8".to_owned()]);
    config["create"]["vni"] = VNI.into();
    config["create"]["blockLen4"] = 24.into();
    site.take_part(&config)?;
    let levels = if options.smoke { &LEVELS[..2] } else { LEVELS };
    let (mut before, mut peers) = (0, 0);
    for &(hosts, most, memory) in levels {
        peers += records::put(&town, NETWORK, before, hosts);
        before = hosts;
        let mut took = Vec::new();
        for _ in 0..options.runs.min(10) {
            let begun = cold(&site, &config)?;
            took.push(ms(begun));
            whole(&site, peers)?;
        }
        let what = format!("daemon starts after a reboot, {hosts} hosts in etcd");
        report.measured((&what, "ms"), &took, &[], Goal::AtMost(most));
        // What a start needs is given back by then.
        pause(Duration::from_secs(1));
        let goal = memory.map_or(Goal::None, Goal::AtMost);
        report.counted("… memory", "MB", (site.megabytes("VmRSS:")?, None), goal);
        report.counted("… and at most", "MB", (site.megabytes("VmHWM:")?, None), Goal::None);
        if hosts >= REBUILT {
            let mut took = Vec::new();
            for _ in 0..options.runs.min(10) {
                took.push(ms(rebuilt(&site, peers)?));
            }
            let goal = if hosts == REBUILT { Goal::AtMost(500.0) } else { Goal::None };
            let what = format!("device deleted until all {hosts} hosts are reached again");
            report.measured((&what, "ms"), &took, &[], goal);
        }
    }
    Ok(())
}

/// Starts the daemon on a host that has only its files that last, until containers can be added.
fn cold(site: &Site, config: &Value) -> Result<Duration> {
    site.kill_daemon()?;
    let _ = site.namespace.try_run(&format!("ip link del {}", device()));
    site.namespace.run("nft flush ruleset");
    fs::remove_dir_all(site.root.join("run"))?;
    site.take_part(config)
}

/// Claims that the kernel has what it needs for so many hosts: an entry of each kind for each.
fn whole(site: &Site, peers: usize) -> Result<()> {
    let count = |command: &str| site.namespace.run(command).lines().count();
    let device = device();
    let counts = [
        count("ip -4 route show proto 202"),
        count(&format!("ip -4 neigh show dev {device} nud permanent")),
        count(&format!("bridge fdb show dev {device}")),
    ];
    if counts != [peers; 3] {
        bail!(
            "of routes, neighbours and forwarding entries for {peers} hosts there are {counts:?}"
        );
    }
    Ok(())
}

/// Deletes the device; how long until all that it had is there again.
fn rebuilt(site: &Site, peers: usize) -> Result<Duration> {
    // What the daemon does now and then is over.
    site.ask(&Request::Reload)?;
    let took = site.namespace.within(|| -> Result<Duration> {
        let socket = Socket::open("a host")?;
        let name: IfName = device().parse()?;
        socket.run(&link::delete(&link::get(&socket, &name)?.dev))?;
        let filter = || Filter { protocol: Some(PROTOCOL), ..Filter::default() };
        await_that("all routes are there", || {
            link::find(&socket, &name).is_ok_and(|found| found.is_some())
                && route::list(&socket, filter()).is_ok_and(|routes| routes.len() == peers)
        })
    })?;
    whole(site, peers)?;
    Ok(took)
}

fn device() -> String {
    format!("ov-{VNI:06x}")
}
