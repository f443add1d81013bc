//! Checks of the masked products.

use super::{Case, Check, Dim, Laid, gamma};
use crate::kernels::dense::blocked::DEPTH;
use crate::kernels::dense::reference::Product;
use crate::kernels::dense::{BY_PANEL, Write};
use crate::kernels::masked::{
    self, FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix, Strategy, field_matmul,
    field_matmul_nt, field_weight_gradient, gather, reference, sampled_product, scatter_add, sparse_matmul,
    sparse_matmul_nt, sparse_times_dense,
};
use crate::random::below;
use crate::{Context, MatMut, Matrix};

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

/// So many samples and units, that they are [`LARGE`].
const SAMPLES: usize = 1024;
const UNITS: usize = LARGE / SAMPLES;

/// Enough outputs to be written past the caches.
pub(super) const PAST_CACHES: Check = Check {
    kernel: "masked::sparse_matmul, past the caches",
    dims: &[
        Dim { name: "batch", min: SAMPLES, max: SAMPLES + 17 },
        Dim { name: "inputs", min: 1, max: 3 },
        Dim { name: "units", min: UNITS, max: UNITS + 17 },
    ],
    run: forward,
};

/// So many samples and units that the dense strategy lays its weights out.
const WIDE: &[Dim] = &[
    Dim { name: "batch", min: 62, max: 80 },
    Dim { name: "inputs", min: 0, max: 12 },
    Dim { name: "units", min: BY_PANEL, max: BY_PANEL + 16 },
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
    Check { kernel: "masked::MaskedWeights, many units", dims: WIDE, run: chosen },
    Check { kernel: "masked::MaskedWeights::backward", dims: SPARSE, run: chosen_back },
    Check { kernel: "masked::MaskedWeights::gradient", dims: SPARSE, run: chosen_gradient },
    Check { kernel: "masked::MaskedWeights, fields", dims: FIELDS, run: chosen_fields },
    Check { kernel: "masked::MaskedWeights::backward, fields", dims: FIELDS, run: chosen_fields_back },
    Check { kernel: "masked::MaskedWeights::gradient, fields", dims: FIELDS, run: chosen_fields_gradient },
    Check { kernel: "masked::gather", dims: FIELDS, run: gathered },
    Check { kernel: "masked::scatter_add", dims: FIELDS, run: scattered },
];

/// Outputs that are written past the caches.
const LARGE: usize = masked::PAST_CACHES;

const WRITES: [Write; 3] = [Write::Replace, Write::Add(0.5), Write::AddNonNegative(-0.25)];

