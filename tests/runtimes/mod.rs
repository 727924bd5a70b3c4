//! Real runtimes on the plugins under test: Debian's containerd and Podman, each in a lab.
//!
//! As on a host they run as root, and have a PID 1 that reaps what it adopts. Of the machine they
//! touch nothing but a control group of their own, which goes with the case.

mod containerd;
mod nerdctl;
mod podman;
mod podman_names;
mod podman_ports;
mod podman_rootless;
mod podman_rootless_names;
mod stage;
mod tree;
