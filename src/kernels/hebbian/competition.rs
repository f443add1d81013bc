//! Winner-take-all: a competition turns activities into gates, and inputs pull the weights of open gates towards themselves.
//!
//! Hard and k-winner gates are nearly all zero, so a unit sums the samples that it won, and no others:
//!
//! ```text
//! for each 48 rows of w, each 16 units of which one has won
//!   for each of these units: sum = 0, for each sample b that it won: sum += x[b]                 inputs in the lanes
//!   turned in registers, a unit a lane; w += scale (sum - w sum of signs)                        row by row
//! ```
//! Soft gates are dense and go through the blocked product.

use std::ops::Range;

use super::per_unit::inputs_times_gates;
use super::residual::clamp_only;
use super::{Update, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::CHUNK;
use crate::kernels::winners::Winners;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{TOUCHED, for_each};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// How units compete for a sample: which gates g they get. [`gates`] tells them, and [`winner_take_all`] learns by them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Competition {
    /// The most active unit wins: its gate is 1, the others are 0. The first of equals wins; NaN never does.
    Hard,
    /// The k most active units win, each with gate 1: fewer, where fewer are numbers.
    Top(usize),
    /// Gates are softmax(z / temperature) over the units. An activity that is NaN or plus infinity makes the gates of all units NaN for
    /// its sample, and so every weight; so does a sample of minus infinity only.
    Soft {
        /// Positive; small is nearly hard.
        temperature: f32,
    },
}

impl Competition {
    /// Refuses what no batch of so many units can be ruled by.
    #[track_caller]
    fn check(self, name: &str, units: usize) {
        match self {
            Competition::Hard => (),
            Competition::Top(k) => assert!(k >= 1 && k <= units, "{name}: {k} winners of {units} units"),
            Competition::Soft { temperature } => assert!(
                temperature >= f32::MIN_POSITIVE && temperature.is_finite(),
                "{name}: temperature {temperature} is not a positive normal number"
            ),
        }
    }
}

/// What comparing an activity costs, in multiply-adds.
const COMPARISON: usize = 4;
/// Units of an item of the sums along samples.
const SUMMED: usize = 1024;

/// The gates of a competition over z \[batch, units\], into gates \[batch, units\]: how much of each sample goes to each unit.
///
/// What the gates held is not read. Hard and k winners: 1 for a winner, else 0; of equal activities the first wins, NaN never does. Soft:
/// `exp((z_j - max z) / T) / sum_k exp((z_k - max z) / T)`; NaN and infinity as [`Competition::Soft`] says; a
/// difference beyond `f32` is infinite, and its gate 0.
/// **Error.** Hard gates are exact. Soft ones have a relative error of at most `(3 (max z - z_j) / T + 3 ln c + c / 16 + 12)` times 2^-24 for
/// c units, while they are normal numbers.
/// **Determinism.** The same bits on every instruction set and for any number of threads. **Cost.** An exponential a gate (soft), or a comparison.
///
/// ```
/// use neuropil::kernels::hebbian::{Competition, gates};
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let z = Matrix::from_slice(&[0.5, 2.0, 1.0, 1.0, 1.0, 0.0], 2, 3)?;
/// let mut g = Matrix::zeros(2, 3);
/// gates(&mut context, z.view(), Competition::Hard, g.view_mut());
/// assert_eq!(g.as_slice(), &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
/// gates(&mut context, z.view(), Competition::Top(2), g.view_mut());
/// assert_eq!(g.as_slice(), &[0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
/// gates(&mut context, z.view(), Competition::Soft { temperature: 0.5 }, g.view_mut());
/// assert!((g[(1, 0)] - 1.0 / (2.0 + (-2f32).exp())).abs() < 1e-6);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes differ; if k is zero or more than the units, or the temperature not a positive normal number, where there is a unit.
#[track_caller]
pub fn gates(context: &mut Context, z: MatRef<'_>, competition: Competition, gates: MatMut<'_>) {
    assert!(
        (gates.rows(), gates.cols()) == (z.rows(), z.cols()),
        "gates: z is {} x {}, the gates are {} x {}",
        z.rows(),
        z.cols(),
        gates.rows(),
        gates.cols()
    );
    if z.cols() == 0 {
        return;
    }
    competition.check("gates", z.cols());
    let k = match competition {
        Competition::Hard => 1,
        Competition::Top(k) => k,
        Competition::Soft { temperature } => return soft_gates(context, z, temperature, gates),
    };
    let (isa, threads) = (context.isa(), context.threads().for_work([z.rows(), z.cols(), COMPARISON]));
    for_each(threads, gates.row_blocks(CHUNK).enumerate(), |(index, gates)| {
        let first = index * CHUNK;
        dispatch(isa, HardGates { z: z.rows_range(first..first + gates.rows()), k, gates });
    });
}

