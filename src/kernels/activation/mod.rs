//! Activations: ReLU, GELU, tanh, rectified power, and the magnitude-preserving z-score of the Hebbian networks.
//!
//! All work in place on a batch `y` [samples, units], write each value once per pass, and give the same bits on every
//! instruction set and for any number of threads.

pub(crate) mod dropout;
pub(crate) mod gelu;
pub mod reference;
mod zscore;

pub use dropout::{Dropout, relu_dropout};
pub use gelu::{gelu, gelu_gradient};
pub use zscore::{Axis, magnitude_zscore};

use std::marker::PhantomData;

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch, math};

/// Values a work item holds at least: rows are grouped until they have this many.
const VALUES: usize = 32_768;
/// What an element-wise pass costs per value, in multiply-adds: it is bound by memory.
const COST: usize = 16;

/// Rows per work item: a function of the shape only.
fn rows_per_item(cols: usize) -> usize {
    VALUES.div_ceil(cols.max(1))
}

/// `y = max(0, y)`. NaN stays NaN; zeros keep their sign. One read and one write of `y`.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[-1.0, 2.0, -3.0, 4.0], 2, 2)?;
/// activation::relu(&mut Context::new()?, y.view_mut());
/// assert_eq!(y.as_slice(), &[0.0, 2.0, 0.0, 4.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn relu(context: &mut Context, y: MatMut<'_>) {
    map(context, y, Map::Relu);
}

/// The gradient by what entered a [`relu`]: `gradient = gradient 1{x > 0}`.
///
/// x is what entered, or what came out, which has the same sign. Where x is zero, of either sign, the slope is 0; what the gradient was there,
/// and where x is negative, does not matter, NaN included. A NaN x makes it NaN. Exact. Cost: two reads and a write a value.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let x = Matrix::from_slice(&[-1.0, 2.0, 0.0, 4.0], 2, 2)?;
/// let mut gradient = Matrix::from_slice(&[0.5, 0.5, 0.5, -0.5], 2, 2)?;
/// activation::relu_gradient(&mut Context::new()?, x.view(), gradient.view_mut());
/// assert_eq!(gradient.as_slice(), &[0.0, 0.5, 0.0, -0.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn relu_gradient(context: &mut Context, x: MatRef<'_>, gradient: MatMut<'_>) {
    backward::<Relu>("relu_gradient", context, x, gradient);
}

/// What a gradient by y = f(x) becomes by x, sixteen values at a time.
trait Slope {
    fn passed<S: Simd>(s: S, x: S::F32, gradient: S::F32) -> S::F32;
}

struct Relu;

impl Slope for Relu {
    /// The gradient where x is above zero, zero where it is not, x where it is no number.
    #[inline(always)]
    fn passed<S: Simd>(s: S, x: S::F32, gradient: S::F32) -> S::F32 {
        s.select(s.lt(s.zero(), x), gradient, s.select(s.le(x, s.zero()), s.zero(), x))
    }
}

#[track_caller]
fn backward<F: Slope>(name: &str, context: &mut Context, x: MatRef<'_>, gradient: MatMut<'_>) {
    assert!(
        (x.rows(), x.cols()) == (gradient.rows(), gradient.cols()),
        "{name}: x is {} x {}, the gradient is {} x {}",
        x.rows(),
        x.cols(),
        gradient.rows(),
        gradient.cols()
    );
    let isa = context.isa();
    let threads = context.threads().for_work(x.rows() * x.cols() * COST);
    let rows = rows_per_item(x.cols());
    for_each(threads, gradient.row_blocks(rows).enumerate(), |(index, gradient)| {
        let x = x.rows_range(index * rows..index * rows + gradient.rows());
        dispatch(isa, Backward { x, gradient, slope: PhantomData::<F> });
    });
}

struct Backward<'a, 'b, F> {
    x: MatRef<'a>,
    gradient: MatMut<'b>,
    slope: PhantomData<F>,
}

