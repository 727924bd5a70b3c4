//! The drop-in IPAM plugin `static`.

cni::program!({
    // Asked for so that this file carries the note by which plugins of the same build know it.
    std::hint::black_box(kernel::suite::build_id());
    cni::run(&ipam_cni::Static)
});
