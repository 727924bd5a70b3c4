//! The drop-in file `tuning`.

cni::program!(cni::run(&tuning::Tuning));
