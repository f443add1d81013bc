//! The operations, by family: each prepares its inputs and can then be called, timed, and asked for its answer.

mod around;
mod counting;
mod genotype;
mod layers;
mod limits;
mod masked;
mod particle;

use neuropil::{Context, Matrix};

use crate::inputs::Inputs;

/// A call that can be repeated, and what the last one returned.
pub trait Operation {
    fn run(&mut self);
    fn answer(&self) -> Vec<f32>;
}

pub type Prepared = Box<dyn Operation>;

struct Timed<T, F> {
    output: T,
    answer: fn(&T) -> Vec<f32>,
    call: F,
}

impl<T, F: FnMut(&mut T)> Operation for Timed<T, F> {
    fn run(&mut self) {
        (self.call)(&mut self.output);
    }

    fn answer(&self) -> Vec<f32> {
        (self.answer)(&self.output)
    }
}

fn timed<T: 'static>(output: T, answer: fn(&T) -> Vec<f32>, call: impl FnMut(&mut T) + 'static) -> Prepared {
    Box::new(Timed { output, answer, call })
}

/// An operation whose answer is a matrix.
fn into_matrix(output: Matrix, call: impl FnMut(&mut Matrix) + 'static) -> Prepared {
    timed(output, |matrix| matrix.as_slice().to_vec(), call)
}

/// Every operation, with a shape for a quick check.
pub const QUICK: &[(&str, &str)] = &[
    ("dense", "m=8 k=20 n=30"),
    ("dense_nt", "m=8 k=20 n=30"),
    ("dense_tn", "m=30 k=20 n=8"),
    ("oja", "batch=5 n=20 k=30"),
    ("sanger", "batch=5 n=20 k=60"),
    ("oja_per_unit", "batch=5 n=20 k=30"),
    ("ica", "batch=5 n=20 k=30"),
    ("krotov", "batch=5 n=20 units=30"),
    ("winner_take_all", "batch=5 n=20 k=30"),
    ("k_winners", "batch=5 k=300"),
    ("gaussian", "count=1000"),
    ("perturb", "batch=20 k=30"),
    ("normalise", "images=10 pixels=20"),
    ("zscore", "batch=5 k=30"),
    ("cross_entropy", "batch=5"),
    ("adam", "weights=100"),
    ("reward", "batch=5 n=30"),
    ("epoch", "images=40 batch=20 n=20 k=30"),
    ("spmm", "batch=5 n=20 k=30"),
    ("sampled", "batch=5 n=20 k=30"),
    ("gradient", "batch=5 n=20 k=30"),
    ("field", "batch=5 units=7"),
    ("histogram", "count=1000"),
    ("entropy", "rows=100 cols=20"),
    ("replicate", "particles=40"),
    ("organism", "batch=20"),
    ("decode", "links=100 genes=50 genotypes=20"),
    ("evaluate", "genotypes=3 images=20"),
    ("alleles", "genotypes=70 genes=100"),
    ("generation", "genotypes=70 images=20 genes=100 fixed=900"),
    ("multiply_adds", "count=1000"),
    ("cycles", "count=1000"),
    ("read", "bytes=4096"),
    ("write", "bytes=4096"),
];

/// The operation of this name, its inputs ready.
pub fn prepare(operation: &str, inputs: &Inputs, context: Context) -> Option<Prepared> {
    Some(match operation {
        "dense" => layers::dense(inputs, context),
        "dense_nt" => layers::dense_nt(inputs, context),
        "dense_tn" => layers::dense_tn(inputs, context),
        "oja" => layers::update(inputs, context, neuropil::kernels::hebbian::oja_subspace),
        "sanger" => layers::update(inputs, context, neuropil::kernels::hebbian::sanger),
        "oja_per_unit" => layers::update(inputs, context, neuropil::kernels::hebbian::oja_per_unit),
        "ica" => layers::independent(inputs, context),
        "krotov" => layers::krotov(inputs, context),
        "winner_take_all" => layers::winner_take_all(inputs, context),
        "k_winners" => around::k_winners(inputs, context),
        "gaussian" => layers::gaussian(inputs, context),
        "perturb" => layers::perturb(inputs, context),
        "normalise" => layers::normalise(inputs, context),
        "zscore" => around::zscore(inputs, context),
        "cross_entropy" => around::cross_entropy(inputs, context),
        "adam" => around::adam(inputs, context),
        "reward" => around::reward(inputs, context),
        "epoch" => layers::epoch(inputs, context),
        "spmm" => masked::spmm(inputs, context),
        "sampled" => masked::sampled(inputs, context),
        "gradient" => masked::gradient(inputs, context),
        "field" => masked::field(inputs, context),
        "histogram" => counting::histogram(inputs, context),
        "entropy" => counting::entropy(inputs, context),
        "replicate" => particle::replicate(inputs, context),
        "organism" => particle::organism(inputs, context),
        "decode" => genotype::decode(inputs, context),
        "evaluate" => genotype::evaluate(inputs, context),
        "alleles" => genotype::alleles(inputs, context),
        "generation" => genotype::generation(inputs, context),
        "multiply_adds" => limits::multiply_adds(inputs, context),
        "cycles" => limits::cycles(inputs),
        "read" => limits::read(inputs, context),
        "write" => limits::write(inputs, context),
        _ => return None,
    })
}
