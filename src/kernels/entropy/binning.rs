//! Sixteen values to sixteen bins, each exactly the one of [`reference::place`](super::reference::place).
//!
//! ```text
//! u = fma(x - low, bins / (high - low), -1/2)      in f32, clamped to [-1/4, bins - 3/4]
//! r = u rounded to the nearest integer             the bin, unless u is close to half way between two
//! ```
//! With t the exact quotient, `x - low` and the factor are each off by one rounding and u by a third, so |u - (t - 1/2)| is at most
//! 3.01 bins 2^-24, and the reference's own t is off by 3 bins 2^-53. Where |u - r| < 1/2 - bins 2^-22 both therefore lie strictly
//! between r and r + 1, and r is the reference's bin. (The clamp only moves what is about a quarter of a bin away from any inner edge, or
//! outside.) Values closer to an edge, outside the range, or no numbers are *doubtful*: they are placed in `f64` as the reference does it.
//! With 100 bins, that is one vector in a thousand of evenly spread values. The argument needs a normal factor and a difference that
//! does not overflow; in the few ranges without these (widths below 1e-36 or beyond 3e38) the factor is NaN and every value is doubtful.
//!
//! Doubt is gathered in bits, over as many vectors as one test shall serve: the signs of `x - low` and `high - x`, and whether
//! `(u - r)^2 + 1 - (1/2 - (bins + 1) 2^-22)^2` reaches one, which shows in the lowest bit of its exponent, as NaN does. (One more in the
//! margin covers the two roundings of that sum.)

use super::Range;
use crate::simd::math::ROUND;
use crate::simd::{LANES, Simd};

/// The constants of one range with `bins` bins.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) low: f32,
    pub(super) high: f32,
    /// `bins / (high - low)`; NaN if it cannot be trusted.
    pub(super) scale: f32,
}

impl Factors {
    pub(super) fn new(range: Range, bins: usize) -> Self {
        // A lower end of -0, so that x - low is +0 for either zero: its sign is what tells the values below.
        let (low, high) = (if range.low() == 0.0 { -0.0 } else { range.low() }, range.high());
        let scale = (bins as f64 / (f64::from(high) - f64::from(low))) as f32;
        if low == high {
            // u and r are then constant inside: bin 0.
            Factors { low, high, scale: 0.0 }
        } else if scale.is_normal() && (high - low).is_finite() {
            Factors { low, high, scale }
        } else {
            Factors { low, high, scale: f32::NAN }
        }
    }
}

/// What `(u - r)^2` lacks to one where doubt begins.
#[inline(always)]
fn lacking(bins: usize) -> f32 {
    let trusted = 0.5 - (bins + 1) as f64 / f64::from(1 << 22);
    (1.0 - trusted * trusted) as f32
}

/// The same in lanes, which may belong to different ranges.
#[derive(Clone, Copy)]
pub(super) struct Binning<S: Simd> {
    low: S::F32,
    high: S::F32,
    scale: S::F32,
    /// [`ROUND`], and a number on top of it that is returned with the bins'.
    zero: S::F32,
    bins: usize,
}

/// What is known of the vectors placed so far, in every lane.
#[derive(Clone, Copy)]
pub(super) struct Doubt<S: Simd> {
    /// The sign: some value lies outside.
    outside: S::U32,
    /// Bit 23: some value lies close to an edge or is no number.
    close: S::U32,
}

impl<S: Simd> Doubt<S> {
    #[inline(always)]
    pub(super) fn none(s: S) -> Self {
        Doubt { outside: s.splat_u32(0), close: s.splat_u32(0) }
    }

    #[inline(always)]
    pub(super) fn any(self, s: S) -> bool {
        let sign = s.and(s.or(self.outside, s.shl::<8>(self.close)), s.splat_u32(1 << 31));
        let one = s.from_bits(s.or(sign, s.splat_u32(1f32.to_bits())));
        s.mask_bits(s.lt(one, s.zero())) != 0
    }
}

impl<S: Simd> Binning<S> {
    #[inline(always)]
    pub(super) fn splat(s: S, factors: Factors, bins: usize) -> Self {
        let Factors { low, high, scale } = factors;
        Binning::new([low, high, scale, ROUND].map(|value| s.splat(value)), bins)
    }

    #[inline(always)]
    pub(super) fn new([low, high, scale, zero]: [S::F32; 4], bins: usize) -> Self {
        Binning { low, high, scale, zero, bins }
    }

    /// The numbers of the values' bins on top of `zero`, unless there is doubt.
    #[inline(always)]
    pub(super) fn guess(&self, s: S, x: S::F32, doubt: &mut Doubt<S>) -> S::F32 {
        let (from, to) = (s.sub(x, self.low), s.sub(self.high, x));
        let u = s.mul_add(from, self.scale, s.splat(-0.5));
        // NaN, as the second operand, stays.
        let u = s.min(s.splat(self.bins as f32 - 0.75), s.max(s.splat(-0.25), u));
        let shifted = s.add(u, self.zero);
        let r = s.sub(shifted, self.zero);
        let off = s.sub(u, r);
        doubt.close = s.or(doubt.close, s.to_bits(s.mul_add(off, off, s.splat(lacking(self.bins)))));
        doubt.outside = s.or(doubt.outside, s.or(s.to_bits(from), s.to_bits(to)));
        shifted
    }

    /// The numbers of the values' bins on top of `zero`; `bins` for below, `bins + 1` for above, `bins + 2` for NaN.
    #[inline(always)]
    pub(super) fn place(&self, s: S, x: S::F32) -> S::F32 {
        let mut doubt = Doubt::none(s);
        let guess = self.guess(s, x, &mut doubt);
        if doubt.any(s) { self.place_exactly(s, x) } else { guess }
    }

    /// The same by the reference's operations.
    #[inline(always)]
    fn place_exactly(&self, s: S, x: S::F32) -> S::F32 {
        let (x, low, high) = (s.lanes(x), s.lanes(self.low), s.lanes(self.high));
        let (bins, mut places) = (self.bins as f64, [0.0; LANES]);
        for i in 0..LANES {
            let (from, width) = (f64::from(x[i]) - f64::from(low[i]), f64::from(high[i]) - f64::from(low[i]));
            let bin = if width > 0.0 { (from * bins / width).floor().min(bins - 1.0) } else { 0.0 };
            places[i] = if x[i] < low[i] {
                bins as f32
            } else if x[i] > high[i] {
                bins as f32 + 1.0
            } else if x[i].is_nan() {
                bins as f32 + 2.0
            } else {
                bin as f32
            };
        }
        s.add(s.load(&places), self.zero)
    }
}
