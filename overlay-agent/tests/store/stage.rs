//! What cases are made of: members of etcd as processes, and hosts as stores in this one.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use netns_fixtures::{Feature, Lab, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use overlay_agent::store::{
    Agent, EtcdConfig, Interest, Me, State, Store, StoreError, View,
};
use peers::{Host, HostId, Network, Underlay};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use types::{Cidr, NetworkName};

/// No wait of a case is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Presence in labs: the shortest that etcd grants.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// Runs a case that awaits.
pub(crate) fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(case)
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

/// Members of one etcd, on addresses of the lab's host.
pub(crate) struct Etcd<'a> {
    lab: &'a Lab,
    members: Vec<Member>,
    /// Options for all members.
    options: String,
    scheme: &'static str,
    /// Options for etcdctl.
    pub(crate) access: String,
}

struct Member {
    process: Option<Process>,
    data: PathBuf,
}

impl<'a> Etcd<'a> {
    /// One member.
    pub(crate) fn start(lab: &'a Lab) -> Self {
        Self::cluster(lab, 1)
    }

    /// `count` members.
    pub(crate) fn cluster(lab: &'a Lab, count: usize) -> Self {
        Self::with_options(lab, count, "http", String::new(), String::new())
    }

    pub(crate) fn with_options(
        lab: &'a Lab,
        count: usize,
        scheme: &'static str,
        options: String,
        access: String,
    ) -> Self {
        lab.needs(Feature::Etcd);
        let data = |number| PathBuf::from(format!("/run/etcd-{number}"));
        let members =
            (0..count).map(|number| Member { process: None, data: data(number) }).collect();
        let mut etcd = Self { lab, members, options, scheme, access };
        let started: Vec<_> = (0..count).map(|number| etcd.begin(number)).collect();
        started.into_iter().for_each(await_ready);
        etcd
    }

    /// Starts a member that is not running, and waits until it answers.
    pub(crate) fn restart(&mut self, number: usize) {
        await_ready(self.begin(number));
    }

    fn begin(&mut self, number: usize) -> BufReader<std::process::ChildStdout> {
        let peer = |number: usize| format!("http://127.0.0.1:{}", 2380 + 10 * number);
        let client = self.endpoint(number);
        let all: Vec<String> =
            (0..self.members.len()).map(|number| format!("e{number}={}", peer(number))).collect();
        let (data, own) = (self.members[number].data.display(), peer(number));
        let command = format!(
            "etcd --name e{number} --data-dir {data} --listen-client-urls {client} \
             --advertise-client-urls {client} --listen-peer-urls {own} \
             --initial-advertise-peer-urls {own} --initial-cluster {} --logger zap \
             --log-outputs stdout --log-level info {}",
            all.join(","),
            self.options,
        );
        let mut process = self.lab.host().spawn(&command);
        let lines = BufReader::new(process.stdout());
        self.members[number].process = Some(process);
        lines
    }

    /// Where a member is reached.
    pub(crate) fn endpoint(&self, number: usize) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, 2379 + 10 * number)
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|number| self.endpoint(number)).collect()
    }

    /// Kills a member at once.
    pub(crate) fn kill(&mut self, number: usize) {
        drop(self.members[number].process.take().unwrap());
    }

    /// Sends a signal to a member.
    pub(crate) fn signal(&self, number: usize, signal: Signal) {
        let id = self.members[number].process.as_ref().unwrap().id();
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Throws away the data of a member that is not running.
    pub(crate) fn wipe(&self, number: usize) {
        std::fs::remove_dir_all(&self.members[number].data).unwrap();
    }

    /// Runs etcdctl, whose words are split at blanks.
    #[track_caller]
    pub(crate) fn ctl(&self, command: &str) -> String {
        let endpoints = self.endpoints().join(",");
        let access = &self.access;
        self.lab
            .host()
            .run(&format!("env ETCDCTL_API=3 etcdctl --endpoints {endpoints} {access} {command}"))
    }

    /// The value of a key below the prefix, as JSON; `Null` if there is none.
    #[track_caller]
    pub(crate) fn json(&self, key: &str) -> Value {
        let text = self.ctl(&format!("get --print-value-only /overlay/v1/{key}"));
        match text.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        }
    }

    /// The keys below a part of the prefix.
    #[track_caller]
    pub(crate) fn keys(&self, below: &str) -> Vec<String> {
        let text = self.ctl(&format!("get --prefix --keys-only /overlay/v1/{below}"));
        let short = |line: &str| line.trim_start_matches("/overlay/v1/").to_owned();
        text.lines().filter(|line| !line.is_empty()).map(short).collect()
    }

    /// The number of the member that leads.
    pub(crate) fn leader(&self) -> usize {
        let status = self.ctl("endpoint status -w json");
        let status: Value = serde_json::from_str(&status).unwrap();
        let status = status.as_array().unwrap();
        status
            .iter()
            .position(|one| one["Status"]["leader"] == one["Status"]["header"]["member_id"])
            .unwrap()
    }

    /// The store's revision.
    pub(crate) fn revision(&self) -> i64 {
        let read = self.ctl("get -w json /no-such-key");
        let read: Value = serde_json::from_str(&read).unwrap();
        read["header"]["revision"].as_i64().unwrap()
    }

    pub(crate) fn config(&self) -> EtcdConfig {
        EtcdConfig { ttl: TTL, ..EtcdConfig::new(self.endpoints()) }
    }

    /// A host, once it is registered.
    pub(crate) async fn host(&self, number: u8) -> Running {
        let running = self.begins(me(number));
        running.ready().await;
        running
    }

    /// A host that begins to register.
    pub(crate) fn begins(&self, me: Me) -> Running {
        Running::with(self.config(), me, None)
    }
}

fn await_ready(mut lines: BufReader<std::process::ChildStdout>) {
    let mut said = String::new();
    loop {
        let from = said.len();
        let read = lines.read_line(&mut said).unwrap();
        assert!(read > 0, "etcd ended:\n{said}");
        if said[from..].contains("ready to serve client requests")
            || said[from..].contains("serving client traffic")
            || said[from..].contains("serving insecure client requests")
        {
            break;
        }
    }
    // It must never wait for somebody to read what it says.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
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

pub(crate) fn id(number: u8) -> HostId {
    format!("host-{number}").parse().unwrap()
}

/// Host `number`, at 192.0.2.`number`.
pub(crate) fn me(number: u8) -> Me {
    let underlay = Underlay { v4: Some([192, 0, 2, number].into()), v6: None };
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
