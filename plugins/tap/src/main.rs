//! The drop-in plugin `tap`.

cni::program!(cni::run(&tap::Tap));
