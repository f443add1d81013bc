//! Checks of the dense products.

use super::{Case, Check, Dim, gamma, strict};
use crate::kernels::dense::{self, Write, reference};
use crate::{Context, MatMut, MatRef};

const DIMS: &[Dim] =
    &[Dim { name: "m", min: 0, max: 150 }, Dim { name: "n", min: 0, max: 400 }, Dim { name: "k", min: 0, max: 600 }];

/// Or few columns: by dot products, if k is long.
const FEW: &[Dim] =
    &[Dim { name: "m", min: 0, max: 18 }, Dim { name: "n", min: 0, max: 200 }, Dim { name: "k", min: 0, max: 2200 }];

const SKINNY: &[Dim] =
    &[Dim { name: "m", min: 0, max: 150 }, Dim { name: "n", min: 0, max: 40 }, Dim { name: "k", min: 0, max: 2100 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "dense::matmul", dims: DIMS, run: |case| product(case, dense::matmul, false, false) },
    Check { kernel: "dense::matmul_nt", dims: DIMS, run: |case| product(case, dense::matmul_nt, false, true) },
    Check { kernel: "dense::matmul_nt, few rows", dims: FEW, run: |case| product(case, dense::matmul_nt, false, true) },
    Check { kernel: "dense::matmul_tn", dims: DIMS, run: |case| product(case, dense::matmul_tn, true, false) },
    Check { kernel: "dense::matmul_skinny", dims: SKINNY, run: skinny },
    Check { kernel: "dense::add_bias", dims: BIASED, run: bias },
];

const BIASED: &[Dim] = &[Dim { name: "batch", min: 0, max: 150 }, Dim { name: "units", min: 0, max: 300 }];

fn bias(case: &mut Case<'_>) {
    let [batch, units] = case.sizes();
    let (y, bias) = (case.matrix(batch, units, -1.0, 1.0), case.matrix(1, units, -1.0, 1.0));
    let exact = dense::reference::add_bias(y.view(), bias.as_slice());
    let mut bound: Vec<f64> = exact.iter().map(|sum| gamma(1.0) * sum.abs()).collect();
    strict(&exact, &mut bound);
    let y = case.lay(&y);
    case.compare(&exact, &bound, |context| {
        let mut y = y.clone();
        dense::add_bias(context, y.view_mut(), bias.as_slice());
        y.values()
    });
}

type Product = fn(&mut Context, MatRef<'_>, MatRef<'_>, MatMut<'_>, Write);

fn product(case: &mut Case<'_>, kernel: Product, a_transposed: bool, b_transposed: bool) {
    let [m, n, k] = case.sizes();
    let (a, b, old) = (case.matrix(m, k, -1.0, 1.0), case.matrix(k, n, -1.0, 1.0), case.matrix(m, n, -1.0, 1.0));
    let left = case.lay(&if a_transposed { a.transposed() } else { a.clone() });
    let right = case.lay(&if b_transposed { b.transposed() } else { b.clone() });
    let sums = reference::product(m, n, k, |i, k| a[(i, k)], |k, j| b[(k, j)]);
    let poisoned = Case::poisoned(m, n);
    for write in [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)] {
        // What is replaced must not be read.
        let start = case.lay(if write == Write::Replace { &poisoned } else { &old });
        let scale = match write {
            Write::Replace => 1.0,
            Write::Add(scale) | Write::AddNonNegative(scale) => f64::from(scale.abs()),
        };
        let (mut exact, mut bound) = (Vec::new(), Vec::new());
        for (at, &old) in old.as_slice().iter().enumerate() {
            let (old, magnitude) = (f64::from(old), scale * sums.magnitudes[at]);
            let value = write.apply(old, sums.sums[at]);
            exact.push(value);
            // Every term is added by one fused operation, k of them; the depth is cut into blocks of 256, each added to c
            // by one more, which rounds what c holds by then: at most |old| + the magnitudes.
            let blocks = k.div_ceil(256) as f64;
            bound.push(match write {
                Write::Replace => gamma(k as f64) * magnitude,
                _ => gamma(k as f64 + 2.0 * blocks) * magnitude + gamma(2.0 * blocks) * (value.abs() + old.abs()),
            });
        }
        case.compare(&exact, &bound, |context| {
            let mut c = start.clone();
            kernel(context, left.view(), right.view(), c.view_mut(), write);
            c.values()
        });
    }
}

fn skinny(case: &mut Case<'_>) {
    let [m, n, k] = case.sizes();
    let (a, b) = (case.matrix(m, k, -1.0, 1.0), case.matrix(k, n, -1.0, 1.0));
    let product = reference::product(m, n, k, |i, k| a[(i, k)], |k, j| b[(k, j)]);
    // Sixteen chains, and the fold of their sums.
    let bound: Vec<f64> = product.magnitudes.iter().map(|size| gamma(k as f64 / 16.0 + 6.0) * size).collect();
    let (a, b, c) = (case.lay(&a), case.lay(&b), case.lay(&Case::poisoned(m, n)));
    case.compare(&product.sums, &bound, |context| {
        let mut c = c.clone();
        dense::matmul_skinny(context, a.view(), b.view(), c.view_mut());
        c.values()
    });
}
