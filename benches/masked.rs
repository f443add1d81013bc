//! Masked products beside the dense product with a masked matrix and the loop a compiler vectorises.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::dense::{Write, matmul, matmul_tn};
use neuropil::kernels::masked::{
    FieldLayer, Map, MaskedWeights, Pattern, ReceptiveField, Rectangle, SparseMatrix, field_matmul, field_matmul_nt,
    field_weight_gradient, gather, reference, sampled_product, scatter_add, sparse_matmul, sparse_matmul_nt,
    sparse_times_dense,
};
use neuropil::random::{Stream, below};
use neuropil::{Context, Isa, Matrix};

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

fn sparse(criterion: &mut Criterion) {
    for (batch, density) in [(256, 0.01), (256, 0.05), (256, 0.1), (256, 0.5), (2000, 0.01), (2000, 0.1), (1, 0.1)] {
        let mut group = group(criterion, &format!("sparse {batch}x{INPUTS}x{UNITS} at {density}"));
        let w = sparse_weights(density);
        group.throughput(Throughput::Elements((batch * w.pattern().entries()) as u64));
        let (x, dense) = (uniform(batch, INPUTS, 0.1, 1.0, "x"), w.to_dense());
        let (mut y, mut want) = (Matrix::zeros(batch, UNITS), Matrix::zeros(batch, UNITS));
        plain(&x, &w, &mut want);
        group.bench_function("plain loop", |bencher| bencher.iter(|| plain(&x, &w, &mut y)));
        let mut context = Context::new().expect("an instruction set");
        group.bench_function("ours, dense", |bencher| {
            bencher.iter(|| matmul(&mut context, x.view(), dense.view(), y.view_mut(), Write::Replace));
        });
        for (name, mut context) in contexts() {
            if context.isa() == Isa::Scalar {
                continue;
            }
            sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
            assert_close(&name, y.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace));
            });
            let chosen = MaskedWeights::sparse(&context, w.clone(), batch);
            chosen.forward(&mut context, x.view(), y.view_mut(), Write::Replace);
            assert_close(&name, y.as_slice(), want.as_slice(), 1e-4);
            group.bench_function(format!("ours, {name}, chosen: {}", chosen.plan().strategy()), |bencher| {
                bencher.iter(|| chosen.forward(&mut context, x.view(), y.view_mut(), Write::Replace));
            });
        }
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

/// Which input, unit and weight belong together, weight by weight.
fn connections(layer: &FieldLayer) -> Vec<(usize, usize)> {
    let fields = layer.fields().iter().enumerate();
    fields.flat_map(|(unit, field)| field.columns().map(move |input| (input, unit))).collect()
}

