#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| corpora::feed("peers", data));
