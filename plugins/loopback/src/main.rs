//! The drop-in plugin `loopback`.

fn main() -> std::process::ExitCode {
    cni::run(&loopback::Loopback)
}
