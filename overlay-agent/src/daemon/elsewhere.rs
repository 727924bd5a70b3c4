//! What containers of other hosts are called, from the store to the daemon of names.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use names::{Name, Reply, Request};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use peers::{Called, Elsewhere, HostId};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};
use types::{Cidr, NetworkName};

use super::Daemon;
use super::control::{receive, say};
use super::reconcile::MOST_TOLD;
use crate::store::{Named, Names, Presence, State};

/// How long the daemon of names may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// When it does not hear, it is told again after this.
const AGAIN: Duration = Duration::from_secs(5);
/// What is refused for so long is told of: a block may be heard of later than what lies in it.
const DOUBT: Duration = Duration::from_secs(2);
/// Most containers of one host, which are more than fit on a bridge or two, and of a network.
const MOST_OF_HOST: usize = 4096;
const MOST_OF_NETWORK: usize = 100_000;
/// Longest text that tells containers of a host apart, in bytes: a container's id and an interface.
const MOST_ID_BYTES: usize = 256;

/// One host on one network.
type Place = (NetworkName, HostId);

/// What the daemon of names is told.
#[derive(Default)]
pub(super) struct Others {
    /// As it stands in the files.
    told: RefCell<BTreeMap<Place, Elsewhere>>,
    /// What changed and has not been said yet.
    unsaid: RefCell<BTreeSet<Place>>,
    something_unsaid: Notify,
    /// Who has which blocks changed.
    pub(super) judged: Notify,
    /// Whether the store has been heard in this life: before that the files know more.
    heard: Cell<bool>,
    /// Since when hosts are missed; `None`: since before this life.
    missed: RefCell<BTreeMap<HostId, Option<Instant>>>,
    /// What is refused: since when, and whether that was told of.
    refused: RefCell<BTreeMap<String, (Instant, bool)>>,
}

impl Others {
    /// Goes on with what an earlier life has told.
    pub(super) fn remembered(run_dir: &Path) -> Self {
        let (files, broken) = Elsewhere::all(run_dir);
        broken.iter().for_each(|why| eprintln!("cais-overlayd: {why}"));
        let others = Self::default();
        for file in files {
            if !file.present {
                others.missed.borrow_mut().insert(file.host.clone(), None);
            }
            let place = (file.network.clone(), file.host.clone());
            others.told.borrow_mut().insert(place, file);
        }
        others
    }

    /// Whether a host counts as there, which it does for a while after it was heard of last. When
    /// that is over is another answer.
    fn is_present(
        &self,
        presence: &Presence,
        host: &HostId,
        grace: Duration,
    ) -> (bool, Option<Instant>) {
        let mut missed = self.missed.borrow_mut();
        if presence.contains(host) {
            missed.remove(host);
            return (true, None);
        }
        let since = missed.entry(host.clone()).or_insert_with(|| Some(Instant::now()));
        let over = since.map(|since| since + grace).filter(|over| *over > Instant::now());
        (over.is_some(), over)
    }
}

/// What is to be told of one network, and what is refused of it.
#[derive(Default)]
struct Judged {
    hosts: BTreeMap<HostId, Elsewhere>,
    count: usize,
    refused: Vec<String>,
}

impl Judged {
    /// Takes what another host says of one of its containers: it is input.
    fn take(
        &mut self,
        network: &NetworkName,
        (host, endpoint): &(HostId, String),
        named: &Named,
        blocks: &[Cidr],
    ) {
        match called(named, endpoint, blocks) {
            Ok(called) => {
                let new = || Elsewhere::new(network.clone(), host.clone());
                let of_host = self.hosts.entry(host.clone()).or_insert_with(new);
                if of_host.endpoints.len() >= MOST_OF_HOST || self.count >= MOST_OF_NETWORK {
                    let why = format!("host {host}: names of more containers than are looked at");
                    return self.refused.push(why);
                }
                of_host.endpoints.insert(endpoint.clone(), called);
                self.count += 1;
            }
            Err(why) => self.refused.push(format!("host {host}, names of {endpoint:?}: {why}")),
        }
    }
}