/// A sparse matrix of any density, and the dense one it comes from, with NaN where it has no entry.
fn masked_weights(case: &mut Case<'_>, rows: usize, cols: usize) -> (SparseMatrix, Matrix) {
    // Large products are rare: one of a matrix without entries would be a waste.
    let least = if cols < PAST_CACHES.dims[2].min { -0.2 } else { 0.3 };
    let density = f64::from(case.finite(1, 1, least, 1.2)[(0, 0)].clamp(0.0, 1.0));
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

/// Compares for every [`Write`]; `terms` tells how many an output has. Of large products only what replaces, which may go past the caches.
fn products(
    case: &mut Case<'_>,
    shape: (usize, usize),
    terms: impl Fn(usize, usize) -> usize,
    sums: &Product,
    kernel: impl Fn(&mut Context, MatMut<'_>, Write),
) {
    products_in_blocks(case, shape, terms, 1, sums, kernel);
}

/// The same where the sum is added to what is there in so many parts.
fn products_in_blocks(
    case: &mut Case<'_>,
    (rows, cols): (usize, usize),
    terms: impl Fn(usize, usize) -> usize,
    blocks: usize,
    sums: &Product,
    kernel: impl Fn(&mut Context, MatMut<'_>, Write),
) {
    let old = case.matrix(rows, cols, -1.0, 1.0);
    let poisoned = Case::poisoned(rows, cols);
    for &write in if rows * cols < LARGE { &WRITES[..] } else { &WRITES[..1] } {
        // What is replaced must not be read.
        let start = case.lay(if write == Write::Replace { &poisoned } else { &old });
        let (mut exact, mut bound) = (Vec::new(), Vec::new());
        for (at, &old) in old.as_slice().iter().enumerate() {
            let (old, scale) = match write {
                Write::Replace => (0.0, 1.0),
                Write::Add(scale) | Write::AddNonNegative(scale) => (f64::from(old), f64::from(scale.abs())),
            };
            let value = write.apply(old, sums.sums[at]);
            exact.push(value);
            // One fused operation a term; one for each block, that adds its sum to what is there by then.
            let magnitude = scale * sums.magnitudes[at];
            let terms = terms(at / cols, at % cols) as f64;
            bound.push(match write {
                Write::Replace => gamma(terms) * magnitude,
                _ => gamma(terms + blocks as f64) * magnitude + gamma(blocks as f64) * (value.abs() + old.abs()),
            });
        }
        case.compare(&exact, &bound, |context| {
            let mut c = start.clone();
            kernel(context, c.view_mut(), write);
            c.values()
        });
    }
}

/// Weights, what they are multiplied with, the product's rows and columns, how many terms each column's outputs have, and its sums.
struct Drawn {
    w: SparseMatrix,
    from: Laid,
    shape: (usize, usize),
    terms: Vec<usize>,
    sums: Product,
}

/// How many entries each row has, and each column.
fn entries(w: &SparseMatrix) -> [Vec<usize>; 2] {
    let rows = (0..w.rows()).map(|row| w.pattern().row(row).len()).collect();
    let mut cols = vec![0; w.cols()];
    w.pattern().indices().iter().for_each(|&col| cols[col as usize] += 1);
    [rows, cols]
}

/// A batch of inputs, and what the units make of it.
fn forward_case(case: &mut Case<'_>) -> Drawn {
    let [batch, inputs, units] = case.sizes();
    let (w, dense) = masked_weights(case, inputs, units);
    let from = case.matrix(batch, inputs, -1.0, 1.0);
    let shape = (batch, units, inputs);
    let sums =
        reference::masked_product(shape, |i, k| from[(i, k)], |k, j| dense[(k, j)], |k, j| w.pattern().contains(k, j));
    let [_, terms] = entries(&w);
    Drawn { w, from: case.lay(&from), shape: (batch, units), terms, sums }
}

/// A batch of the units' gradients, and what it makes of the inputs'.
fn back_case(case: &mut Case<'_>) -> Drawn {
    let [batch, inputs, units] = case.sizes();
    let (w, dense) = masked_weights(case, inputs, units);
    let from = case.matrix(batch, units, -1.0, 1.0);
    let shape = (batch, inputs, units);
    let sums =
        reference::masked_product(shape, |i, k| from[(i, k)], |k, j| dense[(j, k)], |k, j| w.pattern().contains(j, k));
    let [terms, _] = entries(&w);
    Drawn { w, from: case.lay(&from), shape: (batch, inputs), terms, sums }
}

fn forward(case: &mut Case<'_>) {
    let Drawn { w, from: x, shape, terms, sums } = forward_case(case);
    let terms_of = |_, unit: usize| terms[unit];
    products(case, shape, terms_of, &sums, |context, y, write| {
        sparse_matmul(context, x.view(), &w, y, write);
    });
}

fn back(case: &mut Case<'_>) {
    let Drawn { w, from: y, shape, terms, sums } = back_case(case);
    let terms_of = |_, input: usize| terms[input];
    products(case, shape, terms_of, &sums, |context, x, write| {
        sparse_matmul_nt(context, y.view(), &w, x, write);
    });
}

fn times_dense(case: &mut Case<'_>) {
    let [cols, rows, depth] = case.sizes();
    let (a, dense) = masked_weights(case, rows, depth);
    let b = case.matrix(depth, cols, -1.0, 1.0);
    // As b^T a^T, whose right factor is the masked one, and then transposed.
    let sums = reference::masked_product(
        (cols, rows, depth),
        |i, k| b[(k, i)],
        |k, j| dense[(j, k)],
        |k, j| a.pattern().contains(j, k),
    );
    let turned = |values: &[f64]| (0..rows * cols).map(|at| values[at % cols * rows + at / cols]).collect();
    let sums = Product { sums: turned(&sums.sums), magnitudes: turned(&sums.magnitudes) };
    let [terms, _] = entries(&a);
    let b = case.lay(&b);
    let terms_of = |row: usize, _| terms[row];
    products(case, (rows, cols), terms_of, &sums, |context, c, write| {
        sparse_times_dense(context, &a, b.view(), c, write);
    });
}

fn sampled(case: &mut Case<'_>) {
    let [batch, inputs, units] = case.sizes();
    let (w, _) = masked_weights(case, inputs, units);
    let (x, z) = (case.matrix(batch, inputs, -1.0, 1.0), case.matrix(batch, units, -1.0, 1.0));
    let exact = reference::sampled_product(x.view(), z.view(), w.pattern());
    let bound = along_samples(&exact, batch);
    let (x, z) = (case.lay(&x), case.lay(&z));
    case.compare(&exact.sums, &bound, |context| {
        let mut values = vec![f32::NAN; w.pattern().entries()];
        sampled_product(context, x.view(), z.view(), w.pattern(), &mut values);
        values
    });
}

/// Into new memory, and into that of another matrix, whose order by columns is built again: seen in a product.
fn compressed(case: &mut Case<'_>) {
    let [batch, rows, cols] = case.sizes();
    let (want, _) = masked_weights(case, rows, cols);
    let (used, _) = masked_weights(case, cols, batch);
    let (x, any) = (case.matrix(batch, rows, -1.0, 1.0), case.finite(1, cols, -1.0, 1.0));
    let product = |context: &mut Context, x: &Matrix, w: &SparseMatrix| {
        let mut y = Case::poisoned(x.rows(), w.cols());
        sparse_matmul(context, x.view(), w, y.view_mut(), Write::Replace);
        y
    };
    let dense = want.to_dense();
    let fresh = SparseMatrix::compress(&mut case.contexts[0], dense.view()).expect("a small matrix");
    let [values, product_of_fresh] = [&dense, &product(&mut case.contexts[0], &x, &fresh)].map(exactly);
    let exact = [&values[..], &values, &product_of_fresh].concat();
    let dense = case.lay(&dense);
    case.compare(&exact, &vec![0.0; exact.len()], |context| {
        let compressed = SparseMatrix::compress(context, dense.view()).expect("a small matrix");
        let mut again = used.clone();
        product(context, &any, &again);
        again.recompress(context, dense.view()).expect("a small matrix");
        let of_again = product(context, &x, &again);
        [compressed.to_dense().as_slice(), again.to_dense().as_slice(), of_again.as_slice()].concat()
    });
}

fn chosen(case: &mut Case<'_>) {
    let Drawn { w, from: x, shape, terms, sums } = forward_case(case);
    // The dense strategy adds its one block of up to 256 terms to what is there: no operation more.
    let terms_of = |_, unit: usize| terms[unit];
    products(case, shape, terms_of, &sums, |context, y, write| {
        // Laid out for this set; the plan is the same for all.
        let weights = MaskedWeights::sparse(context, w.clone(), shape.0);
        weights.forward(context, x.view(), y, write);
    });
}

fn chosen_back(case: &mut Case<'_>) {
    let Drawn { w, from: y, shape, terms, sums } = back_case(case);
    let weights = MaskedWeights::sparse(&case.contexts[0], w, shape.0);
    let terms_of = |_, input: usize| terms[input];
    products(case, shape, terms_of, &sums, |context, x, write| {
        weights.backward(context, y.view(), x, write);
    });
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
    let (x, z) = (case.lay(&x), case.lay(&z));
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

/// How often the units of a layer see each column: once for every rectangle over it.
fn listed(layer: &FieldLayer) -> Vec<usize> {
    let mut times = vec![0; layer.map().len()];
    layer.fields().iter().flat_map(ReceptiveField::columns).for_each(|column| times[column] += 1);
    times
}

/// The layer as it is laid out for this context's set.
fn chosen_layer(context: &Context, layer: &FieldLayer, weights: &Matrix, planned: usize) -> MaskedWeights {
    let values = weights.as_slice().to_vec();
    MaskedWeights::fields(context, layer.clone(), values, planned).expect("a value for every weight")
}

/// The batch, units on a map, and their weights.
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
    let x = case.lay(&x);
    let terms = |_, unit: usize| layer.fields()[unit].len();
    products(case, (batch, layer.units()), terms, &sums, |context, y, write| {
        field_matmul(context, x.view(), &layer, weights.as_slice(), y, write);
    });
}

fn field_back(case: &mut Case<'_>) {
    let (batch, layer, weights) = field_case(case);
    let y = case.matrix(batch, layer.units(), -1.0, 1.0);
    let sums = reference::field_matmul_nt(y.view(), &layer, weights.as_slice());
    let y = case.lay(&y);
    let terms = listed(&layer);
    let terms_of = |_, column: usize| terms[column];
    products(case, (batch, layer.map().len()), terms_of, &sums, |context, x, write| {
        field_matmul_nt(context, y.view(), &layer, weights.as_slice(), x, write);
    });
}

fn field_weights(case: &mut Case<'_>) {
    let (batch, layer, _) = field_case(case);
    let (x, y) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), case.matrix(batch, layer.units(), -1.0, 1.0));
    let exact = reference::field_weight_gradient(x.view(), y.view(), &layer);
    let bound = along_samples(&exact, batch);
    let (x, y) = (case.lay(&x), case.lay(&y));
    case.compare(&exact.sums, &bound, |context| {
        let mut gradient = vec![f32::NAN; layer.weights()];
        field_weight_gradient(context, x.view(), y.view(), &layer, &mut gradient);
        gradient
    });
}

/// Fields, their weights, and the batch for which a layer chooses: for a batch so small that the dense strategy is taken above a sixth of all connections, or for the case's.
fn chosen_field_case(case: &mut Case<'_>) -> (usize, FieldLayer, Matrix, usize) {
    let (batch, layer, weights) = field_case(case);
    let planned = [0, batch][below(&mut case.stream().generator(), 2) as usize];
    (batch, layer, weights, planned)
}

fn chosen_fields(case: &mut Case<'_>) {
    let (batch, layer, weights, planned) = chosen_field_case(case);
    let x = case.matrix(batch, layer.map().len(), -1.0, 1.0);
    let sums = reference::field_matmul(x.view(), &layer, weights.as_slice());
    let x = case.lay(&x);
    let terms = |_, unit: usize| layer.fields()[unit].len();
    // The dense strategy adds every block of inputs to what is there.
    let plan = *chosen_layer(&case.contexts[0], &layer, &weights, planned).plan();
    let blocks = if plan.strategy() == Strategy::Dense { layer.map().len().div_ceil(DEPTH) } else { 1 };
    products_in_blocks(case, (batch, layer.units()), terms, blocks, &sums, |context, y, write| {
        chosen_layer(context, &layer, &weights, planned).forward(context, x.view(), y, write);
    });
}

fn chosen_fields_back(case: &mut Case<'_>) {
    let (batch, layer, weights, planned) = chosen_field_case(case);
    let y = case.matrix(batch, layer.units(), -1.0, 1.0);
    let sums = reference::field_matmul_nt(y.view(), &layer, weights.as_slice());
    let y = case.lay(&y);
    let terms = listed(&layer);
    let terms_of = |_, column: usize| terms[column];
    products(case, (batch, layer.map().len()), terms_of, &sums, |context, x, write| {
        chosen_layer(context, &layer, &weights, planned).backward(context, y.view(), x, write);
    });
}

fn chosen_fields_gradient(case: &mut Case<'_>) {
    let (batch, layer, weights, planned) = chosen_field_case(case);
    let (x, y) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), case.matrix(batch, layer.units(), -1.0, 1.0));
    let exact = reference::field_weight_gradient(x.view(), y.view(), &layer);
    let bound = along_samples(&exact, batch);
    let (x, y) = (case.lay(&x), case.lay(&y));
    case.compare(&exact.sums, &bound, |context| {
        let mut gradient = vec![f32::NAN; layer.weights()];
        chosen_layer(context, &layer, &weights, planned).gradient(context, x.view(), y.view(), &mut gradient);
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
    let (x, out) = (case.lay(&x), case.lay(&Case::poisoned(batch, field.len())));
    case.compare(&exactly(&want), &vec![0.0; want.as_slice().len()], |context| {
        let mut out = out.clone();
        gather(context, x.view(), field, out.view_mut());
        out.values()
    });
}

fn scattered(case: &mut Case<'_>) {
    let (batch, layer, _) = field_case(case);
    let (x, field) = (case.matrix(batch, layer.map().len(), -1.0, 1.0), &layer.fields()[0]);
    let from = case.matrix(batch, field.len(), -1.0, 1.0);
    let mut want = x.clone();
    // The same additions in the same order: exact.
    reference::scatter_add(from.view(), field, want.view_mut());
    let (from, x) = (case.lay(&from), case.lay(&x));
    case.compare(&exactly(&want), &vec![0.0; want.as_slice().len()], |context| {
        let mut x = x.clone();
        scatter_add(context, from.view(), field, x.view_mut());
        x.values()
    });
}
