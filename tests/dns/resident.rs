//! Who lives in a town: containers with names, on networks of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use netns_fixtures::{Call, Container, ErrorObject, Namespace};
use serde_json::{Value, json};

use super::asking::Door;
use super::town::{INT1, N1, N2, Network, Town};

/// A container to be: what it is called, and where.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    name: String,
    hostname: Option<&'static str>,
    homes: Vec<Home>,
}

/// One network of a container.
#[derive(Clone, Debug)]
struct Home {
    network: &'static Network,
    number: u16,
    keys: Value,
}

impl Resident {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), hostname: None, homes: Vec::new() }
    }

    /// On `network` with that number, where it is called these as well.
    pub(crate) fn on(mut self, network: &'static Network, number: u16, aliases: &[&str]) -> Self {
        let keys = json!({ "runtimeConfig": { "aliases": aliases } });
        self.homes.push(Home { network, number, keys });
        self
    }

    /// With these keys of `dnsname` on the network that was named last.
    pub(crate) fn with(mut self, keys: &Value) -> Self {
        let home = self.homes.last_mut().expect("a network was named before");
        for (key, value) in keys.as_object().into_iter().flatten() {
            home.keys[key] = value.clone();
        }
        self
    }

    /// With these keys on all its networks.
    pub(crate) fn with_everywhere(mut self, keys: &Value) -> Self {
        for home in &mut self.homes {
            for (key, value) in keys.as_object().into_iter().flatten() {
                home.keys[key] = value.clone();
            }
        }
        self
    }

    pub(crate) fn hostname(self, hostname: &'static str) -> Self {
        Self { hostname: Some(hostname), ..self }
    }
}

pub(crate) fn web() -> Resident {
    Resident::new("web").on(N1, 2, &["www", "app"])
}

pub(crate) fn api() -> Resident {
    Resident::new("api").on(N1, 3, &["app"]).with(&json!({ "gwPriority": 1 })).on(N2, 3, &[])
}

pub(crate) fn db() -> Resident {
    Resident::new("db").hostname("dbhost").on(N2, 4, &["a.b"])
}

/// Who asks, unless it is said otherwise.
pub(crate) fn cli() -> Resident {
    Resident::new("cli").on(N1, 9, &[]).with(&json!({ "gwPriority": 1 })).on(N2, 9, &[])
}

/// The same, answered within its own namespace.
pub(crate) fn inner() -> Resident {
    Resident::new("inner")
        .on(N1, 10, &[])
        .with(&json!({ "gwPriority": 1 }))
        .on(N2, 10, &[])
        .with_everywhere(&json!({ "resolver": "netns" }))
}

/// One of several with the alias `front`.
pub(crate) fn front(name: &str, number: u16) -> Resident {
    Resident::new(name).on(N1, number, &["front"])
}

pub(crate) fn iso() -> Resident {
    Resident::new("iso").on(INT1, 2, &[])
}

pub(crate) fn both() -> Resident {
    Resident::new("both").on(N1, 8, &[]).with(&json!({ "gwPriority": 1 })).on(INT1, 3, &[])
}

/// A container.
pub(crate) struct Person<'t> {
    town: &'t Town<'t>,
    pub(crate) container: Container,
    resident: Resident,
    /// By network: what a runtime keeps of an ADD.
    results: RefCell<BTreeMap<&'static str, Value>>,
}

impl<'t> Person<'t> {
    /// The container alone, on no network yet.
    pub(crate) fn born(town: &'t Town<'t>, resident: Resident) -> Self {
        let container = town.lab.container(&resident.name);
        // Every runtime does this first, with `loopback` or by itself.
        container.run("ip link set dev lo up");
        Self { town, container, resident, results: RefCell::default() }
    }

    /// Its id: as long as a runtime's.
    pub(crate) fn id(&self) -> String {
        let mut id: String = self.resident.name.bytes().map(|byte| format!("{byte:02x}")).collect();
        id.extend(std::iter::repeat_n('e', 64));
        id.truncate(64);
        id
    }

    pub(crate) fn name(&self) -> &str {
        &self.resident.name
    }

