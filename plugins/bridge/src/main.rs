//! The drop-in plugin `bridge`.

cni::program!(cni::run(&bridge::Bridge));
