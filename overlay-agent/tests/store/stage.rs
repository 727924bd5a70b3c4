//! What cases are made of: hosts, as stores of this process.

use std::future::Future;
use std::time::Duration;

use netns_fixtures::{Etcd, lab};
use overlay_agent::store::{
    Agent, Claimed, EtcdConfig, Interest, Me, Number, State, Store, StoreError, View,
};
use peers::{Block, Host, HostId, Network, Underlay};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use types::{Cidr, Family, NetworkName};

/// No wait of a case is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Presence in labs: the shortest that etcd grants.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// Runs a case that awaits.
pub(crate) fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(case)
}

/// Runs a case that awaits, with an etcd of so many members in a lab of its own.
pub(crate) fn with_etcd(members: usize, case: impl AsyncFnOnce(&mut Etcd)) {
    lab(|lab| {
        let mut etcd = Etcd::cluster(lab, members);
        block_on(case(&mut etcd));
    });
}

/// Awaits `future`, but not for ever.
#[track_caller]
pub(crate) fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{caller}: not within {} s: {what}", PATIENCE.as_secs()),
        }
    }
}

/// How a host of a case reaches etcd.
pub(crate) fn config(etcd: &Etcd) -> EtcdConfig {
    EtcdConfig { ttl: TTL, ..EtcdConfig::new(etcd.endpoints()) }
}

/// A host, once it is registered.
pub(crate) async fn host(etcd: &Etcd, number: u16) -> Running {
    let running = begins(etcd, me(number));
    running.ready().await;
    running
}

/// Two hosts, of which the first has made network `blue` with these pools.
pub(crate) async fn two(etcd: &Etcd, pools: &[&str]) -> (Running, Running, Network) {
    let (a, b) = (host(etcd, 1).await, host(etcd, 2).await);
    let wanted = network("blue", pools);
    let blue = a.store.create_network(&wanted, Number::Any).await.unwrap();
    (a, b, blue)
}

/// The same, and the second one sees a block of the first.
pub(crate) async fn two_and_a_block(etcd: &Etcd) -> (Running, Running, Network, Block) {
    let (a, b, blue) = two(etcd, &["10.77.0.0/16"]).await;
    let block = a.store.claim(&blue, Family::V4).await.unwrap().block;
    b.follow(&blue);
    b.sees("the block", |view| !view.blocks.is_empty()).await;
    (a, b, blue, block)
}

/// So many hosts at once, of which the first has made network `blue` with this pool.
pub(crate) async fn many(etcd: &Etcd, count: u16, pool: &str) -> (Vec<Running>, Network) {
    let hosts: Vec<Running> = (1..=count).map(|number| begins(etcd, me(number))).collect();
    for host in &hosts {
        host.ready().await;
    }
    let wanted = network("blue", &[pool]);
    let blue = hosts[0].store.create_network(&wanted, Number::Any).await.unwrap();
    (hosts, blue)
}

/// Lets all of them claim a block at once.
pub(crate) fn all_claim(
    hosts: &[Running],
    network: &Network,
) -> Vec<JoinHandle<Result<Claimed, StoreError>>> {
    let claim = |host: &Running| {
        let (store, network) = (host.store.clone(), network.clone());
        tokio::spawn(async move { store.claim(&network, Family::V4).await })
    };
    hosts.iter().map(claim).collect()
}

/// A host that begins to register.
pub(crate) fn begins(etcd: &Etcd, me: Me) -> Running {
    Running::with(config(etcd), me, None)
}

/// A host of this process: its store, and the task behind it.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) task: JoinHandle<Result<(), StoreError>>,
}

impl Running {
    pub(crate) fn with(config: EtcdConfig, me: Me, snapshot: Option<&[u8]>) -> Self {
        let (store, agent): (Store, Agent) = Store::new(config, me, snapshot);
        Self { store, task: tokio::spawn(agent.run()) }
    }

    #[track_caller]
    pub(crate) fn ready(&self) -> impl Future<Output = ()> {
        let mut state = self.store.state();
        soon("the store is ready", async move {
            let ready = state.wait_for(|state| matches!(state, State::Ready { .. })).await;
            ready.expect("the task runs");
        })
    }

    #[track_caller]
    pub(crate) fn away(&self) -> impl Future<Output = ()> {
        let mut state = self.store.state();
        soon("the store is away", async move {
            let away = state.wait_for(|state| matches!(state, State::Away { .. })).await;
            away.expect("the task runs");
        })
    }

    /// Waits until the view is as it should be.
    #[track_caller]
    pub(crate) fn sees(
        &self,
        what: &str,
        mut is_so: impl FnMut(&View) -> bool,
    ) -> impl Future<Output = std::sync::Arc<View>> {
        let mut view = self.store.view();
        soon(what, async move { view.wait_for(|view| is_so(view)).await.unwrap().clone() })
    }

    /// Waits until a host counts as absent.
    #[track_caller]
    pub(crate) fn misses(&self, host: HostId) -> impl Future<Output = ()> {
        let mut presence = self.store.presence();
        soon("it is missed", async move {
            presence.wait_for(|presence| !presence.contains(&host)).await.unwrap();
        })
    }

    /// Follows `network`.
    pub(crate) fn follow(&self, network: &Network) {
        self.store.follow([(network.name.clone(), Interest::BlocksAndNames)].into());
    }

    /// Ends as a crash would: nothing is said to etcd.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) fn id(number: u16) -> HostId {
    format!("host-{number}").parse().unwrap()
}

/// Host `number`, at 192.0.2.`number`, or 192.0.3.… and so on.
pub(crate) fn me(number: u16) -> Me {
    let [high, low] = number.to_be_bytes();
    let underlay = Underlay { v4: Some([192, 0, 2 + high, low].into()), v6: None };
    Me {
        host: Host { id: id(number), underlay, mtu: None },
        name: format!("node-{number}"),
        fingerprint: format!("sha256:{number}"),
        instance: format!("first-life-of-{number}"),
        boot: "one".to_owned(),
        agent: "0.1.0".to_owned(),
        capabilities: vec!["vxlan".to_owned()],
    }
}

pub(crate) fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub(crate) fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

/// A network as somebody wants it; its number is not asked for.
pub(crate) fn network(called: &str, pools: &[&str]) -> Network {
    let pools = pools.iter().map(|pool| cidr(pool)).collect();
    Network::new(name(called), 1.try_into().unwrap(), pools)
}
