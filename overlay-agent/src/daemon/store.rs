//! Following the store on behalf of the networks that are active here.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use cni::{Error, code};
use kernel::{addr, link, route};
use peers::{Host, NodeFile, Underlay};
use tokio::sync::watch;
use tunnels::Underlays;
use types::{Family, Mtu, NetworkName};

use super::{Daemon, beside, told};
use crate::identity::write;
use crate::settings::{StoreSettings, underlay};
use crate::store::{Interest, Me, State, Store, StoreError, View};

/// The store that this host follows.
pub(super) struct Followed {
    /// By which configuration.
    pub(super) settings: StoreSettings,
    pub(super) store: Store,
    pub(super) view: watch::Receiver<std::sync::Arc<View>>,
    /// How long a host counts as present there.
    pub(super) ttl: Duration,
}

/// Remembers which store a plugin named, for the next start.
const REMEMBERED: &str = "store.json";

impl Daemon {
    /// The store of our own configuration, else the one that a plugin named.
    pub(super) fn configured_store(&self) -> Option<StoreSettings> {
        if let Some(store) = &self.settings.store {
            return Some(store.clone());
        }
        let text = std::fs::read_to_string(self.paths.state().join(REMEMBERED)).ok()?;
        let read = StoreSettings::parse(&text);
        read.map_err(|error| eprintln!("cais-overlayd: {REMEMBERED}: {error}")).ok()
    }

    /// The store to be used for a network, which a plugin may name while none is known.
    pub(super) fn store_for(&self, named: Option<&str>) -> Result<Rc<Followed>, Error> {
        let invalid = |why: &dyn std::fmt::Display| {
            Error::new(code::INVALID_CONFIG, format!("key \"store\": {why}"))
        };
        let named = named.map(StoreSettings::parse).transpose().map_err(|why| invalid(&why))?;
        let followed = self.followed.borrow().clone();
        match (followed, named) {
            (Some(followed), Some(named)) if followed.settings != named => {
                let text = "key \"store\": the daemon of this host follows another store";
                Err(Error::new(code::INVALID_CONFIG, text).with_hint(
                    "a host has one store: say the same in all configurations, or only in \
                     /etc/cais/overlayd.json",
                ))
            }
            (Some(followed), _) => Ok(followed),
            (None, Some(named)) => {
                let followed = self.follow(named.clone())?;
                let text = serde_json::to_vec(&named).expect("it has text keys");
                let path = self.paths.state().join(REMEMBERED);
                if let Err(error) = write(&path, &text) {
                    eprintln!("cais-overlayd: write {}: {error}", path.display());
                }
                Ok(followed)
            }
            (None, None) => {
                let text = "no store is known where hosts tell each other of networks";
                Err(Error::new(code::NOT_AVAILABLE, text)
                    .with_hint("say \"store\" in the configuration, or in /etc/cais/overlayd.json"))
            }
        }
    }

