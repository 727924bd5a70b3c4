//! The drop-in plugin `bridge`.

fn main() -> std::process::ExitCode {
    cni::run(&bridge::Bridge)
}
