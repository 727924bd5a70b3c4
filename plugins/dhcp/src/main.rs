//! The drop-in IPAM plugin `dhcp`, and its daemon, `dhcp daemon`.

cni::program!(dhcp::run_daemon_if_asked().unwrap_or_else(|| cni::run(&dhcp::Dhcp)));
