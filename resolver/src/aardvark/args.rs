use std::path::PathBuf;

use names::Name;

/// What the program is called with: as `aardvark-dns` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// The directory of networks.
    pub dir: PathBuf,
    /// The port to listen at.
    pub port: u16,
    /// What may follow every name.
    pub suffix: Option<Name>,
    /// What to do.
    pub verb: Verb,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Answer.
    Run,
    /// Say the version.
    Version,
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// What is wrong with which.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Self { dir: PathBuf::new(), port: 5533, suffix: None, verb: Verb::Run };
        let mut verb = None;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (key, given) = match argument.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || given.clone().or_else(|| arguments.next());
            match key.as_str() {
                "-c" | "--config" => {
                    args.dir = value().ok_or("--config needs a directory")?.into();
                }
                "-p" | "--port" => {
                    let text = value().ok_or("--port needs a number")?;
                    args.port =
                        text.parse().map_err(|error| format!("--port {text:?}: {error}"))?;
                }
                "--filter-search-domain" => {
                    let text = value().ok_or("--filter-search-domain needs a domain")?;
                    let plain = text.trim_matches('.');
                    let parsed = plain.parse();
                    args.suffix = Some(
                        parsed.map_err(|why| format!("--filter-search-domain {text:?} {why}"))?,
                    );
                }
                "run" => verb = Some(Verb::Run),
                "version" | "--version" | "-V" => verb = Some(Verb::Version),
                other => return Err(format!("unknown argument {other:?}")),
            }
        }
        args.verb = verb.ok_or("what to do? run, or version")?;
        if args.verb == Verb::Run && args.dir.as_os_str().is_empty() {
            return Err("run needs --config with the directory of networks".to_owned());
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Args, String> {
        Args::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_arguments_of_netavark_are_understood() {
        let expected = Args {
            dir: "/run/d".into(),
            port: 53,
            suffix: Some("dns.podman".parse().unwrap()),
            verb: Verb::Run,
        };
        for text in [
            "--config /run/d -p 53 --filter-search-domain .dns.podman run",
            "run -c=/run/d --port=53 --filter-search-domain=dns.podman.",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text}");
        }
        assert_eq!(parse("version").unwrap().verb, Verb::Version);
    }

    #[test]
    fn nonsense_is_told() {
        for (text, why) in [
            ("", "what to do?"),
            ("run", "run needs --config"),
            ("run -c /d -p x", "--port \"x\""),
            ("run -c /d -p", "--port needs"),
            ("fly", "unknown argument \"fly\""),
            (
                "run -c /d --filter-search-domain a..b",
                "--filter-search-domain \"a..b\" has an empty",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
