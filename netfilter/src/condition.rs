use types::Cidr;

/// What a packet must have beside the published port for a mapping to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub on: Match,
    /// Whether it must *not* be so.
    pub negated: bool,
}

/// A part of a packet and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Its source is in this network: `-s`, `ip saddr`.
    Source(Cidr),
    /// Its destination is in this network: `-d`, `ip daddr`.
    Destination(Cidr),
    /// It came by this link: `-i`, `iifname`. A `+` or `*` at the end stands for any rest.
    Iif(String),
    /// It leaves by this link: `-o`, `oifname`.
    Oif(String),
    /// Its transport protocol (`IPPROTO_*`): `-p`.
    Protocol(u8),
}
