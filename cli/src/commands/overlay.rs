use std::process::ExitCode;
use std::time::Duration;

use cni::runtime::directory;
use cni::{Error, code, keyed, state};
use overlays::Client;
use peers::HostId;
use peers::message::{Admin, Request};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use types::NetworkName;

use crate::args::{
    CreateOverlay, JoinOverlay, OfBlocks, OfHost, OfOverlay, Overlay, OverlayCommand,
};
use crate::fault::Done;
use crate::output;
use crate::session::Session;

/// How long the daemon may take; etcd is given two seconds for each of its answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the daemon's own configuration is, below the root.
const CONFIG: &str = "etc/cais/overlayd.json";

/// `cais overlay`.
pub(crate) fn run(session: &Session, args: &Overlay) -> Done {
    match &args.command {
        OverlayCommand::Status => show(session, &ask(&Request::Status)?, status),
        OverlayCommand::Doctor => doctor(session),
        OverlayCommand::Join(args) => join(session, args),
        OverlayCommand::Leave => {
            ask(&Request::Leave)?;
            done(session, "this host has left the store", &json!({ "left": true }))
        }
        OverlayCommand::Reload => {
            ask(&Request::Reload)?;
            done(session, "all is as it has to be", &json!({ "reloaded": true }))
        }
        OverlayCommand::Network(args) => match &args.command {
            OfOverlay::Ls => show(session, &admin(Admin::Networks)?, networks),
            OfOverlay::Inspect(of) => {
                output::json(&admin(Admin::Network(network(&of.network)?))?)?;
                Ok(ExitCode::SUCCESS)
            }
            OfOverlay::Create(args) => {
                let network = network(&args.network)?;
                let create = created(args)?;
                let made = admin(Admin::CreateNetwork { network, create })?;
                show(session, &json!({ "items": [made] }), networks)
            }
            OfOverlay::Rm(of) => {
                let gone = admin(Admin::RemoveNetwork(network(&of.network)?))?;
                done(session, &format!("removed {}", of.network), &gone)
            }
        },
        OverlayCommand::Host(args) => match &args.command {
            OfHost::Ls => show(session, &admin(Admin::Hosts)?, hosts),
            OfHost::Inspect(of) => {
                output::json(&find(&of.host)?)?;
                Ok(ExitCode::SUCCESS)
            }
            OfHost::Drain(of) => {
                let drained = admin(Admin::DrainHost(id_of(&of.host)?))?;
                let text = format!("{} hands out no more addresses", of.host);
                done(session, &text, &drained)
            }
            OfHost::Rm(of) => {
                let gone = admin(Admin::RemoveHost(id_of(&of.host)?))?;
                done(session, &format!("removed {}", of.host), &gone)
            }
        },
        OverlayCommand::Block(args) => match &args.command {
            OfBlocks::Ls(of) => {
                let of = of.network.as_deref().map(network).transpose()?;
                show(session, &admin(Admin::Blocks(of))?, blocks)
            }
        },
    }
}

fn ask(request: &Request) -> Result<Value, Error> {
    let path = directory::plugin_dirs();
    let text = Client::new(&state::run_dir(), &path).ask(request, PATIENCE)?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let odd =
        |why| Error::new(code::DECODE, format!("cais-overlayd answered something else: {why}"));
    serde_json::from_str(&text).map_err(odd)
}

fn admin(admin: Admin) -> Result<Value, Error> {
    ask(&Request::Admin(admin))
}

/// Prints what was answered: as it is, or made readable.
fn show(session: &Session, answer: &Value, readable: fn(&Value) -> String) -> Done {
    match session.json {
        true => output::json(answer)?,
        false => output::print(&readable(answer))?,
    }
    for one in list(answer, "unreadable") {
        output::note(&format!("{}: {}", word(one, "key"), word(one, "why")));
    }
    Ok(ExitCode::SUCCESS)
}

