//! Masked products beside the dense product with a masked matrix and the loop a compiler vectorises.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::beside::{Answer, Beside};
use common::{groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::dense::{self, Write, matmul, matmul_tn};
use neuropil::kernels::masked::{
    FieldLayer, Map, MaskedWeights, Pattern, Plan, ReceptiveField, Rectangle, SparseMatrix, field_matmul,
    field_matmul_nt, field_weight_gradient, gather, reference, sampled_product, scatter_add, sparse_matmul,
    sparse_matmul_nt, sparse_times_dense,
};
use neuropil::random::{Stream, below};
use neuropil::{Context, Matrix};

const INPUTS: usize = 784;
const UNITS: usize = 2000;

fn sparse_weights(density: f64) -> SparseMatrix {
    let pattern = Pattern::random(INPUTS, UNITS, density, Stream::new(0, "mask")).expect("a density");
    SparseMatrix::from_masked(uniform(INPUTS, UNITS, -1.0, 1.0, "w").view(), pattern).expect("one shape")
}

/// `y[b] += x[b, k] w[k, j]` entry by entry.
fn plain(x: &Matrix, w: &SparseMatrix, y: &mut Matrix) {
    y.as_mut_slice().fill(0.0);
    for b in 0..x.rows() {
        for k in 0..w.rows() {
            let value = x[(b, k)];
            for (&j, w) in w.pattern().row(k).iter().zip(&w.values()[w.pattern().range(k)]) {
                y[(b, j as usize)] += value * w;
            }
        }
    }
}

/// So many samples go through the references that look at every weight that is masked, too.
const FEW: usize = 16;

/// A masked matrix, laid out for an instruction set when it is first used there.
type Chosen = (Matrix, Option<MaskedWeights>);

fn sparse(criterion: &mut Criterion) {
    for (batch, density) in [(256, 0.01), (256, 0.05), (256, 0.1), (256, 0.5), (2000, 0.01), (2000, 0.1), (1, 0.1)] {
        let mut group = group(criterion, &format!("sparse {batch}x{INPUTS}x{UNITS} at {density}"));
        let w = sparse_weights(density);
        let (work, few) = (batch * w.pattern().entries(), batch.min(FEW));
        group.throughput(Throughput::Elements(work as u64));
        let (x, dense) = (uniform(batch, INPUTS, 0.1, 1.0, "x"), w.to_dense());
        let start = Matrix::zeros(batch, UNITS);
        let mut best = Context::new().expect("an instruction set");
        let has = |k, j| dense[(k, j)] != 0.0;
        let plan = Plan::for_pattern(batch, INPUTS, UNITS, w.pattern().density());
        Beside::reference(&mut group, "", &format!("reference, samples: {few}"), 1e-4, || {
            reference::masked_product((few, UNITS, INPUTS), |b, k| x[(b, k)], |k, j| dense[(k, j)], has).sums
        })
        .timed("plain loop", &start, |y| plain(&x, &w, y))
        .timed("ours, dense", &start, |y| matmul(&mut best, x.view(), dense.view(), y.view_mut(), Write::Replace))
        .ours(work, &start, |context, y| sparse_matmul(context, x.view(), &w, y.view_mut(), Write::Replace))
        .named(&format!("chosen: {}", plan.strategy()))
        .ours(work, &(start.clone(), None), |context, (y, chosen): &mut Chosen| {
            let chosen = chosen.get_or_insert_with(|| MaskedWeights::sparse(context, w.clone(), batch));
            chosen.forward(context, x.view(), y.view_mut(), Write::Replace);
        });
    }
}

/// `y[b, i] = sum over the entries j of row i of z[b, j] w[i, j]`
fn plain_nt(z: &Matrix, w: &SparseMatrix, y: &mut Matrix) {
    for b in 0..z.rows() {
        for i in 0..w.rows() {
            let entries = w.pattern().row(i).iter().zip(&w.values()[w.pattern().range(i)]);
            y[(b, i)] = entries.map(|(&j, w)| z[(b, j as usize)] * w).sum();
        }
    }
}

/// `(x^T z)[i, j]` for every entry of the pattern.
fn plain_sampled(x: &Matrix, z: &Matrix, pattern: &Pattern, values: &mut [f32]) {
    values.fill(0.0);
    for b in 0..x.rows() {
        for i in 0..x.cols() {
            for (&j, value) in pattern.row(i).iter().zip(&mut values[pattern.range(i)]) {
                *value += x[(b, i)] * z[(b, j as usize)];
            }
        }
    }
}

/// `a b` entry by entry of a.
fn plain_times_dense(a: &SparseMatrix, b: &Matrix, c: &mut Matrix) {
    c.as_mut_slice().fill(0.0);
    for row in 0..a.rows() {
        for (&k, &value) in a.pattern().row(row).iter().zip(&a.values()[a.pattern().range(row)]) {
            c.row_mut(row).iter_mut().zip(b.row(k as usize)).for_each(|(c, b)| *c += value * b);
        }
    }
}

/// What is not zero, and where it is.
type Entries = (Matrix, (Vec<u32>, Vec<u32>));

fn plain_compress(dense: &Matrix, (values, (offsets, indices)): &mut Entries) {
    let mut count = 0;
    offsets.clear();
    indices.clear();
    for row in 0..dense.rows() {
        offsets.push(count as u32);
        for (col, &value) in dense.row(row).iter().enumerate() {
            if value != 0.0 {
                values.as_mut_slice()[count] = value;
                indices.push(col as u32);
                count += 1;
            }
        }
    }
}

impl Answer for SparseMatrix {
    fn values(&self) -> Vec<f32> {
        self.values().to_vec()
    }
}

/// What a step of training needs besides: back through the weights, the weights' gradient, activities from the left, compression.
fn gradients(criterion: &mut Criterion) {
    let mut group = group(criterion, &format!("sparse gradients 256x{INPUTS}x{UNITS} at 0.1"));
    let (batch, w) = (256, sparse_weights(0.1));
    let (dense, transposed) = (w.to_dense(), w.to_dense().transposed());
    let (x, z) = (uniform(batch, INPUTS, 0.1, 1.0, "x"), uniform(batch, UNITS, 0.1, 1.0, "z"));
    let (back, slopes) = (Matrix::zeros(batch, INPUTS), Matrix::zeros(1, w.pattern().entries()));
    let work = batch * w.pattern().entries();
    let chosen = |context: &Context| MaskedWeights::sparse(context, w.clone(), batch);
    let few = format!("reference, samples: {FEW}");

    Beside::reference(&mut group, "y w^T", &few, 1e-4, || {
        let has = |k, j| dense[(j, k)] != 0.0;
        reference::masked_product((FEW, INPUTS, UNITS), |b, k| z[(b, k)], |k, j| dense[(j, k)], has).sums
    })
    .timed("plain loop", &back, |x| plain_nt(&z, &w, x))
    .ours(work, &back, |context, x| sparse_matmul_nt(context, z.view(), &w, x.view_mut(), Write::Replace))
    .named("y w^T, chosen")
    .ours(work, &(back.clone(), None), |context, (x, weights): &mut Chosen| {
        let weights = weights.get_or_insert_with(|| chosen(context));
        weights.backward(context, z.view(), x.view_mut(), Write::Replace);
    });

    let mut best = Context::new().expect("an instruction set");
    group.bench_function("dense x^T z", |bencher| {
        let mut all = Matrix::zeros(INPUTS, UNITS);
        bencher.iter(|| matmul_tn(&mut best, x.view(), z.view(), all.view_mut(), Write::Replace));
    });
    Beside::reference(&mut group, "(x^T z) o m", "reference", 1e-4, || {
        reference::sampled_product(x.view(), z.view(), w.pattern()).sums
    })
    .timed("plain loop", &slopes, |slopes| plain_sampled(&x, &z, w.pattern(), slopes.as_mut_slice()))
    .ours(work, &slopes, |context, slopes| {
        sampled_product(context, x.view(), z.view(), w.pattern(), slopes.as_mut_slice());
    })
    .named("(x^T z) o m, chosen")
    .ours(work, &(slopes.clone(), None), |context, (slopes, weights): &mut Chosen| {
        let weights = weights.get_or_insert_with(|| chosen(context));
        weights.gradient(context, x.view(), z.view(), slopes.as_mut_slice());
    });

    let activities = Pattern::random(batch, UNITS, 0.1, Stream::new(0, "active")).expect("a density");
    let activities = SparseMatrix::from_masked(z.view(), activities).expect("one shape");
    let active = activities.to_dense();
    Beside::reference(&mut group, "sparse z times w^T", &few, 1e-4, || {
        dense::reference::product(FEW, INPUTS, UNITS, |b, k| active[(b, k)], |k, j| transposed[(k, j)]).sums
    })
    .timed("plain loop", &back, |c| plain_times_dense(&activities, &transposed, c))
    .ours(activities.pattern().entries() * INPUTS, &back, |context, c| {
        sparse_times_dense(context, &activities, transposed.view(), c.view_mut(), Write::Replace);
    });

    let mut context = Context::new().expect("an instruction set");
    let compressed = SparseMatrix::compress(&mut context, dense.view()).expect("a small matrix");
    assert_eq!(compressed, w);
    Beside::reference(&mut group, "compress", "reference", 0.0, || {
        dense.as_slice().iter().filter(|&&value| value != 0.0).map(|&value| value.into()).collect()
    })
    .timed("plain loop", &(slopes.clone(), (Vec::new(), Vec::new())), |entries| plain_compress(&dense, entries))
    .ours(INPUTS * UNITS, &compressed, |context, compressed| {
        compressed.recompress(context, dense.view()).expect("a small matrix");
    });
}

fn fields(criterion: &mut Criterion) {
    let mut group = group(criterion, "field, 100 units of two 10x10 on 30x30, batch 256");
    let (batch, map) = (256, Map { rows: 30, cols: 30 });
    let mut generator = Stream::new(0, "fields").generator();
    let mut place = || below(&mut generator, 21) as usize;
    let mut square = || (place(), place());
    let mut field = || {
        let squares = [square(), square()].map(|(r, c)| Rectangle::new(r..r + 10, c..c + 10));
        ReceptiveField::new(map, &squares).expect("inside the map")
    };
    let layer = FieldLayer::new((0..100).map(|_| field()).collect()).expect("one map");
    let work = batch * layer.weights();
    group.throughput(Throughput::Elements(work as u64));
    let weights = uniform(1, layer.weights(), -1.0, 1.0, "w");
    let weights = weights.as_slice();
    let (x, z) = (uniform(batch, map.len(), 0.1, 1.0, "x"), uniform(batch, 100, 0.1, 1.0, "z"));
    let (y, sent, slopes) = (Matrix::zeros(batch, 100), Matrix::zeros(batch, 900), Matrix::zeros(1, weights.len()));
    // The weights field by field, as the layer has them: the loops go through them sample by sample.
    let connections = reference::connections(&layer);

    Beside::reference(&mut group, "forward", "reference", 1e-4, || {
        reference::field_matmul(x.view(), &layer, weights).sums
    })
    .timed("plain loop", &y, |y| {
        for b in 0..batch {
            y.row_mut(b).fill(0.0);
            for (&(unit, input, _), w) in connections.iter().zip(weights) {
                y[(b, unit)] += x[(b, input)] * w;
            }
        }
    })
    .ours(work, &y, |context, y| field_matmul(context, x.view(), &layer, weights, y.view_mut(), Write::Replace));

    Beside::reference(&mut group, "by inputs", "reference", 1e-4, || {
        reference::field_matmul_nt(z.view(), &layer, weights).sums
    })
    .timed("plain loop", &sent, |sent| {
        for b in 0..batch {
            sent.row_mut(b).fill(0.0);
            for (&(unit, input, _), w) in connections.iter().zip(weights) {
                sent[(b, input)] += z[(b, unit)] * w;
            }
        }
    })
    .ours(work, &sent, |context, sent| {
        field_matmul_nt(context, z.view(), &layer, weights, sent.view_mut(), Write::Replace);
    });

    Beside::reference(&mut group, "by weights", "reference", 1e-4, || {
        reference::field_weight_gradient(x.view(), z.view(), &layer).sums
    })
    .timed("plain loop", &slopes, |slopes| {
        slopes.as_mut_slice().fill(0.0);
        for b in 0..batch {
            for (&(unit, input, _), slope) in connections.iter().zip(slopes.as_mut_slice()) {
                *slope += x[(b, input)] * z[(b, unit)];
            }
        }
    })
    .ours(work, &slopes, |context, slopes| {
        field_weight_gradient(context, x.view(), z.view(), &layer, slopes.as_mut_slice());
    });

    let one = &layer.fields()[0];
    let (copy, moved) = (Matrix::zeros(batch, one.len()), batch * one.len());
    let exact = |matrix: &Matrix| matrix.as_slice().iter().map(|&value| value.into()).collect();
    Beside::reference(&mut group, "gather one field", "reference", 0.0, || {
        let mut copy = copy.clone();
        reference::gather(x.view(), one, copy.view_mut());
        exact(&copy)
    })
    .timed("plain loop", &copy, |copy| {
        for b in 0..batch {
            copy.row_mut(b).iter_mut().zip(one.columns()).for_each(|(to, column)| *to = x[(b, column)]);
        }
    })
    .ours(moved, &copy, |context, copy| gather(context, x.view(), one, copy.view_mut()));

    let from = uniform(batch, one.len(), 0.1, 1.0, "from");
    Beside::reference(&mut group, "scatter one field", "reference", 1e-6, || {
        let mut sent = sent.clone();
        reference::scatter_add(from.view(), one, sent.view_mut());
        exact(&sent)
    })
    .timed("plain loop", &sent, |sent| {
        for b in 0..batch {
            from.row(b).iter().zip(one.columns()).for_each(|(from, column)| sent[(b, column)] += from);
        }
    })
    .ours(moved, &sent, |context, sent| scatter_add(context, from.view(), one, sent.view_mut()));
}

criterion_group!(benches, sparse, gradients, fields);
criterion_main!(benches);
