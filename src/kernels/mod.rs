//! The kernels, a family a module. Each has an obvious `f64` reference beside it, public, which tests and benches compare with.
//!
//! **What panics, and what spreads.** Shapes that disagree panic; so do settings without meaning, which the caller writes down: rates, momenta,
//! widths of noise, temperatures, exponents, ranks. The message names kernel, parameter and value. Numbers that are computed, matrices and single
//! ones (a gain, the factor of a [`Write`](dense::Write), a bias), are data: NaN and infinity spread, as each kernel says.
//! Labels are bytes, here as in files of images: at most 256 classes.
//!
//! **Error bounds** that are multiples of 2^-24 leave underflow and overflow apart, where a kernel does not speak of them. An operation whose result
//! is denormal may add half the smallest denormal, 2^-150, to what it is off by, which later factors multiply: [`verify`] allows for 4096 of
//! these. What is beyond `f32` on the way to a result makes it infinite or NaN.

pub mod activation;
pub mod adam;
pub mod dense;
pub mod entropy;
pub mod genotype;
pub mod hebbian;
pub mod loss;
pub mod masked;
pub mod particle;
pub mod perturb;
pub mod pixels;
pub mod plasticity;
pub mod verify;
mod winners;
mod xoshiro;

/// Refuses a setting that is NaN or infinite: it would make all that a kernel learns so, without a word.
#[track_caller]
fn finite(kernel: &str, name: &str, value: f32) {
    assert!(value.is_finite(), "{kernel}: {name} is {value}, not a finite number");
}

/// What tests compare where the bits are promised: of a NaN only that it is one, of a zero its sign too.
#[cfg(test)]
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}