/// What a container is called, as far as its host may say so.
fn called(named: &Named, endpoint: &str, blocks: &[Cidr]) -> Result<Called, String> {
    if endpoint.len() > MOST_ID_BYTES {
        return Err(format!("it is told apart by more than {MOST_ID_BYTES} bytes"));
    }
    if named.ips.is_empty() {
        return Err("no address".to_owned());
    }
    if let Some(ip) = named.ips.iter().find(|ip| !blocks.iter().any(|block| block.contains(**ip))) {
        return Err(format!("address {ip} lies in no block of the host"));
    }
    let mut names = Vec::new();
    for text in &named.names {
        let name: Name = text.parse().map_err(|why| format!("name {text:?} {why}"))?;
        names.push(name.as_str().to_owned());
    }
    match names.is_empty() {
        true => Err("no name".to_owned()),
        false => Ok(Called { names, ips: named.ips.clone() }),
    }
}

impl Daemon {
    /// Lets the daemon of names know what the store says of other hosts, until it is not waited for
    /// any more.
    pub(super) async fn follow_names(&self) -> std::convert::Infallible {
        let followed = self.first_followed().await;
        let (mut names, mut presence) = (followed.store.names(), followed.store.presence());
        let mut state = followed.store.state();
        let mut due: Option<Instant> = None;
        loop {
            let later = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                changed = state.changed() => changed,
                changed = names.changed() => changed,
                changed = presence.changed() => changed,
                () = self.others.judged.notified() => Ok(()),
                () = later => Ok(()),
            };
            if goes_on.is_err() {
                // This host has left.
                return std::future::pending().await;
            }
            let is_ready = matches!(*state.borrow_and_update(), State::Ready { .. });
            if is_ready && !self.others.heard.replace(true) {
                self.sweep_spool();
            }
            let (names, presence) =
                (names.borrow_and_update().clone(), presence.borrow_and_update().clone());
            due = self.tell_names(&names, &presence, followed.ttl);
        }
    }

    /// Writes down what changed. When that has to be looked at again.
    fn tell_names(&self, names: &Names, presence: &Presence, grace: Duration) -> Option<Instant> {
        let others = &self.others;
        if !others.heard.get() {
            return None;
        }
        let mut due = None;
        let mut wanted = BTreeMap::new();
        let mut refused = Vec::new();
        for (network, active) in &*self.active.borrow() {
            let mut judged = Judged::default();
            for (endpoint, named) in names.get(network).into_iter().flatten() {
                if endpoint.0 == *self.id() {
                    continue;
                }
                let blocks = active.others.get(&endpoint.0).map(Vec::as_slice).unwrap_or_default();
                judged.take(network, endpoint, named, blocks);
            }
            for (host, mut told) in judged.hosts {
                let (is_present, over) = others.is_present(presence, &host, grace);
                told.present = is_present;
                told.blocks = active.others.get(&host).cloned().unwrap_or_default();
                due = [due, over].into_iter().flatten().min();
                wanted.insert((network.clone(), host), told);
            }
            refused.extend(judged.refused.iter().map(|why| format!("network {network}: {why}")));
        }
        self.write_names(wanted);
        [due, self.tell_refused_names(refused)].into_iter().flatten().min()
    }

    /// Brings the files to what is wanted, and lets those be said that changed.
    fn write_names(&self, wanted: BTreeMap<Place, Elsewhere>) {
        let mut told = self.others.told.borrow_mut();
        let gone = told.keys().filter(|place| !wanted.contains_key(*place));
        let gone: Vec<Elsewhere> =
            gone.map(|(network, host)| Elsewhere::new(network.clone(), host.clone())).collect();
        let mut unsaid = self.others.unsaid.borrow_mut();
        for new in wanted.into_values().chain(gone) {
            let place = (new.network.clone(), new.host.clone());
            if told.get(&place) == Some(&new) {
                continue;
            }
            if let Err(error) = new.write(&self.paths.run) {
                eprintln!("cais-overlayd: names of host {}: {error}", new.host);
                continue;
            }
            match new.endpoints.is_empty() {
                true => told.remove(&place),
                false => told.insert(place.clone(), new),
            };
            unsaid.insert(place);
        }
        if !unsaid.is_empty() {
            self.others.something_unsaid.notify_one();
        }
    }

    /// Says what is refused, once and if it stays so. When that has to be looked at again.
    fn tell_refused_names(&self, refused: Vec<String>) -> Option<Instant> {
        let mut known = self.others.refused.borrow_mut();
        let now = Instant::now();
        let mut due = None;
        let mut still = BTreeMap::new();
        for why in refused.into_iter().take(MOST_TOLD) {
            let (since, mut told) = known.get(&why).copied().unwrap_or((now, false));
            if !told && since + DOUBT <= now {
                eprintln!("cais-overlayd: not acted upon: {why}");
                told = true;
            }
            if !told {
                due = [due, Some(since + DOUBT)].into_iter().flatten().min();
            }
            still.insert(why, (since, told));
        }
        *known = still;
        due
    }

    /// Says to the daemon of names which files to look at, as long as it is waited for.
    pub(super) async fn say_names(&self) -> std::convert::Infallible {
        let mut said = None;
        loop {
            self.others.something_unsaid.notified().await;
            let unsaid = self.others.unsaid.take();
            let outcome = timeout(PATIENCE, say_all(&self.paths.run, &unsaid)).await;
            let Err(error) = outcome.unwrap_or_else(|late| Err(late.into())) else { continue };
            let text = error.to_string();
            if said.replace(text.clone()).is_none_or(|before| before != text) {
                eprintln!("cais-overlayd: tell cais-dnsd of other hosts' names: {text}");
            }
            self.others.unsaid.borrow_mut().extend(unsaid);
            sleep(AGAIN).await;
            self.others.something_unsaid.notify_one();
        }
    }
}

