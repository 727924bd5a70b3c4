//! From environment and standard input to a typed request, in the reference skeleton's order.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use types::{Attachment, BadIfName, ContainerId, IfName, NetworkName};

use crate::config::Config;
use crate::error::{Error, code};
use crate::json::Object;
use crate::plugin::{Call, NetworkCall};
use crate::version::{Version, ordinal};

/// More than this on standard input is no network configuration.
const MOST_BYTES: u64 = 16 << 20;

/// One call, parsed and checked.
#[derive(Debug)]
pub(crate) enum Request {
    Add(Call),
    Check(Call),
    Del(Call),
    Gc(NetworkCall),
    Status(NetworkCall),
    Version,
}

/// A request that was refused, with the version to answer in as far as it was read.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) version: String,
}

/// The `CNI_*` variables; empty and unset are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) command: OsString,
    pub(crate) container: OsString,
    pub(crate) netns: OsString,
    pub(crate) ifname: OsString,
    pub(crate) args: OsString,
    pub(crate) path: OsString,
    pub(crate) netns_override: OsString,
}

impl Environment {
    pub(crate) fn of_process() -> Self {
        let var = |name| std::env::var_os(name).unwrap_or_default();
        Self {
            command: var("CNI_COMMAND"),
            container: var("CNI_CONTAINERID"),
            netns: var("CNI_NETNS"),
            ifname: var("CNI_IFNAME"),
            args: var("CNI_ARGS"),
            path: var("CNI_PATH"),
            netns_override: var("CNI_NETNS_OVERRIDE"),
        }
    }

    /// Whether the caller turned the guard of its own namespace off.
    pub(crate) fn overrides_netns_guard(&self) -> bool {
        self.netns_override
            .to_str()
            .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
    }

    fn netns(&self) -> Option<PathBuf> {
        (!self.netns.is_empty()).then(|| PathBuf::from(&self.netns))
    }

    fn path(&self) -> Vec<PathBuf> {
        std::env::split_paths(&self.path).filter(|p| p != Path::new("")).collect()
    }
}

/// Reads and checks a whole request. `input` is not touched for VERSION.
pub(crate) fn read(env: &Environment, input: &mut dyn Read) -> Result<Request, Refused> {
    let ids = identifiers(env).map_err(|error| refused(error, ""))?;
    if env.command == "VERSION" {
        return Ok(Request::Version);
    }
    let text = read_input(input).map_err(|error| refused(error, ""))?;
    let (name, version_text) = name_and_version(&text)?;
    let answer = |error| refused(error, &version_text);
    let version = supported(&env.command, &version_text).map_err(answer)?;
    let config = Config::new(text, name, version);
    let path = env.path();
    let Some((container, ifname)) = ids else {
        let call = NetworkCall { path, config };
        return Ok(match env.command.as_encoded_bytes() {
            b"GC" => Request::Gc(call),
            _ => Request::Status(call),
        });
    };
    let attachment = Attachment { network: config.name().clone(), container, ifname };
    let args_text = env.args.to_string_lossy().into_owned();
    let call = Call { attachment, netns: env.netns(), args_text, path, config };
    Ok(match env.command.as_encoded_bytes() {
        b"ADD" => Request::Add(call),
        b"CHECK" => Request::Check(call),
        _ => Request::Del(call),
    })
}

fn refused(error: Error, version: &str) -> Refused {
    let version = if version.is_empty() { Version::LATEST.as_str() } else { version };
    Refused { error, version: version.to_owned() }
}

