//! The drop-in plugin `ptp`.

cni::program!(cni::run(&ptp::Ptp));
