//! Sets of servers: which are asked for somebody, in which order, and how they behaved so far.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::counters::{ServerCounters, increment};

/// The port of every server that is not said to have another.
pub const PORT: u16 = 53;

/// Where the resolver of a container listens in its own namespace: never a server to ask.
const EMBEDDED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// How long to wait for a server that never answered yet before the next is asked too.
const UNKNOWN: Duration = Duration::from_millis(500);
/// Bounds of that wait for a server whose pace is known.
const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(1);

/// Silences in a row that demote a server.
const SILENCES: u32 = 3;
/// How long a demoted server is asked last.
const DEMOTION: Duration = Duration::from_secs(5);
/// How often a demoted server is tried beside the others.
const PROBE: Duration = Duration::from_secs(1);

/// A server as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it listens, over UDP and TCP.
    pub address: SocketAddr,
    /// The link that it is behind, when routing does not tell: of a link-local address, or of a
    /// server inside a container network. Sockets are bound to it by `SO_BINDTODEVICE`.
    pub link: Option<String>,
    /// Whether it is asked only when all before it stay silent or cannot be reached, and not when
    /// they fail: the servers that a resolver of the host would ask itself.
    pub last_resort: bool,
}

impl Server {
    /// The server at port 53 of `address`.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self::at(SocketAddr::new(address, PORT))
    }

    /// The server at another port.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, link: None, last_resort: false }
    }
}

/// How the servers of a set are asked: the `options` of resolv.conf(5) that concern a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a server may take for each attempt. All of them together never take longer than
    /// 4.5 s, whatever this says.
    pub timeout: Duration,
    /// How often a packet is sent to a server that stays silent, 1 to 5.
    pub attempts: u32,
    /// Whether each question starts with another server.
    pub rotate: bool,
    /// Whether all are asked at once. Who is listed first still wins over the others' "no such name".
    pub parallel: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), attempts: 3, rotate: false, parallel: false }
    }
}

/// Servers that are asked together, in their order.
///
/// Share one set by `Rc` between all who have the same servers: the cache and the questions on
/// their way are kept by set. A changed configuration is a new set, which knows nothing of what the
/// old one learnt.
#[derive(Debug)]
pub struct UpstreamSet {
    id: u64,
    upstreams: Vec<Rc<Upstream>>,
    options: Options,
    turn: Cell<usize>,
}

impl UpstreamSet {
    /// A set of `servers` but for those that would lead back to us: 127.0.0.11, and what `is_own`
    /// knows (our listeners, gateways of the networks we manage). A server named twice is asked once.
    ///
    /// An empty set is fine; questions to it fail at once.
    #[must_use]
    pub fn new(
        servers: impl IntoIterator<Item = Server>,
        options: Options,
        is_own: impl Fn(&SocketAddr) -> bool,
    ) -> Rc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut kept: Vec<Server> = Vec::new();
        for server in servers {
            let own = server.address.ip().to_canonical() == EMBEDDED || is_own(&server.address);
            let known = kept
                .iter()
                .any(|other| other.address == server.address && other.link == server.link);
            if !own && !known {
                kept.push(server);
            }
        }
        let upstreams = kept.into_iter().map(|server| Rc::new(Upstream::new(server))).collect();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Rc::new(Self { id, upstreams, options, turn: Cell::new(0) })
    }

    /// What no other set of this process is called.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The servers left to ask, in the order given.
    #[must_use]
    pub fn upstreams(&self) -> &[Rc<Upstream>] {
        &self.upstreams
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// In which order they are asked now: as listed, those that are silent lately behind, and the
    /// last resorts behind the others all the same when the list is turned.
    pub(super) fn order(&self, now: Instant) -> Vec<Rc<Upstream>> {
        let mut order = self.upstreams.clone();
        if self.options.rotate {
            let turning = order.iter().take_while(|upstream| !upstream.server.last_resort).count();
            let turn = self.turn.get();
            self.turn.set(turn.wrapping_add(1));
            if turning > 0 {
                order[..turning].rotate_left(turn % turning);
            }
        }
        order.sort_by_key(|upstream| upstream.is_demoted(now));
        order
    }
}

/// A server of a set, and how it behaved.
#[derive(Debug)]
pub struct Upstream {
    server: Server,
    /// What was counted so far.
    pub counters: ServerCounters,
    pace: Cell<Option<Duration>>,
    silences: Cell<u32>,
    demoted_until: Cell<Option<Instant>>,
    probed: Cell<Option<Instant>>,
}

