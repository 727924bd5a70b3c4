//! One round: what the store says becomes what the kernel has and what plugins are told.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cni::{Error, code};
use kernel::link;
use peers::{Accepted, Block, HostId, Limits, LocalBlock, Network, NodeFile, State, accept};
use tunnels::{Desired, Underlays, reconcile};
use types::{Cidr, NetworkName};

use super::network::Active;
use super::{Daemon, bridge};
use crate::store::{State as StoreState, View};

/// How long news of a network that another host has just made may take.
const NEWS: Duration = Duration::from_secs(2);

/// Records of others that are told of one by one.
pub(super) const MOST_TOLD: usize = 20;

/// What a round is about.
struct News {
    before: Option<Arc<View>>,
    now: Option<Arc<View>>,
    whole: bool,
}

impl News {
    /// Whether the hosts are what they were.
    fn same_hosts(&self) -> bool {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) if !self.whole => {
                Arc::ptr_eq(before, now) || before.hosts == now.hosts
            }
            _ => false,
        }
    }

    /// Whether the store says the same of a network as before.
    fn same(&self, name: &NetworkName) -> bool {
        match (&self.before, &self.now) {
            (Some(before), Some(now)) => {
                before.networks.get(name) == now.networks.get(name)
                    && before.blocks.get(name) == now.blocks.get(name)
            }
            _ => false,
        }
    }
}

impl Daemon {
    /// Makes all networks of this host what they have to be. Whether nothing is left to be tried
    /// again soon.
    pub(super) fn round(self: &Rc<Self>) -> bool {
        if self.leaving.get() {
            self.done.notify_waiters();
            return true;
        }
        let view = self.followed.borrow().as_ref().map(|followed| followed.view.borrow().clone());
        let before = self.seen.replace(view.clone());
        let news = News { before, now: view.clone(), whole: self.whole.replace(false) };
        let (same_hosts, used) = (news.same_hosts(), self.used.replace(false));
        let names: Vec<NetworkName> = self.active.borrow().keys().cloned().collect();
        let mut complete = true;
        for name in names {
            // Nothing below awaits, so nobody else looks at it meanwhile.
            let Some(mut active) = self.active.borrow_mut().remove(&name) else { continue };
            let is_same = active.settled && same_hosts && news.same(&name);
            if is_same && !(used && self.is_filling(&name, &active)) {
                self.active.borrow_mut().insert(name, active);
                continue;
            }
            match view.as_deref() {
                Some(view) => self.settle(&name, &mut active, view),
                None => active.problem = Some(no_store(&name)),
            }
            active.settled = active.problem.is_none() && active.lost.is_empty();
            complete &= active.settled;
            self.active.borrow_mut().insert(name, active);
        }
        self.rounds.set(self.rounds.get() + 1);
        self.done.notify_waiters();
        complete
    }

    fn settle(self: &Rc<Self>, name: &NetworkName, active: &mut Active, view: &View) {
        let done = match (view.networks.get(name), view.blocks.get(name)) {
            (Some(network), Some(blocks)) => self.settle_known(network, active, (view, blocks)),
            (Some(_), None) => Err(self.silence(name)),
            (None, _) => self.settle_unknown(name, active),
        };
        if let Err(problem) = &done {
            self.deny(active, problem);
        }
        let claim = || active.refused.as_ref().map(|(error, _)| error.clone());
        active.problem = match done {
            Ok(()) => None,
            Err(error) if error.code == code::TRY_AGAIN => Some(claim().unwrap_or(error)),
            Err(error) => Some(error),
        };
    }

