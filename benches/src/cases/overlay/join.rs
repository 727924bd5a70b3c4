//! Hosts that join: one after the other, and all at once.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use netns_fixtures::Container;
use serde_json::Value;

use super::town::Town;
use super::{await_that, ms};
use crate::isolation::Scratch;
use crate::options::Options;
use crate::report::{Goal, Report};
use crate::statistics::quantile;

/// Where a container answers to everything.
const PORT: u16 = 7_000;
/// After this long without an answer it is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// From the put of a host's block until a container there has had the first answer from another host.
/// The put is seen by a watch, as hosts do; what its notice takes is not counted.
pub(crate) fn join(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let town = Town::new(options, scratch, "join");
    let config = town.config("blue", &["10.0.0.0/8".to_owned()]);
    let here = town.host(1)?;
    let container = town.container("here");
    let added = here.plugin("overlay", &container, &config).result()?;
    let target = address(&added)?;
    answer(&container)?;
    let (put, puts) = mpsc::channel();
    let mut watch = town.lab.namespaces();
    watch.retain(|namespace| namespace.name() == "join-store");
    let store = watch.first().context("etcd has a place")?;
    let watching = format!(
        "env ETCDCTL_API=3 etcdctl --endpoints {} watch --prefix /overlay/v1/blocks/",
        town.etcd.endpoint(0)
    );
    let mut process = store.spawn(&watching);
    let said = process.stdout();
    thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if line == "PUT" && put.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    let (mut from_put, mut from_add) = (Vec::new(), Vec::new());
    for number in 2..=options.runs.min(200) + 2 {
        let host = town.host(u16::try_from(number)?)?;
        let container = town.container(&format!("c{number}"));
        let plugin = host.plugin("overlay", &container, &config);
        let begun = Instant::now();
        plugin.call("ADD")?;
        first_answer(&container, target)?;
        let answered = Instant::now();
        let put = puts.recv_timeout(super::PATIENCE).context("etcd tells of the block")?;
        // The watch itself begins with the first.
        if number > 2 {
            from_put.push(ms(answered.saturating_duration_since(put)));
            from_add.push(ms(answered - begun));
        }
        host.kill_daemon()?;
    }
    let what = "a host joins: its block is put until the first answer, median";
    report.measured((what, "ms"), &from_put, &[], Goal::AtMost(20.0));
    report.counted("… p99", "ms", (quantile(&from_put, 0.99), None), Goal::AtMost(250.0));
    let what = "… ADD, which starts the daemon, until the first answer";
    report.measured((what, "ms"), &from_add, &[], Goal::None);
    Ok(())
}

/// The first address of a result.
fn address(result: &Value) -> Result<IpAddr> {
    let text = result["ips"][0]["address"].as_str().unwrap_or_default();
    text.split('/').next().unwrap_or_default().parse().context("a result has an address")
}

/// Answers to everything, for as long as the process lives.
fn answer(container: &Container) -> Result<()> {
    let socket = container.within(|| UdpSocket::bind(("0.0.0.0", PORT)))?;
    thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    Ok(())
}

/// Asks until there is an answer.
fn first_answer(container: &Container, target: IpAddr) -> Result<()> {
    let socket = container.within(|| UdpSocket::bind(("0.0.0.0", 0)))?;
    socket.set_read_timeout(Some(AGAIN))?;
    let mut buffer = [0; 16];
    await_that("an answer from another host", || {
        // Where there is no way yet, the kernel says so at once.
        let _ = socket.send_to(b"?", (target, PORT));
        socket.recv(&mut buffer.clone()).is_ok()
    })?;
    buffer.fill(0);
    Ok(())
}

/// Fifty daemons that start at once, and then claim a block of one network after the other at once.
pub(crate) fn at_once(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let (count, rounds) = if options.smoke { (5, 1) } else { (50, 3) };
    let town = Town::new(options, scratch, "claim");
    let hosts = (1..=count).map(|number| town.host(number)).collect::<Result<Vec<_>>>()?;
    let config = |round: u8| town.config(&format!("n{round}"), &[format!("10.{round}.0.0/16")]);
    let all = |config: &Value| -> Result<f64> {
        let begun = Instant::now();
        thread::scope(|scope| {
            let each: Vec<_> =
                hosts.iter().map(|host| scope.spawn(|| host.take_part(config))).collect();
            each.into_iter().try_for_each(|one| {
                let told = one.join().map_err(|_| anyhow!("a thread panicked"))?;
                told.map(drop)
            })
        })?;
        Ok(ms(begun.elapsed()))
    };
    let written = || town.etcd.figure("etcd_debugging_mvcc_put_total ", &[]);
    // One that is not counted makes the network.
    let maker = town.host(1000)?;
    maker.take_part(&config(0))?;
    let before = written();
    let took = all(&config(0))?;
    let writes = (written() - before) / f64::from(count);
    let joined = town.etcd.keys("blocks/n0/").len() as f64 - 1.0;
    let what = format!("of {count} daemons started at once get a block");
    report.counted(&what, "", (joined, None), Goal::AtLeast(f64::from(count)));
    report.counted("… all of them after", "ms", (took, None), Goal::None);
    report.counted("… writes of etcd each", "", (writes, None), Goal::AtMost(4.0));
    let (mut each, mut times) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        maker.take_part(&config(round))?;
        let before = town.transactions();
        times.push(all(&config(round))?);
        each.push((town.transactions() - before) / f64::from(count));
    }
    let blocks = town.etcd.keys("blocks/").len() as f64;
    let expected = f64::from((count + 1) * (u16::from(rounds) + 1));
    report.counted("blocks claimed at once", "", (blocks, None), Goal::AtLeast(expected));
    let what = format!("transactions each, {count} hosts claiming at once");
    report.measured((&what, ""), &each, &[], Goal::AtMost(1.3));
    report.measured(("… all of them after", "ms"), &times, &[], Goal::None);
    Ok(())
}
