//! Where a call can be killed: at each system call by which it changes something.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use netns_fixtures::{Call, Outcome};

/// Where strace writes; no part of what snapshots compare.
const TRACE: &str = "/run/lab/trace";

/// System calls that may change something outside of the process, beside opening and sending, which
/// are judged by their arguments. The last ones stand for "after everything".
const CHANGING: &[&str] = &[
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "sendfile",
    "copy_file_range",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "mknod",
    "mknodat",
    "truncate",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "lchown",
    "utimensat",
    "flock",
    "setns",
    "unshare",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "mount",
    "umount2",
    "exit_group",
];
const OPENING: &[&str] = &["open", "openat", "creat"];
const SENDING: &[&str] = &["sendto", "sendmsg", "sendmmsg"];

/// A system call of one run, found again in the next by its name and number.
pub(crate) struct Point {
    name: String,
    /// The first of its name is 1.
    number: u32,
    line: String,
}

/// Runs `call`, which must succeed, and gives back all its points in their order.
///
/// Only the first thread counts: the others read pipes and wait for events.
#[track_caller]
pub(crate) fn points_of(call: &Call<'_>) -> Vec<Point> {
    let traced = [OPENING, SENDING, CHANGING].concat().join(",");
    let strace = format!("strace -qq -e signal=none -o {TRACE} -e trace={traced}");
    call.clone().under(&strace).run().succeeded();
    let trace = fs::read_to_string(TRACE).unwrap_or_else(|error| panic!("{TRACE}: {error}"));
    let mut numbers = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((name, arguments)) = line.split_once('(') else { continue };
        let number = numbers.entry(name.to_owned()).or_insert(0);
        *number += 1;
        if changes_something(name, arguments) {
            points.push(Point { name: name.to_owned(), number: *number, line: line.to_owned() });
        }
    }
    assert!(points.len() > 1, "strace shows nothing that the call changes:\n{trace}");
    points
}

impl Point {
    /// Runs `call` and kills it right before this system call is carried out.
    #[track_caller]
    pub(crate) fn kill(&self, call: &Call<'_>) -> Outcome {
        let Self { name, number, .. } = self;
        println!("killed at {self}");
        // strace ends as the program does.
        let outcome = call
            .clone()
            .under(&format!(
                "strace -qq -o /dev/null -e trace={name} -e inject={name}:signal=KILL:when={number}"
            ))
            .run();
        assert_eq!(outcome.status.signal(), Some(9), "{outcome}: was to be killed");
        outcome
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line: String = self.line.chars().take(300).collect();
        write!(f, "{} number {}: {line}", self.name, self.number)
    }
}

fn changes_something(name: &str, arguments: &str) -> bool {
    if OPENING.contains(&name) {
        return ["O_CREAT", "O_TRUNC", "O_TMPFILE"].iter().any(|flag| arguments.contains(flag));
    }
    if SENDING.contains(&name) {
        return arguments.split("nlmsg_type=").skip(1).any(|text| !is_query(text));
    }
    // What is said on standard error, piece by piece, is said to nobody.
    !arguments.starts_with("2, ")
}

/// `NFT_MSG_GET*` of tables, chains, rules, sets and elements.
const NFT_QUERIES: [u16; 5] = [1, 4, 7, 10, 13];

/// Whether a netlink message, from its type on, only asks.
///
/// strace looks for the socket in its own namespace and has only numbers for others. Of four
/// neighbours in `linux/rtnetlink.h` the third is always the query; of nf_tables, which is the
/// tenth subsystem of netfilter, these are.
fn is_query(message: &str) -> bool {
    let kind = message.split([',', ' ', '}']).next().unwrap_or_default();
    match kind.strip_prefix("0x").map(|digits| u16::from_str_radix(digits, 16)) {
        Some(Ok(number)) if number >> 8 == 10 => NFT_QUERIES.contains(&(number & 0xff)),
        Some(Ok(number)) => number % 4 == 2,
        _ => kind.starts_with("RTM_GET") || kind.contains("|NFT_MSG_GET"),
    }
}

#[test]
fn messages_that_only_ask_are_told_from_the_others() {
    let asks = |arguments| !changes_something("sendto", arguments);
    assert!(asks("5, [{nlmsg_len=52, nlmsg_type=RTM_GETLINK, nlmsg_flags=0}], 52"));
    assert!(asks("5, [{nlmsg_len=52, nlmsg_type=0x12 /* NLMSG_??? */, nlmsg_flags=0}], 52"));
    assert!(asks("5, [{nlmsg_len=52, nlmsg_type=0xa0d /* NLMSG_??? */, nlmsg_flags=0}], 52"));
    assert!(!asks("5, [{nlmsg_len=52, nlmsg_type=0xa0e /* NLMSG_??? */, nlmsg_flags=0}], 52"));
    assert!(asks("5, [{nlmsg_type=NFNL_SUBSYS_NFTABLES<<8|NFT_MSG_GETSETELEM, …}], 52"));
    assert!(asks("3, \"PRIORITY=6\", 10, 0, {sa_family=AF_UNIX}, 30"));
    assert!(!asks("5, [{nlmsg_len=52, nlmsg_type=0x11 /* NLMSG_??? */, nlmsg_flags=0}], 52"));
    assert!(!asks("5, [[{nlmsg_type=RTM_GETLINK, …}], [{nlmsg_type=RTM_NEWADDR, …}]], 52"));
}
