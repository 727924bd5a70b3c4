//! What a host consists of, as lines that can be compared: did a call leave anything behind?

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::namespace::list;
use crate::{Lab, Namespace, unified};

/// Directories that are private to the lab, and in which plugins keep state.
const DIRECTORIES: &[&str] = &["/run", "/var/lib"];
/// Where the lab itself keeps its pins.
const NOT_STATE: &[&str] = &["/run/netns", "/run/lab"];
/// As much of a file as one line of a report can bear, in bytes.
const CONTENT: usize = 200;

/// Switches of a whole namespace that plugins turn.
const SYSCTLS: &[&str] = &["ipv4/ip_forward", "ipv6/conf/all/forwarding"];
/// Switches of each link, below `ipv4/conf/` and `ipv6/conf/`.
const LINK_SYSCTLS: &[(&str, &[&str])] = &[
    ("ipv4", &["forwarding", "arp_notify", "route_localnet", "rp_filter", "proxy_arp"]),
    (
        "ipv6",
        &[
            "disable_ipv6",
            "accept_ra",
            "accept_dad",
            "enhanced_dad",
            "keep_addr_on_down",
            "ndisc_notify",
            "forwarding",
            "addr_gen_mode",
            "optimistic_dad",
        ],
    ),
];

/// Flags by which the kernel reports, moments later, what happens at the other end of a wire.
const PASSING_FLAGS: &[&str] = &["LOWER_UP", "NO-CARRIER", "M-DOWN"];

/// Links, addresses, routes, rules, lasting neighbours, nft rules, queues and sysctls of some namespaces,
/// and the files that plugins may have written, at one moment.
///
/// What comes and goes by itself is left out: link-local addresses, carrier, learnt neighbours,
/// counters, handles.
#[derive(Clone, Debug)]
pub struct Snapshot {
    namespaces: Vec<Namespace>,
    lines: Vec<String>,
}

impl Snapshot {
    /// Its lines: `<namespace> <object> <name> <properties>`, or `file <path> …`.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl Lab {
    /// All of the lab, now.
    #[must_use]
    #[track_caller]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.namespaces())
    }

    /// Claims that all that `before` shows is as it was, and that nothing came to it.
    ///
    /// Namespaces that were made later are not looked at.
    ///
    /// # Panics
    /// With the difference.
    #[track_caller]
    pub fn assert_unchanged(&self, before: &Snapshot) {
        self.assert_unchanged_but(before, &[]);
    }

    /// As [`Lab::assert_unchanged`], without the lines that contain one of `words`. Each word needs
    /// its reason beside it in the case.
    #[track_caller]
    pub fn assert_unchanged_but(&self, before: &Snapshot, words: &[&str]) {
        let after = Snapshot::of(before.namespaces.clone());
        let kept = |snapshot: &Snapshot| -> Vec<String> {
            let excused = |line: &&String| !words.iter().any(|word| line.contains(word));
            snapshot.lines.iter().filter(excused).cloned().collect()
        };
        let difference = unified(&kept(before), &kept(&after));
        assert!(difference.is_empty(), "`-` was there before, `+` is there now\n{difference}");
    }
}

impl Snapshot {
    fn of(namespaces: Vec<Namespace>) -> Self {
        let mut lines = Vec::new();
        for namespace in namespaces.iter().filter(|namespace| namespace.exists()) {
            let name = namespace.name();
            let mut add = |found: Vec<String>| {
                lines.extend(found.into_iter().map(|line| format!("{name} {line}")));
            };
            // Snapshots are most of what the crash tests do, and processes most of a snapshot.
            let all = list(namespace.json("ip -j -d addr show"));
            add(links(&all));
            add(addresses(&all));
            for family in ["inet", "inet6"] {
                let shown = Shown::of(namespace, family);
                add(shown.routes());
                add(shown.rules(family));
                add(shown.neighbours());
            }
            add(nft_rules(namespace));
            add(queues(namespace));
            add(sysctls(namespace, &all));
        }
        for directory in DIRECTORIES {
            files(Path::new(directory), &mut lines);
        }
        Self { namespaces, lines }
    }
}

