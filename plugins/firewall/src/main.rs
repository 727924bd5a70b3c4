//! The plugin `firewall`.

fn main() -> std::process::ExitCode {
    cni::run(&firewall::Firewall)
}
