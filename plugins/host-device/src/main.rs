//! The drop-in plugin `host-device`.

cni::program!(cni::run(&host_device::HostDevice));
