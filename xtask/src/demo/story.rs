//! What happens in the lab.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cais::{Running, call, command, ourselves_in};
use super::traffic::READY;
use crate::run;

/// The network, as it could stand in `/etc/cni/net.d`.
const CONFLIST: &str = r#"{
  "cniVersion": "1.1.0",
  "name": "demo",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "demo0",
      "isDefaultGateway": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{ "subnet": "10.77.0.0/24" }], [{ "subnet": "fd77::/64" }]]
      }
    }
  ]
}
"#;

const CONFLIST_FILE: &str = "/run/demo.conflist";
const BRIDGE: &str = "demo0";
/// The host's own addresses on the bridge: the containers' gateways.
const HOST: [&str; 2] = ["10.77.0.1", "fd77::1"];
const CONTAINERS: [&str; 3] = ["mole", "pier", "quay"];
/// host-local's lease files, and the lock that every process takes before it touches them.
const LEASES: &str = "/var/lib/cni/networks/demo";

/// A container that is attached.
struct Attached {
    name: &'static str,
    addresses: Vec<String>,
    mac: String,
    add: Duration,
    del: Duration,
}

/// Tells the story; any part that does not go as it should is an error.
pub(super) fn tell() -> Result<()> {
    fs::write(CONFLIST_FILE, CONFLIST)?;
    let before = Snapshot::take()?;
    println!("\n1. three containers on one bridge network\n\n{CONFLIST}");
    let [first, second, third] = CONTAINERS;
    let mut containers = vec![attach(first)?, attach(second)?];
    kill_midway(third)?;
    containers.push(attach(third)?);
    println!("\n3. TCP and UDP between all of them and the host, IPv4 and IPv6");
    let exchanges = converse(&containers)?;
    println!("   {exchanges} exchanges, all answered");
    println!("\n4. all is taken away");
    for container in &mut containers {
        detach(container)?;
    }
    run::run(Command::new("ip").args(["link", "delete", BRIDGE]))?;
    print_table(&containers);
    nothing_is_left(&before)
}

fn attach(name: &'static str) -> Result<Attached> {
    if !Path::new("/run/netns").join(name).exists() {
        call(&["netns", "add", name])?;
    }
    let (result, add) = call(&["add", CONFLIST_FILE, name, "--id", name])?;
    call(&["check", CONFLIST_FILE, name, "--id", name])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let addresses: Vec<String> =
        result["ips"].as_array().into_iter().flatten().map(|ip| text(&ip["address"])).collect();
    ensure!(addresses.len() == 2, "{name} has {addresses:?}, not an address of each family");
    let eth0 = result["interfaces"].as_array().into_iter().flatten().find(|i| i["name"] == "eth0");
    let mac = text(&eth0.context("the result names no eth0")?["mac"]);
    println!("   {name} has {} after {:.1} ms", addresses.join(" and "), milliseconds(add));
    Ok(Attached { name, addresses, mac, add, del: Duration::ZERO })
}

/// Kills the plugin between making the interface and taking the address. We hold the lock of the
/// leases meanwhile, so it cannot get further.
fn kill_midway(name: &'static str) -> Result<()> {
    println!("\n2. a plugin is killed midway, and its call repeated");
    call(&["netns", "add", name])?;
    let before = Snapshot::take()?;
    let lock = File::create(Path::new(LEASES).join("lock"))?;
    lock.lock()?;
    let mut monitor =
        Running(Command::new("ip").args(["-o", "monitor", "link"]).stdout(Stdio::piped()).spawn()?);
    let events = monitor.0.stdout.take().context("ip monitor has no output")?;
    let mut add = command(&["add", CONFLIST_FILE, name, "--id", name]);
    let add = add.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start cais")?;
    let made = BufReader::new(events)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains(&format!("master {BRIDGE}")))
        .context("no interface was made")?;
    let made = made.split([':', '@']).nth(1).unwrap_or_default().trim().to_owned();
    // The only child of cais is the plugin that waits for the lock.
    let children = format!("/proc/{0}/task/{0}/children", add.id());
    let plugin = fs::read_to_string(&children).with_context(|| format!("read {children}"))?;
    run::output(Command::new("sh").args(["-c", &format!("kill -KILL {plugin}")]))?;
    drop(lock);
    let out = add.wait_with_output()?;
    ensure!(!out.status.success(), "cais did not notice that its plugin was killed");
    println!("   {made} was made and its plugin, process {}, killed; cais says:", plugin.trim());
    for line in String::from_utf8_lossy(&out.stderr).lines() {
        println!("     {line}");
    }
    before.must_be_now()?;
    println!("   no interface, address, record or lease of it is left");
    Ok(())
}

