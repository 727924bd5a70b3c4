//! The plugin `none`.

cni::program!(cni::run(&none::NoNetwork));
