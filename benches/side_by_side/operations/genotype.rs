//! Populations of genotypes: their weights, their evaluation, a whole generation.

use neuropil::kernels::genotype::{
    self, AlleleFrequencies, Graph, Population, Samples, WeightGeneration, allele_rewards, evaluate_weights, reference,
};
use neuropil::random::Stream;
use neuropil::{Context, Matrix};

use super::{Prepared, into_matrix, timed};
use crate::inputs::{Inputs, digits, uniform};

const DENSITY: f64 = 0.0025;

pub fn decode(inputs: &Inputs, mut context: Context) -> Prepared {
    let (links, genes, genotypes) =
        (inputs.get("links", 88_400), inputs.get("genes", 4000), inputs.get("genotypes", 64));
    let w = match (inputs.indices("link"), inputs.indices("gene"), inputs.values("value")) {
        (Some(link), Some(gene), Some(value)) => {
            let triples: Vec<_> = (0..link.len()).map(|at| (link[at], gene[at], value[at])).collect();
            WeightGeneration::from_triples(links, genes, &triples)
        }
        _ => WeightGeneration::random(links, genes, DENSITY, Stream::new(0, "w")),
    };
    let (w, bits) = (w.expect("entries"), inputs.bytes("bits"));
    let population = match &bits {
        Some(bits) => Population::from_fn(genotypes, genes, |genotype, gene| bits[gene * genotypes + genotype] != 0),
        None => {
            let p = AlleleFrequencies::new(vec![0.5; genes]).expect("frequencies");
            Population::sample(&mut context, &p, Stream::new(0, "population"), 0..genotypes as u64)
        }
    };
    let population = population.expect("a population");
    into_matrix(Matrix::zeros(links, genotypes), move |out| {
        genotype::decode(&mut context, &w, &population, 0..genotypes, out.view_mut());
    })
}

/// Cross-entropy of genotypes whose weights are given.
pub fn evaluate(inputs: &Inputs, mut context: Context) -> Prepared {
    let (genotypes, count) = (inputs.get("genotypes", 8), inputs.get("images", 200));
    let graph = match (inputs.indices("from_input"), inputs.indices("to_unit")) {
        (Some(from), Some(to)) => {
            let edges: Vec<_> = from.into_iter().zip(to).collect();
            Graph::from_edges(784, 1000, 10, &edges)
        }
        _ => Graph::random(784, 1000, 10, 0.1, Stream::new(0, "graph")),
    };
    let graph = graph.expect("edges");
    let (images, labels) = match inputs.get("digits", 0) {
        0 => (inputs.uniform("x", count, 784, 0.05, 1.0), inputs.labels(count)),
        _ => digits(count),
    };
    let samples = Samples::new(&mut context, &graph, images.view(), &labels).expect("images");
    let weights = inputs.uniform("weights", genotypes, graph.links(), -0.05, 0.05);
    timed(Vec::new(), Vec::clone, move |losses| {
        let outcome = evaluate_weights(&mut context, &samples, weights.view()).expect("weights");
        *losses = outcome.losses.iter().map(|&loss| loss as f32).collect();
    })
}

/// Allele frequencies of which so many in a thousand are fixed, the others uniform.
fn frequencies(genes: usize, fixed: usize) -> AlleleFrequencies {
    let (p, chance) = (uniform(1, genes, 0.0, 1.0, "frequencies"), uniform(1, genes, 0.0, 1000.0, "fixed"));
    let values = p
        .as_slice()
        .iter()
        .zip(chance.as_slice())
        .map(|(&p, &chance)| if chance < fixed as f32 { f64::from(p.round()) } else { f64::from(p) });
    AlleleFrequencies::new(values.collect()).expect("frequencies")
}

/// A generation of neural net evolution on digits: genotypes, evaluation, rewards of alleles, the next frequencies. Where it is `judged`
/// its answer is the first frequencies, the next ones, and those of the reference.
pub fn generation(inputs: &Inputs, mut context: Context) -> Prepared {
    let (genotypes, count) = (inputs.get("genotypes", 1000), inputs.get("images", 2000));
    let (genes, fixed) = (inputs.get("genes", 4000), inputs.get("fixed", 0));
    let graph = Graph::random(784, 1000, 10, 0.1, Stream::new(0, "graph")).expect("a probability");
    let w = WeightGeneration::random(graph.links(), genes, DENSITY, Stream::new(0, "w")).expect("a density");
    let (images, labels) = digits(count);
    let samples = Samples::new(&mut context, &graph, images.view(), &labels).expect("images");
    let (start, stream) = (frequencies(genes, fixed), Stream::new(0, "population"));
    let (mut before, mut exact) = (Vec::new(), Vec::new());
    if inputs.get("judged", 0) == 1 {
        let population = Population::sample(&mut context, &start, stream, 0..genotypes as u64).expect("a population");
        before = start.values().iter().map(|&p| p as f32).collect();
        exact = exact_generation(&start, &population, |genotype| {
            let weights = reference::weights(&w, &population, genotype);
            // Bounds are not asked for.
            let bounds = vec![0.0; weights.len()];
            reference::evaluate(&graph, &weights, &bounds, 0, images.view(), &labels).reward
        });
    }
    let values = |(before, p, exact): &(Vec<f32>, AlleleFrequencies, Vec<f32>)| {
        let p = p.values().iter().map(|&p| p as f32);
        before.iter().copied().chain(p).chain(exact.iter().copied()).collect()
    };
    timed((before, start.clone(), exact), values, move |(_, p, _)| {
        p.clone_from(&start);
        let population = Population::sample(&mut context, p, stream, 0..genotypes as u64).expect("a population");
        let outcome = genotype::evaluate(&mut context, &w, &samples, &population);
        let rewards = allele_rewards(&mut context, &population, &outcome.rewards);
        p.update(&rewards, 1.0).expect("rewards");
    })
}

/// A generation without its evaluation: genotypes, rewards of their alleles, the next frequencies.
pub fn alleles(inputs: &Inputs, mut context: Context) -> Prepared {
    let (genotypes, genes) = (inputs.get("genotypes", 1000), inputs.get("genes", 4000));
    let rewards = inputs.uniform("rewards", 1, genotypes, 0.0, 1.0);
    let rewards: Vec<f64> = rewards.as_slice().iter().map(|&reward| f64::from(reward)).collect();
    let (start, stream) = (frequencies(genes, 0), Stream::new(0, "population"));
    let values = |p: &AlleleFrequencies| p.values().iter().map(|&p| p as f32).collect();
    timed(start.clone(), values, move |p| {
        p.clone_from(&start);
        let population = Population::sample(&mut context, p, stream, 0..genotypes as u64).expect("a population");
        let rewards = allele_rewards(&mut context, &population, &rewards);
        p.update(&rewards, 1.0).expect("rewards");
    })
}

/// The next frequencies by the reference, of genotypes with these rewards.
fn exact_generation(start: &AlleleFrequencies, population: &Population, reward: impl Fn(usize) -> f64) -> Vec<f32> {
    let rewards: Vec<f64> = (0..population.genotypes()).map(reward).collect();
    let alleles = reference::allele_rewards(population, &rewards);
    let next =
        start.values().iter().zip(alleles).map(|(&p, (present, absent))| {
            if present.is_nan() { p } else { reference::update(p, present, absent, 1.0) }
        });
    next.map(|p| p as f32).collect()
}