/// A daemon of names that does not run reads the files when it starts.
async fn say_all(run_dir: &Path, places: &BTreeSet<Place>) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    match connect(socket.as_raw_fd(), &UnixAddr::new(&run_dir.join(names::SOCKET))?) {
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => return Ok(()),
        done => done?,
    }
    let socket = UnixStream::from_std(socket.into())?;
    for (network, host) in places {
        let request = Request::Elsewhere { network: network.clone(), host: host.clone() };
        say(&socket, &request.encode()).await?;
        // One that ends meanwhile is replaced by one that reads the files.
        let Some(reply) = receive(&socket).await? else { return Ok(()) };
        if let Ok(Reply::Refused(error)) = Reply::parse(&reply) {
            return Err(io::Error::other(error.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str], ips: &[&str]) -> Named {
        Named {
            names: names.iter().map(ToString::to_string).collect(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_host_names_what_lies_in_its_blocks_and_nothing_else() {
        let blocks = ["10.77.4.0/24", "fd77:0:0:4::/64"].map(|block| block.parse().unwrap());
        let of = |named: &Named| called(named, "c1@eth0", &blocks);
        let good = of(&named(&["Web", "*.shop"], &["10.77.4.5", "fd77:0:0:4::5"])).unwrap();
        assert_eq!(good.names, ["web", "*.shop"]);
        for (bad, says) in [
            (named(&["web"], &["10.77.5.5"]), "address 10.77.5.5 lies in no block"),
            (named(&["web"], &["10.77.4.5", "192.0.2.1"]), "address 192.0.2.1 lies in no block"),
            (named(&["web"], &[]), "no address"),
            (named(&[], &["10.77.4.5"]), "no name"),
            (named(&["web", "a b"], &["10.77.4.5"]), "name \"a b\" has ' '"),
        ] {
            let why = of(&bad).unwrap_err();
            assert!(why.starts_with(says), "{bad:?}: {why}");
        }
        let long = "c".repeat(MOST_ID_BYTES + 1);
        assert!(called(&named(&["web"], &["10.77.4.5"]), &long, &blocks).is_err());
        assert!(called(&named(&["web"], &["10.77.4.5"]), "c1@eth0", &[]).is_err());
    }

    #[test]
    fn of_hosts_with_too_many_containers_some_are_looked_at() {
        let (network, host) = ("blue".parse().unwrap(), "h2".parse::<HostId>().unwrap());
        let blocks = ["10.77.0.0/16".parse().unwrap()];
        let mut judged = Judged::default();
        for number in 0..=MOST_OF_HOST {
            let endpoint = (host.clone(), format!("c{number}@eth0"));
            judged.take(&network, &endpoint, &named(&["web"], &["10.77.4.5"]), &blocks);
        }
        assert_eq!(judged.count, MOST_OF_HOST);
        assert_eq!(judged.refused.len(), 1);
        assert!(judged.refused[0].contains("more containers"), "{:?}", judged.refused);
    }
}
