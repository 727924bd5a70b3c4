//! etcd: members as processes, and its own command for judging what is in it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ChildStdout;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::{Feature, Lab, Namespace, Process};

/// Below it is everything that cases look at.
const PREFIX: &str = "/overlay/v1/";

/// Operations in one transaction; etcd allows 128.
const MOST_OPERATIONS: usize = 120;

/// An etcd of one or more members, on `127.0.0.1` of the lab's host or another; gone with the value.
#[derive(Debug)]
pub struct Etcd {
    place: Namespace,
    address: String,
    members: Vec<Member>,
    scheme: &'static str,
    options: String,
    /// What etcdctl is told about who asks.
    access: String,
}

#[derive(Debug)]
struct Member {
    process: Option<Process>,
    data: PathBuf,
}

impl Etcd {
    /// One member.
    ///
    /// # Panics
    /// As everything here: when etcd or etcdctl do not do what they are asked for.
    #[must_use]
    #[track_caller]
    pub fn start(lab: &Lab) -> Self {
        Self::cluster(lab, 1)
    }

    /// `count` members.
    #[must_use]
    #[track_caller]
    pub fn cluster(lab: &Lab, count: usize) -> Self {
        Self::begin(lab, (lab.host(), "127.0.0.1"), count, ("http", ""))
    }

    /// `count` members at an address that `place` has, and its `lo` with it.
    #[must_use]
    #[track_caller]
    pub fn cluster_at(lab: &Lab, place: &Namespace, address: &str, count: usize) -> Self {
        Self::begin(lab, (place, address), count, ("http", ""))
    }

    /// One member with more `options`, reached by `scheme`, which is `http` or `https`.
    #[must_use]
    #[track_caller]
    pub fn with_options(lab: &Lab, scheme: &'static str, options: &str) -> Self {
        Self::begin(lab, (lab.host(), "127.0.0.1"), 1, (scheme, options))
    }

    #[track_caller]
    fn begin(
        lab: &Lab,
        (place, address): (&Namespace, &str),
        count: usize,
        (scheme, options): (&'static str, &str),
    ) -> Self {
        lab.needs(Feature::Etcd);
        // In memory, where flushing to disk costs nothing.
        let data = |number| PathBuf::from(format!("/run/etcd-{number}"));
        let members = (0..count).map(|number| Member { process: None, data: data(number) });
        let (members, options) = (members.collect(), options.to_owned());
        let (place, address, access) = (place.clone(), address.to_owned(), String::new());
        let mut etcd = Self { place, address, members, scheme, options, access };
        // A member of several is ready only when others are.
        let started: Vec<_> = (0..count).map(|number| etcd.spawn(number)).collect();
        started.into_iter().for_each(await_ready);
        etcd
    }

    /// Starts a member that was killed, and waits until it answers.
    #[track_caller]
    pub fn restart(&mut self, number: usize) {
        let said = self.spawn(number);
        await_ready(said);
    }

    #[track_caller]
    fn spawn(&mut self, number: usize) -> BufReader<ChildStdout> {
        let peer = |number: usize| format!("http://127.0.0.1:{}", 2380 + 10 * number);
        let client = self.endpoint(number);
        let all: Vec<String> =
            (0..self.members.len()).map(|number| format!("e{number}={}", peer(number))).collect();
        let (data, own, all) = (self.members[number].data.display(), peer(number), all.join(","));
        let mut process = self.place.spawn(&format!(
            "etcd --name e{number} --data-dir {data} --initial-cluster {all} \
             --listen-client-urls {client} --advertise-client-urls {client} \
             --listen-peer-urls {own} --initial-advertise-peer-urls {own} \
             --logger zap --log-outputs stdout --log-level info {}",
            self.options,
        ));
        let said = BufReader::new(process.stdout());
        self.members[number].process = Some(process);
        said
    }

    /// Where a member is reached.
    #[must_use]
    pub fn endpoint(&self, number: usize) -> String {
        format!("{}://{}:{}", self.scheme, self.address, 2379 + 10 * number)
    }

    /// Where all are.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|number| self.endpoint(number)).collect()
    }

    /// Kills a member.
    #[track_caller]
    pub fn kill(&mut self, number: usize) {
        assert!(self.members[number].process.take().is_some(), "member {number} does not run");
    }

