//! The obvious loops, in `f64`: what each rule's formula says, word for word.

use super::{Competition, KrotovHopfield, Update};
use crate::matrix::{MatRef, Matrix};

/// Updated weights in `f64`, and for each the sum of its terms' absolute values: what error bounds are made of.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The weights after the update, row-major.
    pub weights: Vec<f64>,
    /// `|w| + |rate| sum |terms|`, all inner sums by absolute values too.
    pub magnitudes: Vec<f64>,
}

/// Which units a unit's residual includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tied {
    /// All: [`oja_subspace`](super::oja_subspace).
    All,
    /// All but itself: [`oja_excluding_self`](super::oja_excluding_self).
    Others,
    /// Those up to itself: [`sanger`](super::sanger).
    UpToSelf,
    /// Itself only: [`oja_per_unit`](super::oja_per_unit).
    SelfOnly,
}

/// Oja's rules: `w_ij += rate sum_b z_bj (x_bi - sum_(k tied to j) z_bk w_ik)`.
pub fn oja(x: MatRef<'_>, z: MatRef<'_>, w: MatRef<'_>, tied: Tied, update: &Update) -> Updated {
    rule(x, w, update, |i, j| {
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for b in 0..x.rows() {
            let z = z.row(b);
            let (mut seen, mut size) = (f64::from(x.row(b)[i]), f64::from(x.row(b)[i].abs()));
            for k in 0..z.len() {
                let counts = match tied {
                    Tied::All => true,
                    Tied::Others => k != j,
                    Tied::UpToSelf => k <= j,
                    Tied::SelfOnly => k == j,
                };
                if counts {
                    let term = f64::from(z[k]) * f64::from(w.row(i)[k]);
                    seen -= term;
                    size += term.abs();
                }
            }
            sum += f64::from(z[j]) * seen;
            magnitude += f64::from(z[j].abs()) * size;
        }
        (sum, magnitude)
    })
}

/// [`ica`](super::ica): `w_ij += rate sum_b (w_ij - f_bj sum_k z_bk w_ik)`.
pub fn ica(z: MatRef<'_>, f: MatRef<'_>, w: MatRef<'_>, update: &Update) -> Updated {
    rule(z, w, update, |i, j| {
        let old = f64::from(w.row(i)[j]);
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for b in 0..z.rows() {
            let (mut seen, mut size) = (0.0, 0.0);
            for (&z, &w) in z.row(b).iter().zip(w.row(i)) {
                let term = f64::from(z) * f64::from(w);
                seen += term;
                size += term.abs();
            }
            let f = f64::from(f.row(b)[j]);
            sum += old - f * seen;
            magnitude += old.abs() + f.abs() * size;
        }
        (sum, magnitude)
    })
}

/// The gates of a competition over z, in `f64`.
pub fn gates(z: MatRef<'_>, competition: Competition) -> Vec<f64> {
    let mut gates = Vec::with_capacity(z.rows() * z.cols());
    for row in z.iter_rows() {
        match competition {
            Competition::Hard | Competition::Top(_) => {
                let k = if let Competition::Top(k) = competition { k } else { 1 };
                let mut order: Vec<usize> = (0..row.len()).filter(|&j| !row[j].is_nan()).collect();
                // A stable sort keeps the first of equals first.
                order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).expect("no NaN is left"));
                let winners = &order[..k.min(order.len())];
                gates.extend((0..row.len()).map(|j| if winners.contains(&j) { 1.0 } else { 0.0 }));
            }
            Competition::Soft { temperature } => {
                let largest = row.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
                let exp: Vec<f64> =
                    row.iter().map(|&z| ((f64::from(z) - largest) / f64::from(temperature)).exp()).collect();
                let total: f64 = exp.iter().sum();
                gates.extend(exp.iter().map(|e| e / total));
            }
        }
    }
    gates
}

/// [`winner_take_all`](super::winner_take_all) by the obvious loops.
pub fn winner_take_all(
    x: MatRef<'_>,
    z: MatRef<'_>,
    w: MatRef<'_>,
    competition: Competition,
    update: &Update,
) -> Updated {
    let gates = gates(z, competition);
    rule(x, w, update, |i, j| {
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for b in 0..x.rows() {
            let gate = gates[b * z.cols() + j];
            if gate == 0.0 && !matches!(competition, Competition::Soft { .. }) {
                continue; // Nothing pulls those that lost, not even an infinity.
            }
            let z = z.row(b)[j];
            let sign = if z > 0.0 {
                1.0
            } else if z < 0.0 {
                -1.0
            } else {
                0.0
            };
            sum += gate * (f64::from(x.row(b)[i]) - sign * f64::from(w.row(i)[j]));
            magnitude += gate * (f64::from(x.row(b)[i].abs()) + f64::from(w.row(i)[j].abs()));
        }
        (sum, magnitude)
    })
}

