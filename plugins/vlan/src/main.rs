//! The drop-in plugin `vlan`.

fn main() -> std::process::ExitCode {
    cni::run(&vlan::Vlan)
}
