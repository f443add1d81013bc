//! Winner-take-all: a competition turns activities into gates, and inputs pull the weights of open gates towards themselves.
//!
//! Hard and k-winner gates are nearly all zero, so the update adds a sample's inputs to its winners only, row by row of w. Soft
//! gates are dense and go through the blocked product.

use super::residual::{clamp_only, inputs_times_gates};
use super::{Update, shapes_agree};
use crate::context::Context;
use crate::kernels::dense::blocked::CHUNK;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{for_each, for_each_with};
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// How units compete for a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Competition {
    /// The most active unit wins: its gate is 1, the others are 0. The first of equals wins; NaN never does.
    Hard,
    /// The k most active units win, each with gate 1.
    Top(usize),
    /// Gates are softmax(z / temperature) over the units.
    Soft {
        /// Positive; small is nearly hard.
        temperature: f32,
    },
}

/// `w_ij += rate sum_b g_bj (x_bi - sgn(z_bj) w_ij)`, with gates g the outcome of a competition over z.
///
/// NaN and infinity: see [the module](super); an infinite weight may become NaN or, clamped, zero, whoever wins.
///
/// Cost: batch units comparisons and batch k inputs additions (hard and k winners), batch inputs units multiply-adds (soft), and
/// two multiply-adds a weight.
///
/// # Panics
/// If the shapes disagree, if k is zero or more than the units, or if the temperature is not a positive normal number.
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
    let (batch, units) = (z.rows(), z.cols());
    if batch == 0 || units == 0 {
        return clamp_only(w, update);
    }
    let winners = match competition {
        Competition::Hard => 1,
        Competition::Top(k) => k,
        Competition::Soft { temperature } => return soft(context, x, z, w, temperature, update),
    };
    assert!(winners >= 1 && winners <= units, "winner_take_all: {winners} winners of {units} units");
    let mut wins = Vec::with_capacity(batch * winners);
    let mut decay = vec![0.0f32; units];
    for b in 0..batch {
        for unit in top(z.row(b), winners) {
            wins.push((b as u32, unit));
            decay[unit as usize] -= sign(z.row(b)[unit as usize]);
        }
    }
    let (isa, threads) = (context.isa(), context.threads().for_work(x.cols() * (wins.len() + 2 * units)));
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

/// The indices of the k largest values, largest first, the first of equals first.
fn top(values: &[f32], k: usize) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::with_capacity(k + 1);
    for (index, &value) in values.iter().enumerate() {
        let full = best.len() == k;
        if value.is_nan() || (full && best.last().is_none_or(|&last| values[last as usize] >= value)) {
            continue;
        }
        let at = best.partition_point(|&other| values[other as usize] >= value);
        best.insert(at, index as u32);
        best.truncate(k);
    }
    best
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

#[track_caller]
fn soft(context: &mut Context, x: MatRef<'_>, z: MatRef<'_>, w: MatMut<'_>, temperature: f32, update: &Update) {
    assert!(
        temperature >= f32::MIN_POSITIVE && temperature.is_finite(),
        "winner_take_all: temperature {temperature} is not a positive normal number"
    );
    let (batch, units) = (z.rows(), z.cols());
    let mut gates = Matrix::zeros(batch, units);
    let isa = context.isa();
    let threads = context.threads().for_work(batch * units * 16);
    for_each(threads, gates.view_mut().row_blocks(CHUNK).enumerate(), |(index, gates)| {
        dispatch(isa, SoftGates { z, first: index * CHUNK, gates, inverse: 1.0 / temperature });
    });
    let mut decay = vec![0.0; units];
    for b in 0..batch {
        for ((sum, &gate), &z) in decay.iter_mut().zip(gates.row(b)).zip(z.row(b)) {
            *sum -= gate * sign(z);
        }
    }
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