/// What a step of training needs besides: back through the weights, the weights' gradient, activities from the left, compression.
fn gradients(criterion: &mut Criterion) {
    let mut group = group(criterion, &format!("sparse gradients 256x{INPUTS}x{UNITS} at 0.1"));
    let (batch, w) = (256, sparse_weights(0.1));
    let (dense, weights_transposed) = (w.to_dense(), w.to_dense().transposed());
    let (x, z) = (uniform(batch, INPUTS, 0.1, 1.0, "x"), uniform(batch, UNITS, 0.1, 1.0, "z"));
    let (mut back, mut want) = (Matrix::zeros(batch, INPUTS), Matrix::zeros(batch, INPUTS));
    let mut values = vec![0.0; w.pattern().entries()];
    let exact = reference::sampled_product(x.view(), z.view(), w.pattern());
    let exact: Vec<f32> = exact.sums.iter().map(|&v| v as f32).collect();
    let activities = Pattern::random(batch, UNITS, 0.1, Stream::new(0, "active")).expect("a density");
    let activities = SparseMatrix::from_masked(z.view(), activities).expect("one shape");
    let active = activities.to_dense();
    let mut all = Matrix::zeros(INPUTS, UNITS);
    plain_nt(&z, &w, &mut back);
    matmul(
        &mut Context::new().expect("an instruction set"),
        z.view(),
        weights_transposed.view(),
        want.view_mut(),
        Write::Replace,
    );
    assert_close("y w^T, plain loop", back.as_slice(), want.as_slice(), 1e-4);
    group.bench_function("y w^T, plain loop", |bencher| bencher.iter(|| plain_nt(&z, &w, &mut back)));
    plain_sampled(&x, &z, w.pattern(), &mut values);
    assert_close("(x^T z) o m, plain loop", &values, &exact, 1e-4);
    group.bench_function("(x^T z) o m, plain loop", |bencher| {
        bencher.iter(|| plain_sampled(&x, &z, w.pattern(), &mut values));
    });
    for (name, mut context) in contexts() {
        if context.isa() == Isa::Scalar {
            continue;
        }
        matmul(&mut context, z.view(), weights_transposed.view(), want.view_mut(), Write::Replace);
        sparse_matmul_nt(&mut context, z.view(), &w, back.view_mut(), Write::Replace);
        assert_close(&name, back.as_slice(), want.as_slice(), 1e-4);
        group.bench_function(format!("y w^T, {name}"), |bencher| {
            bencher.iter(|| sparse_matmul_nt(&mut context, z.view(), &w, back.view_mut(), Write::Replace));
        });
        sampled_product(&mut context, x.view(), z.view(), w.pattern(), &mut values);
        assert_close(&name, &values, &exact, 1e-4);
        group.bench_function(format!("(x^T z) o m, {name}"), |bencher| {
            bencher.iter(|| sampled_product(&mut context, x.view(), z.view(), w.pattern(), &mut values));
        });
        group.bench_function(format!("dense x^T z, {name}"), |bencher| {
            bencher.iter(|| matmul_tn(&mut context, x.view(), z.view(), all.view_mut(), Write::Replace));
        });
        matmul(&mut context, active.view(), weights_transposed.view(), want.view_mut(), Write::Replace);
        sparse_times_dense(&mut context, &activities, weights_transposed.view(), back.view_mut(), Write::Replace);
        assert_close(&name, back.as_slice(), want.as_slice(), 1e-4);
        group.bench_function(format!("sparse z times w^T, {name}"), |bencher| {
            bencher.iter(|| {
                sparse_times_dense(
                    &mut context,
                    &activities,
                    weights_transposed.view(),
                    back.view_mut(),
                    Write::Replace,
                );
            });
        });
        let mut compressed = SparseMatrix::compress(&mut context, dense.view()).expect("a small matrix");
        assert_eq!(compressed, w);
        group.bench_function(format!("compress, {name}"), |bencher| {
            bencher.iter(|| compressed.recompress(&mut context, dense.view()).expect("a small matrix"));
        });
    }
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
    group.throughput(Throughput::Elements((batch * layer.weights()) as u64));
    let weights = uniform(1, layer.weights(), -1.0, 1.0, "w");
    let (x, z) = (uniform(batch, map.len(), 0.1, 1.0, "x"), uniform(batch, 100, 0.1, 1.0, "z"));
    let rounded = |sums: Vec<f64>| -> Vec<f32> { sums.iter().map(|&v| v as f32).collect() };
    let forward = rounded(reference::field_matmul(x.view(), &layer, weights.as_slice()).sums);
    let back = rounded(reference::field_matmul_nt(z.view(), &layer, weights.as_slice()).sums);
    let slopes = rounded(reference::field_weight_gradient(x.view(), z.view(), &layer).sums);
    let (mut y, mut sent, mut gradient) =
        (Matrix::zeros(batch, 100), Matrix::zeros(batch, 900), vec![0.0; slopes.len()]);
    // The weights field by field, as the layer has them: the loops go through them sample by sample.
    let connections = connections(&layer);
    let plain_forward = |y: &mut Matrix| {
        for b in 0..batch {
            y.row_mut(b).fill(0.0);
            for (&(input, unit), w) in connections.iter().zip(weights.as_slice()) {
                y[(b, unit)] += x[(b, input)] * w;
            }
        }
    };
    plain_forward(&mut y);
    assert_close("forward, plain loop", y.as_slice(), &forward, 1e-4);
    group.bench_function("forward, plain loop", |bencher| bencher.iter(|| plain_forward(&mut y)));
    let plain_back = |sent: &mut Matrix| {
        for b in 0..batch {
            sent.row_mut(b).fill(0.0);
            for (&(input, unit), w) in connections.iter().zip(weights.as_slice()) {
                sent[(b, input)] += z[(b, unit)] * w;
            }
        }
    };
    plain_back(&mut sent);
    assert_close("by inputs, plain loop", sent.as_slice(), &back, 1e-4);
    group.bench_function("by inputs, plain loop", |bencher| bencher.iter(|| plain_back(&mut sent)));
    let plain_slopes = |gradient: &mut [f32]| {
        gradient.fill(0.0);
        for b in 0..batch {
            for (&(input, unit), slope) in connections.iter().zip(gradient.iter_mut()) {
                *slope += x[(b, input)] * z[(b, unit)];
            }
        }
    };
    plain_slopes(&mut gradient);
    assert_close("by weights, plain loop", &gradient, &slopes, 1e-4);
    group.bench_function("by weights, plain loop", |bencher| bencher.iter(|| plain_slopes(&mut gradient)));
    let one = &layer.fields()[0];
    let mut copy = Matrix::zeros(batch, one.len());
    for (name, mut context) in contexts() {
        if context.isa() == Isa::Scalar {
            continue;
        }
        field_matmul(&mut context, x.view(), &layer, weights.as_slice(), y.view_mut(), Write::Replace);
        assert_close(&name, y.as_slice(), &forward, 1e-4);
        group.bench_function(format!("forward, {name}"), |bencher| {
            bencher.iter(|| {
                field_matmul(&mut context, x.view(), &layer, weights.as_slice(), y.view_mut(), Write::Replace)
            });
        });
        field_matmul_nt(&mut context, z.view(), &layer, weights.as_slice(), sent.view_mut(), Write::Replace);
        assert_close(&name, sent.as_slice(), &back, 1e-4);
        group.bench_function(format!("by inputs, {name}"), |bencher| {
            bencher.iter(|| {
                field_matmul_nt(&mut context, z.view(), &layer, weights.as_slice(), sent.view_mut(), Write::Replace)
            });
        });
        field_weight_gradient(&mut context, x.view(), z.view(), &layer, &mut gradient);
        assert_close(&name, &gradient, &slopes, 1e-4);
        group.bench_function(format!("by weights, {name}"), |bencher| {
            bencher.iter(|| field_weight_gradient(&mut context, x.view(), z.view(), &layer, &mut gradient));
        });
        gather(&mut context, x.view(), one, copy.view_mut());
        assert_eq!(copy[(7, 3)], x[(7, one.columns().nth(3).expect("a column"))]);
        group.bench_function(format!("gather one field, {name}"), |bencher| {
            bencher.iter(|| gather(&mut context, x.view(), one, copy.view_mut()));
        });
        group.bench_function(format!("scatter one field, {name}"), |bencher| {
            bencher.iter(|| scatter_add(&mut context, copy.view(), one, sent.view_mut()));
        });
    }
}

criterion_group!(benches, sparse, gradients, fields);
criterion_main!(benches);
