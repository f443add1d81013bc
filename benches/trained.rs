//! A step of a trained non-negative Hebbian layer, 784 inputs and 2000 units, on a batch of 2000 digits: activities, residuals and
//! update by dense products, and by the weights that training has left. And the trained network's answers to as many digits, and to one: all
//! of it, and compressed once.
//!
//! An epoch is thirty such steps. The layer is trained here, by the system's recipe on the digits inside the crate.

mod common {
    pub(crate) mod answers;
    pub(crate) mod groups;
}

use common::{answers::assert_close, groups::group};

use std::ops::ControlFlow;

use criterion::{Criterion, criterion_group, criterion_main};
use neuropil::datasets::{Dataset, Scaling, embedded};
use neuropil::kernels::activation::{self, Axis};
use neuropil::kernels::dense::{self, Write};
use neuropil::kernels::hebbian::{self, Reduction, SparseWorkspace, Update};
use neuropil::kernels::masked::{SparseMatrix, sparse_matmul};
use neuropil::systems::Learner;
use neuropil::systems::hebbian::experiment::{Images, hebbian_recipe};
use neuropil::systems::hebbian::{Network, Output};
use neuropil::{Context, MatMut, MatRef, Matrix, Threads};

const INPUTS: usize = 784;
/// As the systems train it: the magnitude-preserving z-score of each sample.
const AXIS: Axis = Axis::Sample;

fn dense_step(context: &mut Context, x: MatRef<'_>, z: &mut Matrix, mut w: MatMut<'_>, update: &Update) {
    dense::matmul(context, x, w.as_ref(), z.view_mut(), Write::Replace);
    activation::magnitude_zscore(context, z.view_mut(), AXIS, false);
    hebbian::oja_subspace(context, x, z.view(), w.reborrow(), update);
}

struct Sparse {
    weights: SparseMatrix,
    workspace: SparseWorkspace,
}

fn sparse_step(
    context: &mut Context,
    x: MatRef<'_>,
    z: &mut Matrix,
    mut w: MatMut<'_>,
    update: &Update,
    Sparse { weights, workspace }: &mut Sparse,
) {
    weights.recompress(context, w.as_ref()).expect("a matrix of this size");
    sparse_matmul(context, x, weights, z.view_mut(), Write::Replace);
    activation::magnitude_zscore(context, z.view_mut(), AXIS, false);
    hebbian::oja_subspace_sparse(context, x, z.view(), weights, w.reborrow(), update, workspace);
}

/// A network of the system's full recipe, its hidden layer after as many steps on fewer images.
fn train(context: &mut Context, data: &Dataset, units: usize, epochs: u64) -> Network {
    let mut config = hebbian_recipe(Images::Mnist, 0, true, 1);
    config.layers = vec![units];
    config.hidden.epochs = epochs;
    if let Output::Backpropagation(output) = &mut config.output {
        output.epochs = 0;
    }
    let mut network = Network::new(config, INPUTS, data.classes()).expect("a valid recipe");
    let _ = network.train(context, data, None, &mut |_| ControlFlow::Continue(())).expect("digits");
    network
}

fn trained(criterion: &mut Criterion) {
    // A check that everything runs needs no trained layer.
    let (units, epochs) = if std::env::args().any(|argument| argument == "--test") { (48, 1) } else { (2000, 180) };
    let mut context = Context::new().expect("an instruction set").with_threads(Threads::available());
    let data = embedded().train;
    let mut x = Matrix::zeros(data.len(), INPUTS);
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    data.gather(&mut context, &indices, Scaling::UNIT, x.view_mut()).expect("images of this shape");
    let network = train(&mut context, &data, units, epochs);
    let start = network.weights(0).expect("a hidden layer").to_owned();
    // So small that the weights stay what they are over any number of steps.
    let update = Update { rate: 1e-9, reduction: Reduction::Mean, non_negative: true };
    let sparse = SparseMatrix::compress(&mut context, start.view()).expect("a matrix of this size");
    let mut compressed = Sparse { weights: sparse, workspace: SparseWorkspace::default() };

    let learn = Update { rate: 5e-4, reduction: Reduction::Sum, ..update };
    let (mut want, mut got, mut z) = (start.clone(), start.clone(), Matrix::zeros(x.rows(), units));
    dense_step(&mut context, x.view(), &mut z, want.view_mut(), &learn);
    let active = z.as_slice().iter().filter(|&&z| z != 0.0).count() as f64 / z.as_slice().len() as f64;
    sparse_step(&mut context, x.view(), &mut z, got.view_mut(), &learn, &mut compressed);
    assert_close("sparse", got.as_slice(), want.as_slice(), 1e-4);
    println!(
        "{:.1} % of the weights are not zero, {:.0} % of the activities",
        100.0 * compressed.weights.pattern().density(),
        100.0 * active
    );

    let mut group = group(criterion, &format!("trained layer of {units}, batch {}", x.rows()));
    for threads in [1, 2] {
        let mut context = context.clone().with_threads(Threads::new(threads).expect("threads"));
        let mut w = start.clone();
        group.bench_function(format!("dense, {} x {threads}", context.isa()), |bencher| {
            bencher.iter(|| dense_step(&mut context, x.view(), &mut z, w.view_mut(), &update));
        });
        group.bench_function(format!("compressed, {} x {threads}", context.isa()), |bencher| {
            bencher.iter(|| sparse_step(&mut context, x.view(), &mut z, w.view_mut(), &update, &mut compressed));
        });
    }
    group.finish();
    answers(criterion, &mut context, &network, x.view());
}

fn answers(criterion: &mut Criterion, context: &mut Context, network: &Network, x: MatRef<'_>) {
    for batch in [1, x.rows()] {
        let x = x.rows_range(0..batch);
        let compressed = network.compressed(context, batch).expect("a network of this size");
        let [mut want, mut got] = [Matrix::zeros(batch, network.classes()), Matrix::zeros(batch, network.classes())];
        network.predict(context, x, want.view_mut());
        compressed.predict(context, x, got.view_mut());
        assert_close("compressed answers", got.as_slice(), want.as_slice(), 1e-3);
        compressed.plans().for_each(|plan| println!("{plan}"));
        let mut group = group(criterion, &format!("answers of the trained network, batch {batch}"));
        for threads in [1, 2] {
            let mut context = context.clone().with_threads(Threads::new(threads).expect("threads"));
            group.bench_function(format!("dense, {} x {threads}", context.isa()), |bencher| {
                bencher.iter(|| network.predict(&mut context, x, want.view_mut()));
            });
            group.bench_function(format!("compressed, {} x {threads}", context.isa()), |bencher| {
                bencher.iter(|| compressed.predict(&mut context, x, got.view_mut()));
            });
        }
    }
}

criterion_group!(benches, trained);
criterion_main!(benches);
