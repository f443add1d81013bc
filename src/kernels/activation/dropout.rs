//! ReLU and dropout in one pass, masks made where they are used and never stored.
//!
//! ```text
//! per block of rows with 4096 values or a little more, from its own stream: sixteen lanes of xoshiro128++
//!   for each row, 32 values at a time: b = one step in every lane
//!     16 values kept where the low  16 bits of b are at least 65536 p, rounded
//!     16 values kept where the high 16 bits of b are
//! ```
//! 16 bits a mask: the rate is off by at most 2^-17, a fortieth of its own sampling error over a million values.

use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::xoshiro::{Generators, PAIR};
use crate::matrix::MatMut;
use crate::parallel::{TOUCHED, for_each};
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Values that come from one seeding, at least. Part of the definition of the masks: changing it changes every one.
const BLOCK: usize = 4096;

/// A share of values to drop, and what the others are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Of 65536.
    pub(crate) threshold: u32,
    pub(crate) scale: f32,
}

impl Dropout {
    /// What [`Dropout::new`] asks for.
    pub(crate) const RANGE: &str = "a number from 0 to 65535 / 65536";

    /// Drops values with probability p, which is `rate` to the nearest of 65536, and scales the rest by `1 / (1 - rate)`
    /// ("inverted" dropout; Srivastava et al., JMLR 15, 2014).
    ///
    /// The scale is that of the rate as it is given. So means stay where 65536 times the rate is a whole number; elsewhere they are
    /// multiplied by `(1 - p) / (1 - rate)`, which is within `2^-17 / (1 - rate)` of one: 1.000004 at a rate of 0.2, but 0.76 at 0.99998.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the rate is 0 or more and, so rounded, at most 65535 / 65536.
    pub fn new(rate: f64) -> Result<Self> {
        let threshold = (rate * 65536.0).round();
        if !(0.0..1.0).contains(&rate) || threshold > 65535.0 {
            return Err(Error::setting("dropout", Self::RANGE, rate));
        }
        Ok(Dropout { threshold: threshold as u32, scale: (1.0 / (1.0 - rate)) as f32 })
    }

    /// The probability that a value is dropped: the rate asked for, to the nearest of 65536.
    pub fn rate(&self) -> f64 {
        f64::from(self.threshold) / 65536.0
    }

    /// What kept values are multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }
}

/// `y = d max(0, y)`, where d is 0 with the dropout's probability and its scale otherwise, independently for every value of y \[samples, units\].
///
/// A value's mask depends on the stream, its row, its column and the number of columns, never on threads or instruction set. Kept
/// values have one rounding. What is dropped becomes zero, NaN and infinity included; where they are kept NaN stays NaN, plus infinity stays, and
/// minus infinity becomes zero. One read and one write of `y`.
///
/// ```
/// use neuropil::{Context, Matrix, kernels::activation::{Dropout, relu_dropout}, random::Stream};
/// let mut y = Matrix::from_fn(100, 100, |_, _| 1.0);
/// relu_dropout(&mut Context::new()?, y.view_mut(), Dropout::new(0.2)?, Stream::new(1, "dropout"));
/// let dropped = y.as_slice().iter().filter(|&&y| y == 0.0).count();
/// assert!((1800..2200).contains(&dropped));
/// assert!(y.as_slice().iter().all(|&y| y == 0.0 || y == 1.25));
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn relu_dropout(context: &mut Context, y: MatMut<'_>, dropout: Dropout, stream: Stream) {
    if y.cols() == 0 {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([y.rows(), y.cols(), TOUCHED]);
    let rows = rows_per_block(y.cols());
    for_each(threads, y.row_blocks(rows).zip(0..), |(y, block)| {
        dispatch(isa, Pass { y, dropout, stream: stream.item(block) });
    });
}

/// Rows whose masks come from one seeding.
pub(super) fn rows_per_block(cols: usize) -> usize {
    BLOCK.div_ceil(cols.max(1))
}

struct Pass<'a> {
    y: MatMut<'a>,
    dropout: Dropout,
    stream: Stream,
}

impl Kernel for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let mut masks = Masks::seeded(s, self.dropout, self.stream);
        for row in 0..self.y.rows() {
            let (pairs, tail) = self.y.row_mut(row).as_chunks_mut::<PAIR>();
            for pair in pairs {
                let halves = pair.as_chunks_mut::<LANES>().0;
                let [a, b] = masks.relu_pair([s.load(&halves[0]), s.load(&halves[1])]);
                s.store(a, &mut halves[0]);
                s.store(b, &mut halves[1]);
            }
            if !tail.is_empty() {
                let (first, second) = tail.split_at_mut(tail.len().min(LANES));
                let [a, b] = masks.relu_pair([s.load_partial(first), s.load_partial(second)]);
                s.store_partial(a, first);
                s.store_partial(b, second);
            }
        }
    }
}

/// The masks of a block, thirty-two at a time.
#[derive(Clone, Copy)]
pub(crate) struct Masks<S: Simd> {
    simd: S,
    generators: Generators<S>,
    threshold: S::F32,
    scale: S::F32,
}

impl<S: Simd> Masks<S> {
    #[inline(always)]
    pub(crate) fn seeded(simd: S, dropout: Dropout, stream: Stream) -> Self {
        let threshold = simd.splat(dropout.threshold as f32);
        Masks { simd, generators: Generators::seeded(simd, stream), threshold, scale: simd.splat(dropout.scale) }
    }

    /// ReLU and dropout of the next two vectors.
    #[inline(always)]
    pub(crate) fn relu_pair(&mut self, [a, b]: [S::F32; 2]) -> [S::F32; 2] {
        let s = self.simd;
        let bits = self.generators.bits();
        let low = s.from_i32(s.and(bits, s.splat_u32(0xffff)));
        let high = s.from_i32(s.shr::<16>(bits));
        // The operands' order keeps NaN. No closure: one that did not inline would lose the instruction set.
        let (a, b) = (s.mul(s.max(s.zero(), a), self.scale), s.mul(s.max(s.zero(), b), self.scale));
        [s.select(s.lt(low, self.threshold), s.zero(), a), s.select(s.lt(high, self.threshold), s.zero(), b)]
    }
}
