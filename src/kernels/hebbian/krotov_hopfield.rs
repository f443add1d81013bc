//! The rule of Krotov and Hopfield: winners are pulled towards the sample, the k-th is pushed away.
//!
//! ```text
//! q[u, b] = sum_i sgn(w[u, i]) |w[u, i]|^(p-1) x[b, i]
//! g[u, b] = 1 for the largest q[., b], -delta for the k-th largest, 0 otherwise
//! d[u, i] = sum_b g[u, b] x[b, i] - (sum_b g[u, b] q[u, b]) w[u, i]
//! w      += rate d / max |d|                                             and then max(0, .), if the rule says so
//! ```
//! Only two rows of d a sample differ from zero, so the product is nearly all the cost. Weights are \[units, inputs\]: what
//! changes is rows. The product takes w as it lies and packs the samples, or of very few is made of dot products; the competition runs with samples
//! across lanes.

use crate::context::Context;
use crate::kernels::dense::blocked::{CHUNK, Epilogue, Panels, chunk_product, packed_len};
use crate::kernels::dense::dots::{self, Dots};
use crate::kernels::dense::{Transpose, pack};
use crate::kernels::finite;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// The largest k.
pub const MAX_RANK: usize = 16;
/// The largest p: a power of a weight costs so many multiplications, and long before that all but the largest weights underflow.
pub const MAX_P: u32 = 64;
/// Samples of which activities are dot products, if there are no more.
const FEW: usize = 8;

/// What the rule leaves open.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct KrotovHopfield {
    /// The Lebesgue norm that weights approach: 2 to [`MAX_P`].
    pub p: u32,
    /// The rank that is pushed away: 2 to [`MAX_RANK`].
    pub k: usize,
    /// How strongly, as a share of the winner's pull: a finite number.
    pub delta: f32,
    /// Clamp negative weights to zero after the step.
    pub non_negative: bool,
}

impl Default for KrotovHopfield {
    /// The paper's for MNIST: p = 3, k = 7, delta = 0.4, without the clamp.
    fn default() -> Self {
        KrotovHopfield { p: 3, k: 7, delta: 0.4, non_negative: false }
    }
}

