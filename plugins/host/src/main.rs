//! The plugin `host`.

fn main() -> std::process::ExitCode {
    cni::run(&host::Host)
}
