use super::*;
use crate::error::Error;
use crate::kernels::genotype::reference;
use crate::matrix::{MatMut, Matrix};
use crate::parallel::Threads;
use crate::random::{Stream, below};
use crate::simd::Isa;
use crate::{Context, Result};

/// Every instruction set on one thread, and the best on several.
fn contexts() -> Vec<Context> {
    let several = [2, 3, 7].map(|n| Context::new().unwrap().with_threads(Threads::always(n).unwrap()));
    Isa::available().map(|isa| Context::on(isa).unwrap()).chain(several).collect()
}

fn context() -> Context {
    Context::new().unwrap()
}

fn stream(purpose: &str) -> Stream {
    Stream::new(3, purpose)
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.expect_err("an error").to_string()
}

/// A population of even frequencies.
fn population(genotypes: usize, genes: usize) -> Population {
    let p = AlleleFrequencies::uniform(genes, stream("p")).unwrap();
    Population::sample(&mut context(), &p, stream("population"), 0..genotypes as u64).unwrap()
}

/// Images, most pixels zero, and labels.
fn images(count: usize, inputs: usize, classes: usize) -> (Matrix, Vec<u8>) {
    let mut images = Matrix::zeros(count, inputs);
    stream("images").uniform(-2.0, 1.0, images.as_mut_slice());
    images.as_mut_slice().iter_mut().for_each(|pixel| *pixel = pixel.max(0.0));
    let mut generator = stream("labels").generator();
    (images, (0..count).map(|_| below(&mut generator, classes as u64) as u8).collect())
}

mod evaluation;
mod populations;
mod weights;
