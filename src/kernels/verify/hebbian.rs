//! Checks of the Hebbian updates.

use super::{Case, Check, Dim, UNDERFLOW, gamma, strict, waive};
use crate::kernels::dense::BY_PANEL;
use crate::kernels::hebbian::reference::{self, Tied, Updated};
use crate::kernels::hebbian::{
    self, Competition, KrotovHopfield, Reduction, SparseWorkspace, Update, ica, krotov_hopfield, oja_excluding_self,
    oja_per_unit, oja_subspace, oja_subspace_sparse, sanger, winner_take_all,
};
use crate::kernels::masked::SparseMatrix;
use crate::{Context, MatMut, MatRef};

const DIMS: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 70 },
    Dim { name: "inputs", min: 0, max: 120 },
    Dim { name: "units", min: 0, max: 140 },
];

/// So many samples that the products follow each other, and units to go by panels of them or by chunks of inputs.
const MANY: &[Dim] = &[
    Dim { name: "batch", min: hebbian::MANY, max: hebbian::MANY + 18 },
    Dim { name: "inputs", min: 1, max: 4 },
    Dim { name: "units", min: 1, max: BY_PANEL + 16 },
];

/// Several samples, and units that are many beside them.
const SEVERAL: &[Dim] = &[
    Dim { name: "batch", min: 5, max: 10 },
    Dim { name: "inputs", min: 0, max: 60 },
    Dim { name: "units", min: 240, max: 1050 },
];

/// So few units that Gram matrices, or sums that are turned, are faster.
const FEW_UNITS: &[Dim] = &[
    Dim { name: "batch", min: 16, max: 600 },
    Dim { name: "inputs", min: 20, max: 120 },
    Dim { name: "units", min: 1, max: 10 },
];

/// Ranks need units.
const RANKED: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 120 },
    Dim { name: "inputs", min: 0, max: 200 },
    Dim { name: "units", min: 7, max: 140 },
];

/// By dot products, if there are many inputs.
const FEW_RANKED: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 9 },
    Dim { name: "inputs", min: 0, max: 400 },
    Dim { name: "units", min: 7, max: 140 },
];

const COMPETING: &[Dim] = &[Dim { name: "batch", min: 0, max: 120 }, Dim { name: "units", min: 0, max: 300 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "hebbian::gates", dims: COMPETING, run: competing },
    Check { kernel: "hebbian::oja_subspace", dims: DIMS, run: |case| oja(case, oja_subspace, Tied::All) },
    Check {
        kernel: "hebbian::oja_excluding_self",
        dims: DIMS,
        run: |case| oja(case, oja_excluding_self, Tied::Others),
    },
    Check { kernel: "hebbian::oja_subspace, many samples", dims: MANY, run: |case| oja(case, oja_subspace, Tied::All) },
    Check {
        kernel: "hebbian::oja_excluding_self, many samples",
        dims: MANY,
        run: |case| oja(case, oja_excluding_self, Tied::Others),
    },
    Check {
        kernel: "hebbian::oja_subspace, several samples",
        dims: SEVERAL,
        run: |case| oja(case, oja_subspace, Tied::All),
    },
    Check {
        kernel: "hebbian::oja_excluding_self, several samples",
        dims: SEVERAL,
        run: |case| oja(case, oja_excluding_self, Tied::Others),
    },
    Check {
        kernel: "hebbian::oja_subspace, few units",
        dims: FEW_UNITS,
        run: |case| oja(case, oja_subspace, Tied::All),
    },
    Check {
        kernel: "hebbian::oja_excluding_self, few units",
        dims: FEW_UNITS,
        run: |case| oja(case, oja_excluding_self, Tied::Others),
    },
    Check { kernel: "hebbian::sanger, few units", dims: FEW_UNITS, run: |case| oja(case, sanger, Tied::UpToSelf) },
    Check { kernel: "hebbian::oja_subspace_sparse", dims: DIMS, run: sparse },
    Check { kernel: "hebbian::sanger", dims: DIMS, run: |case| oja(case, sanger, Tied::UpToSelf) },
    Check { kernel: "hebbian::oja_per_unit", dims: DIMS, run: |case| oja(case, oja_per_unit, Tied::SelfOnly) },
    Check {
        kernel: "hebbian::oja_per_unit, few units",
        dims: FEW_UNITS,
        run: |case| oja(case, oja_per_unit, Tied::SelfOnly),
    },
    Check { kernel: "hebbian::ica", dims: DIMS, run: independent },
    Check { kernel: "hebbian::ica, few units", dims: FEW_UNITS, run: independent },
    Check { kernel: "hebbian::winner_take_all", dims: DIMS, run: competitions },
    Check { kernel: "hebbian::krotov_hopfield", dims: RANKED, run: ranks },
    Check { kernel: "hebbian::krotov_hopfield, few samples", dims: FEW_RANKED, run: ranks },
];

