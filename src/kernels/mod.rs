//! The kernels, a family a module. Each has an obvious `f64` reference beside it, public, which tests and benches compare with.

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
