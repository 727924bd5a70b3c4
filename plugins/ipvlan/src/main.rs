//! The drop-in plugin `ipvlan`.

cni::program!(cni::run(&ipvlan::Ipvlan));
