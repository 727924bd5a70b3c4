//! Names, the sockets at which they are asked for, and whom to ask about the rest: all that answering
//! takes.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use names::{Place, Record, Sockets};
use types::Attachment;

use super::doors::{DoorKey, Doors};
use super::others::Others;
use super::shared::Shared;
use crate::limit::Bounds;
use crate::link::Listener;
use crate::options::Options;
use crate::pipeline::Policy;
use crate::upstream::{self, Forwarder, HostFiles, Limits, Watch};

/// All that answering takes. Its tasks belong to the local runtime that it is used in.
pub struct Answering {
    pub(super) shared: Rc<Shared>,
    pub(super) doors: Doors,
    options: Options,
    /// The list of the host's servers, opened when that was allowed.
    list: Option<File>,
}

impl Answering {
    /// Knows nobody yet, and listens nowhere.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let limits = Limits { cache_bytes: options.cache_bytes, ..Limits::default() };
        let policy = Policy {
            ttl: options.ttl,
            forward_single_labels: options.forward_single_labels,
            forward: options.forward,
        };
        let others = Others::new(Forwarder::new(limits));
        let shared = Rc::new(Shared::new(policy, Bounds::default(), others));
        let doors = Doors::new(Rc::clone(&shared));
        Self { shared, doors, options: options.clone(), list: None }
    }

    /// The same where the list of the host's servers, which is this file, may not be looked up.
    pub(super) fn with_list(self, list: Option<File>) -> Self {
        Self { list, ..self }
    }

    /// Answers for a record, in place of what was known of its attachment.
    pub fn put(&self, record: &Record, now: Instant) {
        let mut zone = self.shared.zone.borrow_mut();
        if zone.put(record, now) {
            self.shared.others.look_again(&zone);
        }
    }

    /// Answers for an attachment no more; where nobody is listened to any more for that.
    pub fn drop(&self, key: &Attachment, now: Instant) -> Vec<Listener> {
        self.shared.zone.borrow_mut().drop(key, now);
        self.doors.close_after(key)
    }

    /// Answers for these records, and for nothing else.
    pub fn know<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let now = Instant::now();
        let mut known = HashSet::new();
        for record in records {
            self.put(record, now);
            known.insert(record.key.clone());
        }
        let all = self.shared.zone.borrow().endpoints();
        for key in all.iter().map(|endpoint| endpoint.key()).filter(|key| !known.contains(key)) {
            self.shared.zone.borrow_mut().drop(&key, now);
        }
    }

    /// Takes queries from now on: all is known that was remembered. Whatever came before is answered
    /// now.
    pub fn begin(&self) {
        // Whoever said so before is right.
        let _ = self.shared.begun.set(());
    }

    /// Whether there is nothing to answer for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.zone.borrow().is_empty()
    }

    /// Listens at no other places of gateways than these, each of the network of that name. Gives
    /// those at which it does not listen yet.
    #[must_use]
    pub fn listen_only(&self, wanted: &[(Attachment, Place)]) -> Vec<(Attachment, Place)> {
        let keys: Vec<DoorKey> =
            wanted.iter().map(|(key, place)| DoorKey::of(key, place)).collect();
        let open = self.doors.keep_only(&keys);
        let missing = wanted.iter().zip(&keys).filter(|(_, key)| !open.contains(key));
        missing.map(|(wanted, _)| wanted.clone()).collect()
    }

    /// Answers at a place by these sockets from now on.
    ///
    /// # Errors
    /// When they are not what they should be, or the system refuses.
    pub fn listen(&self, key: Attachment, place: Place, sockets: Sockets) -> io::Result<()> {
        let Sockets { udp, tcp } = sockets;
        self.doors.open(Listener { key, place }, [udp, tcp]).map(drop)
    }

    /// Takes over whom the host asks, as its files say now.
    pub(super) fn settle_host(&self) {
        let zone = self.shared.zone.borrow();
        let others = &self.shared.others;
        if !self.options.servers.is_empty() {
            let servers = self.options.servers.iter().map(|server| upstream::Server::at(server.0));
            return others.host(&zone, servers.collect(), upstream::Options::default());
        }
        match self.host_files().read_or(self.list.as_ref()) {
            Ok(read) => others.host(&zone, read.servers, read.options),
            // The file is being replaced, or there is none: what was known may still be right.
            Err(error) => eprintln!("cais-dnsd: {error}"),
        }
    }

    fn host_files(&self) -> HostFiles {
        HostFiles::with_resolv_conf(&self.options.resolv_conf)
    }

    /// Follows the host's files, until it is not waited for any more.
    pub async fn watch(&self) {
        let files = self.host_files();
        let mut watch = Watch::new(files.paths());
        // What changed before it was watched.
        self.settle_host();
        loop {
            watch.changed().await;
            self.settle_host();
        }
    }

    /// Forgets what is over; to be called once a second.
    pub fn tidy(&self, now: Instant) {
        self.shared.limits.tick();
        let mut zone = self.shared.zone.borrow_mut();
        if zone.tidy(now) {
            self.shared.others.look_again(&zone);
        }
    }
}