    /// A network that the store does not know, or has not told of.
    fn settle_unknown(
        self: &Rc<Self>,
        name: &NetworkName,
        active: &mut Active,
    ) -> Result<(), Error> {
        let Some(followed) = self.followed.borrow().clone() else { return Err(no_store(name)) };
        if !matches!(&*followed.store.state().borrow(), StoreState::Ready { .. }) {
            return Err(self.silence(name));
        }
        self.begin_creating(name, active);
        if let Some((error, _)) = &active.refused {
            return Err(error.clone());
        }
        if active.creating {
            let text = format!("take part in network {name}: it is being created");
            return Err(Error::new(code::TRY_AGAIN, text));
        }
        let text = format!("take part in network {name}: the store knows no such network");
        if active.asked.is_some_and(|asked| asked.elapsed() < NEWS) {
            return Err(Error::new(code::TRY_AGAIN, text));
        }
        Err(Error::new(code::INVALID_CONFIG, text)
            .with_hint(format!("cais overlay network create {name}, or give its key \"create\"")))
    }

    fn settle_known(
        self: &Rc<Self>,
        network: &Network,
        active: &mut Active,
        (view, blocks): (&View, &[Block]),
    ) -> Result<(), Error> {
        let name = &network.name;
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(code::IO, format!("take part in network {name}: {error}"))
        };
        let underlays = Underlays::read(&self.host).map_err(|error| failed(&error))?;
        let own = self.own(&underlays);
        let blocks = active.with_claimed(blocks);
        let mut hosts = view.hosts.clone();
        if !hosts.iter().any(|host| host.id == own.id) {
            hosts.push(own.clone());
        }
        let mut accepted = accept(network, &own, &hosts, &blocks, Limits::STORE);
        self.tell_refused(name, active, &accepted);
        let others = accepted.peers.iter().map(|peer| (peer.id.clone(), peer.blocks.clone()));
        let others: BTreeMap<HostId, Vec<Cidr>> = others.collect();
        if active.others != others {
            active.others = others;
            self.others.judged.notify_one();
        }
        let ours: Vec<Block> =
            blocks.iter().filter(|block| block.host == own.id).cloned().collect();
        let usable: Vec<_> = accepted.own.iter().map(|block| (block.cidr, block.state)).collect();
        active.more.extend(self.filling(name, &network.families(), &usable));
        self.get_what_lacks(network, active, &ours);
        accepted.own.retain(|block| !active.lost.iter().any(|(lost, _)| *lost == block.cidr));
        let of_tunnels = |error: tunnels::Error| {
            let code = match &error {
                // The last container took the bridge with it meanwhile, which is heard of as well.
                tunnels::Error::Kernel(error) if error.is_missing() => code::TRY_AGAIN,
                _ => code::IO,
            };
            Error::new(code, error.to_string()).with_hint_if_any(error.hint())
        };
        let desired = Desired::new(network, &own, &accepted, &underlays).map_err(of_tunnels)?;
        // Before the way is open, so that nothing forged goes it.
        self.guard.keep(&desired.tunnels()).map_err(|error| failed(&error))?;
        if !self.isolate(&desired)? {
            let mended =
                bridge::mend(&self.host, &self.paths.run, (name, &desired, active.bridge_mac));
            let mended = mended.map_err(|error| failed(&error))?;
            for change in reconcile(&self.host, &desired).map_err(of_tunnels)? {
                eprintln!("cais-overlayd: network {name}: {change}");
            }
            if mended {
                eprintln!("cais-overlayd: network {name}: {} made again", desired.bridge);
                bridge::announce(&self.host, &desired);
                let opened = bridge::reopen_doors(&self.host, &self.paths.run, (name, &desired));
                if let Err(error) = opened {
                    eprintln!("cais-overlayd: network {name}: names are not answered: {error}");
                }
            }
            let bridge = link::find(&self.host, &desired.bridge).map_err(|error| failed(&error))?;
            active.bridge_mac = bridge.and_then(|bridge| bridge.mac).or(active.bridge_mac);
        }
        self.tell_plugins(network, active, (&accepted, &desired))
    }

    /// Writes the node file where it has to say something else than before.
    fn tell_plugins(
        &self,
        network: &Network,
        active: &mut Active,
        (accepted, desired): (&Accepted, &Desired),
    ) -> Result<(), Error> {
        // Somebody may have damaged or deleted it.
        let written = NodeFile::read(&self.paths.run, &network.name).ok().flatten();
        if active.node.is_none() {
            active.node.clone_from(&written);
        }
        let blocks: Vec<LocalBlock> = accepted.own.iter().map(tunnels::local).collect();
        let quarantine = active.lost.first().map(|(_, why)| why.clone());
        let mut node = NodeFile {
            network: network.name.clone(),
            vni: network.vni,
            epoch: active.node.as_ref().map_or(0, |node| node.epoch),
            host: self.id().clone(),
            bridge: desired.bridge.clone(),
            device: desired.ends.first().map_or(network.vni.device(), |end| end.device.clone()),
            mtu: desired.mtu,
            dns: Vec::new(),
            pools: network.pools.clone(),
            masquerade: network.masquerade,
            denied: quarantine.or_else(|| self.fenced()),
            blocks,
        };
        // It is first written when there is something of each family to hand out: a container that
        // came before would have one address only.
        let has = |family| {
            let mut of = node.blocks.iter().filter(|block| block.cidr.family() == family);
            of.any(|block| block.state == State::Active)
        };
        let lacking = network.families().into_iter().find(|family| !has(*family));
        if let (Some(family), None) = (lacking, &active.node) {
            let name = &network.name;
            let text = format!("take part in network {name}: it has no {family} block yet");
            return Err(Error::new(code::TRY_AGAIN, text));
        }
        self.hear_spool(&network.name);
        if written.as_ref() != Some(&node) {
            node.epoch += 1;
            self.write_node(&node)?;
            active.node = Some(node);
        }
        Ok(())
    }

    /// Tells plugins that no container may be added to any network.
    pub(super) fn deny_all(&self, why: &Error) {
        self.active.borrow_mut().values_mut().for_each(|active| self.deny(active, why));
    }

    /// What the plugin is told of a network that was there and cannot be kept up now: containers can
    /// be added as long as the way to the others is as it was.
    fn deny(&self, active: &mut Active, problem: &Error) {
        let refuses = problem.code == code::INVALID_CONFIG || problem.code == code::IO;
        let Some(node) = active.node.as_mut().filter(|_| refuses) else { return };
        let why = problem.to_string();
        if node.denied.as_ref() != Some(&why) {
            node.denied = Some(why);
            node.epoch += 1;
            if let Err(error) = self.write_node(node) {
                eprintln!("cais-overlayd: {error}");
            }
        }
    }

    fn tell_refused(&self, name: &NetworkName, active: &mut Active, accepted: &Accepted) {
        let told: Vec<String> =
            accepted.refused.iter().take(MOST_TOLD).map(ToString::to_string).collect();
        if told != active.refused_records {
            for refused in told.iter().filter(|one| !active.refused_records.contains(one)) {
                eprintln!("cais-overlayd: network {name}: not acted upon: {refused}");
            }
            active.refused_records = told;
        }
    }

    /// Why nothing is known of a network yet.
    fn silence(&self, name: &NetworkName) -> Error {
        let reason = match self.followed.borrow().as_ref() {
            None => return no_store(name),
            Some(followed) => match &*followed.store.state().borrow() {
                StoreState::Starting => "etcd has not answered yet".to_owned(),
                StoreState::Ready { .. } => "it is being looked at".to_owned(),
                StoreState::Away { reason } => format!("etcd is away: {reason}"),
                StoreState::Refused(error) => return super::claims::of_store(error),
            },
        };
        Error::new(code::TRY_AGAIN, format!("take part in network {name}: {reason}"))
    }
}

fn no_store(name: &NetworkName) -> Error {
    let text = format!("take part in network {name}: no store is known");
    Error::new(code::NOT_AVAILABLE, text)
        .with_hint("say \"store\" in the configuration, or in /etc/cais/overlayd.json")
}
