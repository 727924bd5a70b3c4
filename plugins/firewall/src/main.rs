//! The plugin `firewall`.

cni::program!(cni::run(&firewall::Firewall));