    /// Stops a member, which keeps its connections and says nothing more.
    #[track_caller]
    pub fn stop(&self, number: usize) {
        self.signal(number, Signal::SIGSTOP);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn go_on(&self, number: usize) {
        self.signal(number, Signal::SIGCONT);
    }

    #[track_caller]
    fn signal(&self, number: usize, signal: Signal) {
        let process = self.members[number].process.as_ref();
        let id = process.map_or(0, Process::id);
        let id = i32::try_from(id).ok().filter(|id| *id > 0);
        let id = id.unwrap_or_else(|| panic!("member {number} does not run"));
        if let Err(error) = kill(Pid::from_raw(id), signal) {
            panic!("{signal} to member {number}: {error}");
        }
    }

    /// Throws away all data of a member that was killed.
    #[track_caller]
    pub fn wipe(&self, number: usize) {
        let data = &self.members[number].data;
        if let Err(error) = fs::remove_dir_all(data) {
            panic!("remove {}: {error}", data.display());
        }
    }

    /// From now on etcdctl asks with these `options`.
    pub fn ask_as(&mut self, options: &str) {
        options.clone_into(&mut self.access);
    }

    /// Runs etcdctl with `command`, split at blanks.
    #[track_caller]
    pub fn ctl(&self, command: &str) -> String {
        self.ctl_at(&self.endpoints().join(","), command)
    }

    /// The same, asking one member.
    #[track_caller]
    pub fn ctl_of(&self, number: usize, command: &str) -> String {
        self.ctl_at(&self.endpoint(number), command)
    }

    #[track_caller]
    fn ctl_at(&self, endpoints: &str, command: &str) -> String {
        let access = &self.access;
        self.place
            .run(&format!("env ETCDCTL_API=3 etcdctl --endpoints {endpoints} {access} {command}"))
    }

    /// Writes a key below the prefix; the value has no blanks.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        self.ctl(&format!("put {PREFIX}{key} {value}"));
    }

    /// Writes many keys below the prefix, in few transactions; no value has a blank or a quotation mark
    /// of the single sort.
    #[track_caller]
    pub fn put_all(&self, records: &[(String, String)]) {
        let endpoint = self.endpoint(0);
        for batch in records.chunks(MOST_OPERATIONS) {
            // Nothing is compared, and nothing is done else.
            let mut input = String::from("\n");
            for (key, value) in batch {
                let _ = writeln!(input, "put {PREFIX}{key} {value}");
            }
            input.push_str("\n\n");
            let command = format!("env ETCDCTL_API=3 etcdctl --endpoints {endpoint} txn");
            let said = self.place.run_with(&command, &input);
            assert!(said.starts_with("SUCCESS"), "{command}: {said}");
        }
    }

    /// The sum of all figures that a member tells of itself whose lines begin with `name` and have
    /// all of `parts`.
    #[must_use]
    #[track_caller]
    pub fn figure(&self, name: &str, parts: &[&str]) -> f64 {
        let address = format!("{}:2379", self.address);
        let asked = self.place.within(|| -> io::Result<String> {
            let mut stream = TcpStream::connect(&address)?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            Ok(said)
        });
        let said = asked.unwrap_or_else(|error| panic!("ask {address} for its figures: {error}"));
        let is_meant =
            |line: &&str| line.starts_with(name) && parts.iter().all(|part| line.contains(part));
        let figures = said.lines().filter(is_meant);
        figures.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Deletes a key below the prefix.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.ctl(&format!("del {PREFIX}{key}"));
    }

    /// The value of a key below the prefix; text that is no JSON is a text, no key is `Null`.
    #[must_use]
    #[track_caller]
    pub fn json(&self, key: &str) -> Value {
        let text = self.ctl(&format!("get --print-value-only {PREFIX}{key}"));
        match text.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        }
    }

    /// The keys that begin so, without the prefix.
    #[must_use]
    #[track_caller]
    pub fn keys(&self, begin: &str) -> Vec<String> {
        let text = self.ctl(&format!("get --prefix --keys-only {PREFIX}{begin}"));
        text.lines().filter_map(|line| line.strip_prefix(PREFIX)).map(str::to_owned).collect()
    }

    /// Which member leads.
    #[must_use]
    #[track_caller]
    pub fn leader(&self) -> usize {
        let status = self.lab_json("endpoint status -w json");
        let mut members = status.as_array().into_iter().flatten();
        members
            .position(|one| one["Status"]["leader"] == one["Status"]["header"]["member_id"])
            .unwrap_or_else(|| panic!("no member leads: {status}"))
    }

    /// The newest revision that a member knows.
    #[must_use]
    #[track_caller]
    pub fn revision_of(&self, number: usize) -> i64 {
        let text = self.ctl_of(number, "get -w json /no-such-key");
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        let revision = read["header"]["revision"].as_i64();
        revision.unwrap_or_else(|| panic!("no revision: {text}"))
    }

    #[track_caller]
    fn lab_json(&self, command: &str) -> Value {
        let text = self.ctl(command);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}\n{text}"))
    }
}

/// Reads until etcd says that it serves; what it says later is thrown away.
#[track_caller]
fn await_ready(mut said: BufReader<ChildStdout>) {
    let mut all = String::new();
    loop {
        let before = all.len();
        let read = said.read_line(&mut all);
        assert!(read.is_ok_and(|bytes| bytes > 0), "etcd ended:\n{all}");
        let line = &all[before..];
        if line.contains("serving insecure client requests")
            || line.contains("serving client requests")
            || line.contains("serving client traffic")
        {
            break;
        }
    }
    // A full pipe would stop it.
    thread::spawn(move || io::copy(&mut said, &mut io::sink()));
}
