//! The drop-in plugin `dummy`.

cni::program!(cni::run(&dummy::Dummy));
