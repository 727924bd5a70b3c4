//! A lease from a DHCP server and back: ADD and DEL as interface plugins call them, each by the daemon
//! of its own kind, both with the same server.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kernel::netns::Netns;
use serde_json::json;

use super::in_turns;
use crate::call::Plugin;
use crate::host::Host;
use crate::isolation::{Container, Scratch};
use crate::options::Options;
use crate::report::{Goal, Report};

/// The container's link is up before, as `bridge` and `macvlan` of ours leave it to the daemon and the
/// reference's then waits for two seconds.
pub(crate) fn add_and_del(options: &Options, scratch: &Scratch, report: &mut Report) -> Result<()> {
    let verbs = ["ADD", "DEL"];
    let server = Container::new("dhcp-server")?;
    server.run("ip link add dev br0 type bridge")?;
    server.run("ip addr add 10.9.0.1/24 dev br0")?;
    server.run("ip link set dev br0 up")?;
    let _dnsmasq = Running::start(
        &server,
        Command::new("dnsmasq").args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=br0",
            "--user=root",
            "--no-ping",
            "--log-facility=/dev/null",
            "--pid-file=",
            "--leasefile-ro",
            "--dhcp-range=10.9.0.10,10.9.0.50,1h",
            "--dhcp-option=option:router,10.9.0.1",
        ]),
    )?;
    let subject = |plugins: &Path, name: &str| -> Result<(Plugin, Running)> {
        let host = Host::new(plugins, &format!("dhcp-{name}"), scratch)?;
        let (container, port) = (&host.container.path, format!("p-{name}"));
        server.run(&format!(
            "ip link add dev {port} master br0 type veth peer name eth0 netns {container}"
        ))?;
        server.run(&format!("ip link set dev {port} up"))?;
        host.container.run("ip link set dev eth0 up")?;
        // The path of a socket is short.
        let socket = Path::new("/run").join(format!("dhcp-{name}.sock"));
        let mut daemon = Command::new(plugins.join("dhcp"));
        daemon.args(["daemon", "-socketpath"]).arg(&socket);
        daemon.env("CAIS_ROOT", host.state.join("root"));
        let daemon = Running::start(&host.namespace, &mut daemon)?;
        let end = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            if Instant::now() > end {
                bail!("the daemon of {} does not listen", plugins.display());
            }
            std::thread::yield_now();
        }
        let config = json!({
            "cniVersion": "1.0.0", "name": "bench", "type": "dhcp",
            "ipam": { "type": "dhcp", "daemonSocketPath": socket.display().to_string() },
        });
        let plugin = host.plugin("dhcp", &config);
        plugin.call("ADD")?;
        plugin.call("DEL")?;
        Ok((plugin, daemon))
    };
    let (ours, _daemon) = subject(&options.ours, "ours")?;
    let (peer, _other) = subject(&options.peer, "go")?;
    let series = in_turns(&[&ours, &peer], &verbs, options.runs)?;
    for ((verb, [ours, peer]), goal) in verbs.iter().zip(&series).zip([0.35, 0.2]) {
        report.pair(&format!("dhcp {verb}"), ours, peer, Goal::Ratio(goal));
    }
    Ok(())
}

/// A program that ends with the case.
struct Running(Child);

impl Running {
    fn start(place: &Container, command: &mut Command) -> Result<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let spawned = Netns::open(&place.path)?.run(|| command.spawn())?;
        spawned.map(Running).with_context(|| format!("start {command:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
