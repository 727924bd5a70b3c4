//! What plugins and the command call.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cni::{Error, code};
use control::Channel;
use kernel::netns::Netns;
use types::Attachment;

use crate::listener::Sockets;
use crate::message::{Reply, Request, Topic};
use crate::record::{Place, Record};
use crate::store::Store;
use crate::{DAEMON, SOCKET};

/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often a daemon that went away in the middle of a call is asked again.
const TRIES: u32 = 8;

/// How often a call starts a daemon; one that ends at once will do so again.
const STARTS: u32 = 3;

/// The way to the daemon of one run directory. It keeps no connection.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    store: Store,
    socket: PathBuf,
    plugin_path: &'a [PathBuf],
    patience: Duration,
}

impl<'a> Client<'a> {
    /// For the daemon of `run_dir`, which is `/run/cais` but in tests and labs. Its program is
    /// looked for beside the caller's own, then in `plugin_path`, the directories of `CNI_PATH`.
    #[must_use]
    pub fn new(run_dir: &Path, plugin_path: &'a [PathBuf]) -> Self {
        let store = Store::under(run_dir);
        Self { store, socket: run_dir.join(SOCKET), plugin_path, patience: DEADLINE }
    }

    /// The same with another time for each call than ten seconds.
    #[must_use]
    pub fn with_deadline(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The records.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the daemon listens at all places of `record`; `None` when there is none. It is told
    /// the record by the question, which changes nothing where it knew it.
    ///
    /// # Errors
    /// As [`Client::about`].
    pub fn listens(&self, record: &Record) -> Result<Option<bool>, Error> {
        let until = Instant::now() + self.patience;
        let put = Request::Put(Box::new(record.clone()));
        for _ in 0..TRIES {
            let Some(channel) = self.say(&put, until)? else { return Ok(None) };
            if let Some(places) = heard(&channel, record)? {
                return Ok(Some(places == record.places));
            }
        }
        Err(DAEMON.unanswered(&self.socket))
    }

    /// Remembers `record` and lets the daemon answer for it, which is started if there is none. The
    /// names are found when this returns. Gives the places at which it listens, whose ports may be
    /// others than those wished for. `netns` is the container's namespace; to be called in the
    /// host's.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 50 when the program is missing or of
    /// another version; code 100 when no port is free; code 5 with what the system said. The record
    /// may be there then: see [`Client::remove`].
    pub fn register(&self, record: &Record, netns: &Netns) -> Result<Vec<Place>, Error> {
        self.begin(record)?.finish(netns)
    }

    /// Remembers `record` and tells the daemon of it, if there is one. What it answers is waited for
    /// later, so that the caller can do something else meanwhile.
    ///
    /// # Errors
    /// As [`Client::register`].
    pub fn begin(&self, record: &Record) -> Result<Pending<'_>, Error> {
        let until = Instant::now() + self.patience;
        self.store.write(record)?;
        let put = Request::Put(Box::new(record.clone()));
        let told = tell_of(&record.key, self.say(&put, until))?;
        Ok(Pending { client: self, record: record.clone(), put, until, told })
    }

    /// Says `request`; `None` when there is no daemon.
    fn say(&self, request: &Request, until: Instant) -> Result<Option<Channel<'_>>, Error> {
        let Some(channel) = DAEMON.connect(&self.socket, until)? else { return Ok(None) };
        channel.say(&request.encode(), &[])?;
        Ok(Some(channel))
    }

    /// Starts a daemon unless another call has meanwhile.
    fn start(&self, until: Instant) -> Result<(), Error> {
        let _lock = self.lock(until)?;
        match DAEMON.connect(&self.socket, until)? {
            Some(_) => Ok(()),
            None => DAEMON.start(&self.socket, self.plugin_path, until),
        }
    }

    fn lock(&self, until: Instant) -> Result<std::fs::File, Error> {
        control::lock(self.store.path(), until, "attach containers")
    }

    /// Forgets the names of `key`: they are not found any more when this returns. Nothing there is
    /// success, and so is a daemon that does not run.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 5 with what the system said.
    pub fn remove(&self, key: &Attachment) -> Result<(), Error> {
        let removed = self.store.remove(key);
        let told = self.tell(&Request::Drop(key.clone())).map(drop);
        removed.and(told).map_err(|error| error.in_step(format!("forget names of {key}")))
    }

    /// Asks about the daemon as a whole; `None` when there is none.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 50 when the daemon is of another
    /// version; code 5 with what the system said.
    pub fn about(&self, topic: Topic) -> Result<Option<String>, Error> {
        self.tell(&Request::About(topic))
    }

    /// Asks the daemon, if there is one, and hears the whole answer.
    ///
    /// # Errors
    /// As [`Client::about`], and what the daemon refused.
    pub fn tell(&self, request: &Request) -> Result<Option<String>, Error> {
        let until = Instant::now() + self.patience;
        for _ in 0..TRIES {
            let Some(channel) = DAEMON.connect(&self.socket, until)? else { return Ok(None) };
            if let Some(text) = hear_all(&channel, request)? {
                return Ok(Some(text));
            }
        }
        Err(DAEMON.unanswered(&self.socket))
    }
}

