//! The handle by which the daemon uses the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peers::{Block, HostId, Network};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use types::{Cidr, Family, NetworkName};

use super::agent::{Agent, Asked, Due, Leaving, Published, Session, Told, now};
use super::block::{self, Claimed};
use super::cache::Cache;
use super::collect::{self, Collected};
use super::error::StoreError;
use super::etcd::CALL;
use super::grid::Taken;
use super::host;
use super::network::{self, Number};
use super::records::{Config, Me};
use super::view::{Names, Presence, View};
use super::{EtcdConfig, Interest, State};

/// The store as the daemon sees it. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    told: Shown,
    asked: Arc<Asks>,
    /// What was claimed and not given back: the view learns of it a moment later, and two claims
    /// must not get one block.
    claimed: Arc<Mutex<BTreeSet<(NetworkName, Cidr)>>>,
}

/// What the task tells.
#[derive(Clone)]
struct Shown {
    state: watch::Receiver<State>,
    session: watch::Receiver<Option<Session>>,
    view: watch::Receiver<Arc<View>>,
    presence: watch::Receiver<Arc<Presence>>,
    names: watch::Receiver<Arc<Names>>,
    snapshot: watch::Receiver<Arc<str>>,
    confirmed: watch::Receiver<Option<Instant>>,
    config: watch::Receiver<Config>,
}

/// What the task is asked for.
struct Asks {
    interest: watch::Sender<BTreeMap<NetworkName, Interest>>,
    published: watch::Sender<Option<Arc<Published>>>,
    me: watch::Sender<Arc<Me>>,
    leaving: watch::Sender<Leaving>,
}

impl Store {
    /// A handle, and the task behind it that has to run.
    ///
    /// `snapshot` is what [`Self::snapshot`] gave in an earlier life: its views are shown until etcd
    /// is reached.
    #[must_use]
    pub fn new(config: EtcdConfig, me: Me, snapshot: Option<&[u8]>) -> (Self, Agent) {
        let mut cache = Cache::new(config.keys.clone());
        if let Some(snapshot) = snapshot {
            cache.restore(snapshot);
        }
        let was_registered = cache.view().hosts.iter().any(|host| host.id == me.host.id);
        let (state, state_shown) = watch::channel(State::Starting);
        let (session, session_shown) = watch::channel(None);
        let (view, view_shown) = watch::channel(Arc::default());
        let (presence, presence_shown) = watch::channel(Arc::default());
        let (names, names_shown) = watch::channel(Arc::default());
        let (snapshot, snapshot_shown) = watch::channel(Arc::from(""));
        let (confirmed, confirmed_shown) = watch::channel(None);
        let (settings, settings_shown) = watch::channel(Config::default());
        let (interest, interest_asked) = watch::channel(BTreeMap::new());
        let (published, published_asked) = watch::channel(None);
        let (me, me_asked) = watch::channel(Arc::new(me));
        let (leaving, leaving_asked) = watch::channel(Leaving::No);
        let store = Self {
            told: Shown {
                state: state_shown,
                session: session_shown,
                view: view_shown,
                presence: presence_shown,
                names: names_shown,
                snapshot: snapshot_shown,
                confirmed: confirmed_shown,
                config: settings_shown,
            },
            asked: Arc::new(Asks { interest, published, me, leaving }),
            claimed: Arc::default(),
        };
        let agent = Agent {
            config,
            cache,
            told: Told {
                state,
                session,
                view,
                presence,
                names,
                snapshot,
                confirmed,
                config: settings,
            },
            asked: Asked {
                interest: interest_asked,
                published: published_asked,
                me: me_asked,
                leaving: leaving_asked,
            },
            subtrees: Vec::new(),
            next_id: 0,
            listed: None,
            was_registered,
            due: Due::default(),
            actor: None,
            displaced: false,
            moved: false,
            told_at: None,
        };
        (store, agent)
    }

