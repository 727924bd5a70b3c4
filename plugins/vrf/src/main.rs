//! The drop-in file `vrf`.

cni::program!(cni::run(&vrf::Vrf));