/// One step of the rule; returns `max |d|`, by which the step was divided.
///
/// ```text
/// q[u, b] = sum_i sgn(w[u, i]) |w[u, i]|^(p-1) x[b, i]
/// g[u, b] = 1 for the largest q[., b], -delta for the k-th largest, 0 otherwise
/// d[u, i] = sum_b g[u, b] x[b, i] - (sum_b g[u, b] q[u, b]) w[u, i]
/// w      += rate d / max |d|
/// ```
/// Krotov and Hopfield, PNAS 116(16), 2019, as their program has it. x is \[batch, inputs\], w is \[units, inputs\]: the transpose of what the
/// other rules take, since what changes is rows. There is no mean or sum over the batch to choose: a step is scaled by its largest
/// change, and so the same for both. That makes `rate` the largest change of a weight, whatever finite numbers it and `max |d|` are: where
/// their quotient is no normal number, d is divided before it is multiplied.
///
/// A step whose `max |d|` is below 1e-30 changes nothing. The first of equal activities ranks higher; an activity of NaN or minus
/// infinity never ranks, and if fewer than k units are left, nobody is pushed away. `non_negative` then clamps all weights, those of units
/// that did not change too, and after a step or a batch of nothing as well: rows that change while they are written, the others by one
/// reading, on all threads.
///
/// **NaN and infinity.** A unit with a NaN weight has no rank, and keeps its weights. An input that is not finite makes the activities of all
/// units that weigh it NaN or infinite; of a NaN in d, `max |d|` is NaN too, and so is every weight of the units that ranked. Divided by an
/// infinite `max |d|`, d changes nothing where it is finite and makes NaN where it is not. Under the clamp NaN stays NaN.
/// **Error.** Ranks are those of the activities as computed, a sum of n = inputs terms each; where two are closer than rounding, either may
/// win (the same everywhere). With gamma = 2^-24 and M the largest sum of absolute values that makes an entry of d, an entry of the step is
/// within `1.01 (2 batch + inputs + 8 p) gamma` times `rate (m + M |d| / max |d|) / max |d|`, m its own such sum; the new weight
/// is rounded twice more. What underflows in d is an error of d, and made as much larger by `rate / max |d|`.
/// **Determinism.** The same bits on every instruction set and for any number of threads.
/// **Cost.** batch inputs units multiply-adds (and inputs units (p - 2) multiplications), 4 batch inputs for the update; w is read once, the
/// rows that change once more and written. Scratch: batch (inputs + units) values, those rows, and if p is
/// not 2 the powers of 48 units' weights for each thread.
///
/// ```
/// use neuropil::kernels::hebbian::{KrotovHopfield, krotov_hopfield};
/// use neuropil::{Context, Matrix};
/// let x = Matrix::from_slice(&[1.0, 0.0], 1, 2)?;
/// let mut w = Matrix::from_slice(&[0.5, 0.25, 0.25, 0.125], 2, 2)?; // two units of two inputs
/// let rule = KrotovHopfield { p: 2, k: 2, delta: 0.5, non_negative: true };
/// // Unit 0 wins with 0.5 and is pulled by (0.75, -0.125); unit 1, second with 0.25, is pushed by (-0.46875, 0.015625).
/// let largest = krotov_hopfield(&mut Context::new()?, x.view(), w.view_mut(), &rule, 0.75);
/// assert_eq!(largest, 0.75);
/// assert_eq!(w.as_slice(), &[1.25, 0.125, 0.0, 0.140625]); // -0.21875 was clamped
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, p is not in 2..=64, k is not in 2..=16 or exceeds the units, or `delta` or `rate` is not finite.
#[track_caller]
pub fn krotov_hopfield(
    context: &mut Context,
    x: MatRef<'_>,
    mut w: MatMut<'_>,
    rule: &KrotovHopfield,
    rate: f32,
) -> f32 {
    let (batch, inputs, units) = (x.rows(), x.cols(), w.rows());
    assert!(w.cols() == inputs, "krotov_hopfield: x is {batch} x {inputs}, w is {units} x {}", w.cols());
    assert!((2..=MAX_P).contains(&rule.p), "krotov_hopfield: p is {}, not 2 to {MAX_P}", rule.p);
    assert!((2..=MAX_RANK).contains(&rule.k) && rule.k <= units, "krotov_hopfield: rank {} of {units} units", rule.k);
    finite("krotov_hopfield", "delta", rule.delta);
    finite("krotov_hopfield", "rate", rate);
    if batch == 0 || inputs == 0 {
        if rule.non_negative {
            clamp_others(context, &[], w);
        }
        return 0.0;
    }
    let isa = context.isa();
    let threads = context.threads().for_work([batch, inputs, units]);
    let stride = batch.next_multiple_of(LANES);
    let powers = if rule.p == 2 { 0 } else { CHUNK * inputs };
    let few = batch <= FEW && dots::wins(batch, inputs, units);
    let (packed, by_sample) = if few { (0, batch * units) } else { (packed_len(inputs, batch), 0) };
    let [panels, q, by_sample, powered] = context.scratch([packed, units * stride, by_sample, powers * threads.get()]);
    // Whole vectors; what stands behind the last sample is no activity.
    let mut q = MatMut::new(q, units, stride).expect("scratch for the activities");
    let workspaces =
        powered.chunks_mut(powers.max(1)).chain(std::iter::repeat_with(|| &mut [][..])).take(threads.get());
    let (p, shared) = (rule.p, w.as_ref());
    if few {
        let mut by_sample = MatMut::new(by_sample, batch, units).expect("scratch for the activities");
        let blocks = by_sample.reborrow().column_blocks_by(|_| CHUNK);
        for_each_with(threads, workspaces, blocks, |powered, (first, q)| {
            let w = shared.rows_range(first..first + q.cols());
            dispatch(isa, Activities { w, p, powered, product: Product::Dots(x), q });
        });
        dispatch(isa, Transpose { from: by_sample.as_ref(), to: q.reborrow().columns(0..batch) });
    } else {
        let panels = pack(isa, threads, x, true, inputs, batch, panels);
        for_each_with(threads, workspaces, q.reborrow().row_blocks(CHUNK).enumerate(), |powered, (index, q)| {
            let w = shared.rows_range(index * CHUNK..index * CHUNK + q.rows());
            dispatch(isa, Activities { w, p, powered, product: Product::Panels(panels), q });
        });
    }
    let mut gates = dispatch(isa, Compete { q: q.as_ref(), batch, k: rule.k, delta: rule.delta });
    // By unit, samples in order within it: the order of the sums below.
    gates.sort_unstable_by_key(|gate| (gate.unit, gate.sample));
    let groups: Vec<&[Gate]> = gates.chunk_by(|a, b| a.unit == b.unit).collect();
    let [deltas] = context.scratch([groups.len() * inputs]);
    let shared = w.as_ref();
    for_each(threads, deltas.chunks_mut(inputs).zip(&groups), |(delta, group)| {
        dispatch(isa, Delta { x, w: shared.row(group[0].unit as usize), group, delta });
    });
    let largest = dispatch(isa, Largest { values: deltas });
    let mut changed = &groups[..0];
    if largest >= 1e-30 || largest.is_nan() {
        changed = &groups;
        let non_negative = rule.non_negative;
        dispatch(isa, Step { deltas, groups: changed, rate, largest, w: w.reborrow(), non_negative });
    }
    if rule.non_negative {
        clamp_others(context, changed, w);
    }
    largest
}

