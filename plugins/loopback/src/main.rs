//! The drop-in plugin `loopback`.

cni::program!(cni::run(&loopback::Loopback));
