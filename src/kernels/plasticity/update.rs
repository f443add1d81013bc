//! The updates: an outer product of signals and activities, summed over the batch in registers and used up there.
//!
//! ```text
//! for each 4096 inputs:                                       a work item
//!     for each 5 units, for each 4 vectors of inputs:
//!         sums = 0; for each sample: load 4 vectors of h, 20 multiply-adds
//!         w by the rule, from the sums
//! ```
//! Legal for any shape. Units whose signals are all zero are left out where that changes nothing.

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Inputs of a work item.
const CHUNK: usize = 4096;
/// Units whose sums are kept side by side.
const UNITS: usize = 5;

/// What the sums do to w.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Replace it.
    Gradient,
    /// Move it by this rate against their sign.
    Sign(f32),
    /// Move it by this rate against them, each input counting as fired or not.
    Fired(f32),
}

pub(super) fn update(context: &mut Context, h: MatRef<'_>, d: MatRef<'_>, w: MatMut<'_>, rule: Rule) {
    let (batch, inputs) = (h.rows(), h.cols());
    // However many units there are.
    if inputs == 0 {
        return;
    }
    let silent = |unit: usize| (0..batch).all(|sample| d.row(sample)[unit] == 0.0);
    let units: Vec<usize> = (0..d.cols()).filter(|&unit| !matches!(rule, Rule::Fired(_)) || !silent(unit)).collect();
    if units.is_empty() {
        return;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([batch, inputs, units.len()]);
    let mut rest = Some(w);
    let items = (0..inputs.div_ceil(CHUNK)).map(|chunk| {
        let w = rest.take().expect("split once for each chunk");
        let width = CHUNK.min(w.cols());
        let (w, after) = w.split_columns(width);
        rest = Some(after);
        Chunk { h: h.columns(chunk * CHUNK..chunk * CHUNK + width), d, units: &units, w, rule }
    });
    for_each(threads, items, |chunk| dispatch(isa, chunk));
}

struct Chunk<'a, 'b> {
    h: MatRef<'a>,
    d: MatRef<'a>,
    units: &'a [usize],
    w: MatMut<'b>,
    rule: Rule,
}

impl Kernel for Chunk<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let whole = self.h.cols() / LANES;
        let (groups, rest) = self.units.as_chunks::<UNITS>();
        for units in groups {
            self.vectors::<S, UNITS>(s, *units, whole);
        }
        for unit in rest {
            self.vectors::<S, 1>(s, [*unit], whole);
        }
    }
}

impl Chunk<'_, '_> {
    #[inline(always)]
    fn vectors<S: Simd, const C: usize>(&mut self, s: S, units: [usize; C], whole: usize) {
        let mut v = 0;
        while S::REGISTERS >= 32 && v + 4 <= whole {
            self.group::<S, C, 4>(s, units, v);
            v += 4;
        }
        while v < whole {
            self.group::<S, C, 1>(s, units, v);
            v += 1;
        }
        if whole * LANES < self.h.cols() {
            self.tail::<S, C>(s, units, whole);
        }
    }

    #[inline(always)]
    fn group<S: Simd, const C: usize, const V: usize>(&mut self, s: S, units: [usize; C], first: usize) {
        let fired = matches!(self.rule, Rule::Fired(_));
        let mut sums = [[s.zero(); V]; C];
        for sample in 0..self.h.rows() {
            let h: &[[f32; LANES]] = &self.h.row(sample).as_chunks().0[first..first + V];
            let d = self.d.row(sample);
            let mut x = [s.zero(); V];
            for v in 0..V {
                x[v] = presynaptic(s, fired, s.load(&h[v]));
            }
            for c in 0..C {
                let signal = s.splat(d[units[c]]);
                for v in 0..V {
                    sums[c][v] = s.mul_add(signal, x[v], sums[c][v]);
                }
            }
        }
        for c in 0..C {
            let w = &mut self.w.row_mut(units[c]).as_chunks_mut().0[first..first + V];
            for v in 0..V {
                s.store(changed(s, self.rule, s.load(&w[v]), sums[c][v]), &mut w[v]);
            }
        }
    }

    #[inline(always)]
    fn tail<S: Simd, const C: usize>(&mut self, s: S, units: [usize; C], whole: usize) {
        let fired = matches!(self.rule, Rule::Fired(_));
        for c in 0..C {
            let mut sum = s.zero();
            for sample in 0..self.h.rows() {
                let x = presynaptic(s, fired, s.load_partial(&self.h.row(sample)[whole * LANES..]));
                sum = s.mul_add(s.splat(self.d.row(sample)[units[c]]), x, sum);
            }
            let w = &mut self.w.row_mut(units[c])[whole * LANES..];
            let new = changed(s, self.rule, s.load_partial(w), sum);
            s.store_partial(new, w);
        }
    }
}

/// The activity, or whether there is any.
#[inline(always)]
fn presynaptic<S: Simd>(s: S, fired: bool, h: S::F32) -> S::F32 {
    if fired { s.select(s.lt(s.zero(), h), s.splat(1.0), s.zero()) } else { h }
}

#[inline(always)]
fn changed<S: Simd>(s: S, rule: Rule, w: S::F32, sum: S::F32) -> S::F32 {
    match rule {
        Rule::Gradient => sum,
        Rule::Sign(rate) => {
            let down = s.select(s.lt(s.zero(), sum), s.splat(rate), s.zero());
            s.sub(w, s.select(s.lt(sum, s.zero()), s.splat(-rate), down))
        }
        Rule::Fired(rate) => s.neg_mul_add(s.splat(rate), sum, w),
    }
}
