//! The task that keeps the session with etcd: one connection, presence, listings and changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use types::NetworkName;

use super::block::{self, Actor};
use super::cache::{Cache, Loss};
use super::chance;
use super::error::StoreError;
use super::etcd::{Connection, Keeper, Lost, Subtree, Tree, Txn};
use super::follow::Tracked;
use super::host;
use super::network::{self, Number};
use super::records::{Config, Me, Named};
use super::view::{Names, Presence, View};
use super::{EtcdConfig, Interest, State};

/// Changes are told at once, but not more often than this.
const TELL: Duration = Duration::from_millis(20);
/// Names are written at once, but not more often than this, and so many at a time.
const NAMES: (Duration, usize) = (Duration::from_millis(100), 64);
/// The snapshot is renewed at most this often.
const SNAPSHOT: Duration = Duration::from_secs(5);
/// Between two tries to reach etcd, from the first to all later ones.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Names of local endpoints: by network and endpoint.
pub type Published = BTreeMap<(NetworkName, String), Named>;

/// A session: who may act, over what.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) tree: Tree,
    pub(crate) actor: Actor,
}

/// What the agent tells.
pub(super) struct Told {
    pub(super) state: watch::Sender<State>,
    pub(super) session: watch::Sender<Option<Session>>,
    pub(super) view: watch::Sender<Arc<View>>,
    pub(super) presence: watch::Sender<Arc<Presence>>,
    pub(super) names: watch::Sender<Arc<Names>>,
    pub(super) snapshot: watch::Sender<Arc<str>>,
    pub(super) confirmed: watch::Sender<Option<Instant>>,
    pub(super) config: watch::Sender<Config>,
}

/// What the agent is asked for.
pub(super) struct Asked {
    pub(super) interest: watch::Receiver<BTreeMap<NetworkName, Interest>>,
    pub(super) published: watch::Receiver<Option<Arc<Published>>>,
    pub(super) me: watch::Receiver<Arc<Me>>,
    pub(super) leaving: watch::Receiver<Leaving>,
}

/// Whether this host leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It stays.
    No,
    /// What it has is being removed, and must not be written again.
    Begun,
    /// It has left.
    Done,
}

/// The task. [`Agent::run`] is to be spawned or awaited.
pub struct Agent {
    pub(super) config: EtcdConfig,
    pub(super) cache: Cache,
    pub(super) told: Told,
    pub(super) asked: Asked,
    pub(super) subtrees: Vec<Tracked>,
    pub(super) next_id: i64,
    /// When the last listing of everything was.
    pub(super) listed: Option<Instant>,
    /// Whether this process or the snapshot's has been registered before.
    pub(super) was_registered: bool,
    pub(super) due: Due,
    /// As whom we act, and the revision at which we registered.
    pub(super) actor: Option<(Actor, i64)>,
    pub(super) displaced: bool,
    /// Whether the session ended because this host is reached by other addresses now.
    pub(super) moved: bool,
    pub(super) told_at: Option<Instant>,
}

/// When what is to be done next.
#[derive(Default)]
pub(super) struct Due {
    tell: Option<Instant>,
    pub(super) names: Option<Instant>,
    /// When some were written last.
    wrote_names: Option<Instant>,
    snapshot: Option<Instant>,
}

impl Due {
    /// When names may be written next.
    fn next_names(&self) -> Instant {
        let now = Instant::now();
        self.wrote_names.map_or(now, |wrote| now.max(wrote + NAMES.0))
    }
}

