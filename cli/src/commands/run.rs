use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::process::{Command, ExitCode};

use cni::runtime::{Capabilities, Container, NetworkList, Runtime};
use cni::{Dns, Error, code};
use kernel::netns::{self, Netns};
use serde_json::json;
use types::ContainerId;

use crate::args::Run;
use crate::fault::{Done, Fault, complain};
use crate::session::Session;
use crate::signals::{Guard, exit_code};
use crate::{container, files, network};

use super::attachments::addresses;
use super::exec;
use super::netns::lo_up;

/// `cais run`.
///
/// The namespace has no name, so that it cannot outlive us: were we killed, the kernel takes its
/// links, and GC what is left of its attachments.
pub(crate) fn run(session: &Session, args: &Run) -> Done {
    let ours = Fault::ours;
    // From here on signals wait for us, so that none comes between making and removing.
    let guard = Guard::new().map_err(ours)?;
    let lists = lists(args).map_err(ours)?;
    let more: Result<Vec<_>, Error> = args.add_host.iter().map(|text| line(text)).collect();
    let more = more.map_err(ours)?;
    let runtime = session.runtime();
    let id = container_id(&runtime, args.name.as_deref()).map_err(ours)?;
    let netns = new_netns().map_err(ours)?;
    let mut attached = Attached { runtime: &runtime, netns: &netns, args, list: Vec::new() };
    let code = attached
        .add_all(&lists, &id, &guard)
        .and_then(|given| in_namespace(&netns, &Given { more, ..given }, args, &guard));
    let left = attached.del_all();
    match (code, left) {
        (Err(fault), _) => Err(fault),
        (Ok(code), None) => Ok(code),
        (Ok(ExitCode::SUCCESS), Some(error)) => Err(ours(error)),
        // The command's own failure says more to whoever waits for it.
        (Ok(code), Some(error)) => {
            complain(&error);
            Ok(code)
        }
    }
}

fn lists(args: &Run) -> Result<Vec<NetworkList>, Error> {
    let positional = args.networks.iter().flat_map(|text| text.split(','));
    positional.chain(args.network.iter().map(String::as_str)).map(network::load).collect()
}

/// The id asked for, if no living container has it, or a new one.
fn container_id(runtime: &Runtime, name: Option<&str>) -> Result<ContainerId, Error> {
    let Some(name) = name else {
        let random = RandomState::new().build_hasher().finish();
        return Ok(format!("run-{random:016x}").parse().expect("letters, digits and a hyphen"));
    };
    let id = container::parse_id(name)?;
    let known = runtime.cache().attachments()?;
    if known.iter().any(|a| a.attachment.container == id && !a.is_dead()) {
        return Err(Error::new(
            code::INVALID_ENVIRONMENT,
            format!("run `{name}`: it runs already"),
        )
        .with_hint("use another --name, or `cais exec` to join it"));
    }
    Ok(id)
}

fn new_netns() -> Result<Netns, Error> {
    let netns = netns::create_unnamed().map_err(|e| {
        Error::from_chain(code::IO, &e)
            .with_hint("this needs root: run it inside `cais lab` if you are not")
    })?;
    lo_up(&netns)?;
    Ok(netns)
}

/// What has been attached so far.
struct Attached<'a> {
    runtime: &'a Runtime,
    netns: &'a Netns,
    args: &'a Run,
    list: Vec<(&'a NetworkList, Container)>,
}

impl<'a> Attached<'a> {
    /// Attaches the networks as `eth0`, `eth1` and so on; gives what they say of names.
    fn add_all(
        &mut self,
        lists: &'a [NetworkList],
        id: &ContainerId,
        guard: &Guard,
    ) -> Result<Given, Fault> {
        let mut given = Given { name: id.to_string(), ..Given::default() };
        for (i, list) in lists.iter().enumerate() {
            if let Some(signal) = guard.ending() {
                return Err(Fault {
                    error: Error::new(code::TRY_AGAIN, format!("stopped by {signal}")),
                    exit: exit_code(signal),
                });
            }
            let ifname = format!("eth{i}").parse().expect("a valid name");
            let mut container = Container::new(id.clone(), ifname).in_netns(self.netns.path());
            container.args = container::args(&self.args.values)?;
            container.capabilities = container::capabilities(&self.args.values)?;
            of_names(&mut container.capabilities, self.args)?;
            let result = self.runtime.add(list, &container).map_err(Fault::ours)?;
            self.list.push((list, container));
            files::merge(&mut given.dns, &result);
            given.addresses.extend(own_addresses(&result));
        }
        Ok(given)
    }

    /// Detaches all, the last one first, and gives what could not be removed.
    fn del_all(self) -> Option<Error> {
        let del =
            |(list, container): &(&NetworkList, Container)| self.runtime.del(list, container).err();
        Error::joined(self.list.iter().rev().filter_map(del).collect())
    }
}

/// What networks and options say of names.
#[derive(Default)]
struct Given {
    name: String,
    dns: Dns,
    addresses: Vec<IpAddr>,
    /// Lines of hosts(5): name and address.
    more: Vec<(String, String)>,
}

/// Tells the plugins of `--alias` and `--dns`, as other runtimes do.
fn of_names(capabilities: &mut Capabilities, args: &Run) -> Result<(), Error> {
    if !args.alias.is_empty() {
        capabilities.set_text("aliases", &json!(args.alias).to_string())?;
    }
    if !args.dns.is_empty() {
        capabilities.set_text("dns", &json!({ "servers": args.dns }).to_string())?;
    }
    Ok(())
}

/// The container's addresses in a result of any version, without their prefixes.
fn own_addresses(result: &[u8]) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(result);
    let plain = |cidr: &String| cidr.split('/').next()?.parse().ok();
    addresses(&text).iter().filter_map(plain).collect()
}

/// One value of `--add-host`.
fn line(text: &str) -> Result<(String, String), Error> {
    let parts = text.split_once(':').filter(|(name, _)| !name.is_empty());
    match parts.and_then(|(name, ip)| Some((name.to_owned(), ip.parse::<IpAddr>().ok()?))) {
        Some((name, address)) => Ok((name, address.to_string())),
        None => Err(Error::new(
            code::INVALID_ENVIRONMENT,
            format!("host `{text}`: it is no NAME:ADDRESS"),
        )
        .with_hint("such as --add-host db:192.0.2.7")),
    }
}

/// Runs the command in the namespace, through `cais exec`, and stands in for it until it ends.
fn in_namespace(netns: &Netns, given: &Given, args: &Run, guard: &Guard) -> Done {
    let mut command = Command::new("/proc/self/exe");
    command.arg("exec").arg(netns.path()).arg("--").args(&args.command);
    command.env(exec::DIE_WITH, std::process::id().to_string());
    if !given.dns.is_empty() {
        command.env(exec::SHOW_AS_RESOLV_CONF, files::resolv_conf(&given.dns));
    }
    let hosts = files::hosts(&given.name, &given.addresses, &given.more);
    command.env(exec::SHOW_AS_HOSTS, hosts);
    let child = command
        .spawn()
        .map_err(|e| Fault::ours(Error::new(code::IO, format!("start /proc/self/exe: {e}"))))?;
    guard.stand_in_for(child).map_err(Fault::ours)
}
