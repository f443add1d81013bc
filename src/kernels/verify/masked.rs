//! Checks of the masked products.

use super::{Case, Check, Dim, gamma};
use crate::kernels::dense::Write;
use crate::kernels::dense::reference::Product;
use crate::kernels::masked::{
    FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix, field_matmul, field_matmul_nt,
    field_weight_gradient, gather, reference, sampled_product, scatter_add, sparse_matmul, sparse_matmul_nt,
    sparse_times_dense,
};
use crate::random::below;
use crate::{Context, Matrix};

const SPARSE: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 150 },
    Dim { name: "inputs", min: 0, max: 150 },
    Dim { name: "units", min: 0, max: 150 },
];

/// Large enough for blocks of inputs, in both directions.
const LISTS: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 150 },
    Dim { name: "inputs", min: 0, max: 320 },
    Dim { name: "units", min: 0, max: 320 },
];

const FIELDS: &[Dim] = &[
    Dim { name: "batch", min: 0, max: 150 },
    Dim { name: "rows", min: 1, max: 33 },
    Dim { name: "cols", min: 1, max: 65 },
    Dim { name: "units", min: 1, max: 140 },
];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "masked::sparse_matmul", dims: LISTS, run: forward },
    Check { kernel: "masked::sparse_matmul_nt", dims: LISTS, run: back },
    Check { kernel: "masked::sparse_times_dense", dims: SPARSE, run: times_dense },
    Check { kernel: "masked::sampled_product", dims: SPARSE, run: sampled },
    Check { kernel: "masked::field_matmul", dims: FIELDS, run: field_forward },
    Check { kernel: "masked::field_matmul_nt", dims: FIELDS, run: field_back },
    Check { kernel: "masked::field_weight_gradient", dims: FIELDS, run: field_weights },
    Check { kernel: "masked::SparseMatrix::compress", dims: SPARSE, run: compressed },
    Check { kernel: "masked::MaskedWeights", dims: SPARSE, run: chosen },
    Check { kernel: "masked::MaskedWeights::backward", dims: SPARSE, run: chosen_back },
    Check { kernel: "masked::MaskedWeights::gradient", dims: SPARSE, run: chosen_gradient },
    Check { kernel: "masked::gather", dims: FIELDS, run: gathered },
    Check { kernel: "masked::scatter_add", dims: FIELDS, run: scattered },
];

const WRITES: [Write; 3] = [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)];

/// A sparse matrix of any density, and the dense one it comes from, with NaN where it has no entry.
fn masked_weights(case: &mut Case<'_>, rows: usize, cols: usize) -> (SparseMatrix, Matrix) {
    let density = f64::from(case.finite(1, 1, -0.2, 1.2)[(0, 0)].clamp(0.0, 1.0));
    let pattern = Pattern::random(rows, cols, density, case.stream()).expect("a density");
    let values = case.matrix(rows, cols, -1.0, 1.0);
    let mut dense = Case::poisoned(rows, cols);
    for row in 0..rows {
        for &col in pattern.row(row) {
            dense[(row, col as usize)] = values[(row, col as usize)];
        }
    }
    (SparseMatrix::from_masked(dense.view(), pattern).expect("one shape"), dense)
}

fn has(w: &SparseMatrix, row: usize, col: usize) -> bool {
    w.pattern().row(row).binary_search(&(col as u32)).is_ok()
}

/// Compares for every [`Write`]; `depth` bounds the terms of any output.
fn products(
    case: &mut Case<'_>,
    (rows, cols, depth): (usize, usize, usize),
    sums: &Product,
    kernel: impl Fn(&mut Context, &mut Matrix, Write),
) {
    let old = case.matrix(rows, cols, -1.0, 1.0);
    for write in WRITES {
        // What is replaced must not be read.
        let start = if write == Write::Replace { Case::poisoned(rows, cols) } else { old.clone() };
        let (mut exact, mut bound) = (Vec::new(), Vec::new());
        for (at, &old) in old.as_slice().iter().enumerate() {
            let (old, scale) = match write {
                Write::Replace => (0.0, 1.0),
                Write::Add(scale) | Write::AddNonNegative(scale) => (f64::from(old), f64::from(scale.abs())),
            };
            let value = write.apply(old, sums.sums[at]);
            exact.push(value);
            // One fused operation a term; one that adds the sum to what is there.
            let magnitude = scale * sums.magnitudes[at];
            bound.push(match write {
                Write::Replace => gamma(depth as f64) * magnitude,
                _ => gamma(depth as f64 + 1.0) * magnitude + gamma(1.0) * (value.abs() + old.abs()),
            });
        }
        case.compare(&exact, &bound, |context| {
            let mut c = start.clone();
            kernel(context, &mut c, write);
            c.as_slice().to_vec()
        });
    }
}