/// Ends a task when dropped.
struct Guard(JoinHandle<Lost>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Agent {
    /// Keeps the session until this host leaves, or has to: everything else is tried again.
    ///
    /// # Errors
    /// [`StoreError::DuplicateHost`].
    pub async fn run(mut self) -> Result<(), StoreError> {
        self.tell();
        let mut endpoint = usize::try_from(chance::below(1 << 16)).unwrap_or(0);
        let mut pause = AGAIN.0;
        loop {
            let chosen = self.config.endpoints.get(endpoint % self.config.endpoints.len().max(1));
            let chosen = chosen.cloned().unwrap_or_default();
            let mut was_ready = false;
            let Err(ended) = self.session(&chosen, &mut was_ready).await;
            self.told.session.send_replace(None);
            if self.has_left().await {
                return Ok(());
            }
            if std::mem::take(&mut self.moved) {
                continue;
            }
            if matches!(ended, StoreError::DuplicateHost { .. }) {
                self.told.state.send_replace(State::Refused(ended.clone()));
                return Err(ended);
            }
            self.told.state.send_replace(match ended {
                StoreError::Etcd(ref error) if !error.is_denied() => {
                    State::Away { reason: ended.to_string() }
                }
                ended => State::Refused(ended),
            });
            if was_ready {
                pause = AGAIN.0;
            }
            tokio::time::sleep(chance::around(pause, 50)).await;
            pause = (pause * 2).min(AGAIN.1);
            endpoint = endpoint.wrapping_add(1);
        }
    }

    /// Whether the session ended because we wanted so.
    async fn has_left(&mut self) -> bool {
        let decided = self.asked.leaving.wait_for(|leaving| *leaving != Leaving::Begun).await;
        decided.is_ok_and(|leaving| *leaving == Leaving::Done)
    }

    /// One session, until it ends.
    async fn session(
        &mut self,
        endpoint: &str,
        was_ready: &mut bool,
    ) -> Result<std::convert::Infallible, StoreError> {
        let (tls, login) = (self.config.tls.clone(), self.config.login.clone());
        let etcd = Connection::open(endpoint, tls.as_ref(), login.as_ref()).await?;
        let me = self.asked.me.borrow_and_update().clone();
        let tree = Tree { etcd: etcd.clone(), keys: self.config.keys.clone() };
        let registered = host::register(&tree, &me, self.config.ttl, now()).await?;
        let lease = registered.keeper.lease().id;
        let actor = Actor { id: me.host.id.clone(), lease };
        self.actor = Some((actor.clone(), registered.revision));
        self.displaced = false;
        let mut keeper = self.keep(registered.keeper);
        let loss = match registered.revision < self.cache.revision
            || self.was_registered && !registered.known
        {
            true => Loss::Suspected,
            false => Loss::None,
        };
        self.was_registered = true;
        let fresh = self.listed.is_some_and(|listed| listed.elapsed() < self.config.relist);
        if loss == Loss::Suspected || !fresh {
            self.list_all(&etcd, loss).await?;
        }
        // An earlier session may have ended before it had said all.
        if self.cache.is_holding() {
            self.say_again(&tree, &actor).await;
        }
        let subtrees: Vec<Subtree> =
            self.subtrees.iter().map(|tracked| tracked.subtree.clone()).collect();
        let mut watch = etcd.watch(&subtrees, self.config.silence).await?;
        self.follow_interest(&etcd, &watch).await?;
        self.find_strays(&etcd, &actor.id).await?;
        self.told.confirmed.send_replace(Some(Instant::now()));
        self.told.session.send_replace(Some(Session { tree: tree.clone(), actor: actor.clone() }));
        self.tell();
        let endpoint = endpoint.to_owned();
        self.told.state.send_replace(State::Ready { endpoint, recovered: loss == Loss::Suspected });
        *was_ready = true;
        self.due.names = Some(Instant::now());
        let mut relist = Instant::now() + chance::around(self.config.relist, 20);
        let underlay = me.host.underlay;
        loop {
            tokio::select! {
                lost = &mut keeper.0 => return Err(ended(lost)),
                news = watch.next() => self.take(&etcd, &watch, news?).await?,
                _ = self.asked.interest.changed() => self.follow_interest(&etcd, &watch).await?,
                _ = self.asked.me.changed() => {
                    // A connection from an address that is gone hangs until it is given up.
                    // Registering on a new one moves this host as announcing does.
                    self.moved = self.asked.me.borrow().host.underlay != underlay;
                    if self.moved {
                        return Err(StoreError::PresenceLost { what: "go on from an old address" });
                    }
                    self.announce(&tree, lease).await?;
                }
                _ = self.asked.published.changed() => {
                    let due = self.due.next_names();
                    self.due.names.get_or_insert(due);
                }
                () = at(self.due.names) => self.write_names(&etcd, &actor).await?,
                () = at(self.due.tell) => self.tell(),
                () = at(self.due.snapshot) => self.tell_snapshot(),
                () = sleep_until(relist) => {
                    self.list_all(&etcd, Loss::None).await?;
                    self.tell();
                    self.due.names = Some(Instant::now());
                    relist = Instant::now() + chance::around(self.config.relist, 20);
                }
            }
            if self.displaced {
                return Err(StoreError::PresenceLost { what: "stay registered" });
            }
        }
    }

    fn keep(&self, keeper: Keeper) -> Guard {
        let confirmed = self.told.confirmed.clone();
        Guard(tokio::spawn(keeper.keep(move || {
            confirmed.send_replace(Some(Instant::now()));
        })))
    }

    async fn announce(&mut self, tree: &Tree, lease: i64) -> Result<(), StoreError> {
        let me = self.asked.me.borrow_and_update().clone();
        host::announce(tree, &me, lease, now()).await
    }

    /// Writes again what the store has lost of ours, and networks that we are in. What others have
    /// by now stays theirs: who has handed out addresses of it asks by [`super::Store::adopt`].
    async fn say_again(&mut self, tree: &Tree, actor: &Actor) {
        let wanted = self.asked.interest.borrow().clone();
        let (networks, blocks) = self.cache.held(&actor.id);
        for lost in networks.iter().filter(|lost| wanted.contains_key(&lost.name)) {
            // It may be that we are not allowed to; then somebody else is.
            let _ = network::create(tree, lost, Number::Given).await;
        }
        // The network may have been said by another host already.
        let known = self.cache.view().networks;
        for (name, lost) in blocks {
            if let Some(network) = known.get(&name) {
                let _ = block::adopt(tree, actor, network, lost.cidr).await;
            }
        }
    }

    /// Brings some of our names in the store nearer to what they are.
    async fn write_names(&mut self, etcd: &Connection, actor: &Actor) -> Result<(), StoreError> {
        self.due.names = None;
        let Some(published) = self.asked.published.borrow_and_update().clone() else {
            return Ok(()); // nobody has said yet which they are
        };
        let keys = &self.config.keys;
        let wanted: BTreeMap<String, Vec<u8>> = published
            .iter()
            .map(|((network, endpoint), named)| {
                (keys.name(network, &actor.id, endpoint), named.value())
            })
            .collect();
        let there = self.cache.names_of(&actor.id);
        let gone = there.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key, None));
        let new = wanted
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(*value))
            .map(|(key, value)| (key, Some(value)));
        let mut changes: Vec<(&String, Option<&Vec<u8>>)> = gone.chain(new).collect();
        let more = changes.len() > NAMES.1;
        changes.truncate(NAMES.1);
        if changes.is_empty() {
            return Ok(());
        }
        let alive = keys.alive(&actor.id);
        let txn = changes.iter().fold(
            Txn::default().if_leased(&alive, actor.lease),
            |txn, (key, value)| match value {
                Some(value) => txn.put(key, (*value).clone()),
                None => txn.delete(key),
            },
        );
        self.due.wrote_names = Some(Instant::now());
        let done = match etcd.run("write names", txn).await {
            // All else goes on where this host may not say names.
            Err(error) if error.is_denied() => {
                eprintln!("cais-overlayd: names of this host are not told to others: {error}");
                return Ok(());
            }
            done => done?,
        };
        if !done.held {
            return Err(StoreError::PresenceLost { what: "write names" });
        }
        for (key, value) in changes {
            match value {
                Some(value) => self.cache.put(super::etcd::Entry {
                    key: key.clone(),
                    value: value.clone(),
                    created: done.revision,
                    modified: done.revision,
                    lease: 0,
                }),
                None => self.cache.remove(key),
            }
        }
        self.due.names = more.then(|| self.due.next_names());
        self.changed();
        Ok(())
    }

    /// Something of the cache changed.
    pub(super) fn changed(&mut self) {
        let now = Instant::now();
        let due = self.told_at.map_or(now, |told| now.max(told + TELL));
        self.due.tell.get_or_insert(due);
        self.due.snapshot.get_or_insert(Instant::now() + SNAPSHOT);
    }

    /// Tells what is known, as far as it changed.
    pub(super) fn tell(&mut self) {
        self.due.tell = None;
        self.told_at = Some(Instant::now());
        if self.cache.is_empty() {
            return;
        }
        let mut view = self.cache.view();
        for tracked in self.subtrees.iter().filter(|tracked| tracked.listed > 0) {
            if let Some(network) = self.config.keys.network_of_blocks(&tracked.subtree.prefix) {
                view.blocks.entry(network).or_default();
            }
        }
        tell(&self.told.view, view);
        tell(&self.told.presence, self.cache.presence());
        tell(&self.told.names, self.cache.names());
        self.told.config.send_replace(self.cache.config());
    }

    fn tell_snapshot(&mut self) {
        self.due.snapshot = None;
        self.told.snapshot.send_replace(self.cache.snapshot().into());
    }
}

fn tell<T: PartialEq>(to: &watch::Sender<Arc<T>>, value: T) {
    to.send_if_modified(|old| {
        let changed = **old != value;
        if changed {
            *old = Arc::new(value);
        }
        changed
    });
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn ended(lost: Result<Lost, tokio::task::JoinError>) -> StoreError {
    match lost {
        Ok(Lost::Way(error)) => error.into(),
        Ok(Lost::Lease) | Err(_) => StoreError::PresenceLost { what: "stay registered" },
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
