//! The kernels, a family a module. Each has an obvious `f64` reference beside it, public, which tests and benches compare with.
//!
//! **What panics, and what spreads.** Shapes that disagree panic; so do settings without meaning, which the caller writes down: rates, momenta,
//! widths of noise, temperatures, exponents, ranks. The message names kernel, parameter and value. Numbers that are computed, matrices and single
//! ones (a gain, the factor of a [`Write`](dense::Write), a bias), are data: NaN and infinity spread, as each kernel says.
//! Labels are bytes, here as in files of images: at most 256 classes.

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

/// Refuses a setting that is NaN or infinite: it would make all that a kernel learns so, without a word.
#[track_caller]
fn finite(kernel: &str, name: &str, value: f32) {
    assert!(value.is_finite(), "{kernel}: {name} is {value}, not a finite number");
}