struct HardGates<'a, 'b> {
    z: MatRef<'a>,
    k: usize,
    gates: MatMut<'b>,
}

impl Kernel for HardGates<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let mut winners = Winners::default();
        for (row, z) in self.z.iter_rows().enumerate() {
            let gates = self.gates.row_mut(row);
            gates.fill(0.0);
            for &unit in &*winners.of_row(s, z, self.k) {
                gates[unit as usize] = 1.0;
            }
        }
    }
}

/// `w_ij += rate sum_b g_bj (x_bi - sgn(z_bj) w_ij)`, with gates g the outcome of a competition over z, as [`gates`] tells them
/// (Lagani et al., Neurocomputing 595, 2024).
///
/// x \[batch, inputs\], z \[batch, units\], w \[inputs, units\]. The sign of zero is zero. An empty batch changes nothing, but clamps all the same.
///
/// **NaN and infinity** spread as the formula says from samples to their winners, and from no sample to units that lost, whose weights stay:
/// but soft competitions have no losers, so one NaN activity makes every weight NaN. An infinite weight of a winner may become NaN or, clamped,
/// zero.
/// **Error.** With gamma = 2^-24, a new weight is within `1.01 (batch + 8) gamma (|w| + |rate| sum_b g (|x| + |w|))` of the exact one (rate
/// divided by the batch for a mean), of soft gates `1.01 (batch + units + 56) gamma` times the same while `(max z - z) / T` is below some 10.
/// **Determinism.** The same bits on every instruction set and for any number of threads.
/// **Cost.** batch units comparisons and batch k inputs additions (hard and k winners), batch inputs units multiply-adds (soft), and
/// two multiply-adds, a read and a write a weight: of 16 neighbouring units none of which won, only if they are clamped. Memory: 16 k bytes a sample;
/// soft, a copy of z.
///
/// ```
/// use neuropil::kernels::hebbian::{Competition, Reduction, Update, winner_take_all};
/// use neuropil::{Context, Matrix};
/// let x = Matrix::from_slice(&[1.0, 0.0, 0.0, 1.0], 2, 2)?;
/// let z = Matrix::from_slice(&[0.9, 0.1, 0.2, 0.8], 2, 2)?; // sample 0 is won by unit 0, sample 1 by unit 1
/// let mut w = Matrix::from_slice(&[0.5, 0.5, 0.5, 0.5], 2, 2)?;
/// let update = Update { rate: 0.5, reduction: Reduction::Sum, non_negative: false };
/// winner_take_all(&mut Context::new()?, x.view(), z.view(), w.view_mut(), Competition::Hard, &update);
/// assert_eq!(w.as_slice(), &[0.75, 0.25, 0.25, 0.75]); // half the way to what each has won
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree, or the rate is not finite; where there is a unit, if k is zero or more than the units, or the temperature not a
/// positive normal number. An empty batch excuses none of it. If there are more than 2^32 - 1 winners in all.
#[track_caller]
pub fn winner_take_all(
    context: &mut Context,
    x: MatRef<'_>,
    z: MatRef<'_>,
    w: MatMut<'_>,
    competition: Competition,
    update: &Update,
) {
    shapes_agree("winner_take_all", x, z, &w);
    update.check("winner_take_all");
    let (batch, units) = (z.rows(), z.cols());
    if units == 0 {
        return;
    }
    competition.check("winner_take_all", units);
    if batch == 0 {
        return clamp_only(w, update);
    }
    let k = match competition {
        Competition::Hard => 1,
        Competition::Top(k) => k,
        Competition::Soft { temperature } => return soft(context, x, z, w, temperature, update),
    };
    let wins = Wins::new(context, z, k);
    let touched = wins.samples.len().saturating_add(TOUCHED.saturating_mul(units));
    let (isa, threads) = (context.isa(), context.threads().for_work([x.cols(), touched]));
    let scale = update.scale(batch);
    for_each(threads, w.row_blocks(CHUNK).enumerate(), |(index, w)| {
        let x = x.columns(index * CHUNK..index * CHUNK + w.rows());
        dispatch(isa, Pull { x, wins: &wins, w, scale, non_negative: update.non_negative });
    });
}

