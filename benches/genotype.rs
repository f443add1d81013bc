//! Genotypes: their weights, their evaluation at every degree of convergence, rewards of alleles, a generation, and growth.

mod common {
    pub(crate) mod answers;
    pub(crate) mod beside;
    pub(crate) mod contexts;
    pub(crate) mod groups;
    pub(crate) mod inputs;
}

use common::{beside::Beside, contexts::contexts, groups::group, inputs::uniform};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use neuropil::kernels::genotype::{
    AlleleFrequencies, Graph, Outcome, Population, Samples, WeightGeneration, allele_rewards, decode, evaluate,
    evaluate_part, evaluate_weights, expected_weights, reference,
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

/// Frequencies of which this share is fixed, the others uniform.
fn frequencies(genes: usize, fixed: f32) -> AlleleFrequencies {
    let (p, chance) = (uniform(1, genes, 0.0, 1.0, "frequencies"), uniform(1, genes, 0.0, 1.0, "fixed"));
    let values = p.as_slice().iter().zip(chance.as_slice());
    let values = values.map(|(&p, &chance)| f64::from(if chance < fixed { p.round() } else { p }));
    AlleleFrequencies::new(values.collect()).expect("frequencies")
}

fn population(genotypes: usize, genes: usize, fixed: f32) -> Population {
    let mut context = Context::new().expect("an instruction set");
    Population::sample(&mut context, &frequencies(genes, fixed), Stream::new(0, "population"), 0..genotypes as u64)
        .expect("a population")
}

/// The embedded digits, evenly drawn, or as many random images; and their labels.
fn images(count: usize, real: bool) -> (Matrix, Vec<u8>) {
    let images = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-images-idx3-ubyte"));
    let labels = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-labels-idx1-ubyte"));
    let place = |image: usize| image * (labels.len() - 8) / count;
    let pixel = |image: usize, pixel: usize| f32::from(images[16 + place(image) * 784 + pixel]) / 255.0;
    let images = if real { Matrix::from_fn(count, 784, pixel) } else { uniform(count, 784, 0.05, 1.0, "x") };
    (images, (0..count).map(|image| labels[8 + place(image)]).collect())
}

/// Digits, prepared.
fn samples(graph: &Graph, count: usize) -> Samples {
    prepared(graph, &images(count, true))
}

fn prepared(graph: &Graph, (images, labels): &(Matrix, Vec<u8>)) -> Samples {
    let mut context = Context::new().expect("an instruction set");
    Samples::new(&mut context, graph, images.view(), labels).expect("images")
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
    let (out, work) = (Matrix::zeros(w.links(), genotypes), w.entries() * genotypes);
    let mut group = group(criterion, "genotype weights, 4000 genes, 64 genotypes");
    group.throughput(Throughput::Elements(work as u64));
    Beside::reference(&mut group, "", "reference", 1e-5, || {
        let all: Vec<Vec<f64>> = (0..genotypes).map(|genotype| reference::weights(&w, &population, genotype)).collect();
        (0..w.links() * genotypes).map(|at| all[at % genotypes][at / genotypes]).collect()
    })
    .timed("plain loop", &out, |out| plain_decode(&w, &bits, out))
    .ours(work, &out, |context, out| decode(context, &w, &population, 0..genotypes, out.view_mut()));

    // By one loop on one thread: it is needed once a generation.
    group.throughput(Throughput::Elements(w.entries() as u64));
    let (p, out) = (frequencies(GENES, 0.0), Matrix::zeros(1, w.links()));
    let narrow: Vec<f32> = p.values().iter().map(|&p| p as f32).collect();
    Beside::reference(&mut group, "expected", "reference", 1e-5, || reference::expected_weights(&w, &p))
        .timed("plain loop", &out, |out| {
            for (link, out) in out.as_mut_slice().iter_mut().enumerate() {
                let (genes, values) = w.link(link);
                *out = genes.iter().zip(values).map(|(&gene, &value)| value * narrow[gene as usize]).sum();
            }
        })
        .timed("ours", &out, |out| expected_weights(&w, &p, out.as_mut_slice()));
}

/// Loss and reward of a genotype: images and units one after the other, whatever is zero.
fn plain_evaluate(graph: &Graph, weights: &[f32], (images, labels): &(Matrix, Vec<u8>)) -> [f32; 2] {
    let (chance, mut logits) = ((graph.classes() as f32).ln(), vec![0.0f32; graph.classes()]);
    let mut sums = [0.0; 2];
    for (image, &label) in images.view().iter_rows().zip(labels) {
        logits.fill(0.0);
        let outgoing = weights[graph.edges()..].chunks_exact(graph.classes());
        for (unit, outgoing) in outgoing.enumerate() {
            let edges = graph.pattern().row(unit).iter().zip(&weights[graph.pattern().range(unit)]);
            let hidden = edges.map(|(&input, w)| image[input as usize] * w).sum::<f32>().max(0.0);
            logits.iter_mut().zip(outgoing).for_each(|(logit, w)| *logit += hidden * w);
        }
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let loss = logits.iter().map(|logit| (logit - max).exp()).sum::<f32>().ln() + max - logits[usize::from(label)];
        sums[0] += loss;
        sums[1] += (chance * chance - loss * loss).max(0.0);
    }
    sums.map(|sum| sum / labels.len() as f32)
}

/// Loss and reward, genotype by genotype.
fn losses_and_rewards(outcome: &Outcome, answer: &mut Matrix) {
    for (genotype, pair) in answer.as_mut_slice().chunks_exact_mut(2).enumerate() {
        pair.copy_from_slice(&[outcome.losses[genotype] as f32, outcome.rewards[genotype] as f32]);
    }
}

/// Few genotypes, from their genes and from their weights. The reference, which sums magnitudes too, evaluates two of them.
fn few(criterion: &mut Criterion) {
    let (graph, genotypes, count) = (graph(), 8, 64);
    let w = generation_matrix(graph.links(), GENES);
    let population = population(genotypes, GENES, 0.0);
    let mut weights = Matrix::zeros(graph.links(), genotypes);
    decode(&mut two_threads(), &w, &population, 0..genotypes, weights.view_mut());
    let (weights, sizes) = (weights.transposed(), reference::magnitudes(&w));
    let roundings = reference::roundings(&graph, &w);
    let (answer, work) = (Matrix::zeros(genotypes, 2), genotypes * count * graph.links());
    for real in [false, true] {
        let task = images(count, real);
        let samples = prepared(&graph, &task);
        let kind = if real { "digits" } else { "random images" };
        let mut group = group(criterion, &format!("evaluation of {genotypes} genotypes on {count} {kind}"));
        group.throughput(Throughput::Elements((genotypes * count) as u64));
        let exact = |genotype| {
            let weights = reference::weights(&w, &population, genotype);
            let outcome = reference::evaluate(&graph, &weights, &sizes, roundings, task.0.view(), &task.1);
            [outcome.loss, outcome.reward]
        };
        Beside::reference(&mut group, "", "reference, 2 genotypes", 1e-4, || (0..2).flat_map(exact).collect())
            .timed("plain loop, weights", &answer, |answer| {
                for (weights, pair) in weights.view().iter_rows().zip(answer.as_mut_slice().chunks_exact_mut(2)) {
                    pair.copy_from_slice(&plain_evaluate(&graph, weights, &task));
                }
            })
            .named("weights")
            .ours(work, &answer, |context, answer| {
                losses_and_rewards(&evaluate_weights(context, &samples, weights.view()).expect("weights"), answer);
            })
            .named("genes")
            .ours(work, &answer, |context, answer| {
                losses_and_rewards(&evaluate(context, &w, &samples, &population), answer);
            });
    }
}

/// Panics unless all genotypes come out as by their weights, whose evaluation is compared with the reference above.
fn verify(w: &WeightGeneration, samples: &Samples, population: &Population) {
    let outcome = evaluate(&mut two_threads(), w, samples, population);
    let mut weights = Matrix::zeros(w.links(), population.genotypes());
    decode(&mut two_threads(), w, population, 0..population.genotypes(), weights.view_mut());
    let want = evaluate_weights(&mut two_threads(), samples, weights.transposed().view()).expect("weights");
    for (got, want) in outcome.losses.iter().zip(&want.losses).chain(outcome.rewards.iter().zip(&want.rewards)) {
        assert!((got - want).abs() < 1e-4 * want.abs().max(1.0), "{got} and {want}");
    }
}

/// Without the reference and the plain loop, and without scalar code and portable vectors: they take seconds.
fn convergence(criterion: &mut Criterion) {
    let graph = graph();
    let w = generation_matrix(graph.links(), GENES);
    let (samples, fewer) = (samples(&graph, 1000), samples(&graph, 100));
    let mut group = group(criterion, "evaluation of 128 genotypes on 1000 digits, by the share of fixed genes");
    group.throughput(Throughput::Elements(128 * 1000));
    for fixed in [0.0, 0.5, 0.95, 0.99] {
        let population = population(128, GENES, fixed);
        verify(&w, &fewer, &population);
        // The same bits everywhere.
        let mut first: Option<Outcome> = None;
        for (name, mut context) in contexts() {
            if matches!(context.isa(), Isa::Scalar | Isa::Portable) {
                continue;
            }
            group.bench_function(format!("{fixed}, {name}"), |bencher| {
                bencher.iter(|| {
                    let outcome = evaluate(&mut context, &w, &samples, &population);
                    assert_eq!(outcome, *first.get_or_insert_with(|| outcome.clone()), "{name}");
                });
            });
        }
    }
}

/// Ours adds in f64 by tables of its own; sets differ in nothing.
fn rewards(criterion: &mut Criterion) {
    const GENOTYPES: usize = 1000;
    // Half of the alleles: every gene has carriers.
    let mut bits = uniform(GENOTYPES, GENES, 0.0, 1.0, "alleles");
    bits.as_mut_slice().iter_mut().for_each(|bit| *bit = bit.round());
    let population = Population::from_fn(GENOTYPES, GENES, |genotype, gene| bits[(genotype, gene)] != 0.0);
    let population = population.expect("a population");
    let values: Vec<f64> = uniform(1, GENOTYPES, 0.0, 5.0, "rewards").as_slice().iter().map(|&v| v.into()).collect();
    let mut group = group(criterion, "rewards of 4000 alleles, 1000 genotypes");
    group.throughput(Throughput::Elements((GENOTYPES * GENES) as u64));
    let answer = Matrix::zeros(GENES, 2);
    Beside::reference(&mut group, "", "reference", 1e-6, || {
        reference::allele_rewards(&population, &values).into_iter().flat_map(|(f, f0)| [f, f0]).collect()
    })
    .timed("plain loop", &answer, |answer| {
        let (mut carriers, mut present) = (vec![0.0f64; GENES], vec![0.0f64; GENES]);
        for (bits, reward) in bits.view().iter_rows().zip(&values) {
            for ((carriers, present), &bit) in carriers.iter_mut().zip(&mut present).zip(bits) {
                *carriers += f64::from(bit);
                *present += f64::from(bit) * reward;
            }
        }
        let all: f64 = values.iter().sum();
        for (gene, pair) in answer.as_mut_slice().chunks_exact_mut(2).enumerate() {
            let absent = (all - present[gene]) / (GENOTYPES as f64 - carriers[gene]);
            pair.copy_from_slice(&[(present[gene] / carriers[gene]) as f32, absent as f32]);
        }
    })
    .ours(GENOTYPES * GENES, &answer, |context, answer| {
        let rewards = allele_rewards(context, &population, &values);
        for (gene, pair) in answer.as_mut_slice().chunks_exact_mut(2).enumerate() {
            let (present, absent) = rewards.get(gene).expect("carriers and others");
            pair.copy_from_slice(&[present as f32, absent as f32]);
        }
    });
}

/// The part of a generation that is one machine's of four, to the bits of the whole.
fn part(criterion: &mut Criterion) {
    let (graph, genotypes, part) = (graph(), 256, 64..128);
    let w = generation_matrix(graph.links(), GENES);
    let samples = samples(&graph, 200);
    let mut group = group(criterion, "evaluation of 64 of 256 genotypes on 200 digits, by the share of fixed genes");
    group.throughput(Throughput::Elements((part.len() * 200) as u64));
    for fixed in [0.0, 0.99] {
        let population = population(genotypes, GENES, fixed);
        verify(&w, &samples, &population);
        let whole = evaluate(&mut two_threads(), &w, &samples, &population);
        for (name, mut context) in contexts() {
            if matches!(context.isa(), Isa::Scalar | Isa::Portable) {
                continue;
            }
            let found = evaluate_part(&mut context, &w, &samples, &population, part.clone());
            assert_eq!(found.rewards, whole.rewards[part.clone()], "{fixed}, {name}");
            assert_eq!(found.losses, whole.losses[part.clone()], "{fixed}, {name}");
            group.bench_function(format!("{fixed}, {name}"), |bencher| {
                bencher.iter(|| black_box(evaluate_part(&mut context, &w, &samples, &population, part.clone())));
            });
        }
    }
}

/// Genotypes of these frequencies, their rewards, and the frequencies after them.
fn one_generation(
    context: &mut Context,
    w: &WeightGeneration,
    samples: &Samples,
    genotypes: u64,
    p: &mut AlleleFrequencies,
) -> Population {
    let population = Population::sample(context, p, Stream::new(1, "population"), 0..genotypes).expect("a population");
    let outcome = evaluate(context, w, samples, &population);
    p.update(&allele_rewards(context, &population, &outcome.rewards), 1.0).expect("rewards");
    population
}

/// Panics unless a small generation changes the frequencies as the reference does. Of few genes: with more, weights drawn at random are so large
/// that no genotype earns a reward.
fn verify_generation(graph: &Graph) {
    let (genes, task) = (100, images(20, true));
    let (w, start) = (&generation_matrix(graph.links(), genes), frequencies(genes, 0.0));
    let mut p = start.clone();
    let population = one_generation(&mut two_threads(), w, &prepared(graph, &task), 70, &mut p);
    // Bounds are not asked for.
    let bounds = vec![0.0; graph.links()];
    let reward = |genotype| {
        let weights = reference::weights(w, &population, genotype);
        reference::evaluate(graph, &weights, &bounds, 0, task.0.view(), &task.1).reward
    };
    let rewards: Vec<f64> = (0..population.genotypes()).map(reward).collect();
    let alleles = reference::allele_rewards(&population, &rewards);
    let (mut changed, mut off) = (0.0f64, 0.0f64);
    for ((&before, &after), (present, absent)) in start.values().iter().zip(p.values()).zip(alleles) {
        let want = if present.is_nan() { before } else { reference::update(before, present, absent, 1.0) };
        off = off.max((after - want).abs());
        changed = changed.max((want - before).abs());
    }
    assert!(changed > 0.0 && off < 1e-4 * changed, "frequencies are {off} off, of changes up to {changed}");
}

/// A generation at the paper's scale: 1000 genotypes, 2000 images, on two threads. From the same frequencies each time: those of the next would
/// be nearer to fixed.
fn generation(criterion: &mut Criterion) {
    let graph = graph();
    let w = generation_matrix(graph.links(), GENES);
    let samples = samples(&graph, 2000);
    let mut group =
        group(criterion, "a generation of 1000 genotypes on 2000 digits, two threads, by the share of fixed genes");
    let mut context = two_threads();
    verify_generation(&graph);
    for fixed in [0.0, 0.99] {
        let start = frequencies(GENES, fixed);
        group.bench_function(format!("{fixed}"), |bencher| {
            bencher.iter_batched_ref(
                || start.clone(),
                |p| one_generation(&mut context, &w, &samples, 1000, p),
                BatchSize::PerIteration,
            );
        });
    }
}

/// Growth with genotypes, images, genes and threads, one of them at a time.
fn growth(criterion: &mut Criterion) {
    let graph = graph();
    let fewer = samples(&graph, 16);
    let mut group = group(criterion, "evaluation on digits, growth");
    let mut measure = |what: &str, value: usize, genotypes: usize, images: usize, genes: usize, threads: usize| {
        let w = generation_matrix(graph.links(), genes);
        let (population, samples) = (population(genotypes, genes, 0.0), samples(&graph, images));
        verify(&w, &fewer, &population);
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

criterion_group!(benches, weights, few, convergence, rewards, part, generation, growth);
criterion_main!(benches);