/// Starts a process in each container and one on the host, and lets each ask all others.
fn converse(containers: &[Attached]) -> Result<usize> {
    let mut processes = Vec::new();
    let mut peers: Vec<(Option<&str>, &str, Vec<String>)> =
        vec![(None, "host", HOST.map(str::to_owned).to_vec())];
    for container in containers {
        let plain = |cidr: &String| cidr.split('/').next().unwrap_or_default().to_owned();
        let addresses = container.addresses.iter().map(plain).collect();
        peers.push((Some(container.name), container.name, addresses));
    }
    for (place, name, _) in &peers {
        let mut command = ourselves_in(*place, &["peer", name])?;
        let mut process = Running(command.stdout(Stdio::piped()).spawn()?);
        let says = process.0.stdout.take().context("a peer has no output")?;
        let mut line = String::new();
        BufReader::new(says).read_line(&mut line)?;
        ensure!(line.trim() == READY, "the process in {name} is not ready: {line}");
        processes.push(process);
    }
    let mut exchanges = 0;
    for (place, name, _) in &peers {
        let others = peers.iter().filter(|(_, other, _)| other != name);
        let mut words = vec!["talk".to_owned()];
        words.extend(others.flat_map(|(_, other, addresses)| {
            addresses.iter().map(move |address| format!("{other}={address}"))
        }));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answers = run::output(&mut ourselves_in(*place, &words)?)?;
        println!(
            "   {name} heard from {} others {} times",
            peers.len() - 1,
            answers.lines().count()
        );
        exchanges += answers.lines().count();
    }
    // Each asks each other one, over two protocols and two families.
    ensure!(exchanges == peers.len() * (peers.len() - 1) * 4, "only {exchanges} exchanges");
    Ok(exchanges)
}

fn detach(container: &mut Attached) -> Result<()> {
    let name = container.name;
    (_, container.del) = call(&["del", CONFLIST_FILE, name, "--id", name])?;
    call(&["netns", "del", name])?;
    Ok(())
}

fn print_table(containers: &[Attached]) {
    println!(
        "\n{:<10} {:<15} {:<15} {:<18} {:>7} {:>7}",
        "name", "IPv4", "IPv6", "MAC", "ADD ms", "DEL ms"
    );
    for container in containers {
        println!(
            "{:<10} {:<15} {:<15} {:<18} {:>7.1} {:>7.1}",
            container.name,
            container.addresses[0],
            container.addresses[1],
            container.mac,
            milliseconds(container.add),
            milliseconds(container.del)
        );
    }
    println!("(whole calls of cais with its plugins, unoptimised; cargo xtask bench measures)\n");
}

fn nothing_is_left(before: &Snapshot) -> Result<()> {
    before.must_be_now()?;
    println!("left: no interface, no address, no route, no namespace, no record, no lease");
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Everything that an attachment may leave on the host: a line for each thing.
struct Snapshot(BTreeSet<String>);

impl Snapshot {
    fn take() -> Result<Snapshot> {
        let mut lines = BTreeSet::new();
        for object in ["link", "address", "-4 route", "-6 route"] {
            let text = run::output(Command::new("ip").arg("-o").args(object.split(' ')))?;
            lines.extend(text.lines().map(|line| format!("{object}: {}", steady(line))));
        }
        for folder in ["/run/netns", "/run/cais", "/var/lib/cni"] {
            list(Path::new(folder), &mut lines)?;
        }
        Ok(Snapshot(lines))
    }

    /// Fails with the differences when the host is not as it was.
    fn must_be_now(&self) -> Result<()> {
        let now = Snapshot::take()?;
        let new = now.0.difference(&self.0).map(|line| format!("+ {line}"));
        let gone = self.0.difference(&now.0).map(|line| format!("- {line}"));
        let differences: Vec<_> = new.chain(gone).collect();
        if !differences.is_empty() {
            bail!("the host is not as it was:\n{}", differences.join("\n"));
        }
        Ok(())
    }
}

/// A line of iproute2 without what changes by itself.
fn steady(line: &str) -> String {
    let line = line.split(" valid_lft").next().unwrap_or(line);
    let passing = ["UP", "DOWN", "LOWERLAYERDOWN", "UNKNOWN", "tentative", "linkdown"];
    line.split_whitespace().filter(|word| !passing.contains(word)).collect::<Vec<_>>().join(" ")
}

/// The files below `folder` that stand for something that is held. Locks, indexes and the last
/// address given are not: they stay for the next one, as the reference plugins leave theirs.
fn list(folder: &Path, lines: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            list(&path, lines)?;
        } else if name != "lock"
            && name != "deleter"
            && !name.starts_with("last_reserved_ip")
            && !path.starts_with("/var/lib/cni/cais/index")
        {
            lines.insert(format!("file: {}", path.display()));
        }
    }
    Ok(())
}