fn rule(x: MatRef<'_>, w: MatRef<'_>, update: &Update, change: impl Fn(usize, usize) -> (f64, f64)) -> Updated {
    let scale = if x.rows() == 0 { 0.0 } else { f64::from(update.scale(x.rows())) };
    let mut result = Updated { weights: Vec::new(), magnitudes: Vec::new() };
    for i in 0..w.rows() {
        for j in 0..w.cols() {
            let (sum, magnitude) = change(i, j);
            let old = f64::from(w.row(i)[j]);
            let new = old + scale * sum;
            result.weights.push(if update.non_negative && new < 0.0 { 0.0 } else { new });
            result.magnitudes.push(old.abs() + scale.abs() * magnitude);
        }
    }
    result
}

/// [`krotov_hopfield`](super::krotov_hopfield) by the obvious loops: the new weights \[units, inputs\] and `max |d|`.
///
/// `None` if two of the activities that decide a rank are closer than `margin` times the largest possible, or so small that underflow may
/// have made the difference: then rounding decides. A `margin` of zero says that nothing rounds. Infinite ones are equal whatever rounds, and of
/// equals the first ranks higher.
pub fn krotov_hopfield(
    x: MatRef<'_>,
    w: MatRef<'_>,
    rule: &KrotovHopfield,
    rate: f32,
    margin: f64,
) -> Option<(Vec<f64>, f64)> {
    let (batch, inputs, units) = (x.rows(), x.cols(), w.rows());
    let (mut delta, mut ranked) = (vec![0.0f64; units * inputs], vec![false; units]);
    for b in 0..batch {
        let (mut q, mut size) = (vec![0.0f64; units], 0.0f64);
        for u in 0..units {
            let mut magnitude = 0.0;
            for i in 0..inputs {
                let v = f64::from(w.row(u)[i]);
                let term = v * v.abs().powi(rule.p as i32 - 2) * f64::from(x.row(b)[i]);
                q[u] += term;
                magnitude += term.abs();
            }
            if magnitude.is_finite() {
                size = size.max(magnitude);
            }
        }
        // Neither NaN nor minus infinity ranks.
        let mut order: Vec<usize> = (0..units).filter(|&u| q[u] > f64::NEG_INFINITY).collect();
        order.sort_by(|&a, &b| q[b].partial_cmp(&q[a]).expect("numbers"));
        // Half the smallest denormal for every operation on both sides; where all terms are zero, nothing underflows.
        let underflow = ((inputs + 1) * rule.p as usize) as f64 * f64::from(f32::from_bits(1));
        let margin = if size == 0.0 || margin == 0.0 { 0.0 } else { margin * size + underflow };
        let apart = |rank: usize| {
            let Some(&next) = order.get(rank + 1) else { return true };
            q[order[rank]].is_infinite() || q[order[rank]] - q[next] >= margin
        };
        if !(apart(0) && apart(rule.k - 1) && apart(rule.k - 2)) {
            return None;
        }
        for (rank, gate) in [(0, 1.0), (rule.k - 1, -f64::from(rule.delta))] {
            let Some(&u) = order.get(rank) else { continue };
            ranked[u] = true;
            for i in 0..inputs {
                delta[u * inputs + i] += gate * (f64::from(x.row(b)[i]) - q[u] * f64::from(w.row(u)[i]));
            }
        }
    }
    let nan = delta.iter().any(|d| d.is_nan());
    let largest = if nan { f64::NAN } else { delta.iter().fold(0.0f64, |largest, d| largest.max(d.abs())) };
    let step = if largest < 1e-30 { 0.0 } else { f64::from(rate) / largest };
    let new = (0..units * inputs).map(|at| {
        // A step that is no number is taken by those that ranked.
        let change = if ranked[at / inputs] { step * delta[at] } else { 0.0 };
        let new = f64::from(w.row(at / inputs)[at % inputs]) + change;
        if rule.non_negative && new < 0.0 { 0.0 } else { new }
    });
    Some((new.collect(), largest))
}

/// Activities of linear units, for examples and tests: `z = x w`.
pub fn linear(x: MatRef<'_>, w: MatRef<'_>) -> Matrix {
    Matrix::from_fn(x.rows(), w.cols(), |b, j| {
        (0..x.cols()).map(|i| f64::from(x.row(b)[i]) * f64::from(w.row(i)[j])).sum::<f64>() as f32
    })
}