fn done(session: &Session, text: &str, answer: &Value) -> Done {
    match session.json {
        true => output::json(answer)?,
        false => output::print(&format!("{text}\n"))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn network(name: &str) -> Result<NetworkName, Error> {
    name.parse()
        .map_err(|why| Error::new(code::INVALID_ENVIRONMENT, format!("network {name:?}: {why}")))
}

/// A host by its id, the beginning of one, or its name.
fn find(which: &str) -> Result<Value, Error> {
    let all = admin(Admin::Hosts)?;
    let is_it = |host: &&Value| {
        word(host, "name") == which || word(host, "host").starts_with(which) && !which.is_empty()
    };
    let found: Vec<&Value> = list(&all, "items").filter(is_it).collect();
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(Error::new(code::INVALID_ENVIRONMENT, format!("no host is called {which}"))
            .with_hint("cais overlay host ls")),
        _ => {
            let text = format!("{} hosts are called {which}", found.len());
            Err(Error::new(code::INVALID_ENVIRONMENT, text).with_hint("say its whole id"))
        }
    }
}

fn id_of(which: &str) -> Result<HostId, Error> {
    let id = word(&find(which)?, "host");
    id.parse().map_err(|why| Error::new(code::DECODE, format!("host {id:?}: {why}")))
}

/// Key `create` as the options say.
fn created(args: &CreateOverlay) -> Result<Box<RawValue>, Error> {
    let mut keys = Map::new();
    keys.insert("pools".to_owned(), json!(args.pool));
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            keys.insert(key.to_owned(), value);
        }
    };
    set("vni", args.vni.map(Value::from));
    set("blockLen4", args.block_len4.map(Value::from));
    set("blockLen6", args.block_len6.map(Value::from));
    set("port", args.port.map(Value::from));
    set("mtu", args.mtu.map(Value::from));
    set("masq", args.no_masq.then_some(Value::from(false)));
    set("reserved", (!args.reserve.is_empty()).then(|| json!(args.reserve)));
    to_raw_value(&keys).map_err(|why| Error::new(code::INTERNAL, why.to_string()))
}

/// Writes the daemon's configuration and lets it follow the store.
fn join(session: &Session, args: &JoinOverlay) -> Done {
    let mut store = Map::new();
    store.insert("type".to_owned(), "etcd".into());
    store.insert("endpoints".to_owned(), json!(args.endpoint));
    let mut set = |key: &str, value: Option<&String>| {
        if let Some(value) = value {
            store.insert(key.to_owned(), value.as_str().into());
        }
    };
    set("ca", args.ca.as_ref());
    set("cert", args.cert.as_ref());
    set("key", args.key.as_ref());
    set("user", args.user.as_ref());
    set("passwordFile", args.password_file.as_ref());
    set("prefix", args.prefix.as_ref());
    let mut config = json!({ "store": store });
    if let Some(name) = &args.name {
        config["hostName"] = name.as_str().into();
    }
    if !args.underlay.is_empty() {
        config["underlay"] = json!(args.underlay);
    }
    let path = state::root().join(CONFIG);
    let text = format!("{}\n", cni::json::indented(&config.to_string()));
    let new = path.with_extension(format!("json.{}.new", std::process::id()));
    keyed::replace_lasting(&path, &new, text.as_bytes(), 0o755)
        .map_err(|why| Error::new(code::IO, format!("write {}: {why}", path.display())))?;
    let status = ask(&Request::Status)?;
    let follows = word(&status["store"], "state");
    output::note(&format!("wrote {}", path.display()));
    if follows.is_empty() {
        output::note(
            "cais-overlayd ran before with another configuration: systemctl restart cais-overlayd",
        );
    }
    show(session, &status, self::status)
}

