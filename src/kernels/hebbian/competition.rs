//! Winner-take-all: a competition turns activities into gates, and inputs pull the weights of open gates towards themselves.
//!
//! Hard and k-winner gates are nearly all zero, so the update adds a sample's inputs to its winners only, row by row of w. Soft
//! gates are dense and go through the blocked product.

use super::residual::{clamp_only, inputs_times_gates};
use super::{Update, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::CHUNK;
use crate::kernels::winners;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{for_each, for_each_with};
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

/// What comparing an activity costs, and reading and writing a weight, in multiply-adds.
const COMPARISON: usize = 4;
const REWRITTEN: usize = 16;
/// Units of an item of the sums along samples.
const SUMMED: usize = 1024;

/// The gates of a competition over z \[batch, units\], into gates \[batch, units\]: how much of each sample goes to each unit.
///
/// What the gates held is not read. Hard and k winners: 1 for a winner, else 0; of equal activities the first wins, NaN never does. Soft:
/// `exp((z_j - max z) / T) / sum_k exp((z_k - max z) / T)`; NaN and infinity as [`Competition::Soft`] says.
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
    let threads = context.threads().for_work(z.rows().saturating_mul(z.cols()) * COMPARISON);
    for_each(threads, gates.row_blocks(CHUNK).enumerate(), |(index, mut gates)| {
        let first = index * CHUNK;
        winners::of_rows(z.rows_range(first..first + gates.rows()), k, |row, winners| {
            let to = gates.row_mut(row);
            to.fill(0.0);
            winners.iter().for_each(|&unit| to[unit as usize] = 1.0);
        });
    });
}

/// `w_ij += rate sum_b g_bj (x_bi - sgn(z_bj) w_ij)`, with gates g the outcome of a competition over z, as [`gates`] tells them
/// (Lagani et al., Neurocomputing 595, 2024).
///
/// x \[batch, inputs\], z \[batch, units\], w \[inputs, units\]. The sign of zero is zero. An empty batch changes nothing, but clamps all the same.
///
/// **NaN and infinity** spread as the formula says from samples to their winners, and from no sample to units that lost: but soft
/// competitions have no losers, so one NaN activity makes every weight NaN. An infinite weight may become NaN or, clamped, zero, whoever wins.
/// **Error.** With gamma = 2^-24, a new weight is within `1.01 (batch + 8) gamma (|w| + |rate| sum_b g (|x| + |w|))` of the exact one (rate
/// divided by the batch for a mean), of soft gates `1.01 (batch + units + 56) gamma` times the same while `(max z - z) / T` is below some 10.
/// **Determinism.** The same bits on every instruction set and for any number of threads.
/// **Cost.** batch units comparisons and batch k inputs additions (hard and k winners), batch inputs units multiply-adds (soft), and
/// two multiply-adds, a read and a write a weight. Scratch: units values a thread, and k pairs of numbers a sample; soft, a copy of z.
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
/// positive normal number. An empty batch excuses none of it.
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
    let wins = wins(context, z, k);
    let mut decay = vec![0.0f32; units];
    for &(b, unit) in &wins {
        decay[unit as usize] -= sign(z.row(b as usize)[unit as usize]);
    }
    let work = x.cols().saturating_mul(wins.len() + REWRITTEN * units);
    let (isa, threads) = (context.isa(), context.threads().for_work(work));
    let [scratch] = context.scratch([units * threads.get()]);
    let scale = update.scale(batch);
    for_each_with(threads, scratch.chunks_mut(units), w.row_blocks(CHUNK).enumerate(), |sums, (index, w)| {
        dispatch(isa, Winners { x, wins: &wins, decay: &decay, first: index * CHUNK, sums, w, scale, update: *update });
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

/// Each sample's k winners, as pairs of sample and unit, samples in order.
fn wins(context: &Context, z: MatRef<'_>, k: usize) -> Vec<(u32, u32)> {
    let threads = context.threads().for_work(z.rows().saturating_mul(z.cols()) * COMPARISON);
    let mut blocks = vec![Vec::new(); z.rows().div_ceil(CHUNK)];
    for_each(threads, blocks.iter_mut().enumerate(), |(index, wins)| {
        let rows = index * CHUNK..z.rows().min((index + 1) * CHUNK);
        winners::of_rows(z.rows_range(rows.clone()), k, |row, winners| {
            wins.extend(winners.iter().map(|&unit| ((rows.start + row) as u32, unit)));
        });
    });
    blocks.concat()
}

struct Winners<'a, 'b, 'c> {
    x: MatRef<'a>,
    wins: &'a [(u32, u32)],
    decay: &'a [f32],
    first: usize,
    sums: &'b mut [f32],
    w: MatMut<'c>,
    scale: f32,
    update: Update,
}

impl Kernel for Winners<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let scale = s.splat(self.scale);
        for row in 0..self.w.rows() {
            let w = self.w.row_mut(row);
            self.sums.fill(0.0);
            for &(b, unit) in self.wins {
                self.sums[unit as usize] += self.x.row(b as usize)[self.first + row];
            }
            for ((w, sum), decay) in w.chunks_mut(LANES).zip(self.sums.chunks(LANES)).zip(self.decay.chunks(LANES)) {
                let old = s.load_partial(w);
                let sum = s.mul_add(s.load_partial(decay), old, s.load_partial(sum));
                let mut new = s.mul_add(scale, sum, old);
                if self.update.non_negative {
                    new = s.max(s.zero(), new);
                }
                s.store_partial(new, w);
            }
        }
    }
}

fn soft_gates(context: &Context, z: MatRef<'_>, temperature: f32, gates: MatMut<'_>) {
    let isa = context.isa();
    let threads = context.threads().for_work(z.rows() * z.cols() * 16);
    for_each(threads, gates.row_blocks(CHUNK).enumerate(), |(index, gates)| {
        dispatch(isa, SoftGates { z, first: index * CHUNK, gates, inverse: 1.0 / temperature });
    });
}

fn soft(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, temperature: f32, update: &Update) {
    let (batch, units) = (z.rows(), z.cols());
    let mut gates = Matrix::zeros(batch, units);
    soft_gates(context, z, temperature, gates.view_mut());
    let mut decay = vec![0.0; units];
    let threads = context.threads().for_work(batch.saturating_mul(units) * COMPARISON);
    for_each(threads, decay.chunks_mut(SUMMED).enumerate(), |(index, decay)| {
        let first = index * SUMMED;
        for b in 0..batch {
            for ((sum, &gate), &z) in decay.iter_mut().zip(&gates.row(b)[first..]).zip(&z.row(b)[first..]) {
                *sum -= gate * sign(z);
            }
        }
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
            let largest =
                z.iter().fold(f32::NEG_INFINITY, |largest, &z| if z > largest || z.is_nan() { z } else { largest });
            let (largest, inverse) = (s.splat(largest), s.splat(self.inverse));
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
