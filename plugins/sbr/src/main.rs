//! The drop-in file `sbr`.

fn main() -> std::process::ExitCode {
    cni::run(&sbr::Sbr)
}