/// Weights, what they are multiplied with, the product's rows, columns and depth, and its sums.
struct Drawn {
    w: SparseMatrix,
    from: Matrix,
    shape: (usize, usize, usize),
    sums: Product,
}

/// A batch of inputs, and what the units make of it.
fn forward_case(case: &mut Case<'_>) -> Drawn {
    let [batch, inputs, units] = case.sizes();
    let (w, dense) = masked_weights(case, inputs, units);
    let from = case.matrix(batch, inputs, -1.0, 1.0);
    let shape = (batch, units, inputs);
    let sums = reference::masked_product(shape, |i, k| from[(i, k)], |k, j| dense[(k, j)], |k, j| has(&w, k, j));
    Drawn { w, from, shape, sums }
}

/// A batch of the units' gradients, and what it makes of the inputs'.
fn back_case(case: &mut Case<'_>) -> Drawn {
    let [batch, inputs, units] = case.sizes();
    let (w, dense) = masked_weights(case, inputs, units);
    let from = case.matrix(batch, units, -1.0, 1.0);
    let shape = (batch, inputs, units);
    let sums = reference::masked_product(shape, |i, k| from[(i, k)], |k, j| dense[(j, k)], |k, j| has(&w, j, k));
    Drawn { w, from, shape, sums }
}

fn forward(case: &mut Case<'_>) {
    let Drawn { w, from: x, shape, sums } = forward_case(case);
    products(case, shape, &sums, |context, y, write| sparse_matmul(context, x.view(), &w, y.view_mut(), write));
}

fn back(case: &mut Case<'_>) {
    let Drawn { w, from: y, shape, sums } = back_case(case);
    products(case, shape, &sums, |context, x, write| sparse_matmul_nt(context, y.view(), &w, x.view_mut(), write));
}

fn times_dense(case: &mut Case<'_>) {
    let [cols, rows, depth] = case.sizes();
    let (a, dense) = masked_weights(case, rows, depth);
    let b = case.matrix(depth, cols, -1.0, 1.0);
    // As b^T a^T, whose right factor is the masked one, and then transposed.
    let sums =
        reference::masked_product((cols, rows, depth), |i, k| b[(k, i)], |k, j| dense[(j, k)], |k, j| has(&a, j, k));
    let turned = |values: &[f64]| (0..rows * cols).map(|at| values[at % cols * rows + at / cols]).collect();
    let sums = Product { sums: turned(&sums.sums), magnitudes: turned(&sums.magnitudes) };
    products(case, (rows, cols, depth), &sums, |context, c, write| {
        sparse_times_dense(context, &a, b.view(), c.view_mut(), write);
    });
}

fn sampled(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (w, _) = masked_weights(case, inputs, units);
    let (x, z) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let exact = reference::sampled_product(x.view(), z.view(), w.pattern());
    let bound = along_samples(&exact, batch);
    case.compare(&exact.sums, &bound, |context| {
        let mut values = vec![f32::NAN; w.pattern().entries()];
        sampled_product(context, x.view(), z.view(), w.pattern(), &mut values);
        values
    });
}

fn compressed(case: &mut Case<'_>) {
    let [_, rows, cols] = case.sizes();
    let (want, _) = masked_weights(case, rows, cols);
    let dense = want.to_dense();
    let exact: Vec<f64> = dense.as_slice().iter().map(|&value| f64::from(value)).collect();
    case.compare(&exact, &vec![0.0; exact.len()], |context| {
        let compressed = SparseMatrix::compress(context, dense.view()).expect("a small matrix");
        compressed.to_dense().as_slice().to_vec()
    });
}

fn chosen(case: &mut Case<'_>) {
    let Drawn { w, from: x, shape, sums } = forward_case(case);
    // One plan for all sets: what is verified is the strategy it chooses.
    let weights = MaskedWeights::sparse(&case.contexts[0], w, shape.0);
    // The dense strategy adds its one block of up to 256 terms to what is there: no operation more.
    products(case, shape, &sums, |context, y, write| weights.forward(context, x.view(), y.view_mut(), write));
}

fn chosen_back(case: &mut Case<'_>) {
    let Drawn { w, from: y, shape, sums } = back_case(case);
    let weights = MaskedWeights::sparse(&case.contexts[0], w, shape.0);
    products(case, shape, &sums, |context, x, write| weights.backward(context, y.view(), x.view_mut(), write));
}

