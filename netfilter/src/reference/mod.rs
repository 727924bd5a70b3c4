//! What the reference plugins write, in their own layout.

pub mod hostport_nft;
pub mod legacy;
pub mod masquerade_nft;
mod matching;
pub mod names;
pub mod spoof_nft;
mod unused;
