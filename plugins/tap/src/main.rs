//! The drop-in plugin `tap`.

fn main() -> std::process::ExitCode {
    cni::run(&tap::Tap)
}
