//! The drop-in plugin `macvlan`.

cni::program!(cni::run(&macvlan::Macvlan));
