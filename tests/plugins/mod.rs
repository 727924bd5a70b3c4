//! What each plugin does, key by key.

mod bandwidth;
mod bridge;
mod dnsname;
mod example;
mod firewall;
mod host;
mod host_local;
mod loopback;
mod macvlan;
mod none;
mod portmap;
mod ptp;
mod sbr;
mod static_;
mod tuning;
mod user_bridge;
