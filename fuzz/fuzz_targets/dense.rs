//! Kernels against their references: dense.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| neuropil_fuzz::differential(data, &["dense"]));
