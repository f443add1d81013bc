//! Kernels against their references: activation, loss, pixels, and the elementary functions they are made of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| neuropil_fuzz::differential(data, &["activation", "loss", "pixels", "simd"]));