/// Clamps the rows of all units but those of these groups, which were clamped as they were written.
fn clamp_others(context: &Context, changed: &[&[Gate]], w: MatMut<'_>) {
    // However many units without inputs there are.
    if w.cols() == 0 {
        return;
    }
    let (isa, threads) = (context.isa(), context.threads().for_work([w.rows(), w.cols(), CLAMP_COST]));
    for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
        dispatch(isa, ClampOthers { changed, first: index * CHUNK, w });
    });
}

/// What looking at a weight costs, in multiply-adds.
const CLAMP_COST: usize = 8;

/// One sample's say in one unit's update.
#[derive(Clone, Copy, Debug)]
struct Gate {
    unit: u32,
    sample: u32,
    gate: f32,
    activity: f32,
}

/// The activities of some units.
struct Activities<'a, 'b, 'c> {
    w: MatRef<'a>,
    p: u32,
    powered: &'b mut [f32],
    product: Product<'a>,
    q: MatMut<'c>,
}

/// What weights are multiplied with.
#[derive(Clone, Copy)]
enum Product<'a> {
    /// The samples in panels, for q \[units, samples\].
    Panels(Panels<'a>),
    /// The samples as they lie, for q \[samples, units\].
    Dots(MatRef<'a>),
}

impl Kernel for Activities<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Activities { w, p, powered, product, q } = self;
        if p == 2 {
            return product.with(s, w, q);
        }
        let inputs = w.cols();
        for (w, to) in w.iter_rows().zip(powered.chunks_mut(inputs)) {
            for (w, to) in w.chunks(LANES).zip(to.chunks_mut(LANES)) {
                let w = s.load_partial(w);
                let size = s.abs(w);
                let mut power = w;
                for _ in 2..p {
                    power = s.mul(power, size);
                }
                s.store_partial(power, to);
            }
        }
        product.with(s, MatRef::with_stride(powered, w.rows(), inputs, inputs).expect("scratch for the powers"), q);
    }
}

impl Product<'_> {
    #[inline(always)]
    fn with<S: Simd>(self, s: S, w: MatRef<'_>, mut q: MatMut<'_>) {
        match self {
            Product::Panels(panels) => chunk_product(s, w, panels, &mut q, Epilogue::REPLACE),
            Product::Dots(x) => Dots { a: x, b: w, c: q, epilogue: Epilogue::REPLACE }.run(s),
        }
    }
}

struct Compete<'a> {
    q: MatRef<'a>,
    batch: usize,
    k: usize,
    delta: f32,
}

impl Kernel for Compete<'_> {
    type Output = Vec<Gate>;

    /// Keeps, for 16 samples at once, the k best activities and their units, by insertion.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<Gate> {
        let (units, k) = (self.q.rows(), self.k);
        let mut gates = Vec::with_capacity(2 * self.batch);
        for start in (0..self.batch).step_by(LANES) {
            let mut best = [s.splat(f32::NEG_INFINITY); MAX_RANK];
            let mut who = [s.from_bits(s.splat_u32(u32::MAX)); MAX_RANK];
            for unit in 0..units {
                let new = s.load(self.q.row(unit)[start..].first_chunk().expect("whole vectors"));
                if s.mask_bits(s.lt(best[k - 1], new)) == 0 {
                    continue;
                }
                let (mut value, mut index) = (new, s.from_bits(s.splat_u32(unit as u32)));
                for rank in 0..k {
                    // What it displaces goes before its own equals, which came later.
                    let better = s.lt(best[rank], new);
                    let (old, old_index) = (best[rank], who[rank]);
                    best[rank] = s.select(better, value, old);
                    who[rank] = s.select(better, index, old_index);
                    value = s.select(better, old, value);
                    index = s.select(better, old_index, index);
                }
            }
            for (rank, gate) in [(0, 1.0), (k - 1, -self.delta)] {
                let (values, indices) = (s.lanes(best[rank]), s.lanes(who[rank]));
                for lane in 0..LANES.min(self.batch - start) {
                    let unit = indices[lane].to_bits();
                    if unit != u32::MAX {
                        gates.push(Gate { unit, sample: (start + lane) as u32, gate, activity: values[lane] });
                    }
                }
            }
        }
        gates
    }
}

