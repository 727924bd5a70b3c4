//! The plugin `dnsname`.

cni::program!(cni::run(&dnsname::Dnsname));
