//! The drop-in plugin `macvlan`.

fn main() -> std::process::ExitCode {
    cni::run(&macvlan::Macvlan)
}
