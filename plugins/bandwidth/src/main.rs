//! The drop-in file `bandwidth`.

fn main() -> std::process::ExitCode {
    cni::run(&bandwidth::Bandwidth)
}
