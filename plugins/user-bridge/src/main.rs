//! The plugin `user-bridge`.

fn main() -> std::process::ExitCode {
    cni::run(&user_bridge::UserBridge)
}