const UPDATES: [Update; 2] = [
    Update { rate: 0.3, reduction: Reduction::Mean, non_negative: false },
    Update { rate: 0.02, reduction: Reduction::Sum, non_negative: true },
];

/// Two chained sums, over the units and over the batch, cut into blocks, and a few roundings around them.
fn two_sums(batch: usize, units: usize) -> usize {
    batch + units + 56
}

/// Where a weight depends on its own unit only: a sum over the batch, and a few roundings around it.
fn one_sum(batch: usize) -> usize {
    batch + 8
}

fn bound(updated: &Updated, roundings: usize) -> Vec<f64> {
    let factor = gamma(roundings as f64);
    updated.magnitudes.iter().map(|magnitude| factor * magnitude).collect()
}

type Rule = fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, &Update);

fn oja(case: &mut Case<'_>, rule: Rule, tied: Tied) {
    let [batch, inputs, units] = case.sizes();
    let (x, z) = (case.matrix(batch, inputs, 0.0, 1.0), case.matrix(batch, units, -0.3, 1.0));
    let w = case.matrix(inputs, units, -1.0, 1.0);
    let roundings = match tied {
        Tied::SelfOnly => one_sum(batch),
        // Not cut into blocks.
        Tied::UpToSelf => batch + units + 4,
        Tied::All | Tied::Others => two_sums(batch, units),
    };
    let (x, z, w) = (case.lay(&x), case.lay(&z), case.lay(&w));
    for update in UPDATES {
        let exact = reference::oja(x.view(), z.view(), w.view(), tied, &update);
        case.compare(&exact.weights, &bound(&exact, roundings), |context| {
            let mut w = w.clone();
            rule(context, x.view(), z.view(), w.view_mut(), &update);
            w.values()
        });
    }
}

fn independent(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (z, f) = (case.matrix(batch, units, -0.5, 1.0), case.matrix(batch, units, -0.5, 1.0));
    let w = case.matrix(inputs, units, -1.0, 1.0);
    let (z, f, w) = (case.lay(&z), case.lay(&f), case.lay(&w));
    for update in UPDATES {
        let exact = reference::ica(z.view(), f.view(), w.view(), &update);
        case.compare(&exact.weights, &bound(&exact, two_sums(batch, units)), |context| {
            let mut w = w.clone();
            ica(context, z.view(), f.view(), w.view_mut(), &update);
            w.values()
        });
    }
}

