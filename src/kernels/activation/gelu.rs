//! GELU, the Gaussian error linear unit: `x Phi(x)`, Phi the standard normal distribution (Hendrycks and Gimpel, 2016).
//!
//! `Phi(x) = (1 + erf(x / sqrt 2)) / 2` in every lane; no table, no branch.

use super::{Activation, backward, map};
use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::simd::{Simd, math};

/// `y = y Phi(y)`, in place.
///
/// Error: at most 5 u times the magnitude of the value before, u = 2^-24: absolute, so the far negative tail may become zero.
/// NaN stays NaN; plus infinity stays, minus infinity gives NaN (0 times infinity). One read and one write of `y`.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[0.0, 1.0, -1.0], 1, 3)?;
/// activation::gelu(&mut Context::new()?, y.view_mut());
/// assert!((y[(0, 1)] - 0.841_345).abs() < 1e-6 && (y[(0, 2)] + 0.158_655).abs() < 1e-6);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn gelu(context: &mut Context, y: MatMut<'_>) {
    map(context, y, Gelu);
}

/// The gradient by what entered a [`gelu`]: `gradient *= Phi(x) + x phi(x)`, phi the density.
///
/// Error: the factor's is at most 8 u, absolute, u = 2^-24; the product is rounded once more. A NaN or infinite x makes it NaN; what the gradient
/// was spreads as the product says. Cost: an exponential and an error function, two reads and a write a value.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let x = Matrix::from_slice(&[0.0, 1.0, -20.0], 1, 3)?;
/// let mut gradient = Matrix::from_slice(&[2.0, 1.0, 1.0], 1, 3)?;
/// activation::gelu_gradient(&mut Context::new()?, x.view(), gradient.view_mut());
/// assert_eq!((gradient[(0, 0)], gradient[(0, 2)]), (1.0, 0.0));
/// assert!((gradient[(0, 1)] - 1.083_315).abs() < 1e-6); // more than one: GELU's slope is at its largest near 1.4
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn gelu_gradient(context: &mut Context, x: MatRef<'_>, gradient: MatMut<'_>) {
    backward("gelu_gradient", context, x, gradient, Gelu);
}

#[derive(Clone, Copy)]
struct Gelu;

impl Activation for Gelu {
    #[inline(always)]
    fn value<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        gelu_lanes(s, x)
    }

    #[inline(always)]
    fn passed<S: Simd>(self, s: S, x: S::F32, gradient: S::F32) -> S::F32 {
        s.mul(gelu_slope_lanes(s, x), gradient)
    }
}

/// `Phi(x)`: an absolute error of at most 3 u.
#[inline(always)]
fn distribution<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let half = s.splat(0.5);
    s.mul_add(math::erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2))), half, half)
}

#[inline(always)]
pub(crate) fn gelu_lanes<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.mul(x, distribution(s, x))
}

/// `Phi(x) + x phi(x)`
#[inline(always)]
pub(crate) fn gelu_slope_lanes<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let density = math::exp(s, s.mul(s.mul(x, x), s.splat(-0.5)));
    s.mul_add(s.mul(x, s.splat(0.398_942_3)), density, distribution(s, x))
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use crate::kernels::bits;
    use crate::matrix::Matrix;
    use crate::parallel::Threads;
    use crate::simd::Isa;

    const U: f64 = 0.5 * f32::EPSILON as f64;

    #[test]
    fn values_and_slopes_stay_within_the_stated_errors_with_the_same_bits_on_every_set() {
        let x = Matrix::from_fn(41, 4001, |r, c| (r as f32 - 20.0 + c as f32 / 4001.0) / 2.0);
        let gradient = Matrix::from_fn(41, 4001, |r, c| (r as f32 - 20.5) * (c as f32 - 2000.5) / 4001.0);
        let mut first: Option<[Vec<u32>; 2]> = None;
        for (isa, threads) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let mut context = Context::on(isa).unwrap().with_threads(Threads::always(threads).unwrap());
            let (mut y, mut g) = (x.clone(), gradient.clone());
            gelu(&mut context, y.view_mut());
            gelu_gradient(&mut context, x.view(), g.view_mut());
            let (mut worst, mut worst_slope) = (0.0f64, 0.0f64);
            let pairs = g.as_slice().iter().zip(gradient.as_slice());
            for ((&x, &y), (&g, &before)) in x.as_slice().iter().zip(y.as_slice()).zip(pairs) {
                let (exact, before) = (f64::from(x), f64::from(before));
                let error = (f64::from(y) - reference::gelu(exact)).abs() / (U * exact.abs() + 1e-45);
                let passed = before * reference::gelu_slope(exact);
                // Less the one rounding of the product.
                let of_slope = ((f64::from(g) - passed).abs() - U * f64::from(g.abs())) / (U * before.abs());
                // NaN is within nothing.
                assert!(error <= 5.0 && of_slope <= 8.0, "{isa}, {x}: {error} u |x|, slope {of_slope} u");
                (worst, worst_slope) = (worst.max(error), worst_slope.max(of_slope));
            }
            println!("{isa}: {worst:.2} u |x|, slope {worst_slope:.2} u");
            let got = [y, g].map(|values| bits(values.as_slice()));
            assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{isa}: bits differ");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        let mut y = Matrix::from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0], 1, 5).unwrap();
        gelu(&mut Context::new().unwrap(), y.view_mut());
        assert!(y[(0, 0)].is_nan() && y[(0, 1)] == f32::INFINITY && y[(0, 2)].is_nan() && y[(0, 3)] == 0.0);
        assert!(y[(0, 4)] == 0.0 && y[(0, 4)].is_sign_negative());
        gelu(&mut Context::new().unwrap(), Matrix::zeros(0, 3).view_mut());
    }
}