struct Delta<'a, 'b> {
    x: MatRef<'a>,
    w: &'a [f32],
    group: &'a [Gate],
    delta: &'b mut [f32],
}

impl Kernel for Delta<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let decay = self.group.iter().fold(0.0f32, |sum, gate| gate.gate.mul_add(gate.activity, sum));
        let decay = s.splat(-decay);
        for start in (0..self.w.len()).step_by(LANES) {
            let range = start..self.w.len().min(start + LANES);
            let mut sum = s.zero();
            for gate in self.group {
                let x = s.load_partial(&self.x.row(gate.sample as usize)[range.clone()]);
                sum = s.mul_add(s.splat(gate.gate), x, sum);
            }
            s.store_partial(s.mul_add(decay, s.load_partial(&self.w[range.clone()]), sum), &mut self.delta[range]);
        }
    }
}

/// `w[u, i] += rate d[u, i] / max |d|` for the units that changed, clamped at zero or not.
struct Step<'a, 'b, 'c> {
    deltas: &'a [f32],
    groups: &'b [&'b [Gate]],
    rate: f32,
    largest: f32,
    w: MatMut<'c>,
    non_negative: bool,
}

impl Kernel for Step<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let factor = self.rate / self.largest;
        // A largest change that is infinite or NaN has its say through the factor.
        if factor.is_normal() || !self.largest.is_finite() {
            self.add::<S, false>(s, factor);
        } else {
            // The factor overflows, or has lost digits; the step has not: a division a value, which hardly anybody waits for.
            self.add::<S, true>(s, self.rate);
        }
    }
}

impl Step<'_, '_, '_> {
    /// Adds the factor times d, divided by the largest or as it is.
    #[inline(always)]
    fn add<S: Simd, const DIVIDED: bool>(&mut self, s: S, factor: f32) {
        let (factor, largest) = (s.splat(factor), s.splat(self.largest));
        // The maximum with minus infinity is the value itself: no branch in the loop.
        let lowest = s.splat(if self.non_negative { 0.0 } else { f32::NEG_INFINITY });
        for (delta, group) in self.deltas.chunks(self.w.cols()).zip(self.groups) {
            let row = self.w.row_mut(group[0].unit as usize);
            for (w, d) in row.chunks_mut(LANES).zip(delta.chunks(LANES)) {
                let d = s.load_partial(d);
                let d = if DIVIDED { s.div(d, largest) } else { d };
                let new = s.add(s.load_partial(w), s.mul(factor, d));
                s.store_partial(s.max(lowest, new), w);
            }
        }
    }
}

/// `w[u, i] = max(0, w[u, i])` for the units that did not change.
struct ClampOthers<'a, 'b, 'c> {
    /// In the order of their units.
    changed: &'a [&'b [Gate]],
    first: usize,
    w: MatMut<'c>,
}

impl Kernel for ClampOthers<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.w.rows() {
            let unit = (self.first + row) as u32;
            if self.changed.binary_search_by_key(&unit, |group| group[0].unit).is_ok() {
                continue;
            }
            for w in self.w.row_mut(row).chunks_mut(LANES) {
                let old = s.load_partial(w);
                // After the first step there is hardly anything to write.
                if s.mask_bits(s.lt(old, s.zero())) != 0 {
                    s.store_partial(s.max(s.zero(), old), w);
                }
            }
        }
    }
}

/// The largest magnitude, NaN if there is one among the values.
struct Largest<'a> {
    values: &'a [f32],
}

impl Kernel for Largest<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (vectors, rest) = self.values.as_chunks::<LANES>();
        let (mut largest, mut nan) = (s.zero(), s.zero());
        for vector in vectors {
            let value = s.load(vector);
            largest = s.max(s.abs(value), largest);
            // NaN and infinity, taken from themselves, are NaN.
            nan = s.add(nan, s.sub(value, value));
        }
        let value = s.load_partial(rest);
        largest = s.max(s.abs(value), largest);
        nan = s.add(nan, s.sub(value, value));
        let nan = s.reduce_add(nan);
        // Only here the two are told apart.
        if nan.is_nan() && self.values.iter().any(|value| value.is_nan()) { nan } else { s.reduce_max(largest) }
    }
}
