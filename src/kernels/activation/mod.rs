//! Activations: ReLU, GELU, tanh, rectified power, k winners that take all, and the magnitude-preserving z-score of the Hebbian networks.
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

use super::winners::Winners;
use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{ITEM_VALUES, TOUCHED, for_each};
use crate::simd::{Kernel, LANES, Simd, dispatch, math};

/// Rows per work item: a function of the shape only.
fn rows_per_item(cols: usize) -> usize {
    ITEM_VALUES.div_ceil(cols.max(1))
}

/// `y = max(0, y)`, for y \[samples, units\]. NaN stays NaN, plus infinity stays, minus infinity becomes zero; zeros keep their sign. One read and
/// one write of `y`.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[-1.0, 2.0, -3.0, 4.0], 2, 2)?;
/// activation::relu(&mut Context::new()?, y.view_mut());
/// assert_eq!(y.as_slice(), &[0.0, 2.0, 0.0, 4.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn relu(context: &mut Context, y: MatMut<'_>) {
    map(context, y, Relu);
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
    backward("relu_gradient", context, x, gradient, Relu);
}

/// The gradient by what entered a [`tanh`], from what came out: `gradient *= 1 - y^2`.
///
/// y is what came out, which [`tanh`] leaves in place of what entered. Error: for y as it is, at most 2.01 times 2^-24, relative; as y is rounded
/// itself, the factor is off from the slope at what entered by up to 3.01 times 2^-24 more, absolute. NaN and infinities spread as in the product:
/// where y is 1 or -1 the factor is 0, which makes an infinite gradient NaN. No [`tanh`] gives a larger y; its factor is negative. Cost: two
/// reads and a write a value.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[-20.0, 0.0, 0.5493061], 1, 3)?;
/// let context = &mut Context::new()?;
/// activation::tanh(context, y.view_mut()); // -1, 0, 0.5
/// let mut gradient = Matrix::from_slice(&[3.0, 3.0, -2.0], 1, 3)?;
/// activation::tanh_gradient(context, y.view(), gradient.view_mut());
/// assert_eq!((gradient[(0, 0)], gradient[(0, 1)]), (0.0, 3.0));
/// assert!((gradient[(0, 2)] + 1.5).abs() < 1e-6);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes differ.
#[track_caller]
pub fn tanh_gradient(context: &mut Context, y: MatRef<'_>, gradient: MatMut<'_>) {
    backward("tanh_gradient", context, y, gradient, Tanh);
}

/// The gradient by what entered a [`power`]: `gradient *= n max(0, x)^(n-1)`, and zero where x is not above zero.
///
/// As [`relu_gradient`], which it is for n = 1: what the gradient was where x is zero (where the slope of an n below 1 is infinite) or negative
/// does not matter, NaN included, and a NaN x makes it NaN. An infinite x has the slope 0, 1 or infinity, for n below, at or above 1. Relative
/// error: at most `(2 |n - 1| + 7 + 4 f |ln x|)` times 2^-24, f what |n - 1| has behind the point, or 0 if that is a half, while `x^|n - 1|`, the
/// slope and the result are normal numbers. Cost: that of [`power`], another read, and a division if n is below 1.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let x = Matrix::from_slice(&[-2.0, 4.0, 9.0], 1, 3)?;
/// let mut gradient = Matrix::from_slice(&[1.0, 1.0, -2.0], 1, 3)?;
/// activation::power_gradient(&mut Context::new()?, x.view(), gradient.view_mut(), 1.5);
/// assert_eq!(gradient.as_slice(), &[0.0, 3.0, -9.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// Unless `0 < n <= 64`, or if the shapes differ.
#[track_caller]
pub fn power_gradient(context: &mut Context, x: MatRef<'_>, gradient: MatMut<'_>, n: f32) {
    check_power("power_gradient", n);
    backward("power_gradient", context, x, gradient, Power(n));
}

/// An activation y = f(x), sixteen values at a time.
trait Activation: Copy + Send + Sync {
    fn value<S: Simd>(self, s: S, x: S::F32) -> S::F32;
    /// What a gradient by y becomes by x.
    fn passed<S: Simd>(self, s: S, x: S::F32, gradient: S::F32) -> S::F32;
}

#[derive(Clone, Copy)]
struct Relu;

impl Activation for Relu {
    #[inline(always)]
    fn value<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        // The second operand where either is NaN.
        s.max(s.zero(), x)
    }

    /// The gradient where x is above zero, zero where it is not, x where it is no number.
    #[inline(always)]
    fn passed<S: Simd>(self, s: S, x: S::F32, gradient: S::F32) -> S::F32 {
        s.select(s.lt(s.zero(), x), gradient, s.select(s.le(x, s.zero()), s.zero(), x))
    }
}

#[derive(Clone, Copy)]
struct Tanh;

impl Activation for Tanh {
    #[inline(always)]
    fn value<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        math::tanh(s, x)
    }

    /// Of what came out.
    #[inline(always)]
    fn passed<S: Simd>(self, s: S, y: S::F32, gradient: S::F32) -> S::F32 {
        s.mul(s.neg_mul_add(y, y, s.splat(1.0)), gradient)
    }
}

#[derive(Clone, Copy)]
struct Power(f32);

impl Activation for Power {
    #[inline(always)]
    fn value<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        power_lanes(s, x, self.0)
    }

    #[inline(always)]
    fn passed<S: Simd>(self, s: S, x: S::F32, gradient: S::F32) -> S::F32 {
        let n = self.0;
        // The difference from 1 is exact, but for an n below a half.
        let power = power_lanes(s, x, (n - 1.0).abs());
        let power = if n < 1.0 { s.div(s.splat(1.0), power) } else { power };
        Relu.passed(s, x, s.mul(s.mul(s.splat(n), power), gradient))
    }
}

