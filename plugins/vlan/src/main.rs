//! The drop-in plugin `vlan`.

cni::program!(cni::run(&vlan::Vlan));
