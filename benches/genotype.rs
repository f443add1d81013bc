//! Genotypes: their weights, their evaluation at every degree of convergence, rewards of alleles, a generation, and growth.

mod common {
    pub(crate) mod answers;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{answers::assert_close, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::genotype::{
    AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, decode, evaluate,
    evaluate_weights, reference,
};
use neuropil::random::Stream;
use neuropil::{Context, Isa, Matrix, Threads};
use std::hint::black_box;

const GENES: usize = 4000;

fn graph() -> Graph {
    Graph::random(784, 1000, 10, 0.1, Stream::new(0, "graph")).expect("a probability")
}

fn generation_matrix(links: usize, genes: usize) -> WeightGeneration {
    WeightGeneration::random(links, genes, 0.0025, Stream::new(0, "w")).expect("a density")
}

/// Genotypes of frequencies of which this share is fixed, the others uniform.
fn population(genotypes: usize, genes: usize, fixed: f32) -> Population {
    let (p, chance) = (uniform(1, genes, 0.0, 1.0, "frequencies"), uniform(1, genes, 0.0, 1.0, "fixed"));
    let values = p.as_slice().iter().zip(chance.as_slice());
    let values = values.map(|(&p, &chance)| f64::from(if chance < fixed { p.round() } else { p }));
    let p = AlleleFrequencies::new(values.collect()).expect("frequencies");
    let mut context = Context::new().expect("an instruction set");
    Population::sample(&mut context, &p, Stream::new(0, "population"), 0..genotypes as u64).expect("a population")
}

/// The embedded digits, evenly drawn, or as many random images, prepared.
fn samples(graph: &Graph, count: usize, real: bool) -> Samples {
    let images = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-images-idx3-ubyte"));
    let labels = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-labels-idx1-ubyte"));
    let place = |image: usize| image * (labels.len() - 8) / count;
    let pixel = |image: usize, pixel: usize| f32::from(images[16 + place(image) * 784 + pixel]) / 255.0;
    let images = if real { Matrix::from_fn(count, 784, pixel) } else { uniform(count, 784, 0.05, 1.0, "x") };
    let labels: Vec<u8> = (0..count).map(|image| labels[8 + place(image)]).collect();
    let mut context = Context::new().expect("an instruction set");
    Samples::new(&mut context, graph, images.view(), &labels).expect("images")
}

fn two_threads() -> Context {
    Context::new().expect("an instruction set").with_threads(Threads::new(2).expect("two threads"))
}

/// W x entry by entry, genotype by genotype.
fn plain_decode(w: &WeightGeneration, bits: &Matrix, out: &mut Matrix) {
    for link in 0..w.links() {
        let (genes, values) = w.link(link);
        let row = out.row_mut(link);
        row.fill(0.0);
        for (&gene, &value) in genes.iter().zip(values) {
            for (out, &bit) in row.iter_mut().zip(bits.row(gene as usize)) {
                *out += value * bit;
            }
        }
    }
}

fn weights(criterion: &mut Criterion) {
    let (w, genotypes) = (generation_matrix(graph().links(), GENES), 64);
    let population = population(genotypes, GENES, 0.0);
    let bits = Matrix::from_fn(GENES, genotypes, |gene, genotype| f32::from(population.allele(genotype, gene)));
    let (mut out, mut want) = (Matrix::zeros(w.links(), genotypes), Matrix::zeros(w.links(), genotypes));
    plain_decode(&w, &bits, &mut want);
    let mut group = group(criterion, "genotype weights, 4000 genes, 64 genotypes");
    group.throughput(Throughput::Elements((w.entries() * genotypes) as u64));
    group.bench_function("plain loop", |bencher| bencher.iter(|| plain_decode(&w, &bits, &mut out)));
    for (name, mut context) in contexts() {
        if context.isa() == Isa::Scalar {
            continue;
        }
        decode(&mut context, &w, &population, 0..genotypes, out.view_mut());
        assert_close(&name, out.as_slice(), want.as_slice(), 1e-5);
        group.bench_function(format!("ours, {name}"), |bencher| {
            bencher.iter(|| decode(&mut context, &w, &population, 0..genotypes, out.view_mut()));
        });
    }
}

fn given(criterion: &mut Criterion) {
    let graph = graph();
    let weights = uniform(8, graph.links(), -0.05, 0.05, "weights");
    for real in [false, true] {
        let samples = samples(&graph, 200, real);
        let kind = if real { "digits" } else { "random images" };
        let mut group = group(criterion, &format!("evaluation of 8 genotypes on 200 {kind}"));
        group.throughput(Throughput::Elements((8 * 200) as u64));
        for (name, mut context) in contexts() {
            if context.isa() == Isa::Scalar {
                continue;
            }
            group.bench_function(format!("ours, {name}"), |bencher| {
                bencher.iter(|| black_box(evaluate_weights(&mut context, &samples, weights.view()).expect("weights")));
            });
        }
    }
}

/// Panics unless the first genotypes come out as the reference says.
fn verify(graph: &Graph, w: &WeightGeneration, population: &Population, real: bool) {
    let samples = samples(graph, 20, real);
    let outcome = evaluate(&mut two_threads(), w, &samples, population);
    let given = |genotype: usize| {
        let weights: Vec<f32> = reference::weights(w, population, genotype).into_iter().map(|w| w as f32).collect();
        Matrix::from_slice(&weights, 1, weights.len()).expect("a weight a link")
    };
    for genotype in 0..2 {
        let alone = evaluate_weights(&mut two_threads(), &samples, given(genotype).view()).expect("weights");
        assert!((alone.losses[0] - outcome.losses[genotype]).abs() < 1e-4 * alone.losses[0]);
    }
}

fn convergence(criterion: &mut Criterion) {
    let graph = graph();
    let w = generation_matrix(graph.links(), GENES);
    let samples = samples(&graph, 1000, true);
    let mut group = group(criterion, "evaluation of 128 genotypes on 1000 digits, by the share of fixed genes");
    group.throughput(Throughput::Elements(128 * 1000));
    for fixed in [0.0, 0.5, 0.95, 0.99] {
        let population = population(128, GENES, fixed);
        verify(&graph, &w, &population, true);
        for (name, mut context) in contexts() {
            if matches!(context.isa(), Isa::Scalar | Isa::Portable) {
                continue;
            }
            group.bench_function(format!("{fixed}, {name}"), |bencher| {
                bencher.iter(|| black_box(evaluate(&mut context, &w, &samples, &population)));
            });
        }
    }
}

fn rewards(criterion: &mut Criterion) {
    let population = population(1000, GENES, 0.0);
    let values: Vec<f64> = uniform(1, 1000, 0.0, 5.0, "rewards").as_slice().iter().map(|&v| v.into()).collect();
    let mut group = group(criterion, "rewards of 4000 alleles, 1000 genotypes");
    group.throughput(Throughput::Elements(1000 * GENES as u64));
    for (name, mut context) in [("one thread", Context::new().expect("an instruction set")), ("two", two_threads())] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(allele_rewards(&mut context, &population, &values)));
        });
    }
    group.bench_function("reference", |bencher| {
        bencher.iter(|| black_box(reference::allele_rewards(&population, &values)));
    });
}