/// Container id and interface name, for the verbs that have them. The first bad value wins over
/// missing ones; all missing ones are named together.
fn identifiers(env: &Environment) -> Result<Option<(ContainerId, IfName)>, Error> {
    let command = env.command.as_encoded_bytes();
    let attaches = matches!(command, b"ADD" | b"CHECK" | b"DEL");
    let mut missing = Vec::new();
    let mut ids = (None, None);
    if attaches {
        match env.container.is_empty() {
            true => missing.push("CNI_CONTAINERID"),
            false => ids.0 = Some(container_id(&env.container)?),
        }
        if env.netns.is_empty() && command != b"DEL" {
            missing.push("CNI_NETNS");
        }
        match env.ifname.is_empty() {
            true => missing.push("CNI_IFNAME"),
            false => ids.1 = Some(ifname(&env.ifname)?),
        }
    }
    // DEL does without: it needs a path only where it has to find a delegate.
    if env.path.is_empty() && matches!(command, b"ADD" | b"CHECK" | b"GC" | b"STATUS") {
        missing.push("CNI_PATH");
    }
    if !missing.is_empty() {
        let text = format!("required env variables [{}] missing", missing.join(","));
        return Err(Error::new(code::INVALID_ENVIRONMENT, text));
    }
    Ok(ids.0.zip(ids.1))
}

fn container_id(text: &OsString) -> Result<ContainerId, Error> {
    text.to_str().and_then(|t| t.parse().ok()).ok_or_else(|| {
        Error::new(code::INVALID_ENVIRONMENT, "invalid characters in containerID")
            .with_details(text.to_string_lossy())
    })
}

fn ifname(text: &OsString) -> Result<IfName, Error> {
    let error = |msg: String| Error::new(code::INVALID_ENVIRONMENT, msg);
    let Some(utf8) = text.to_str() else {
        return Err(
            error("interface name is not UTF-8".to_owned()).with_details(text.to_string_lossy())
        );
    };
    utf8.parse().map_err(|why: BadIfName| match why {
        BadIfName::TooLong => {
            error(why.to_string()).with_details("interface name should be less than 16 characters")
        }
        _ => error(why.to_string()),
    })
}

pub(crate) fn read_input(input: &mut dyn Read) -> Result<Vec<u8>, Error> {
    let mut text = Vec::with_capacity(4096);
    input
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|e| Error::new(code::IO, format!("error reading from stdin: {e}")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Error::new(
            code::DECODE,
            "error unmarshall network config: more than 16 MiB on stdin",
        ));
    }
    Ok(text)
}

/// A configuration as ADD takes it.
pub(crate) fn config(text: Vec<u8>) -> Result<Config, Refused> {
    let (name, version_text) = name_and_version(&text)?;
    let version =
        supported(&"ADD".into(), &version_text).map_err(|error| refused(error, &version_text))?;
    Ok(Config::new(text, name, version))
}

fn name_and_version(text: &[u8]) -> Result<(NetworkName, String), Refused> {
    let unreadable = |e: Error| {
        let text = format!("error unmarshall network config: {}", e.msg);
        refused(Error::new(code::DECODE, text), "")
    };
    let object = Object::parse(text).map_err(unreadable)?;
    let version = object.string("cniVersion");
    let echo = version.as_ref().ok().cloned().flatten().unwrap_or_default();
    let name = match object.string("name").map_err(unreadable)? {
        Some(name) if !name.is_empty() => name,
        _ => {
            let error = Error::new(code::INVALID_CONFIG, "missing network name")
                .with_hint("give the configuration a \"name\"");
            return Err(refused(error, &echo));
        }
    };
    let name = name.parse().map_err(|_| {
        let error = Error::new(code::INVALID_CONFIG, "invalid characters found in network name")
            .with_details(&name);
        refused(error, &echo)
    })?;
    let version = version.map_err(|e| {
        let text = format!("decoding version from network config: {}", e.msg);
        refused(Error::new(code::DECODE, text), "")
    })?;
    Ok((name, version.unwrap_or_default()))
}