/// Few weights, all above zero; every third input black, so that no residual of it is positive.
fn sparse(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (mut x, mut z) = (case.matrix(batch, inputs, 0.0, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let mut w = case.matrix(inputs, units, -9.0, 1.0);
    (0..batch).for_each(|b| x.row_mut(b).iter_mut().step_by(3).for_each(|x| *x = 0.0));
    for values in [&mut z, &mut w] {
        values.as_mut_slice().iter_mut().for_each(|value| *value = value.max(0.0));
    }
    let (x, z, w) = (case.lay(&x), case.lay(&z), case.lay(&w));
    for update in UPDATES {
        let exact = reference::oja(x.view(), z.view(), w.view(), Tied::All, &update);
        let bound = bound(&exact, two_sums(batch, units));
        // What only meets weights of zero is passed over.
        let (exact, bound) = waive(exact.weights, bound);
        case.compare(&exact, &bound, |context| {
            let sparse = SparseMatrix::compress(context, w.view()).expect("a matrix of this size");
            let (mut w, workspace) = (w.clone(), &mut SparseWorkspace::default());
            oja_subspace_sparse(context, x.view(), z.view(), &sparse, w.view_mut(), &update, workspace);
            w.values()
        });
    }
}

fn competitions(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (x, z) = (case.matrix(batch, inputs, 0.0, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let w = case.matrix(inputs, units, -1.0, 1.0);
    let infinite: Vec<usize> = (0..inputs * units).filter(|&at| w.as_slice()[at].is_infinite()).collect();
    let (x, z, w) = (case.lay(&x), case.lay(&z), case.lay(&w));
    for competition in [Competition::Hard, Competition::Top(units.min(5)), Competition::Soft { temperature: 0.2 }] {
        for update in UPDATES {
            let mut exact = reference::winner_take_all(x.view(), z.view(), w.view(), competition, &update);
            // Soft gates add the error of an exponential and of a sum over the units.
            let soft = matches!(competition, Competition::Soft { .. });
            let mut bound = bound(&exact, if soft { two_sums(batch, units) } else { one_sum(batch) });
            // What becomes of an infinite weight depends on the order of operations.
            for &at in &infinite {
                (exact.weights[at], bound[at]) = (0.0, f64::INFINITY);
            }
            case.compare(&exact.weights, &bound, |context| {
                let mut w = w.clone();
                winner_take_all(context, x.view(), z.view(), w.view_mut(), competition, &update);
                w.values()
            });
        }
    }
}

fn competing(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let z = case.matrix(batch, units, -1.0, 1.0);
    let z = case.lay(&z);
    const T: f32 = 0.2;
    for competition in [Competition::Hard, Competition::Top(units.min(5)), Competition::Soft { temperature: T }] {
        let exact = reference::gates(z.view(), competition);
        let largest = |row: &[f32]| row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let values = z.view().iter_rows().flat_map(|row| row.iter().map(move |&value| (largest(row), value)));
        let soft =
            |below: f64| gamma(3.0 * below / f64::from(T) + 3.0 * (units as f64).ln() + units as f64 / 16.0 + 12.0);
        let bound: Vec<f64> = (values.zip(&exact))
            .map(|((largest, value), gate)| match competition {
                Competition::Soft { .. } => soft(f64::from(largest) - f64::from(value)) * gate,
                _ => 0.0,
            })
            .collect();
        let gates = case.lay(&Case::poisoned(batch, units));
        case.compare(&exact, &bound, |context| {
            let mut gates = gates.clone();
            hebbian::gates(context, z.view(), competition, gates.view_mut());
            gates.values()
        });
    }
}

fn ranks(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (x, w) = (case.matrix(batch, inputs, 0.0, 1.0), case.matrix(units, inputs, -1.0, 1.0));
    let (x, w) = (case.lay(&x), case.lay(&w));
    const RATE: f32 = 0.04;
    for rule in [
        KrotovHopfield { p: 2, k: 2, delta: 0.2, non_negative: false },
        KrotovHopfield { p: 3, k: 7, delta: 0.4, non_negative: true },
    ] {
        // What the step was divided by, then the weights.
        let kernel = |context: &mut Context| {
            let mut w = w.clone();
            let largest = krotov_hopfield(context, x.view(), w.view_mut(), &rule, RATE);
            [&[largest], &w.values()[..]].concat()
        };
        // Activities are sums over the inputs of powers, both off by as much.
        let margin = 2.0 * gamma((inputs + rule.p as usize) as f64);
        let Some((weights, largest)) = reference::krotov_hopfield(x.view(), w.view(), &rule, RATE, margin) else {
            // Two activities are so close that rounding decides who wins; the bits are still the same everywhere.
            case.judge(kernel, |_| 0.0);
            continue;
        };
        // An entry of the step is a sum over the batch of x and of q w, q itself a sum over the inputs; all entries are
        // divided by the largest, which carries the same error.
        let error = |size: f64| gamma((2 * batch + inputs + 8 * rule.p as usize) as f64) * size + UNDERFLOW;
        let sizes = step_magnitudes(x.view(), w.view(), &rule);
        let of_largest = error(sizes.iter().copied().fold(0.0, f64::max));
        let mut bound = vec![of_largest];
        for ((&new, old), &size) in weights.iter().zip(w.values()).zip(&sizes) {
            let step = (new - f64::from(old)).abs();
            // A step of nothing changes nothing, and one that is divided by an infinity only what is infinite itself.
            let exact = largest < 1e-30 || !largest.is_finite();
            let of_step = (f64::from(RATE) * error(size) + of_largest * step) / largest;
            bound.push(if exact { 0.0 } else { of_step + gamma(3.0) * (new.abs() + step) });
        }
        let exact = [&[largest], &weights[..]].concat();
        strict(&exact, &mut bound);
        case.compare(&exact, &bound, kernel);
    }
}

/// The sums of absolute values that make up the entries of Krotov and Hopfield's step, before it is scaled.
fn step_magnitudes(x: MatRef<'_>, w: MatRef<'_>, rule: &KrotovHopfield) -> Vec<f64> {
    let (inputs, units) = (x.cols(), w.rows());
    let mut sizes = vec![0.0; units * inputs];
    for x in x.iter_rows() {
        let terms = |unit: usize| {
            let power = |w: f64| w * w.abs().powi(rule.p as i32 - 2);
            w.row(unit).iter().zip(x).map(move |(&w, &x)| power(f64::from(w)) * f64::from(x))
        };
        let mut order: Vec<(f64, usize)> = (0..units).map(|unit| (terms(unit).sum(), unit)).collect();
        order.retain(|&(activity, _)| activity > f64::NEG_INFINITY);
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (rank, gate) in [(0, 1.0), (rule.k - 1, f64::from(rule.delta))] {
            let Some(&(_, unit)) = order.get(rank) else { continue };
            let activity: f64 = terms(unit).map(f64::abs).sum();
            for (at, (&x, &w)) in x.iter().zip(w.row(unit)).enumerate() {
                sizes[unit * inputs + at] += gate * (f64::from(x).abs() + activity * f64::from(w).abs());
            }
        }
    }
    sizes
}