impl<F: Slope> Kernel for Backward<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.x.rows() {
            let (x, x_tail) = self.x.row(row).as_chunks::<LANES>();
            let (to, to_tail) = self.gradient.row_mut(row).as_chunks_mut::<LANES>();
            for (x, to) in x.iter().zip(to) {
                s.store(F::passed(s, s.load(x), s.load(to)), to);
            }
            s.store_partial(F::passed(s, s.load_partial(x_tail), s.load_partial(to_tail)), to_tail);
        }
    }
}

/// `y = max(0, y)^n`: the read-out of Krotov and Hopfield (PNAS 116(16), 2019, eq. 1 of the classifier) takes n = 4.5.
///
/// The whole part of `n` is raised by multiplication, a half by a square root, any other rest f by `exp(f ln y)`. The relative error
/// is at most `(2n + 4 + 3 f |ln y|)` times 2^-24, while the result is a normal number: the logarithm and its product with f are rounded, and
/// the exponential makes relative errors of absolute ones. NaN stays NaN. One read and one write of y.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[-2.0, 4.0, 9.0], 1, 3)?;
/// activation::power(&mut Context::new()?, y.view_mut(), 1.5);
/// assert_eq!(y.as_slice(), &[0.0, 8.0, 27.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// Unless `0 < n <= 64`.
#[track_caller]
pub fn power(context: &mut Context, y: MatMut<'_>, n: f32) {
    assert!(n > 0.0 && n <= 64.0, "power: n is {n}, not above 0 and at most 64");
    map(context, y, Map::Power(n));
}

/// `y = tanh(y)`, within 1.5 units of the last place ([`math::tanh`]). NaN stays NaN, zeros keep their sign. One read and one write of y.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[-20.0, 0.5], 1, 2)?;
/// activation::tanh(&mut Context::new()?, y.view_mut());
/// assert_eq!(y.as_slice(), &[-1.0, 0.5f32.tanh()]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn tanh(context: &mut Context, y: MatMut<'_>) {
    map(context, y, Map::Tanh);
}

#[derive(Clone, Copy)]
enum Map {
    Relu,
    Tanh,
    Power(f32),
}

fn map(context: &mut Context, y: MatMut<'_>, map: Map) {
    let isa = context.isa();
    let (rows, cols) = (y.rows(), y.cols());
    let threads = context.threads().for_work(rows * cols * COST);
    for_each(threads, y.row_blocks(rows_per_item(cols)), |y| dispatch(isa, MapRows { map, y }));
}

struct MapRows<'a> {
    map: Map,
    y: MatMut<'a>,
}

impl Kernel for MapRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.y.rows() {
            let (vectors, tail) = self.y.row_mut(row).as_chunks_mut();
            match self.map {
                Map::Relu => {
                    for vector in vectors {
                        s.store(relu_lanes(s, s.load(vector)), vector);
                    }
                    s.store_partial(relu_lanes(s, s.load_partial(tail)), tail);
                }
                Map::Tanh => {
                    for vector in vectors {
                        s.store(math::tanh(s, s.load(vector)), vector);
                    }
                    s.store_partial(math::tanh(s, s.load_partial(tail)), tail);
                }
                Map::Power(n) => {
                    for vector in vectors {
                        s.store(power_lanes(s, s.load(vector), n), vector);
                    }
                    s.store_partial(power_lanes(s, s.load_partial(tail), n), tail);
                }
            }
        }
    }
}

#[inline(always)]
fn relu_lanes<S: Simd>(s: S, y: S::F32) -> S::F32 {
    // The second operand where either is NaN.
    s.max(s.zero(), y)
}

#[inline(always)]
fn power_lanes<S: Simd>(s: S, y: S::F32, n: f32) -> S::F32 {
    let y = relu_lanes(s, y);
    let whole = n.floor();
    let rest = n - whole;
    let (mut factor, mut bits, mut product) = (y, whole as u32, s.splat(1.0));
    while bits > 0 {
        if bits & 1 == 1 {
            product = s.mul(product, factor);
        }
        factor = s.mul(factor, factor);
        bits >>= 1;
    }
    if rest == 0.5 {
        s.mul(product, s.sqrt(y))
    } else if rest > 0.0 {
        s.mul(product, math::exp(s, s.mul(s.splat(rest), math::ln(s, y))))
    } else {
        product
    }
}

#[cfg(test)]
mod tests;
