//! The drop-in plugin `dummy`.

fn main() -> std::process::ExitCode {
    cni::run(&dummy::Dummy)
}