/// -1, 0 or 1; NaN gives 0.
fn sign(value: f32) -> f32 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// Who has won what.
struct Wins {
    /// The samples of a unit begin at `offsets[unit]` and end where the next unit's begin.
    offsets: Vec<u32>,
    /// In order for each unit.
    samples: Vec<u32>,
    /// Of each unit the sum of the signs of the activities that won, negative.
    decay: Vec<f32>,
}

impl Wins {
    #[track_caller]
    fn new(context: &Context, z: MatRef<'_>, k: usize) -> Self {
        let units = z.cols();
        let threads = context.threads().for_work([z.rows(), units, COMPARISON]);
        let (isa, mut blocks) = (context.isa(), vec![Vec::new(); z.rows().div_ceil(CHUNK)]);
        for_each(threads, blocks.iter_mut().enumerate(), |(index, wins)| {
            let rows = index * CHUNK..z.rows().min((index + 1) * CHUNK);
            dispatch(isa, FindWins { z, rows, k, wins });
        });
        let count = blocks.iter().map(Vec::len).sum::<usize>();
        assert!(u32::try_from(count).is_ok(), "winner_take_all: {count} wins, more than 2^32 - 1");
        let (mut offsets, mut decay) = (vec![0u32; units + 2], vec![0.0f32; units]);
        // Counted two places on: the sums are the next free place of each unit one place on, and its first once all are placed.
        for &(b, unit) in blocks.iter().flatten() {
            offsets[unit as usize + 2] += 1;
            decay[unit as usize] -= sign(z.row(b as usize)[unit as usize]);
        }
        for unit in 2..offsets.len() {
            offsets[unit] += offsets[unit - 1];
        }
        let mut samples = vec![0; offsets[units + 1] as usize];
        for &(b, unit) in blocks.iter().flatten() {
            let place = &mut offsets[unit as usize + 1];
            samples[*place as usize] = b;
            *place += 1;
        }
        offsets.truncate(units + 1);
        Wins { offsets, samples, decay }
    }
}

/// Appends the winners of these samples, as pairs of sample and unit.
struct FindWins<'a, 'b> {
    z: MatRef<'a>,
    rows: Range<usize>,
    k: usize,
    wins: &'b mut Vec<(u32, u32)>,
}

impl Kernel for FindWins<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut winners = Winners::default();
        for row in self.rows {
            let units = winners.of_row(s, self.z.row(row), self.k);
            self.wins.extend(units.iter().map(|&unit| (row as u32, unit)));
        }
    }
}

struct Pull<'a, 'b, 'c> {
    /// The columns that are rows of w.
    x: MatRef<'a>,
    wins: &'b Wins,
    w: MatMut<'c>,
    scale: f32,
    non_negative: bool,
}

impl Kernel for Pull<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pull { x, wins, mut w, scale, non_negative } = self;
        let scale = s.splat(scale);
        let lowest = s.splat(if non_negative { 0.0 } else { f32::NEG_INFINITY });
        let height = w.rows();
        for col in (0..w.cols()).step_by(LANES) {
            let units = col..w.cols().min(col + LANES);
            let offsets = &wins.offsets[units.start..=units.end];
            if !non_negative && offsets[0] == offsets[units.len()] {
                continue;
            }
            let (mut sums, mut won) = ([[[0.0; LANES]; LANES]; PARTS], [0.0; LANES]);
            for (unit, ends) in offsets.windows(2).enumerate() {
                let samples = &wins.samples[ends[0] as usize..ends[1] as usize];
                let mut sum = [s.zero(); PARTS];
                for &b in samples {
                    let x = x.row(b as usize);
                    for part in 0..PARTS {
                        sum[part] = s.add(sum[part], s.load_partial(&x[rows_of(part, height)]));
                    }
                }
                for part in 0..PARTS {
                    s.store(sum[part], &mut sums[part][unit]);
                }
                won[unit] = samples.len() as f32;
            }
            let (won, decay) = (s.lt(s.zero(), s.load(&won)), s.load_partial(&wins.decay[units.clone()]));
            for part in 0..PARTS {
                let mut block = [s.zero(); LANES];
                for unit in 0..LANES {
                    block[unit] = s.load(&sums[part][unit]);
                }
                let (sums, rows) = (s.transpose(block), rows_of(part, height));
                for i in 0..LANES {
                    if i < rows.len() {
                        let to = &mut w.row_mut(rows.start + i)[units.clone()];
                        let old = s.load_partial(to);
                        let new = s.mul_add(scale, s.mul_add(decay, old, sums[i]), old);
                        // The operands' order keeps NaN.
                        s.store_partial(s.max(lowest, s.select(won, new, old)), to);
                    }
                }
            }
        }
    }
}

