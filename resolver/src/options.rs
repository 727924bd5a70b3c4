//! How the daemon is configured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Error;
use cni::json::Object;

/// The options, each with its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The file that lists whom the host asks.
    pub resolv_conf: PathBuf,
    /// Whom to ask instead; empty: what that file lists.
    pub servers: Vec<names::Server>,
    /// After how long without an attachment the daemon ends; `None`: never.
    pub idle_exit: Option<Duration>,
    /// Bytes for answers of others that are kept.
    pub cache_bytes: usize,
    /// For how many seconds clients may keep an answer about a container, 0 to 600.
    pub ttl: u32,
    /// Whether names of one label that no container has are looked for outside.
    pub forward_single_labels: bool,
    /// Whether anything is.
    pub forward: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            servers: Vec::new(),
            idle_exit: Some(Duration::from_secs(60)),
            cache_bytes: 4 << 20,
            ttl: 5,
            forward_single_labels: true,
            forward: true,
        }
    }
}

/// Where the options are, below the root that `run/cais/dns.sock` is below.
const FILE: &str = "etc/cais/dnsd.json";

/// Most bytes of the file: a worker has it as a variable of its environment.
const LONGEST: usize = 64 * 1024;

/// All keys of the file.
const KEYS: [&str; 7] =
    ["resolvConf", "servers", "idleExit", "cacheBytes", "ttl", "singleLabel", "forward"];

impl Options {
    /// The options of the daemon whose control socket is known as `socket`, as they are written; an
    /// empty object when there is no file. Every word of them is sound.
    ///
    /// # Errors
    /// What the system said; codes 6 and 7 with the key that is wrong.
    pub fn written(socket: &Path) -> Result<String, Error> {
        let root = socket.ancestors().nth(3).unwrap_or(Path::new("/"));
        let path = root.join(FILE);
        let step = || format!("read {}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
            read => read.map_err(|e| Error::new(cni::code::IO, format!("{}: {e}", step())))?,
        };
        if text.len() > LONGEST {
            let why = format!("{}: {} bytes, {LONGEST} fit", step(), text.len());
            return Err(Error::new(cni::code::INVALID_CONFIG, why));
        }
        Self::parse(text.as_bytes()).map_err(|error| error.in_step(step()))?;
        Ok(text)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let keys = Object::parse(text)?;
        let is_known = |key: &str| KEYS.iter().any(|known| known.eq_ignore_ascii_case(key));
        if let Some((key, _)) = keys.entries().find(|(key, _)| !is_known(key)) {
            let text = format!("key {key:?}: there is no such option");
            let hint = format!("the options are {}", KEYS.join(", "));
            return Err(Error::new(cni::code::INVALID_CONFIG, text).with_hint(hint));
        }
        let mut options = Self::default();
        if let Some(path) = keys.string("resolvConf")? {
            options.resolv_conf = path.into();
        }
        options.servers =
            keys.list("servers")?.iter().map(cni::json::Value::parsed).collect::<Result<_, _>>()?;
        if let Some(seconds) = keys.integer("idleExit", 0..=86_400)? {
            let idle = Duration::from_secs(seconds.cast_unsigned());
            options.idle_exit = (!idle.is_zero()).then_some(idle);
        }
        if let Some(bytes) = keys.integer("cacheBytes", 0..=1 << 30)? {
            options.cache_bytes = bytes as usize;
        }
        if let Some(seconds) = keys.integer("ttl", 0..=600)? {
            options.ttl = seconds as u32;
        }
        if let Some(policy) = keys.get("singleLabel") {
            options.forward_single_labels = match policy.string()?.as_str() {
                "forward" => true,
                "nxdomain" => false,
                _ => return Err(policy.invalid("is neither forward nor nxdomain")),
            };
        }
        if keys.has("forward") {
            options.forward = keys.flag("forward")?;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read_and_an_unknown_one_is_named() {
        let all =
            br#"{"resolvConf": "/r", "servers": ["192.0.2.1"], "idleExit": 0, "cacheBytes": 1,
            "ttl": 600, "singleLabel": "nxdomain", "forward": false}"#;
        let options = Options::parse(all).unwrap();
        assert_eq!(options.resolv_conf, Path::new("/r"));
        assert_eq!(options.servers, ["192.0.2.1".parse().unwrap()]);
        assert_eq!((options.idle_exit, options.cache_bytes, options.ttl), (None, 1, 600));
        assert!(!options.forward_single_labels && !options.forward);
        let error = Options::parse(br#"{"tll": 5}"#).unwrap_err().to_string();
        assert!(error.contains("\"tll\": there is no such option"), "{error}");
        assert!(error.contains("cacheBytes, ttl"), "{error}");
        for wrong in
            [r#"{"ttl": 601}"#, r#"{"singleLabel": "drop"}"#, r#"{"servers": ["x"]}"#, "[]"]
        {
            assert!(Options::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_page_for_operators_has_every_option_and_no_other() {
        let page = include_str!("../../docs/cais-dnsd.md");
        let (_, options) = page.split_once("## Options").unwrap();
        let (options, _) = options.split_once("\n## ").unwrap();
        let rows: Vec<_> = options
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(rows, KEYS);
    }
}
