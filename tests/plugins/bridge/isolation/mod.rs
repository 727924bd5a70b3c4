//! Networks kept apart: `isolate`, `internal`, `icc`, `gatewayMode`.

/// Stamps `case` over both families, with frames of bridges hidden from the packet filter and shown.
macro_rules! stamp_frames {
    ($case:ident) => {
        stamp!(lab_with_plugins, $case,
            ipv4_with_frames_hidden: (Family::V4, Frames::Hidden),
            ipv4_with_frames_shown: (Family::V4, Frames::Shown),
            ipv6_with_frames_hidden: (Family::V6, Frames::Hidden),
            ipv6_with_frames_shown: (Family::V6, Frames::Shown));
    };
}

mod change;
mod icc;
mod keys;
mod matrix;
mod modes;
mod probe;
mod town;