fn links(all: &[Value]) -> Vec<String> {
    sorted(all.iter().map(|link| {
        let flags = list(link["flags"].clone());
        let flags: Vec<&str> = flags
            .iter()
            .filter_map(Value::as_str)
            .filter(|flag| !PASSING_FLAGS.contains(flag))
            .collect();
        let info = &link["linkinfo"];
        let port = &info["info_slave_data"];
        let mut line = format!("link {} {}", word(&link["ifname"]), word(&info["info_kind"]));
        for (key, value) in [
            ("address", &link["address"]),
            ("mtu", &link["mtu"]),
            ("master", &link["master"]),
            ("alias", &link["ifalias"]),
            ("altnames", &link["altnames"]),
            ("mode", &info["info_data"]["mode"]),
            ("vlan_filtering", &info["info_data"]["vlan_filtering"]),
            ("hairpin", &port["hairpin"]),
            ("isolated", &port["isolated"]),
        ] {
            if !value.is_null() {
                line.push_str(&format!(" {key}={}", word(value)));
            }
        }
        format!("{line} flags={}", flags.join(","))
    }))
}

fn addresses(all: &[Value]) -> Vec<String> {
    sorted(all.iter().flat_map(|link| {
        let name = word(&link["ifname"]);
        let lasting =
            list(link["addr_info"].clone()).into_iter().filter(|entry| entry["scope"] != "link");
        lasting.map(move |entry| {
            let broadcast = match &entry["broadcast"] {
                Value::Null => String::new(),
                address => format!(" brd {}", word(address)),
            };
            let failed = if entry["dadfailed"] == true { " dadfailed" } else { "" };
            format!(
                "addr {name} {}/{} scope {}{broadcast}{failed}",
                word(&entry["local"]),
                entry["prefixlen"],
                word(&entry["scope"])
            )
        })
    }))
}

/// What one process of `ip` shows of a family.
struct Shown(Vec<Value>);

impl Shown {
    fn of(namespace: &Namespace, family: &str) -> Self {
        let wanted = "route show table all\nrule show\nneigh show nud permanent\n";
        let printed = namespace.run_with(&format!("ip -j -f {family} -batch -"), wanted);
        // One list each, or nothing at all for an empty one.
        let lists = serde_json::Deserializer::from_str(&printed).into_iter();
        let lists = lists.map(|list: serde_json::Result<Vec<Value>>| {
            list.unwrap_or_else(|error| panic!("ip did not print JSON: {error}\n{printed}"))
        });
        Self(lists.flatten().collect())
    }

    fn routes(&self) -> Vec<String> {
        let routes = self.0.iter().filter(|one| !is_rule(one) && !is_neighbour(one));
        let lasting = routes.filter(|route| {
            let kind = &route["type"];
            !word(&route["dst"]).starts_with("fe80::") && kind != "multicast" && kind != "anycast"
        });
        sorted(lasting.cloned().map(|mut route| {
            if let Some(fields) = route.as_object_mut() {
                for passing in ["flags", "expires", "cache", "used"] {
                    fields.remove(passing);
                }
            }
            format!("route {route}")
        }))
    }

    fn rules(&self, family: &str) -> Vec<String> {
        let rules = self.0.iter().filter(|one| is_rule(one));
        sorted(rules.map(|rule| format!("rule {family} {rule}")))
    }

    fn neighbours(&self) -> Vec<String> {
        let all = self.0.iter().filter(|one| is_neighbour(one));
        sorted(all.map(|entry| {
            let [dev, dst, lladdr] = ["dev", "dst", "lladdr"].map(|key| word(&entry[key]));
            format!("neigh {dev} {dst} {lladdr}")
        }))
    }
}

fn is_rule(shown: &Value) -> bool {
    shown.get("priority").is_some()
}

fn is_neighbour(shown: &Value) -> bool {
    shown.get("state").is_some()
}