    /// How things are with etcd.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.told.state.clone()
    }

    /// What the data path follows from.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.told.view.clone()
    }

    /// Which hosts are there.
    #[must_use]
    pub fn presence(&self) -> watch::Receiver<Arc<Presence>> {
        self.told.presence.clone()
    }

    /// Names of the networks followed for them.
    #[must_use]
    pub fn names(&self) -> watch::Receiver<Arc<Names>> {
        self.told.names.clone()
    }

    /// What to write to disk for a start without etcd; it changes at most every 5 s. Empty at first.
    #[must_use]
    pub fn snapshot(&self) -> watch::Receiver<Arc<str>> {
        self.told.snapshot.clone()
    }

    /// When etcd last confirmed that this host is what it says: what a fence counts from.
    #[must_use]
    pub fn confirmed(&self) -> watch::Receiver<Option<Instant>> {
        self.told.confirmed.clone()
    }

    /// What the store says for all hosts.
    #[must_use]
    pub fn config(&self) -> Config {
        self.told.config.borrow().clone()
    }

    /// Says which networks are active here, all of them.
    pub fn follow(&self, networks: BTreeMap<NetworkName, Interest>) {
        self.asked.interest.send_if_modified(|old| {
            let changed = *old != networks;
            *old = networks;
            changed
        });
    }

    /// Says how everything here is called, all of it. Names of ours in the store that it does not
    /// have are deleted; before the first call none are.
    pub fn publish(&self, names: Published) {
        self.asked.published.send_replace(Some(Arc::new(names)));
    }

    /// Says what this host is like by now, such as that its underlay address changed.
    pub fn announce(&self, me: Me) {
        self.asked.me.send_replace(Arc::new(me));
    }

    /// The session, once there is one.
    async fn session(&self, what: &'static str) -> Result<Session, StoreError> {
        let mut session = self.told.session.clone();
        if let Ok(Ok(session)) = timeout(CALL, session.wait_for(Option::is_some)).await
            && let Some(session) = session.clone()
        {
            return Ok(session);
        }
        let reason = match &*self.told.state.borrow() {
            State::Away { reason } => reason.clone(),
            State::Refused(error) => error.to_string(),
            State::Starting | State::Ready { .. } => format!("nothing within {} s", CALL.as_secs()),
        };
        Err(StoreError::Away { what, reason })
    }

    /// Creates `network` unless it exists just so.
    ///
    /// # Errors
    /// When it exists and is another, overlaps another, or its number is taken.
    pub async fn create_network(
        &self,
        network: &Network,
        number: Number,
    ) -> Result<Network, StoreError> {
        let session = self.session("create a network").await?;
        network::create(&session.tree, network, number).await
    }

    /// Reads one network.
    ///
    /// # Errors
    /// [`StoreError::NoNetwork`].
    pub async fn network(&self, name: &NetworkName) -> Result<Network, StoreError> {
        let session = self.session("look at a network").await?;
        network::read(&session.tree, name).await
    }

    /// Deletes a network that nobody has blocks of.
    ///
    /// # Errors
    /// [`StoreError::NetworkInUse`] with who has some.
    pub async fn delete_network(&self, name: &NetworkName) -> Result<(), StoreError> {
        let session = self.session("delete a network").await?;
        network::delete(&session.tree, name).await
    }

    /// Claims one more block of `network` for this host.
    ///
    /// # Errors
    /// [`StoreError::PoolExhausted`] and [`StoreError::TooManyBlocks`] with figures.
    pub async fn claim(&self, network: &Network, family: Family) -> Result<Claimed, StoreError> {
        let session = self.session("claim a block").await?;
        let mut claimed = self.claimed.lock().await;
        let mut known = Taken::default();
        let mine = claimed.iter().filter(|(name, _)| *name == network.name);
        let mut own: BTreeSet<Cidr> = mine.map(|(_, cidr)| *cidr).collect();
        let view = self.told.view.borrow().clone();
        for block in view.blocks.get(&network.name).into_iter().flatten() {
            known.insert(block.cidr);
            if block.host == session.actor.id {
                own.insert(block.cidr);
            }
        }
        own.retain(|cidr| cidr.family() == family);
        own.iter().for_each(|cidr| known.insert(*cidr));
        let most = self.config().max_blocks_per_host;
        if own.len() >= most {
            return Err(StoreError::TooManyBlocks { network: network.name.clone(), most });
        }
        let done = block::claim(&session.tree, &session.actor, network, family, known).await?;
        claimed.insert((network.name.clone(), done.block.cidr));
        Ok(done)
    }

    /// Makes sure that a block of which this host has handed out addresses is its own in the store.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`]: another has it; no address of it may be handed out any more.
    pub async fn adopt(&self, network: &Network, block: Cidr) -> Result<Block, StoreError> {
        let session = self.session("keep a block").await?;
        block::adopt(&session.tree, &session.actor, network, block).await
    }

    /// Gives a block back of which nobody has an address; one that is gone already is success.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`].
    pub async fn release(&self, network: &Network, block: Cidr) -> Result<(), StoreError> {
        let session = self.session("give a block back").await?;
        let mut claimed = self.claimed.lock().await;
        block::release(&session.tree, &session.actor, network, block).await?;
        claimed.remove(&(network.name.clone(), block));
        Ok(())
    }

    /// Takes this host out of the store, with all that it has. The task ends.
    ///
    /// # Errors
    /// When it did not get that far: the host stays, and calling it again goes on.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let session = self.session("leave").await?;
        let (id, lease) = (&session.actor.id, session.actor.lease);
        self.asked.leaving.send_replace(Leaving::Begun);
        let left = host::remove(&session.tree, id, Some(lease)).await;
        let leaving = if left.is_ok() { Leaving::Done } else { Leaving::No };
        self.asked.leaving.send_replace(leaving);
        left
    }

    /// Takes a host out of the store that is not there any more.
    ///
    /// # Errors
    /// [`StoreError::HostAlive`], [`StoreError::NoHost`].
    pub async fn remove_host(&self, id: &HostId) -> Result<(), StoreError> {
        let session = self.session("remove a host").await?;
        host::remove(&session.tree, id, None).await
    }

    /// One round of taking away what hosts have that do not come back; to be called once a minute.
    /// `None` where the store's configuration does not ask for it, or another agent does it.
    ///
    /// # Errors
    /// When etcd did not do it.
    pub async fn collect(&self) -> Result<Option<Collected>, StoreError> {
        let Some(after) = self.config().reclaim_after else { return Ok(None) };
        let session = self.session("collect what lost hosts have").await?;
        collect::round(&session.tree, &session.actor, after, now()).await
    }
}
