#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corpora::feed("overlay_record", data));