fn chosen_gradient(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (w, _) = masked_weights(case, inputs, units);
    let (x, z) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let exact = reference::sampled_product(x.view(), z.view(), w.pattern());
    // The longer of the dense product's chain and the sampled product's.
    let roundings = batch.max(12 + batch / 128) as f64;
    let bound: Vec<f64> = exact.magnitudes.iter().map(|magnitude| gamma(roundings) * magnitude).collect();
    let weights = MaskedWeights::sparse(&case.contexts[0], w, batch);
    case.compare(&exact.sums, &bound, |context| {
        let mut gradient = vec![f32::NAN; weights.values().len()];
        weights.gradient(context, x.view(), z.view(), &mut gradient);
        gradient
    });
}

/// A lane's chain is at most 8 long in each panel of 128 samples, 4 additions fold the lanes, one adds the panel.
fn along_samples(exact: &Product, batch: usize) -> Vec<f64> {
    let factor = gamma(8.0 + 4.0 + batch.div_ceil(128) as f64);
    exact.magnitudes.iter().map(|magnitude| factor * magnitude).collect()
}

/// Units of one to three rectangles anywhere on the map, which may overlap.
fn layer(case: &mut Case<'_>, map: Map, units: usize) -> FieldLayer {
    let mut generator = case.stream().generator();
    let mut span = |len: usize| {
        let start = below(&mut generator, len as u64) as usize;
        start..start + 1 + below(&mut generator, (len - start) as u64) as usize
    };
    let mut fields = Vec::new();
    for _ in 0..units {
        let count = 1 + span(3).start;
        let rectangles: Vec<_> = (0..count).map(|_| Rectangle::new(span(map.rows), span(map.cols))).collect();
        fields.push(ReceptiveField::new(map, &rectangles).expect("inside the map"));
    }
    FieldLayer::new(fields).expect("one map")
}

/// The longest chain of a layer, and its shapes' parts.
fn field_case(case: &mut Case<'_>) -> (usize, FieldLayer, Matrix) {
    let [batch, rows, cols, units] = case.sizes();
    let layer = layer(case, Map { rows, cols }, units);
    let weights = case.matrix(1, layer.weights(), -1.0, 1.0);
    (batch, layer, weights)
}

fn field_forward(case: &mut Case<'_>) {
    let (batch, layer, weights) = field_case(case);
    let x = case.matrix(batch, layer.map().len(), -1.0, 1.0);
    let sums = reference::field_matmul(x.view(), &layer, weights.as_slice());
    let depth = layer.fields().iter().map(ReceptiveField::len).max().unwrap_or(0);
    products(case, (batch, layer.units(), depth), &sums, |context, y, write| {
        field_matmul(context, x.view(), &layer, weights.as_slice(), y.view_mut(), write);
    });
}

fn field_back(case: &mut Case<'_>) {
    let (batch, layer, weights) = field_case(case);
    let y = case.matrix(batch, layer.units(), -1.0, 1.0);
    let sums = reference::field_matmul_nt(y.view(), &layer, weights.as_slice());
    // A unit has up to three rectangles over a column.
    products(case, (batch, layer.map().len(), 3 * layer.units()), &sums, |context, x, write| {
        field_matmul_nt(context, y.view(), &layer, weights.as_slice(), x.view_mut(), write);
    });
}

fn field_weights(case: &mut Case<'_>) {
    let (batch, layer, _) = field_case(case);
    let (x, y) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), case.matrix(batch, layer.units(), -1.0, 1.0));
    let exact = reference::field_weight_gradient(x.view(), y.view(), &layer);
    let bound = along_samples(&exact, batch);
    case.compare(&exact.sums, &bound, |context| {
        let mut gradient = vec![f32::NAN; layer.weights()];
        field_weight_gradient(context, x.view(), y.view(), &layer, &mut gradient);
        gradient
    });
}

fn exactly(values: &Matrix) -> Vec<f64> {
    values.as_slice().iter().map(|&value| f64::from(value)).collect()
}

fn gathered(case: &mut Case<'_>) {
    let (batch, layer, _) = field_case(case);
    let (x, field) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), &layer.fields()[0]);
    let mut want = Case::poisoned(batch, field.len());
    reference::gather(x.view(), field, want.view_mut());
    case.compare(&exactly(&want), &vec![0.0; want.as_slice().len()], |context| {
        let mut out = Case::poisoned(batch, field.len());
        gather(context, x.view(), field, out.view_mut());
        out.as_slice().to_vec()
    });
}

fn scattered(case: &mut Case<'_>) {
    let (batch, layer, _) = field_case(case);
    let (x, field) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), &layer.fields()[0]);
    let from = case.matrix(batch, field.len(), -1.0, 1.0);
    let mut want = x.clone();
    // The same additions in the same order: exact.
    reference::scatter_add(from.view(), field, want.view_mut());
    case.compare(&exactly(&want), &vec![0.0; want.as_slice().len()], |context| {
        let mut x = x.clone();
        scatter_add(context, from.view(), field, x.view_mut());
        x.as_slice().to_vec()
    });
}
