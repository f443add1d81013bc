//! Hebbian rules as plain loops with unit strides, which the compiler vectorises where the rule lets it.

use neuropil::Matrix;
use neuropil::kernels::hebbian::KrotovHopfield;
use neuropil::kernels::masked::SparseMatrix;

/// What a rule adds to a row of w for one sample: x of the row, z, that row, and the sums it adds to.
type Row = fn(f32, &[f32], &[f32], &mut [f32]);

/// The mean over the samples of what a rule adds, row by row of w.
fn by_rows(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32, add: Row) {
    let rate = rate / x.rows() as f32;
    let mut delta = vec![0.0f32; w.cols()];
    for i in 0..w.rows() {
        delta.fill(0.0);
        for b in 0..x.rows() {
            add(x[(b, i)], z.row(b), w.row(i), &mut delta);
        }
        for (w, delta) in w.row_mut(i).iter_mut().zip(&delta) {
            *w += rate * delta;
        }
    }
}

fn residual(x: f32, z: &[f32], w: &[f32]) -> f32 {
    x - w.iter().zip(z).map(|(w, z)| w * z).sum::<f32>()
}

pub(crate) fn oja(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, z, w, rate, |x, z, w, delta| {
        let residual = residual(x, z, w);
        for (delta, z) in delta.iter_mut().zip(z) {
            *delta += residual * z;
        }
    });
}

/// Independent components of z as they are: f = z.
pub(crate) fn ica(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, z, w, rate, |_, z, w, delta| {
        let left = residual(0.0, z, w);
        for ((delta, z), w) in delta.iter_mut().zip(z).zip(w) {
            *delta += w + left * z;
        }
    });
}

/// With residuals by the entries of compressed weights.
pub(crate) fn oja_sparse(x: &Matrix, z: &Matrix, weights: &SparseMatrix, w: &mut Matrix, rate: f32) {
    let (rate, mut delta) = (rate / x.rows() as f32, vec![0.0f32; w.cols()]);
    for i in 0..w.rows() {
        let entries = || weights.pattern().row(i).iter().zip(&weights.values()[weights.pattern().range(i)]);
        delta.fill(0.0);
        for b in 0..x.rows() {
            let residual = x[(b, i)] - entries().map(|(&j, w)| w * z[(b, j as usize)]).sum::<f32>();
            delta.iter_mut().zip(z.row(b)).for_each(|(delta, z)| *delta += residual * z);
        }
        w.row_mut(i).iter_mut().zip(&delta).for_each(|(w, delta)| *w += rate * delta);
    }
}

pub(crate) fn excluding_self(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, z, w, rate, |x, z, w, delta| {
        let residual = residual(x, z, w);
        for ((delta, z), w) in delta.iter_mut().zip(z).zip(w) {
            *delta += (residual + w * z) * z;
        }
    });
}

pub(crate) fn per_unit(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, z, w, rate, |x, z, w, delta| {
        for ((delta, z), w) in delta.iter_mut().zip(z).zip(w) {
            *delta += (x - w * z) * z;
        }
    });
}

pub(crate) fn sanger(x: &Matrix, z: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, z, w, rate, |x, z, w, delta| {
        let mut residual = x;
        for ((delta, z), w) in delta.iter_mut().zip(z).zip(w) {
            residual -= w * z;
            *delta += residual * z;
        }
    });
}

/// Winners take all, given how much of each sample goes to each unit; activities are positive.
pub(crate) fn gated(x: &Matrix, gates: &Matrix, w: &mut Matrix, rate: f32) {
    by_rows(x, gates, w, rate, |x, gates, w, delta| {
        for ((delta, gate), w) in delta.iter_mut().zip(gates).zip(w) {
            *delta += gate * (x - w);
        }
    });
}

/// 1 for the k largest activities of each sample.
pub(crate) fn winners(z: &Matrix, k: usize) -> Matrix {
    let mut gates = Matrix::zeros(z.rows(), z.cols());
    for b in 0..z.rows() {
        ranked(z.row(b), k).iter().for_each(|&unit| gates[(b, unit)] = 1.0);
    }
    gates
}

/// Softmax over the units, temperature 1.
pub(crate) fn shares(z: &Matrix) -> Matrix {
    let mut gates = z.clone();
    for b in 0..z.rows() {
        gates.row_mut(b).iter_mut().for_each(|z| *z = z.exp());
        let total: f32 = gates.row(b).iter().sum();
        gates.row_mut(b).iter_mut().for_each(|gate| *gate /= total);
    }
    gates
}

/// The units of the k largest activities, largest first.
fn ranked(activities: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..activities.len()).collect();
    order.select_nth_unstable_by(k - 1, |&a, &b| activities[b].total_cmp(&activities[a]));
    order.truncate(k);
    order.sort_by(|&a, &b| activities[b].total_cmp(&activities[a]));
    order
}

/// Krotov and Hopfield's rule; w is \[units, inputs\].
pub(crate) fn krotov_hopfield(x: &Matrix, w: &mut Matrix, rule: &KrotovHopfield, rate: f32) {
    let mut delta = Matrix::zeros(w.rows(), w.cols());
    for b in 0..x.rows() {
        let activity = |unit: usize| -> f32 {
            let terms = w.row(unit).iter().zip(x.row(b));
            match rule.p {
                2 => terms.map(|(w, x)| w * x).sum(),
                3 => terms.map(|(w, x)| w * w.abs() * x).sum(),
                p => terms.map(|(w, x)| w * w.abs().powi(p as i32 - 2) * x).sum(),
            }
        };
        let activities: Vec<f32> = (0..w.rows()).map(activity).collect();
        let ranks = ranked(&activities, rule.k);
        for (gate, unit) in [(1.0, ranks[0]), (-rule.delta, ranks[rule.k - 1])] {
            for ((delta, x), w) in delta.row_mut(unit).iter_mut().zip(x.row(b)).zip(w.row(unit)) {
                *delta += gate * (x - activities[unit] * w);
            }
        }
    }
    let largest = delta.as_slice().iter().fold(0.0f32, |largest, d| largest.max(d.abs()));
    for (w, delta) in w.as_mut_slice().iter_mut().zip(delta.as_slice()) {
        *w += rate / largest * delta;
    }
}
