//! The drop-in file `tuning`.

fn main() -> std::process::ExitCode {
    cni::run(&tuning::Tuning)
}
