//! The kernels, a family a module. Each has an obvious `f64` reference beside it, public, which tests and benches compare with.

pub mod dense;
pub mod verify;
