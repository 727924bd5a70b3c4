//! The drop-in plugin `ptp`.

fn main() -> std::process::ExitCode {
    cni::run(&ptp::Ptp)
}
