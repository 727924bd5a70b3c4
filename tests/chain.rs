//! Lists of plugins, called as libcni calls them: ADD in order, each plugin given the result of the
//! one before; CHECK and DEL with the last result, DEL in reverse.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use netns_fixtures::{Call, Container, ErrorObject, Lab};
use serde_json::{Value, json};

use crate::battery::USUAL;
use crate::under_test::NETWORK;

/// Versions whose DEL is given no result.
const WITHOUT_RESULT: &[&str] = &["0.1.0", "0.2.0", "0.3.0", "0.3.1"];

/// A network of several plugins.
pub(crate) struct Chain<'lab> {
    lab: &'lab Lab,
    version: String,
    network: String,
    plugins: Vec<Value>,
    /// Whose plugins are called, where they are not those under test, and with which `PATH`.
    served: Mutex<(Option<PathBuf>, Option<String>)>,
    /// By container and interface: what runtimes keep of an ADD.
    results: Mutex<BTreeMap<(String, String), Value>>,
}

/// One attachment to be made, checked or removed: a container, its interface, and its ports.
#[derive(Clone, Copy)]
pub(crate) struct Attach<'a> {
    container: &'a Container,
    ifname: &'a str,
    ports: &'a Value,
}

impl<'a> Attach<'a> {
    /// `eth0` of `container`, which publishes `ports` (a list of `portMappings`).
    pub(crate) fn new(container: &'a Container, ports: &'a Value) -> Self {
        Self { container, ifname: "eth0", ports }
    }

    /// Another interface.
    pub(crate) fn ifname(self, ifname: &'a str) -> Self {
        Self { ifname, ..self }
    }

    fn key(self) -> (String, String) {
        (self.container.id().to_owned(), self.ifname.to_owned())
    }
}

impl<'lab> Chain<'lab> {
    /// A list of `plugins`, in their order.
    pub(crate) fn new(lab: &'lab Lab, plugins: &[Value]) -> Self {
        Self {
            lab,
            version: USUAL.to_owned(),
            network: NETWORK.to_owned(),
            plugins: plugins.to_vec(),
            served: Mutex::default(),
            results: Mutex::default(),
        }
    }

    /// As a file in a runtime's directory has it.
    pub(crate) fn of_list(lab: &'lab Lab, list: &Value) -> Self {
        let text = |key: &str| list[key].as_str().expect("a list has name and version");
        let plugins = list["plugins"].as_array().expect("a list has plugins");
        Self::new(lab, plugins).version(text("cniVersion")).network(text("name"))
    }

    /// Under another version of the specification.
    pub(crate) fn version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// Under another network's name.
    pub(crate) fn network(self, network: &str) -> Self {
        Self { network: network.to_owned(), ..self }
    }

    /// From now on calls the plugins of `directory`, or those under test.
    pub(crate) fn serve_by(&self, directory: Option<&Path>) {
        self.served.lock().expect("no code panics while it holds this lock").0 =
            directory.map(Path::to_owned);
    }

    /// From now on gives plugins this `PATH`, where they find iptables.
    pub(crate) fn find_programs_in(&self, path: &str) {
        self.served.lock().expect("no code panics while it holds this lock").1 =
            Some(path.to_owned());
    }

    /// A call of `plugin` of whoever serves.
    fn plugin(&self, plugin: &str) -> Call<'lab> {
        let served = self.served.lock().expect("no code panics while it holds this lock");
        let call = match &served.0 {
            Some(directory) => self.lab.plugin_in(directory, plugin),
            None => self.lab.plugin(plugin),
        };
        match &served.1 {
            Some(path) => call.env("PATH", path),
            None => call,
        }
    }

    /// The configuration of the plugin at `index` for `of`, with `previous` as result.
    pub(crate) fn config(&self, index: usize, of: Attach<'_>, previous: Option<&Value>) -> Value {
        let mut config = self.plugins[index].clone();
        config["cniVersion"] = json!(self.version);
        config["name"] = json!(self.network);
        if config["capabilities"]["portMappings"] == true && *of.ports != json!([]) {
            config["runtimeConfig"]["portMappings"] = of.ports.clone();
        }
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        config
    }

    /// A call of the plugin at `index` with such a configuration.
    pub(crate) fn call(
        &self,
        index: usize,
        verb: &str,
        of: Attach<'_>,
        previous: Option<&Value>,
    ) -> Call<'lab> {
        let config = self.config(index, of, previous);
        let plugin = config["type"].as_str().expect("a plugin has a type").to_owned();
        let call = self.plugin(&plugin).verb(verb).container(of.container);
        call.ifname(of.ifname).config(&config)
    }

    /// ADD of all plugins, which must succeed; the last one's result.
    #[track_caller]
    pub(crate) fn add(&self, of: Attach<'_>) -> Value {
        match self.try_add(of) {
            Ok(result) => result,
            Err(error) => panic!("ADD of {}: {}", of.container.id(), error.text()),
        }
    }

    /// ADD of all plugins up to the first that fails, whose error is given back. A runtime calls
    /// DEL after it.
    #[track_caller]
    pub(crate) fn try_add(&self, of: Attach<'_>) -> Result<Value, ErrorObject> {
        let mut result = None;
        for index in 0..self.plugins.len() {
            let outcome = self.call(index, "ADD", of, result.as_ref()).run();
            if !outcome.status.success() {
                return Err(outcome.error());
            }
            result = Some(outcome.result());
        }
        let result = result.expect("a list has a plugin");
        let mut results = self.results.lock().expect("no code panics while it holds this lock");
        results.insert(of.key(), result.clone());
        Ok(result)
    }

    /// The result of the last ADD of `of`.
    pub(crate) fn result(&self, of: Attach<'_>) -> Option<Value> {
        let results = self.results.lock().expect("no code panics while it holds this lock");
        results.get(&of.key()).cloned()
    }

    /// CHECK of all plugins; the error of the first that finds a difference.
    #[track_caller]
    pub(crate) fn check(&self, of: Attach<'_>) -> Result<(), ErrorObject> {
        let result = self.result(of);
        for index in 0..self.plugins.len() {
            let outcome = self.call(index, "CHECK", of, result.as_ref()).run();
            if !outcome.status.success() {
                return Err(outcome.error());
            }
        }
        Ok(())
    }

    /// DEL of all plugins, the last first; each must succeed.
    #[track_caller]
    pub(crate) fn del(&self, of: Attach<'_>) {
        let known = !WITHOUT_RESULT.contains(&self.version.as_str());
        let result = self.result(of).filter(|_| known);
        for index in (0..self.plugins.len()).rev() {
            self.call(index, "DEL", of, result.as_ref()).run().succeeded();
        }
    }

    /// GC of all plugins with this list of valid attachments, or with none.
    #[track_caller]
    pub(crate) fn gc(&self, valid: Option<&Value>) {
        for plugin in &self.plugins {
            let mut config = plugin.clone();
            config["cniVersion"] = json!("1.1.0");
            config["name"] = json!(self.network);
            if let Some(valid) = valid {
                config["cni.dev/valid-attachments"] = valid.clone();
            }
            let plugin = config["type"].as_str().expect("a plugin has a type").to_owned();
            self.plugin(&plugin).verb("GC").config(&config).run().is_silent();
        }
    }
}