impl Upstream {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            counters: ServerCounters::default(),
            pace: Cell::new(None),
            silences: Cell::new(0),
            demoted_until: Cell::new(None),
            probed: Cell::new(None),
        }
    }

    /// The server as it is configured.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Whether it is asked last at `now`, for its silence.
    #[must_use]
    pub fn is_demoted(&self, now: Instant) -> bool {
        self.demoted_until.get().is_some_and(|until| now < until)
    }

    /// How long to wait for it before the next one is asked as well.
    pub(super) fn patience(&self) -> Duration {
        self.pace.get().map_or(UNKNOWN, |pace| (pace * 3).clamp(SHORTEST, LONGEST))
    }

    /// Notes that it said something, `after` the question; even a failure is a sign of life.
    pub(super) fn heard(&self, after: Duration) {
        // Weights of RFC 6298 §2.
        let pace = self.pace.get().map_or(after, |pace| (pace * 7 + after) / 8);
        self.pace.set(Some(pace));
        self.silences.set(0);
        self.demoted_until.set(None);
        self.counters.answered(after);
    }

    /// Notes that it was silent for longer than its patience.
    pub(super) fn silent(&self, now: Instant) {
        increment(&self.counters.timeouts);
        self.silences.set(self.silences.get().saturating_add(1));
        // The count stays, so that one more silence after the demotion renews it.
        if self.silences.get() >= SILENCES && !self.is_demoted(now) {
            self.demoted_until.set(Some(now + DEMOTION));
        }
    }

    /// Whether it is demoted and was not tried for a while; the caller then does.
    pub(super) fn is_due_for_probe(&self, now: Instant) -> bool {
        let due = self.is_demoted(now)
            && self.probed.get().is_none_or(|probed| now.duration_since(probed) >= PROBE);
        if due {
            self.probed.set(Some(now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Server {
        Server::new(text.parse().unwrap())
    }

    #[test]
    fn case_68_servers_that_lead_back_to_us_are_refused() {
        let gateway: IpAddr = "10.90.1.1".parse().unwrap();
        let listed = ["127.0.0.11", "::ffff:127.0.0.11", "10.90.1.1", "9.9.9.9", "9.9.9.9"];
        let set = UpstreamSet::new(listed.map(server), Options::default(), |address| {
            address.ip() == gateway
        });
        let left: Vec<&Server> = set.upstreams().iter().map(|upstream| upstream.server()).collect();
        assert_eq!(left, [&server("9.9.9.9")]);
    }

    #[tokio::test(start_paused = true)]
    async fn case_33_a_server_that_is_silent_three_times_is_asked_last_for_five_seconds() {
        let set =
            UpstreamSet::new(["1.1.1.1", "2.2.2.2"].map(server), Options::default(), |_| false);
        let first =
            |set: &UpstreamSet| set.order(Instant::now())[0].server().address.ip().to_string();
        for _ in 0..3 {
            assert_eq!(first(&set), "1.1.1.1");
            set.upstreams()[0].silent(Instant::now());
        }
        assert_eq!(first(&set), "2.2.2.2");
        tokio::time::advance(Duration::from_millis(4900)).await;
        assert_eq!(first(&set), "2.2.2.2");
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(first(&set), "1.1.1.1");
        // It has one chance, not three.
        set.upstreams()[0].silent(Instant::now());
        assert_eq!(first(&set), "2.2.2.2");
        set.upstreams()[0].heard(Duration::from_millis(5));
        assert_eq!(first(&set), "1.1.1.1");
    }

    #[test]
    fn patience_follows_the_pace_within_its_bounds() {
        let upstream = Upstream::new(server("1.1.1.1"));
        assert_eq!(upstream.patience(), UNKNOWN);
        upstream.heard(Duration::from_millis(1));
        assert_eq!(upstream.patience(), SHORTEST);
        for _ in 0..100 {
            upstream.heard(Duration::from_millis(200));
        }
        assert!(upstream.patience() > Duration::from_millis(590));
        upstream.heard(Duration::from_secs(9));
        assert_eq!(upstream.patience(), LONGEST);
    }

    #[test]
    fn rotation_starts_with_another_server_each_time_and_leaves_last_resorts_last() {
        let options = Options { rotate: true, ..Options::default() };
        let mut servers = ["1.1.1.1", "2.2.2.2", "3.3.3.3"].map(server);
        servers[2].last_resort = true;
        let set = UpstreamSet::new(servers, options, |_| false);
        let order = || -> Vec<String> {
            let order = set.order(Instant::now());
            order.iter().map(|upstream| upstream.server().address.ip().to_string()).collect()
        };
        assert_eq!(order(), ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
        assert_eq!(order(), ["2.2.2.2", "1.1.1.1", "3.3.3.3"]);
        assert_eq!(order(), ["1.1.1.1", "2.2.2.2", "3.3.3.3"]);
    }
}