    #[track_caller]
    pub(crate) fn attach_all(&self) {
        for index in 0..self.resident.homes.len() {
            if let Err(error) = self.attach(index) {
                panic!("ADD of {}: {}", self.name(), error.text());
            }
        }
    }

    /// ADD of its network of that index; the error of the first plugin that fails.
    #[track_caller]
    pub(crate) fn attach(&self, index: usize) -> Result<(), ErrorObject> {
        let mut result = None;
        for plugin in ["bridge", "dnsname"] {
            let outcome = self.call(plugin, "ADD", index, result.as_ref()).run();
            if !outcome.status.success() {
                return Err(outcome.error());
            }
            result = Some(outcome.result());
        }
        let network = self.resident.homes[index].network.name;
        self.results.borrow_mut().insert(network, result.expect("two plugins were called"));
        Ok(())
    }

    /// DEL of its network of that index, which must succeed.
    #[track_caller]
    pub(crate) fn detach(&self, index: usize) {
        let network = self.resident.homes[index].network.name;
        let result = self.results.borrow_mut().remove(network);
        for plugin in ["dnsname", "bridge"] {
            self.call(plugin, "DEL", index, result.as_ref()).run().succeeded();
        }
    }

    /// DEL of all its networks, the last first.
    #[track_caller]
    pub(crate) fn leave(&self) {
        for index in (0..self.resident.homes.len()).rev() {
            self.detach(index);
        }
    }

    /// A call of one plugin for its network of that index.
    pub(crate) fn call(
        &self,
        plugin: &str,
        verb: &str,
        index: usize,
        previous: Option<&Value>,
    ) -> Call<'t> {
        let home = &self.resident.homes[index];
        let mut config = match plugin {
            "bridge" => {
                let mut config = home.network.plugin(index == 0);
                config["runtimeConfig"]["ips"] = json!(home.network.addresses(home.number));
                config
            }
            _ => {
                let mut config = self.town.dnsname();
                for (key, value) in home.keys.as_object().into_iter().flatten() {
                    config[key] = value.clone();
                }
                if let Some(hostname) = self.resident.hostname {
                    config["args"]["cni"]["hostname"] = json!(hostname);
                }
                config
            }
        };
        config["cniVersion"] = json!("1.0.0");
        config["name"] = json!(home.network.name);
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        let args = format!("IgnoreUnknown=1;K8S_POD_NAME={}", self.resident.name);
        let call = self.town.lab.plugin(plugin).verb(verb).container(&self.container);
        call.env("CNI_CONTAINERID", self.id())
            .args(&args)
            .ifname(&format!("eth{index}"))
            .config(&config)
    }

    /// What the last plugin answered for its network of that index.
    pub(crate) fn result(&self, index: usize) -> Value {
        self.results.borrow()[self.resident.homes[index].network.name].clone()
    }

    /// The link on the host that leads to it.
    pub(crate) fn host_end(&self, index: usize) -> String {
        let result = self.result(index);
        let interfaces = result["interfaces"].as_array().expect("a result has interfaces");
        let names = interfaces.iter().filter_map(|interface| interface["name"].as_str());
        names.map(str::to_owned).find(|name| name.starts_with("veth")).expect("a veth on the host")
    }

    /// The gateways of its first network at port 53, and 127.0.0.11.
    pub(crate) fn doors(&self) -> Vec<Door<'t>> {
        let home = &self.resident.homes[0];
        let mut doors = vec![self.door("127.0.0.11")];
        if home.keys["resolver"] != "netns" {
            doors.push(self.door(&home.network.gateway()));
            let v6 = home.network.v6.map(|v6| format!("{v6}:1"));
            doors.extend(v6.map(|v6| self.door(&v6)));
        }
        doors
    }

    /// One at which it asks, at port 53.
    pub(crate) fn door(&self, address: &str) -> Door<'t> {
        Door::new(self.town, self.name(), &self.container, address)
    }

    /// 127.0.0.11, where every container may ask.
    pub(crate) fn own_door(&self) -> Door<'t> {
        self.door("127.0.0.11")
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.container
    }
}