/// What is in the way, and whether anything is.
fn doctor(session: &Session) -> Done {
    let status = ask(&Request::Status)?;
    let mut findings: Vec<String> = Vec::new();
    let store = &status["store"];
    match word(store, "state").as_str() {
        "ready" => {}
        "" => findings.push("no store is followed: cais overlay join --endpoint URL".to_owned()),
        state => findings.push(format!("etcd is {state}: {}", word(store, "reason"))),
    }
    if list(&status, "underlay").next().is_none() {
        findings.push(
            "this host has no address by which others reach it: give key \"underlay\" in \
             /etc/cais/overlayd.json"
                .to_owned(),
        );
    }
    for network in list(&status, "networks") {
        let name = word(network, "network");
        let problem = word(network, "problem");
        if !problem.is_empty() {
            findings.push(format!("network {name}: {problem}"));
        }
        for one in list(network, "quarantined") {
            findings.push(format!("network {name}: {}", word(one, "why")));
        }
        for one in list(network, "refused") {
            let one = one.as_str().unwrap_or_default();
            findings.push(format!("network {name}: not acted upon: {one}"));
        }
    }
    match session.json {
        true => output::json(&json!({ "findings": findings }))?,
        false if findings.is_empty() => output::print("nothing is in the way\n")?,
        false => output::print(&format!("{}\n", findings.join("\n")))?,
    }
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

fn status(status: &Value) -> String {
    let underlay = words(status, "underlay");
    let mut text = format!(
        "host {} at {}, cais-overlayd {}, for {} s\n",
        word(status, "host"),
        if underlay.is_empty() { "no address".to_owned() } else { underlay },
        word(status, "version"),
        status["uptime"]
    );
    let store = &status["store"];
    text.push_str(&match word(store, "state").as_str() {
        "" => "no store is followed\n".to_owned(),
        "ready" => format!(
            "etcd at {}: {} hosts, {} of them present\n",
            word(store, "endpoint"),
            status["hosts"],
            status["present"]
        ),
        state => format!("etcd {state}: {}\n", word(store, "reason")),
    });
    let row = |one: &Value| {
        let state = if one["ready"] == true { "ready".to_owned() } else { word(one, "problem") };
        vec![word(one, "network"), word(one, "vni"), word(one, "mtu"), words(one, "blocks"), state]
    };
    let rows: Vec<Vec<String>> = list(status, "networks").map(row).collect();
    if !rows.is_empty() {
        text.push_str(&output::table(&["NETWORK", "VNI", "MTU", "BLOCKS HERE", "STATE"], &rows));
    }
    text
}

fn networks(answer: &Value) -> String {
    let row = |one: &Value| {
        let blocks = format!("/{} /{}", one["blockLen4"], one["blockLen6"]);
        let encryption = word(one, "encryption");
        vec![word(one, "network"), word(one, "vni"), words(one, "pools"), blocks, encryption]
    };
    let rows: Vec<Vec<String>> = list(answer, "items").map(row).collect();
    output::table(&["NETWORK", "VNI", "POOLS", "BLOCKS", "ENCRYPTION"], &rows)
}

fn hosts(answer: &Value) -> String {
    let row = |one: &Value| {
        let state = if one["alive"] == true { "present" } else { "away" };
        let blocks = list(one, "blocks").count().to_string();
        let underlay = words(one, "underlay");
        vec![word(one, "name"), word(one, "host"), underlay, blocks, state.to_owned()]
    };
    let rows: Vec<Vec<String>> = list(answer, "items").map(row).collect();
    output::table(&["NAME", "HOST", "UNDERLAY", "BLOCKS", "STATE"], &rows)
}

fn blocks(answer: &Value) -> String {
    let row = |one: &Value| {
        ["network", "block", "host", "state"].iter().map(|key| word(one, key)).collect()
    };
    let rows: Vec<Vec<String>> = list(answer, "items").map(row).collect();
    output::table(&["NETWORK", "BLOCK", "HOST", "STATE"], &rows)
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of[key].as_array().into_iter().flatten()
}

fn word(of: &Value, key: &str) -> String {
    match &of[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn words(of: &Value, key: &str) -> String {
    let all: Vec<&str> = list(of, key).filter_map(Value::as_str).collect();
    all.join(" ")
}
