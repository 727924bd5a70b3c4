//! The plugin `none`.

fn main() -> std::process::ExitCode {
    cni::run(&none::NoNetwork)
}
