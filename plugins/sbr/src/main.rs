//! The drop-in file `sbr`.

cni::program!(cni::run(&sbr::Sbr));
