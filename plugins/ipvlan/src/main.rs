//! The drop-in plugin `ipvlan`.

fn main() -> std::process::ExitCode {
    cni::run(&ipvlan::Ipvlan)
}
