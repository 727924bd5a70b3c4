use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::{Command, ExitCode};

use cni::json::Object;
use cni::runtime::{Container, NetworkList, Runtime};
use cni::{Dns, Error, code};
use kernel::netns::{self, Netns};
use types::ContainerId;

use crate::args::Run;
use crate::fault::{Done, Fault, complain};
use crate::session::Session;
use crate::signals::{Guard, exit_code};
use crate::{container, network};

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
    let runtime = session.runtime();
    let id = container_id(&runtime, args.name.as_deref()).map_err(ours)?;
    let netns = new_netns().map_err(ours)?;
    let mut attached = Attached { runtime: &runtime, netns: &netns, args, list: Vec::new() };
    let code = attached
        .add_all(&lists, &id, &guard)
        .and_then(|dns| in_namespace(&netns, &dns, args, &guard));
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
    /// Attaches the networks as `eth0`, `eth1` and so on; gives their name servers.
    fn add_all(
        &mut self,
        lists: &'a [NetworkList],
        id: &ContainerId,
        guard: &Guard,
    ) -> Result<Dns, Fault> {
        let mut dns = Dns::default();
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
            let result = self.runtime.add(list, &container).map_err(Fault::ours)?;
            self.list.push((list, container));
            merge(&mut dns, &result);
        }
        Ok(dns)
    }

    /// Detaches all, the last one first, and gives what could not be removed.
    fn del_all(self) -> Option<Error> {
        let del =
            |(list, container): &(&NetworkList, Container)| self.runtime.del(list, container).err();
        Error::joined(self.list.iter().rev().filter_map(del).collect())
    }
}

/// Appends the name servers of a result.
fn merge(dns: &mut Dns, result: &[u8]) {
    let read = || Dns::decode(&Object::parse(result).ok()?.object("dns").ok()??).ok();
    let Some(more) = read() else { return };
    dns.nameservers.extend(more.nameservers);
    dns.search.extend(more.search);
    dns.options.extend(more.options);
    if dns.domain.is_empty() {
        dns.domain = more.domain;
    }
}

/// Runs the command in the namespace, through `cais exec`, and stands in for it until it ends.
fn in_namespace(netns: &Netns, dns: &Dns, args: &Run, guard: &Guard) -> Done {
    let mut command = Command::new("/proc/self/exe");
    command.arg("exec").arg(netns.path()).arg("--").args(&args.command);
    command.env(exec::DIE_WITH, std::process::id().to_string());
    if !dns.is_empty() {
        command.env(exec::SHOW_AS_RESOLV_CONF, resolv_conf(dns));
    }
    let child = command
        .spawn()
        .map_err(|e| Fault::ours(Error::new(code::IO, format!("start /proc/self/exe: {e}"))))?;
    guard.stand_in_for(child).map_err(Fault::ours)
}

/// The content of a resolv.conf(5).
fn resolv_conf(dns: &Dns) -> String {
    let mut text = "# made by cais run of the networks' results\n".to_owned();
    for server in &dns.nameservers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.domain.is_empty() {
        text.push_str(&format!("domain {}\n", dns.domain));
    }
    // Of `domain` and `search` the last one counts.
    for (key, words) in [("search", &dns.search), ("options", &dns.options)] {
        if !words.is_empty() {
            text.push_str(&format!("{key} {}\n", words.join(" ")));
        }
    }
    text
}
