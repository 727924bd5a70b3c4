//! Leases alone: host-local called directly, with a pool that already holds some.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::Pair;
use crate::call::Plugin;
use crate::host::pool;
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};
use crate::statistics::median;

/// Leases held, and the goals for ADD and DEL beside them.
const HELD: &[(u32, Goal)] = &[
    (0, Goal::None),
    (1_000, Goal::None),
    (10_000, Goal::Ratio(0.02)),
    (60_000, Goal::Ratio(0.005)),
];

/// ADD and DEL of one lease beside those already held.
pub(crate) fn one_by_one(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let container = Container::new("leases")?;
    for (held, goal) in HELD.iter().filter(|(held, _)| !options.smoke || *held <= 1_000) {
        let name = format!("leases-{held}");
        let subject = |folder, subject: &str| -> Result<Plugin> {
            let leases = filled(&scratch.path(&format!("{name}-{subject}")), &name, *held)?;
            let plugin = plugin(folder, &name, &leases, scratch, &container);
            // Ours makes its index at the first sight of a directory, once.
            plugin.call("ADD")?;
            plugin.call("DEL")?;
            Ok(plugin)
        };
        let pair =
            Pair { ours: subject(&options.ours, "ours")?, peer: subject(&options.peer, "peer")? };
        let series = pair.in_turns(&["ADD", "DEL"], options.runs)?;
        let what = |verb| format!("host-local {verb}, {held} held");
        report.pair(&what("ADD"), &series[0][0], &series[0][1], *goal);
        report.pair(&what("DEL"), &series[1][0], &series[1][1], *goal);
    }
    Ok(())
}

/// Rounds in which directory and table take turns: a rate is an absolute figure, and a machine
/// that is busy for a moment must not decide on it.
const ROUNDS: usize = 5;

/// 64 processes at once, each taking a lease, with 60 000 held.
pub(crate) fn many_at_once(
    options: &Options,
    scratch: &Scratch,
    report: &mut Report,
) -> Result<()> {
    let container = Container::new("parallel")?;
    let (held, leases) = if options.smoke { (100, 64) } else { (60_000, 256) };
    let subject = |folder, subject: &str| -> Result<Plugin> {
        let name = format!("parallel-{held}");
        let directory = filled(&scratch.path(&format!("{name}-{subject}")), &name, held)?;
        let plugin = plugin(folder, &name, &directory, scratch, &container);
        plugin.call("ADD")?;
        Ok(plugin)
    };
    let ours = subject(&options.ours, "ours")?;
    let (mut directory, mut table) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        directory.push(leases_per_second(&ours, round, leases)?);
        table.push(table_leases_per_second(options, &scratch.path("table"), held, leases)?);
    }
    // One round of 64 takes the Go plugin half a minute.
    let peer = leases_per_second(&subject(&options.peer, "peer")?, 0, 64)?;
    let what = format!("64 at once, host-local directory, {held} held");
    let figures = (median(&directory), Some(peer));
    report.counted(&what, "leases/s", figures, Goal::AtLeast(600.0));
    let what = format!("64 at once, our table, {held} held");
    report.counted(&what, "leases/s", (median(&table), None), Goal::AtLeast(1_000.0));
    Ok(())
}

/// The same on our own table, which no drop-in plugin uses by itself: the example `lease` of crate
/// `ipam` does it, one process per lease as well.
fn table_leases_per_second(
    options: &Options,
    folder: &Path,
    held: u32,
    leases: usize,
) -> Result<f64> {
    let out = Command::new(options.tools.join("examples/lease"))
        .args(["storm", "table"])
        .arg(folder)
        .args([held.to_string(), leases.to_string()])
        .output()
        .context("start the example `lease`")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let rate = text.trim_end().strip_suffix(" leases per second");
    let rate = rate.and_then(|text| text.rsplit(' ').next()).and_then(|rate| rate.parse().ok());
    rate.with_context(|| format!("`lease` said `{text}` {}", String::from_utf8_lossy(&out.stderr)))
}

/// Takes `leases` leases with 64 processes at any time, for containers that no other `round` has.
fn leases_per_second(plugin: &Plugin, round: usize, leases: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= leases {
                return Ok(());
            }
            plugin
                .clone()
                .with("CNI_CONTAINERID", format!("parallel-{round}-{number}"))
                .call("ADD")?;
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..64).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        Ok(())
    })?;
    Ok(leases as f64 / started.elapsed().as_secs_f64())
}

fn plugin(
    folder: &Path,
    network: &str,
    leases: &Path,
    scratch: &Scratch,
    container: &Container,
) -> Plugin {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": network,
        "type": "bridge",
        "ipam": pool(leases),
    });
    Plugin::new(folder, "host-local", &config)
        .with("CNI_NETNS", container.path.clone())
        .with("CNI_IFNAME", "eth0")
        .with("CNI_CONTAINERID", "c".repeat(64))
        .with("CAIS_ROOT", scratch.path("root").display().to_string())
}

/// A data directory as the Go plugin leaves it when it has handed out `held` addresses.
fn filled(directory: &Path, network: &str, held: u32) -> Result<PathBuf> {
    let leases = directory.join(network);
    fs::create_dir_all(&leases).with_context(|| format!("create {}", leases.display()))?;
    // .0 is the network, .1 the gateway.
    let first = u32::from(Ipv4Addr::new(10, 90, 0, 2));
    for number in 0..held {
        let address = Ipv4Addr::from(first + number);
        fs::write(leases.join(address.to_string()), format!("{number:064x}\r\neth0"))?;
    }
    if let Some(last) = held.checked_sub(1) {
        fs::write(leases.join("last_reserved_ip.0"), Ipv4Addr::from(first + last).to_string())?;
    }
    Ok(directory.to_owned())
}