/// Rows of w in one lane each that are summed together.
const PARTS: usize = CHUNK / LANES;

/// Those of a part, of so many.
#[inline(always)]
fn rows_of(part: usize, height: usize) -> Range<usize> {
    (part * LANES).min(height)..((part + 1) * LANES).min(height)
}

fn soft_gates(context: &Context, z: MatRef<'_>, temperature: f32, gates: MatMut<'_>) {
    let isa = context.isa();
    let threads = context.threads().for_work([z.rows(), z.cols(), 16]);
    for_each(threads, gates.row_blocks(CHUNK).enumerate(), |(index, gates)| {
        dispatch(isa, SoftGates { z, first: index * CHUNK, gates, inverse: 1.0 / temperature });
    });
}

fn soft(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, temperature: f32, update: &Update) {
    let (batch, units) = (z.rows(), z.cols());
    let mut gates = Matrix::zeros(batch, units);
    soft_gates(context, z, temperature, gates.view_mut());
    let mut decay = vec![0.0; units];
    let (isa, threads) = (context.isa(), context.threads().for_work([batch, units, COMPARISON]));
    for_each(threads, decay.chunks_mut(SUMMED).enumerate(), |(index, decay)| {
        let units = index * SUMMED..index * SUMMED + decay.len();
        dispatch(isa, SoftDecay { z: z.columns(units.clone()), gates: gates.view().columns(units), decay });
    });
    inputs_times_gates(context, x, gates.view(), &decay, w, update);
}

struct SoftGates<'a, 'b> {
    z: MatRef<'a>,
    first: usize,
    gates: MatMut<'b>,
    inverse: f32,
}

impl Kernel for SoftGates<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for row in 0..self.gates.rows() {
            let z = self.z.row(self.first + row);
            let (largest, inverse) = (s.splat(largest_or_nan(s, z)), s.splat(self.inverse));
            let gates = self.gates.row_mut(row);
            let mut total = s.zero();
            for (gate, z) in gates.chunks_mut(LANES).zip(z.chunks(LANES)) {
                let exp = crate::simd::math::exp(s, s.mul(s.sub(s.load_partial(z), largest), inverse));
                s.store_partial(exp, gate);
                // Lanes beyond the end must not count.
                total = s.add(total, s.load_partial(gate));
            }
            let share = s.splat(1.0 / s.reduce_add(total));
            for gate in gates.chunks_mut(LANES) {
                s.store_partial(s.mul(s.load_partial(gate), share), gate);
            }
        }
    }
}

/// The largest value; NaN if one is.
#[inline(always)]
fn largest_or_nan<S: Simd>(s: S, values: &[f32]) -> f32 {
    let (vectors, rest) = values.as_chunks();
    let (mut largest, mut numbers) = (s.splat(f32::NEG_INFINITY), u16::MAX);
    for vector in vectors {
        let value = s.load(vector);
        largest = s.max(value, largest);
        numbers &= s.mask_bits(s.eq(value, value));
    }
    let start = if numbers == u16::MAX { s.reduce_max(largest) } else { f32::NAN };
    rest.iter().fold(start, |largest, &value| if value > largest || value.is_nan() { value } else { largest })
}

/// `decay[j] -= sum_b g[b, j] sgn(z[b, j])`, samples in order.
struct SoftDecay<'a, 'b> {
    z: MatRef<'a>,
    gates: MatRef<'a>,
    decay: &'b mut [f32],
}

impl Kernel for SoftDecay<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (zero, one, minus_one) = (s.zero(), s.splat(1.0), s.splat(-1.0));
        for (z, gates) in self.z.iter_rows().zip(self.gates.iter_rows()) {
            for ((sum, z), gate) in self.decay.chunks_mut(LANES).zip(z.chunks(LANES)).zip(gates.chunks(LANES)) {
                let z = s.load_partial(z);
                let sign = s.select(s.lt(zero, z), one, s.select(s.lt(z, zero), minus_one, zero));
                s.store_partial(s.neg_mul_add(s.load_partial(gate), sign, s.load_partial(sum)), sum);
            }
        }
    }
}