/// Checks the verb, and the configuration's version against the verb and ourselves.
fn supported(command: &OsString, version: &str) -> Result<Version, Error> {
    let incompatible = |msg: &str| Error::new(code::INCOMPATIBLE_VERSION, msg);
    let since = match command.as_encoded_bytes() {
        b"ADD" | b"DEL" => None,
        b"CHECK" => Some([0, 4, 0]),
        b"GC" | b"STATUS" => Some([1, 1, 0]),
        _ => {
            let text = format!("unknown CNI_COMMAND: {}", command.to_string_lossy());
            return Err(Error::new(code::INVALID_ENVIRONMENT, text)
                .with_hint("CNI_COMMAND is one of ADD, CHECK, DEL, GC, STATUS, VERSION"));
        }
    };
    if let Some(since) = since {
        let verb = command.to_string_lossy();
        let asked = ordinal(version).map_err(|e| Error::new(code::DECODE, e))?;
        if asked < since {
            let [major, minor, micro] = since;
            return Err(incompatible(&format!("config version does not allow {verb}"))
                .with_hint(format!("{verb} needs cniVersion {major}.{minor}.{micro} or later")));
        }
        if asked > [1, 1, 0] {
            return Err(incompatible(&format!("plugin version does not allow {verb}")));
        }
    }
    version.parse().map_err(|_| {
        let ours: Vec<String> = Version::ALL.iter().map(|v| format!("\"{v}\"")).collect();
        incompatible("incompatible CNI versions")
            .with_details(format!("config is \"{version}\", plugin supports [{}]", ours.join(" ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(command: &str) -> Environment {
        Environment {
            command: command.into(),
            container: "c1".into(),
            netns: "/run/netns/c1".into(),
            ifname: "eth0".into(),
            path: "/opt/cni/bin".into(),
            ..Environment::default()
        }
    }

    fn error(env: &Environment, input: &str) -> Error {
        read(env, &mut input.as_bytes()).expect_err("a refusal").error
    }

    #[test]
    fn a_bad_id_wins_over_missing_variables_and_those_are_named_together() {
        let bad = Environment { container: "-x".into(), ifname: "".into(), ..env("ADD") };
        assert_eq!(error(&bad, "{}").msg, "invalid characters in containerID");
        let none = Environment { command: "ADD".into(), ..Environment::default() };
        assert_eq!(
            error(&none, "{}").msg,
            "required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"
        );
    }

    #[test]
    fn del_does_without_namespace_and_path() {
        let del = Environment { netns: "".into(), path: "".into(), ..env("DEL") };
        let request = read(&del, &mut br#"{"name":"n","cniVersion":"1.0.0"}"#.as_slice());
        assert!(matches!(request, Ok(Request::Del(call)) if call.netns.is_none()));
    }

    #[test]
    fn unknown_commands_are_refused_only_after_the_configuration_was_read() {
        assert_eq!(error(&env("NOPE"), "{}").msg, "missing network name");
        assert_eq!(error(&env("NOPE"), r#"{"name":"n"}"#).msg, "unknown CNI_COMMAND: NOPE");
    }

    #[test]
    fn verbs_have_their_oldest_version() {
        let text = |v: &str| format!(r#"{{"name":"n","cniVersion":"{v}"}}"#);
        assert_eq!(error(&env("CHECK"), &text("0.3.1")).msg, "config version does not allow CHECK");
        assert_eq!(error(&env("GC"), &text("1.0.0")).msg, "config version does not allow GC");
        assert_eq!(
            error(&env("STATUS"), &text("1.2.0")).msg,
            "plugin version does not allow STATUS"
        );
        let odd = error(&env("ADD"), &text("1.0"));
        assert_eq!((odd.code, odd.msg.as_str()), (1, "incompatible CNI versions"));
        assert!(odd.details.starts_with("config is \"1.0\", plugin supports [\"0.1.0\" \"0.2.0\""));
    }

    #[test]
    fn version_reads_nothing() {
        struct Closed;
        impl Read for Closed {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                panic!("VERSION must not read standard input")
            }
        }
        let env = Environment { command: "VERSION".into(), ..Environment::default() };
        assert!(matches!(read(&env, &mut Closed), Ok(Request::Version)));
    }
}
