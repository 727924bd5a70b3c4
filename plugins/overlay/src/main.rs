//! The plugin `overlay`.

cni::program!(cni::run(&overlay::Overlay));