    /// Begins to follow a store.
    pub(super) fn follow(self: &Daemon, settings: StoreSettings) -> Result<Rc<Followed>, Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(code::INVALID_CONFIG, format!("follow the store: {why}"))
        };
        let config = settings.etcd().map_err(|why| failed(&why))?;
        let snapshot = std::fs::read(self.paths.snapshot()).ok();
        let (me, ttl) = (self.me().map_err(|why| failed(&why))?, config.ttl);
        let (store, agent) = Store::new(config, me, snapshot.as_deref());
        let view = store.view();
        let followed = Rc::new(Followed { settings, store, view, ttl });
        self.followed.replace(Some(Rc::clone(&followed)));
        self.follow_active();
        self.publish();
        beside(async move {
            // What ends it is told by the store's state.
            let _ = agent.run().await;
        });
        Ok(followed)
    }

    /// Tells the store which networks are active.
    pub(super) fn follow_active(&self) {
        if let Some(followed) = &*self.followed.borrow() {
            let active = self.active.borrow();
            let wanted: BTreeMap<NetworkName, Interest> =
                active.keys().map(|name| (name.clone(), Interest::BlocksAndNames)).collect();
            followed.store.follow(wanted);
        }
    }

    /// What this host says of itself.
    fn me(&self) -> io::Result<Me> {
        let underlays = Underlays::read(&self.host).map_err(told)?;
        let (own, identity) = (self.own(&underlays), &self.identity);
        let uts = nix::sys::utsname::uname()?;
        let named = self.settings.host_name.clone();
        Ok(Me {
            host: own,
            name: named.unwrap_or_else(|| uts.nodename().to_string_lossy().into_owned()),
            fingerprint: identity.fingerprint.clone(),
            instance: identity.instance.clone(),
            boot: identity.boot.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: vec!["vxlan".to_owned(), "guard".to_owned()],
        })
    }

    /// This host as the others reach it.
    pub(super) fn own(&self, underlays: &Underlays) -> Host {
        let underlay = self.underlay.get();
        let mtus = underlay.addresses().into_iter().filter_map(|ip| underlays.mtu(ip));
        let mtu = mtus.min().and_then(|mtu| Mtu::try_from(mtu).ok());
        Host { id: self.id().clone(), underlay, mtu }
    }

    /// Looks by which addresses this host is reached now; whether they are others than before.
    pub(super) fn look_at_underlay(&self) -> io::Result<bool> {
        let found = match &self.settings.underlay {
            Some(addresses) => underlay(addresses).map_err(told)?,
            None => self.default_underlay()?,
        };
        // While an address is being replaced there may be none.
        if found == self.underlay.get() || found.addresses().is_empty() {
            return Ok(false);
        }
        let is_first = self.underlay.replace(found).addresses().is_empty();
        if !is_first {
            eprintln!("cais-overlayd: this host is reached at {:?} now", found.addresses());
            if let Some(followed) = &*self.followed.borrow() {
                followed.store.announce(self.me()?);
            }
        }
        Ok(!is_first)
    }

    /// Addresses of the link that the default route goes by: one of each family, and the one there
    /// was as long as it is there.
    fn default_underlay(&self) -> io::Result<Underlay> {
        let links = route::default_links(&self.host).map_err(told)?;
        let all = addr::list_all(&self.host).map_err(told)?;
        let mut found = Underlay::default();
        for index in links {
            // Their packets would go round in circles.
            if link::get(&self.host, index).is_ok_and(|link| link.is_kind("vxlan")) {
                continue;
            }
            let usable = all.iter().filter(|addr| addr.index == index && addr.is_global());
            let before = self.underlay.get();
            let pick = |family: Family| {
                let of = usable.clone().map(|addr| addr.cidr.ip());
                let all: Vec<IpAddr> = of.filter(|ip| Family::of(*ip) == family).collect();
                before.of(family).filter(|ip| all.contains(ip)).or(all.first().copied())
            };
            if let (None, Some(IpAddr::V4(ip))) = (found.v4, pick(Family::V4)) {
                found.v4 = Some(ip);
            }
            if let (None, Some(IpAddr::V6(ip))) = (found.v6, pick(Family::V6)) {
                found.v6 = Some(ip);
            }
        }
        Ok(found)
    }

    /// Waits until the store has been reached, or told why not.
    pub(super) async fn store_is_settled(&self) {
        let Some(followed) = self.followed.borrow().clone() else { return };
        let mut state = followed.store.state();
        let settled = |state: &State| matches!(state, State::Ready { .. } | State::Refused(_));
        let _ = state.wait_for(settled).await;
    }

    /// Follows what the store says, and writes down what it is to be remembered by; returns when
    /// that is over: another machine lives under this host's id, or this host has left.
    pub(super) async fn follow_store(&self) -> io::Error {
        let followed = self.first_followed().await;
        let (mut view, mut state) = (followed.view.clone(), followed.store.state());
        let mut snapshot = followed.store.snapshot();
        loop {
            tokio::select! {
                // What the state says at the end is why it ended.
                biased;
                changed = state.changed() => {
                    if changed.is_err() { break }
                    let now = state.borrow_and_update().clone();
                    if let State::Refused(error @ StoreError::DuplicateHost { .. }) = now {
                        return io::Error::new(io::ErrorKind::AlreadyExists, error.to_string());
                    }
                    say(&now);
                    // Blocks may have been taken away while etcd was away.
                    self.forget_kept();
                    self.want_whole_round();
                }
                changed = view.changed() => {
                    if changed.is_err() { break }
                    self.want_round();
                }
                changed = snapshot.changed() => {
                    if changed.is_err() { break }
                    let text = snapshot.borrow_and_update().clone();
                    let path = self.paths.snapshot();
                    if let Err(error) = write(&path, text.as_bytes()) {
                        eprintln!("cais-overlayd: write {}: {error}", path.display());
                    }
                }
            }
        }
        io::Error::other("this host has left the store")
    }

    /// The store that this host follows, as soon as it follows one.
    pub(super) async fn first_followed(&self) -> Rc<Followed> {
        loop {
            if let Some(followed) = self.followed.borrow().clone() {
                return followed;
            }
            self.done.notified().await;
        }
    }

    fn forget_kept(&self) {
        self.active.borrow_mut().values_mut().for_each(|active| active.kept.clear());
    }

    pub(super) fn write_node(&self, node: &NodeFile) -> Result<(), Error> {
        node.write(&self.paths.run).map_err(|error| {
            Error::new(code::IO, format!("tell plugins of network {}: {error}", node.network))
        })
    }
}

fn say(state: &State) {
    match state {
        State::Starting => {}
        State::Ready { endpoint, recovered: false } => {
            eprintln!("cais-overlayd: etcd at {endpoint} answers");
        }
        State::Ready { endpoint, recovered: true } => eprintln!(
            "cais-overlayd: etcd at {endpoint} answers and had lost its data; what this host had \
             there was written again"
        ),
        State::Away { reason } => {
            eprintln!("cais-overlayd: etcd is away, all stays as it is: {reason}");
        }
        State::Refused(error) => eprintln!("cais-overlayd: {error}"),
    }
}