/// A generation at the paper's scale: 1000 genotypes, 2000 images, on two threads.
fn generation(criterion: &mut Criterion) {
    let graph = graph();
    let w = generation_matrix(graph.links(), GENES);
    let samples = samples(&graph, 2000, true);
    let mut group =
        group(criterion, "a generation of 1000 genotypes on 2000 digits, two threads, by the share of fixed genes");
    let mut context = two_threads();
    for fixed in [0.0, 0.99] {
        let start = population(1000, GENES, fixed);
        let mut p = AlleleFrequencies::new(vec![0.5; GENES]).expect("frequencies");
        group.bench_function(format!("{fixed}"), |bencher| {
            bencher.iter(|| {
                black_box(Population::sample(&mut context, &p, Stream::new(1, "population"), 0..1000).expect("one"));
                let outcome = evaluate(&mut context, &w, &samples, &start);
                p.update(&allele_rewards(&mut context, &start, &outcome.rewards), 1.0).expect("rewards");
            });
        });
    }
}

/// Growth with genotypes, images, genes and threads, one of them at a time.
fn growth(criterion: &mut Criterion) {
    let graph = graph();
    let mut group = group(criterion, "evaluation on digits, growth");
    let mut measure = |what: &str, value: usize, genotypes: usize, images: usize, genes: usize, threads: usize| {
        let w = generation_matrix(graph.links(), genes);
        let (population, samples) = (population(genotypes, genes, 0.0), samples(&graph, images, true));
        let threads = Threads::new(threads).expect("threads");
        let mut context = Context::new().expect("an instruction set").with_threads(threads);
        group.throughput(Throughput::Elements((genotypes * images) as u64));
        group.bench_function(BenchmarkId::new(what, value), |bencher| {
            bencher.iter(|| black_box(evaluate(&mut context, &w, &samples, &population)));
        });
    };
    for genotypes in [1, 8, 16, 64, 128, 256] {
        measure("genotypes, 200 images", genotypes, genotypes, 200, GENES, 1);
    }
    for images in [16, 100, 500, 1000] {
        measure("images, 128 genotypes", images, 128, images, GENES, 1);
    }
    for genes in [500, 2000, 8000] {
        measure("genes, 128 genotypes, 500 images", genes, 128, 500, genes, 1);
    }
    for threads in [1, 2] {
        measure("threads, 256 genotypes, 500 images", threads, 256, 500, GENES, threads);
    }
}

criterion_group!(benches, weights, given, convergence, rewards, generation, growth);
criterion_main!(benches);
