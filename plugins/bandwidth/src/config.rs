//! What the user wrote and the runtime added: how fast, and whose packets.

use cni::json::Object;
use cni::schema::{Key, Kind};
use cni::{Config as Network, Error, code};
use kernel::tc::Bucket;
use types::Cidr;

/// Everything that `bandwidth` reads of a network configuration. A direction without a limit is
/// `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    /// To the container.
    pub(crate) ingress: Option<Bucket>,
    /// From the container.
    pub(crate) egress: Option<Bucket>,
    /// What is limited.
    pub(crate) subnets: Subnets,
}

/// Whose packets are limited, by the address of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subnets {
    /// All.
    #[default]
    All,
    /// Those of these networks.
    Only(Vec<Cidr>),
    /// Those of all other networks.
    Except(Vec<Cidr>),
}

const BITS: Kind = Kind::Integer(0, i64::MAX);

/// The keys of `bandwidth`, in the order of its page.
pub(crate) const KEYS: &[Key] = &[
    Key {
        path: "ingressRate",
        kind: BITS,
        default: "0 (no limit)",
        doc: "What the container may receive, in bits per second, from 8.",
    },
    Key {
        path: "ingressBurst",
        kind: BITS,
        default: "0",
        doc: "What it may receive at once after a pause, in bits; needed with ingressRate, and less than 34359738360. It has to hold a packet.",
    },
    Key {
        path: "egressRate",
        kind: BITS,
        default: "0 (no limit)",
        doc: "What the container may send, in bits per second, from 8.",
    },
    Key {
        path: "egressBurst",
        kind: BITS,
        default: "0",
        doc: "What it may send at once after a pause, in bits; needed with egressRate, and limited as ingressBurst is.",
    },
    Key {
        path: "shapedSubnets",
        kind: Kind::List,
        default: "[] (everything)",
        doc: "Networks with which traffic is limited; all other traffic is not. Excludes unshapedSubnets.",
    },
    Key {
        path: "unshapedSubnets",
        kind: Kind::List,
        default: "[]",
        doc: "Networks with which traffic is not limited; all other traffic is.",
    },
    Key {
        path: "runtimeConfig.bandwidth",
        kind: Kind::Object,
        default: "{}",
        doc: "The same six keys, from the runtime. Rates and bursts here count only where the plugin's object itself has none of those four.",
    },
    Key {
        path: "runtimeConfig.bandwidth.ingressRate",
        kind: BITS,
        default: "0 (no limit)",
        doc: "As ingressRate.",
    },
    Key {
        path: "runtimeConfig.bandwidth.ingressBurst",
        kind: BITS,
        default: "0",
        doc: "As ingressBurst.",
    },
    Key {
        path: "runtimeConfig.bandwidth.egressRate",
        kind: BITS,
        default: "0 (no limit)",
        doc: "As egressRate.",
    },
    Key {
        path: "runtimeConfig.bandwidth.egressBurst",
        kind: BITS,
        default: "0",
        doc: "As egressBurst.",
    },
    Key {
        path: "runtimeConfig.bandwidth.shapedSubnets",
        kind: Kind::List,
        default: "[]",
        doc: "As shapedSubnets, where the plugin's object has neither list.",
    },
    Key {
        path: "runtimeConfig.bandwidth.unshapedSubnets",
        kind: Kind::List,
        default: "[]",
        doc: "As unshapedSubnets, where the plugin's object has neither list.",
    },
];

/// The rates and bursts, any of which in the plugin's object makes all of the runtime's count for
/// nothing.
const OF_RATE: [&str; 4] = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];

impl Config {
    /// Reads what ADD and CHECK need.
    ///
    /// # Errors
    /// Codes 6 and 7, the key named.
    pub(crate) fn parse(network: &Network) -> Result<Self, Error> {
        let own = network.object()?;
        let runtime = network.runtime()?.object("bandwidth")?.unwrap_or_default();
        // Both are read, so that a wrong value is found wherever it stands.
        let (own_subnets, runtime_subnets) = (subnets(&own)?, subnets(&runtime)?);
        let (own_rates, runtime_rates) = (Rates::read(&own)?, Rates::read(&runtime)?);
        let is_own = OF_RATE.iter().any(|key| own.get(key).is_some());
        let rates = if is_own { own_rates } else { runtime_rates };
        let subnets = if own_subnets == Subnets::All { runtime_subnets } else { own_subnets };
        Ok(Self { ingress: rates.ingress, egress: rates.egress, subnets })
    }

    /// Whether nothing is limited.
    pub(crate) fn is_empty(&self) -> bool {
        self.ingress.is_none() && self.egress.is_none()
    }
}

struct Rates {
    ingress: Option<Bucket>,
    egress: Option<Bucket>,
}

impl Rates {
    fn read(keys: &Object<'_>) -> Result<Self, Error> {
        Ok(Self {
            ingress: bucket(keys, "ingressRate", "ingressBurst")?,
            egress: bucket(keys, "egressRate", "egressBurst")?,
        })
    }
}

/// Bits of a byte.
const BITS_PER_BYTE: u64 = 8;

fn bucket(keys: &Object<'_>, rate: &str, burst: &str) -> Result<Option<Bucket>, Error> {
    let bits = |key: &str| -> Result<u64, Error> {
        let number = keys.integer(key, 0..=i64::MAX)?.unwrap_or(0);
        Ok(u64::try_from(number).expect("integer() kept it from 0 on"))
    };
    // Called for keys that are there.
    let wrong = |key: &str, why: &str| match keys.get(key) {
        Some(value) => value.invalid(why),
        None => Error::new(code::INVALID_CONFIG, why),
    };
    let (rate_bits, burst_bits) = (bits(rate)?, bits(burst)?);
    // The reference's words.
    match (rate_bits, burst_bits) {
        (0, 0) => return Ok(None),
        (_, 0) => return Err(wrong(rate, "if rate is set, burst must also be set")),
        (0, _) => return Err(wrong(burst, "if burst is set, rate must also be set")),
        _ => {}
    }
    let hint = "rates are bits per second, bursts are bits";
    let bytes_per_second = rate_bits / BITS_PER_BYTE;
    if bytes_per_second == 0 {
        return Err(wrong(rate, "less than a byte each second").with_hint(hint));
    }
    match u32::try_from(burst_bits / BITS_PER_BYTE) {
        Ok(0) => Err(wrong(burst, "less than a byte").with_hint(hint)),
        Ok(burst_bytes) if burst_bytes < u32::MAX => {
            Ok(Some(Bucket { bytes_per_second, burst_bytes }))
        }
        _ => Err(wrong(burst, "burst cannot be more than 4GB").with_hint(hint)),
    }
}

fn subnets(keys: &Object<'_>) -> Result<Subnets, Error> {
    let networks = |key| -> Result<Vec<Cidr>, Error> {
        keys.list(key)?.iter().map(|value| value.parsed().map(Cidr::network)).collect()
    };
    let (only, except) = (networks("shapedSubnets")?, networks("unshapedSubnets")?);
    match (only.is_empty(), except.is_empty()) {
        (true, true) => Ok(Subnets::All),
        (false, true) => Ok(Subnets::Only(only)),
        (true, false) => Ok(Subnets::Except(except)),
        (false, false) => {
            let text = "unshapedSubnets and shapedSubnets cannot be both specified";
            Err(Error::new(code::INVALID_CONFIG, text).with_hint("leave one of them out"))
        }
    }
}
