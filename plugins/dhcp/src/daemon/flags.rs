//! The flags of `dhcp daemon`: those of the reference, as Go reads them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::exchange::Patience;

/// What `dhcp daemon` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// Where to write the process id.
    pub(super) pidfile: Option<PathBuf>,
    /// Comes before every path: where the host's root is mounted.
    pub(super) host_prefix: String,
    /// Where to listen.
    pub(super) socket: PathBuf,
    /// Whether servers are to broadcast their answers.
    pub(super) broadcast: bool,
    /// How patient to be.
    pub(super) patience: Patience,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            pidfile: None,
            host_prefix: String::new(),
            socket: config::default_socket(),
            broadcast: false,
            patience: Patience {
                answer: Duration::from_secs(10),
                resend_most: Duration::from_secs(62),
                total: Duration::from_secs(208),
            },
        }
    }
}

pub(super) const USAGE: &str = "\
dhcp daemon keeps leases of containers whose network has \"ipam\": {\"type\": \"dhcp\"}.

  -broadcast            let servers broadcast their answers
  -hostprefix PREFIX    what comes before every path
  -pidfile PATH         where to write the process id; absolute
  -resendmax TIME       longest time between two questions (62s)
  -resendtimeout TIME   how long a lease is looked for (208s)
  -socketpath PATH      where to listen (/run/cni/dhcp.sock)
  -timeout TIME         how long an answer is waited for (10s)

TIME is a number with a unit: 500ms, 10s, 1m30s.";

impl Flags {
    /// Reads `-flag value`, `-flag=value`, each with one or two dashes.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let flag = flag.ok_or_else(|| format!("{argument:?} is no flag"))?;
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (flag, None),
            };
            if name == "broadcast" {
                flags.broadcast = match given {
                    None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
                    Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
                    Some(other) => {
                        return Err(format!("-broadcast: {other:?} is not true or false"));
                    }
                };
                continue;
            }
            let mut value = || {
                let value = given.or_else(|| arguments.next().map(String::as_str));
                value.ok_or_else(|| format!("-{name} needs a value"))
            };
            match name {
                "pidfile" => {
                    let path = PathBuf::from(value()?);
                    if !path.is_absolute() {
                        return Err(format!("-pidfile: {} is not absolute", path.display()));
                    }
                    flags.pidfile = Some(path);
                }
                "hostprefix" => value()?.clone_into(&mut flags.host_prefix),
                "socketpath" => flags.socket = PathBuf::from(value()?),
                "timeout" => flags.patience.answer = time(name, value()?)?,
                "resendmax" => flags.patience.resend_most = time(name, value()?)?,
                "resendtimeout" => flags.patience.total = time(name, value()?)?,
                _ => return Err(format!("-{name} is no flag of `dhcp daemon`")),
            }
        }
        Ok(flags)
    }
}

/// A duration as Go writes it.
fn time(flag: &str, text: &str) -> Result<Duration, String> {
    let bad = || format!("-{flag}: {text:?} is no time such as 500ms, 10s or 1m30s");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (digits, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(bad()),
        };
        let digits: f64 = digits.parse().map_err(|_| bad())?;
        let part = Duration::try_from_secs_f64(digits * seconds).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = behind;
    }
    if total.is_zero() { Err(bad()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Flags, String> {
        Flags::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let flags =
            parse("-hostprefix /host --socketpath=/s -timeout 1m30s -broadcast -pidfile /p");
        let flags = flags.unwrap();
        assert_eq!(flags.host_prefix, "/host");
        assert_eq!(flags.socket, PathBuf::from("/s"));
        assert_eq!(flags.patience.answer, Duration::from_secs(90));
        assert_eq!(flags.patience.total, Duration::from_secs(208));
        assert!(flags.broadcast);
        assert!(!parse("-broadcast=false").unwrap().broadcast);
        assert_eq!(parse("-timeout 1.5s").unwrap().patience.answer, Duration::from_millis(1500));
    }

    #[test]
    fn what_is_no_flag_is_named() {
        for (text, error) in [
            ("-pidfile p", "-pidfile: p is not absolute"),
            ("-timeout", "-timeout needs a value"),
            ("-timeout 10", "-timeout: \"10\" is no time such as 500ms, 10s or 1m30s"),
            ("-resendmax 0s", "-resendmax: \"0s\" is no time such as 500ms, 10s or 1m30s"),
            ("-v6", "-v6 is no flag of `dhcp daemon`"),
            ("stop", "\"stop\" is no flag"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }
}
