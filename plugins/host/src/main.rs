//! The plugin `host`.

cni::program!(cni::run(&host::Host));
