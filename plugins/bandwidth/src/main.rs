//! The drop-in file `bandwidth`.

cni::program!(cni::run(&bandwidth::Bandwidth));
