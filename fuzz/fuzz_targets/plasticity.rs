//! Kernels against their references: plasticity, Adam.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| neuropil_fuzz::differential(data, &["adam", "plasticity"]));
