//! Sixteen values to sixteen bins, each exactly the one of [`reference::place`](super::reference::place).
//!
//! ```text
//! u = fma(x - low, bins / (high - low), -1/2)      in f32, clamped to [-1/4, bins - 3/4]
//! r = u rounded to the nearest integer             the bin, unless u is close to half way between two
//! ```
//! With t the exact quotient, `x - low` and the factor are each off by one rounding and u by a third, so |u - (t - 1/2)| is at most
//! 3.01 t 2^-24, and the reference's own t by 3 t 2^-53. Where |u - r| < 1/2 - bins 2^-22 both therefore lie strictly between r and r + 1,
//! and r is the reference's bin. (The clamp only moves values that are a quarter of a bin away from any inner edge.) If any of the
//! sixteen is closer to an edge, or outside the range, or no number, all of them are placed in `f64` as the reference does it: with 100
//! bins, that is one vector in a thousand of evenly spread values. The argument needs a normal factor and a difference that does not
//! overflow; the few ranges without these (widths below 1e-37 or beyond 3e38) always go through `f64`.

use super::Range;
use crate::simd::{LANES, Simd};

/// 1.5 * 2^23: added to a small number, it rounds it to an integer that then stands in the low bits.
pub(super) const INTEGER: f32 = 12_582_912.0;

/// The constants of one range with `bins` bins.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) low: f32,
    pub(super) high: f32,
    /// `bins / (high - low)`.
    pub(super) scale: f32,
    /// How far from half way u has to stay; negative if it may never be trusted.
    pub(super) trusted: f32,
}

impl Factors {
    pub(super) fn new(range: Range, bins: usize) -> Self {
        let (low, high) = (range.low(), range.high());
        let scale = (bins as f64 / (f64::from(high) - f64::from(low))) as f32;
        let trusted = 0.5 - bins as f32 / (1 << 22) as f32;
        if low == high {
            // All of x - low, u and r are then constant: bin 0.
            Factors { low, high, scale: 0.0, trusted }
        } else if scale.is_normal() && (high - low).is_finite() {
            Factors { low, high, scale, trusted }
        } else {
            Factors { low, high, scale: 0.0, trusted: -1.0 }
        }
    }
}

/// The same in lanes, which may belong to different ranges.
#[derive(Clone, Copy)]
pub(super) struct Binning<S: Simd> {
    pub(super) low: S::F32,
    pub(super) high: S::F32,
    pub(super) scale: S::F32,
    pub(super) trusted: S::F32,
    bins: usize,
}

impl<S: Simd> Binning<S> {
    #[inline(always)]
    pub(super) fn splat(s: S, factors: Factors, bins: usize) -> Self {
        let Factors { low, high, scale, trusted } = factors;
        Binning::new([s.splat(low), s.splat(high), s.splat(scale), s.splat(trusted)], bins)
    }

    #[inline(always)]
    pub(super) fn new([low, high, scale, trusted]: [S::F32; 4], bins: usize) -> Self {
        Binning { low, high, scale, trusted, bins }
    }

    /// The numbers of the values' bins; `bins` for below, `bins + 1` for above, `bins + 2` for NaN.
    #[inline(always)]
    pub(super) fn place(&self, s: S, x: S::F32) -> S::F32 {
        let u = s.mul_add(s.sub(x, self.low), self.scale, s.splat(-0.5));
        let u = s.min(s.max(u, s.splat(-0.25)), s.splat(self.bins as f32 - 0.75));
        let r = s.sub(s.add(u, s.splat(INTEGER)), s.splat(INTEGER));
        let trusted = s.mask_bits(s.lt(s.abs(s.sub(u, r)), self.trusted));
        let inside = s.mask_bits(s.le(self.low, x)) & s.mask_bits(s.le(x, self.high));
        if trusted & inside == u16::MAX { r } else { self.place_exactly(s, x) }
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
        s.load(&places)
    }
}