/// In the order of nft: that of rules within a chain has a meaning.
fn nft_rules(namespace: &Namespace) -> Vec<String> {
    let done = namespace.try_run("nft -j list ruleset");
    if !done.status.success() {
        return vec!["nft cannot be listed here".to_owned()];
    }
    let mut ruleset: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
    let objects = list(ruleset["nftables"].take());
    let lasting = objects.into_iter().filter(|object| object.get("metainfo").is_none());
    lasting
        .map(|mut object| {
            forget_passing(&mut object);
            format!("nft {object}")
        })
        .collect()
}

/// Takes handles and counts out, and brings the elements of sets, which have none, in an order.
fn forget_passing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for passing in ["handle", "packets", "bytes", "expires"] {
                fields.remove(passing);
            }
            if let Some(Value::Array(elements)) = fields.get_mut("elem") {
                elements.sort_by_key(ToString::to_string);
            }
            fields.values_mut().for_each(forget_passing);
        }
        Value::Array(elements) => elements.iter_mut().for_each(forget_passing),
        _ => {}
    }
}

/// Those that somebody made, and the filters of arriving packets. In the order of tc, in which
/// filters are asked.
fn queues(namespace: &Namespace) -> Vec<String> {
    let shown = |command: &str| -> Vec<String> {
        let text = namespace.run(command);
        let lasting = text.lines().map(str::trim).filter(|line| {
            // What the kernel chose has no number; the index of an action is any.
            !line.is_empty() && !line.contains(" 0: dev ") && !line.starts_with("index ")
        });
        lasting.map(without_references).collect()
    };
    let queues = shown("tc qdisc show");
    let mut lines: Vec<String> = Vec::new();
    for queue in &queues {
        let words: Vec<&str> = queue.split(' ').collect();
        let link = words.iter().skip_while(|word| **word != "dev").nth(1);
        if let Some(link) = link.filter(|_| queue.contains("ffff:fff1")) {
            let filters = shown(&format!("tc filter show dev {link} ingress"));
            // It is called by how the last filter was made, of all.
            let line = |line: &String| line.replace(" parent ffff: ", " ");
            lines.extend(filters.iter().map(line).map(|line| format!("filter {link} {line}")));
        }
    }
    lines.extend(queues);
    lines
}

/// `line` of tc without the number of users of a queue.
fn without_references(line: &str) -> String {
    let mut words = line.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "refcnt" => drop(words.next()),
            word => kept.push(word),
        }
    }
    kept.join(" ")
}

fn sysctls(namespace: &Namespace, all: &[Value]) -> Vec<String> {
    let mut keys: Vec<String> = SYSCTLS.iter().map(|&key| key.to_owned()).collect();
    let links = all.iter().map(|link| word(&link["ifname"]));
    for link in links.chain(["default".to_owned()]) {
        for (family, names) in LINK_SYSCTLS {
            keys.extend(names.iter().map(|name| format!("{family}/conf/{link}/{name}")));
        }
    }
    // One visit for all of them.
    let read = |key: String| {
        let value = fs::read_to_string(Path::new("/proc/sys/net").join(&key)).ok()?;
        Some(format!("sysctl {key} = {}", value.trim_end()))
    };
    namespace.within(|| keys.into_iter().filter_map(read).collect())
}

fn files(directory: &Path, lines: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !NOT_STATE.iter().any(|own| *path == Path::new(own))) {
        // It may go away while we look.
        let Ok(meta) = path.symlink_metadata() else { continue };
        let mode = meta.permissions().mode() & 0o7777;
        let shown = path.display();
        // A directory is a place for state, and none itself.
        if meta.is_dir() {
            files(path, lines);
        } else if meta.is_file() {
            lines.push(format!("file {shown} {mode:04o} {}", content(path)));
        } else {
            lines.push(format!("special {shown} {mode:04o}"));
        }
    }
}

fn content(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) if bytes.len() > CONTENT => {
            let start = String::from_utf8_lossy(&bytes[..CONTENT]).into_owned();
            format!("{start:?}… {} bytes", bytes.len())
        }
        Ok(bytes) => format!("{:?}", String::from_utf8_lossy(&bytes)),
        Err(error) => format!("unreadable: {error}"),
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// A JSON value as a word: text without quotes.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