/// A record that the daemon was told of, if there is one.
#[derive(Debug)]
#[must_use = "what is said next may be heard first"]
pub struct Pending<'a> {
    client: &'a Client<'a>,
    record: Record,
    put: Request,
    until: Instant,
    told: Option<Channel<'a>>,
}

impl Pending<'_> {
    /// Waits until the daemon heard of the record, which nobody needs any more: what is said next is
    /// heard after it.
    ///
    /// # Errors
    /// Code 11 when that takes longer than its deadline; code 5 with what the system said.
    pub fn give_up(self) -> Result<(), Error> {
        self.told.map_or(Ok(()), |channel| channel.hear().map(drop))
    }

    /// Waits until the daemon answers for the record, as [`Client::register`] does.
    ///
    /// # Errors
    /// As there.
    pub fn finish(mut self, netns: &Netns) -> Result<Vec<Place>, Error> {
        let places = self.places(netns);
        let places = tell_of(&self.record.key, places)?;
        if places != self.record.places {
            self.client.store.write(&Record { places: places.clone(), ..self.record })?;
        }
        Ok(places)
    }

    fn places(&mut self, netns: &Netns) -> Result<Vec<Place>, Error> {
        let (client, record, put, until) = (self.client, &self.record, &self.put, self.until);
        let mut told = self.told.take();
        let mut starts = 0..STARTS;
        for _ in 0..TRIES {
            let said = match told.take() {
                Some(channel) => Some(channel),
                None => client.say(put, until)?,
            };
            let Some(channel) = said else {
                if starts.next().is_none() {
                    break;
                }
                client.start(until)?;
                continue;
            };
            let Some(places) = heard(&channel, record)? else { continue };
            if places.iter().all(|place| place.port() != 0) {
                return Ok(places);
            }
            // Who makes sockets does so alone: two would take two ports for one place.
            let _lock = client.lock(until)?;
            channel.say(&put.encode(), &[])?;
            let Some(places) = heard(&channel, record)? else { continue };
            if let Some(places) = listen(&channel, record, &places, netns)? {
                return Ok(places);
            }
        }
        let text = "cais-dnsd ends as soon as it is asked something";
        Err(Error::new(code::IO, text)
            .with_hint("run `cais-dnsd` by hand to see whether it is made for this machine"))
    }
}

fn tell_of<T>(key: &Attachment, outcome: Result<T, Error>) -> Result<T, Error> {
    outcome.map_err(|error| error.in_step(format!("make names of {key} known")))
}

/// Hears where the daemon listens for the record that it was told: at port 0 where it does not. `None`
/// when it ended meanwhile.
fn heard(channel: &Channel<'_>, record: &Record) -> Result<Option<Vec<Place>>, Error> {
    let Some(bytes) = channel.hear()? else { return Ok(None) };
    match Reply::parse(&bytes)? {
        Reply::Refused(error) => Err(error),
        Reply::Ports { ports, .. } if ports.len() == record.places.len() => {
            let places = record.places.iter().zip(ports);
            Ok(Some(places.map(|(place, port)| place.at_port(port)).collect()))
        }
        _ => Err(Error::new(code::DECODE, "cais-dnsd answered something else")),
    }
}

/// Makes the sockets that are missing and hands them over. `None` when the daemon ended meanwhile.
fn listen(
    channel: &Channel<'_>,
    record: &Record,
    places: &[Place],
    netns: &Netns,
) -> Result<Option<Vec<Place>>, Error> {
    let mut listening = Vec::new();
    for (number, (place, wished)) in places.iter().zip(&record.places).enumerate() {
        if place.port() != 0 {
            listening.push(place.clone());
            continue;
        }
        let (sockets, place) = match wished {
            Place::Gateway { .. } => Sockets::bind(wished)?,
            Place::Container { .. } => netns
                .run(|| Sockets::bind(wished))
                .map_err(|error| Error::new(code::IO, format!("listen for names: {error}")))??,
        };
        let key = record.key.clone();
        let request = Request::Listen { key, place: number, port: place.port() };
        let Some(reply) = channel.ask(&request.encode(), &sockets.both())? else {
            return Ok(None);
        };
        if let Reply::Refused(error) = Reply::parse(&reply)? {
            return Err(error);
        }
        listening.push(place);
    }
    Ok(Some(listening))
}

fn hear_all(channel: &Channel<'_>, request: &Request) -> Result<Option<String>, Error> {
    let mut all = String::new();
    let mut heard = channel.ask(&request.encode(), &[])?;
    loop {
        let Some(bytes) = heard else { return Ok(None) };
        match Reply::parse(&bytes)? {
            Reply::Refused(error) => return Err(error),
            Reply::Text { text, more } => {
                all.push_str(&text);
                if !more {
                    return Ok(Some(all));
                }
            }
            Reply::Done | Reply::Ports { .. } => return Ok(Some(all)),
        }
        heard = channel.hear()?;
    }
}