fn map<F: Activation>(context: &mut Context, y: MatMut<'_>, activation: F) {
    let isa = context.isa();
    let (rows, cols) = (y.rows(), y.cols());
    // However many rows of nothing there are.
    if cols == 0 {
        return;
    }
    let threads = context.threads().for_work([rows, cols, TOUCHED]);
    for_each(threads, y.row_blocks(rows_per_item(cols)), |y| dispatch(isa, Forward { y, activation }));
}

struct Forward<'a, F> {
    y: MatMut<'a>,
    activation: F,
}

impl<F: Activation> Kernel for Forward<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.y.rows() {
            let (vectors, tail) = self.y.row_mut(row).as_chunks_mut();
            for vector in vectors {
                s.store(self.activation.value(s, s.load(vector)), vector);
            }
            s.store_partial(self.activation.value(s, s.load_partial(tail)), tail);
        }
    }
}

#[track_caller]
fn backward<F: Activation>(name: &str, context: &mut Context, x: MatRef<'_>, gradient: MatMut<'_>, activation: F) {
    assert!(
        (x.rows(), x.cols()) == (gradient.rows(), gradient.cols()),
        "{name}: x is {} x {}, the gradient is {} x {}",
        x.rows(),
        x.cols(),
        gradient.rows(),
        gradient.cols()
    );
    if x.cols() == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([x.rows(), x.cols(), TOUCHED]);
    let rows = rows_per_item(x.cols());
    for_each(threads, gradient.row_blocks(rows).enumerate(), |(index, gradient)| {
        let x = x.rows_range(index * rows..index * rows + gradient.rows());
        dispatch(isa, Backward { x, gradient, activation });
    });
}

struct Backward<'a, 'b, F> {
    x: MatRef<'a>,
    gradient: MatMut<'b>,
    activation: F,
}

impl<F: Activation> Kernel for Backward<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.x.rows() {
            let (x, x_tail) = self.x.row(row).as_chunks::<LANES>();
            let (to, to_tail) = self.gradient.row_mut(row).as_chunks_mut::<LANES>();
            for (x, to) in x.iter().zip(to) {
                s.store(self.activation.passed(s, s.load(x), s.load(to)), to);
            }
            s.store_partial(self.activation.passed(s, s.load_partial(x_tail), s.load_partial(to_tail)), to_tail);
        }
    }
}

/// `y = max(0, y)^n`: the read-out of Krotov and Hopfield (PNAS 116(16), 2019, eq. 1 of the classifier) takes n = 4.5.
///
/// The whole part of `n` is raised by multiplication, a half by a square root, any other rest f by `exp(f ln y)`. The relative error
/// is at most `(2n + 4 + 3 f |ln y|)` times 2^-24, while the result is a normal number: the logarithm and its product with f are rounded, and
/// the exponential makes relative errors of absolute ones. NaN stays NaN, plus infinity stays, minus infinity becomes zero. One read and one write of
/// y \[samples, units\].
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
    check_power("power", n);
    map(context, y, Power(n));
}

#[track_caller]
fn check_power(kernel: &str, n: f32) {
    assert!(n > 0.0 && n <= 64.0, "{kernel}: n is {n}, not above 0 and at most 64");
}

/// k-winners-take-all: the k largest values of every row stay, all others become zero.
///
/// The winners are those of [`Competition::Top`](super::hebbian::Competition::Top), largest by value, not by magnitude: of equals the first
/// wins, NaN never does and becomes zero, so that fewer than k stay where fewer are numbers. Infinities compete as any value. Exact: what stays keeps
/// its bits. The same on every instruction set and for any number of threads, which share the rows.
/// Cost: two comparisons, a read and a write a value, and some steps for k values of a row and little more, unless many are equal or ascend. Memory:
/// some 36 bytes a winner for each thread.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation};
/// let mut y = Matrix::from_slice(&[0.5, -2.0, 1.0, f32::NAN, -3.0, -1.0, -1.0, -2.0], 2, 4)?;
/// activation::k_winners(&mut Context::new()?, y.view_mut(), 2);
/// assert_eq!(y.as_slice(), &[0.5, 0.0, 1.0, 0.0, 0.0, -1.0, -1.0, 0.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If k is zero or more than the columns, where there is one.
#[track_caller]
pub fn k_winners(context: &mut Context, y: MatMut<'_>, k: usize) {
    let (rows, cols) = (y.rows(), y.cols());
    if cols == 0 {
        return;
    }
    assert!(k >= 1 && k <= cols, "k_winners: {k} winners of {cols} columns");
    let (isa, threads) = (context.isa(), context.threads().for_work([rows, cols, TOUCHED]));
    for_each(threads, y.row_blocks(rows_per_item(cols)), |y| dispatch(isa, KeepWinners { y, k }));
}

struct KeepWinners<'a> {
    y: MatMut<'a>,
    k: usize,
}

impl Kernel for KeepWinners<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let mut winners = Winners::default();
        for row in 0..self.y.rows() {
            let values = self.y.row_mut(row);
            let kept = winners.of_row(s, values, self.k);
            kept.sort_unstable();
            let mut from = 0;
            for &winner in &*kept {
                values[from..winner as usize].fill(0.0);
                from = winner as usize + 1;
            }
            values[from..].fill(0.0);
        }
    }
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
    map(context, y, Tanh);
}

#[inline(always)]
fn power_lanes<S: Simd>(s: S, y: S::F32, n: f32) -> S::F32 {
    let y = Relu.value(s, y);
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
