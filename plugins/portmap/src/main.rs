//! The plugin `portmap`.

cni::program!(cni::run(&portmap::Portmap));
