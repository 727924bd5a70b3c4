//! The plugin `user-bridge`.

cni::program!(cni::run(&user_bridge::UserBridge));
