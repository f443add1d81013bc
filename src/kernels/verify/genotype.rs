//! Checks of genotypes: their weights, their evaluation, what alleles earn.

use super::{Case, Check, Dim, gamma};
use crate::kernels::genotype::{
    AlleleFrequencies, GROUP, Graph, Outcome, Population, Samples, WeightGeneration, allele_rewards, decode, evaluate,
    evaluate_part, evaluate_weights, expected_weights, forward, reference,
};
use crate::{Context, Matrix};

const WEIGHTS: &[Dim] = &[
    Dim { name: "links", min: 0, max: 150 },
    Dim { name: "genes", min: 1, max: 150 },
    Dim { name: "genotypes", min: 1, max: 140 },
];

const EXPECTED: &[Dim] = &[Dim { name: "links", min: 1, max: 150 }, Dim { name: "genes", min: 1, max: 150 }];

const REWARDS: &[Dim] = &[Dim { name: "genotypes", min: 1, max: 300 }, Dim { name: "genes", min: 1, max: 600 }];

const NETWORKS: &[Dim] = &[
    Dim { name: "inputs", min: 1, max: 150 },
    Dim { name: "hidden", min: 1, max: 40 },
    Dim { name: "classes", min: 1, max: 33 },
    Dim { name: "genotypes", min: 1, max: 140 },
    Dim { name: "images", min: 1, max: 140 },
];

const NETWORK: &[Dim] = &[
    Dim { name: "inputs", min: 1, max: 800 },
    Dim { name: "hidden", min: 1, max: 100 },
    Dim { name: "classes", min: 1, max: 33 },
    Dim { name: "images", min: 1, max: 140 },
];

const FREQUENCIES: &[Dim] = &[Dim { name: "genes", min: 1, max: 600 }];

pub(super) const CHECKS: &[Check] = &[
    Check { kernel: "genotype::Population::sample", dims: REWARDS, run: sample },
    Check { kernel: "genotype::AlleleFrequencies::update", dims: FREQUENCIES, run: update },
    Check { kernel: "genotype::decode", dims: WEIGHTS, run: weights },
    Check { kernel: "genotype::expected_weights", dims: EXPECTED, run: expected },
    Check { kernel: "genotype::allele_rewards", dims: REWARDS, run: rewards },
    Check { kernel: "genotype::evaluate", dims: NETWORKS, run: evaluation },
    Check { kernel: "genotype::evaluate, converged", dims: NETWORKS, run: converged },
    Check { kernel: "genotype::evaluate_part", dims: NETWORKS, run: in_parts },
    Check { kernel: "genotype::evaluate_weights", dims: NETWORKS, run: given },
    Check { kernel: "genotype::forward", dims: NETWORK, run: activities },
];

/// A density, or probability, of any size, the ends included.
fn share(case: &mut Case<'_>) -> f64 {
    f64::from(case.finite(1, 1, -0.2, 1.2)[(0, 0)].clamp(0.0, 1.0))
}

/// Genotypes in which a gene varies with this probability; the other genes are fixed at either allele.
fn population(case: &mut Case<'_>, genotypes: usize, genes: usize, varying: f64) -> Population {
    let (chance, frequency) = (case.finite(1, genes, 0.0, 1.0), case.finite(1, genes, 0.0, 1.0));
    let frequency = |gene: usize| {
        let p = f64::from(frequency.as_slice()[gene]);
        if f64::from(chance.as_slice()[gene]) < varying { p } else { p.round() }
    };
    let p = AlleleFrequencies::new((0..genes).map(frequency).collect()).expect("frequencies");
    let stream = case.stream();
    Population::sample(&mut case.contexts[0], &p, stream, 0..genotypes as u64).expect("a population")
}

/// Every bit, of a population sampled in two parts.
fn sample(case: &mut Case<'_>) {
    let [genotypes, genes] = case.sizes();
    let p = frequencies(case, genes);
    let (stream, part) = (case.stream(), (genotypes / 3) as u64);
    let exact: Vec<f64> = (0..genotypes as u64)
        .flat_map(|genotype| reference::sample(&p, stream.item(genotype)))
        .map(|allele| u8::from(allele).into())
        .collect();
    let bound = vec![0.0; exact.len()];
    case.compare(&exact, &bound, |context| {
        let parts = [0..part, part..genotypes as u64].into_iter().filter(|part| !part.is_empty());
        let draw = |part: std::ops::Range<u64>| Population::sample(context, &p, stream, part).expect("a population");
        let parts: Vec<Population> = parts.map(draw).collect();
        let alleles = parts.iter().flat_map(|part| {
            (0..part.genotypes()).flat_map(move |at| (0..genes).map(move |gene| part.allele(at, gene)))
        });
        alleles.map(|allele| u8::from(allele).into()).collect()
    });
}

/// Frequencies of which some are fixed.
fn frequencies(case: &mut Case<'_>, genes: usize) -> AlleleFrequencies {
    let p = case.finite(1, genes, -0.1, 1.1);
    AlleleFrequencies::new(p.as_slice().iter().map(|&p| f64::from(p).clamp(0.0, 1.0)).collect()).expect("frequencies")
}

fn update(case: &mut Case<'_>) {
    let [genes] = case.sizes();
    let (p, epsilon) = (frequencies(case, genes), share(case));
    // Few genotypes: some genes are carried by nobody or everybody.
    let stream = case.stream();
    let population = Population::sample(&mut case.contexts[0], &p, stream, 0..5).expect("a population");
    let values: Vec<f64> = case.finite(1, 5, 0.0, 5.0).as_slice().iter().map(|&value| f64::from(value).abs()).collect();
    let rewards = reference::allele_rewards(&population, &values);
    let exact: Vec<f64> = (p.values().iter().zip(rewards))
        .map(|(&p, (f, f0))| if f.is_nan() { p } else { reference::update(p, f, f0, epsilon) })
        .collect();
    // In f64, which only becomes f32 to be compared.
    let bound: Vec<f64> = exact.iter().map(|p| gamma(1.01) * p).collect();
    case.compare(&exact, &bound, |context| {
        let mut p = p.clone();
        p.update(&allele_rewards(context, &population, &values), epsilon).expect("finite rewards");
        p.values().iter().map(|&p| p as f32).collect()
    });
}

fn weights(case: &mut Case<'_>) {
    let [links, genes, genotypes] = case.sizes();
    let density = share(case);
    let w = WeightGeneration::random(links, genes, density, case.stream()).expect("a density");
    let population = population(case, genotypes, genes, 1.0);
    let (mut exact, mut bound) = (vec![0.0; links * genotypes], vec![0.0; links * genotypes]);
    let sizes = reference::magnitudes(&w);
    for genotype in 0..genotypes {
        for (link, weight) in reference::weights(&w, &population, genotype).into_iter().enumerate() {
            exact[link * genotypes + genotype] = weight;
            bound[link * genotypes + genotype] = gamma(w.link(link).0.len() as f64) * sizes[link];
        }
    }
    case.compare(&exact, &bound, |context| {
        let mut out = Case::poisoned(links, genotypes);
        decode(context, &w, &population, 0..genotypes, out.view_mut());
        out.as_slice().to_vec()
    });
}

fn expected(case: &mut Case<'_>) {
    let [links, genes] = case.sizes();
    let density = share(case);
    let w = WeightGeneration::random(links, genes, density, case.stream()).expect("a density");
    let p = case.finite(1, genes, 0.0, 1.0).as_slice().iter().map(|&p| f64::from(p)).collect();
    let p = AlleleFrequencies::new(p).expect("frequencies");
    let exact = reference::expected_weights(&w, &p);
    // Summed in f64 and rounded once.
    let bound: Vec<f64> = exact.iter().map(|weight| gamma(1.0) * weight.abs()).collect();
    case.compare(&exact, &bound, |_| {
        let mut out = vec![f32::NAN; links];
        expected_weights(&w, &p, &mut out);
        out
    });
}

fn rewards(case: &mut Case<'_>) {
    let [genotypes, genes] = case.sizes();
    let population = population(case, genotypes, genes, 0.8);
    let values = case.matrix(1, genotypes, 0.0, 5.0);
    let values: Vec<f64> = values.as_slice().iter().map(|&value| value.into()).collect();
    let exact: Vec<f64> =
        reference::allele_rewards(&population, &values).into_iter().flat_map(|(f, f0)| [f, f0]).collect();
    // Sums in f64, which only become f32 to be compared.
    let bound: Vec<f64> = exact.iter().map(|value| gamma(1.01) * value.abs()).collect();
    case.compare(&exact, &bound, |context| {
        let rewards = allele_rewards(context, &population, &values);
        let both = |gene| rewards.get(gene).map_or([f32::NAN; 2], |(f, f0)| [f as f32, f0 as f32]);
        (0..genes).flat_map(both).collect()
    });
}

/// A network, its samples, the exact outcome of each genotype and its bounds.
struct Network {
    graph: Graph,
    w: WeightGeneration,
    images: Matrix,
    labels: Vec<u8>,
    population: Population,
    exact: Vec<f64>,
    bound: Vec<f64>,
}

/// `by_genes`: for [`evaluate`], which may look at differences among genotypes.
fn network(case: &mut Case<'_>, varying: f64, by_genes: bool) -> Network {
    let [inputs, hidden, classes, genotypes, count] = case.sizes();
    let genes = 60;
    let (probability, density) = (share(case), 0.3 * share(case));
    let graph = Graph::random(inputs, hidden, classes, probability, case.stream()).expect("a probability");
    let w = WeightGeneration::random(graph.links(), genes, density, case.stream()).expect("a density");
    // A share of zeros, of any size.
    let low = case.finite(1, 1, -3.0, 0.1)[(0, 0)];
    let mut images = case.finite(count, inputs, low, 1.0);
    images.as_mut_slice().iter_mut().for_each(|pixel| *pixel = pixel.max(0.0));
    let labels = case.labels(count, classes);
    let population = population(case, genotypes, genes, varying);
    let (mut sizes, mut roundings) = (reference::magnitudes(&w), reference::roundings(&graph, &w));
    if by_genes && genotypes > GROUP {
        // Few genes of a link may vary. On top of the modal genotype they are added and taken away again, on either side of the units.
        sizes.iter_mut().for_each(|size| *size *= 2.0);
        roundings = reference::roundings_of_differences(&graph, &w, &population);
    }
    let (mut exact, mut bound) = (Vec::new(), Vec::new());
    for genotype in 0..genotypes {
        let weights = reference::weights(&w, &population, genotype);
        let outcome = reference::evaluate(&graph, &weights, &sizes, roundings, images.view(), &labels);
        exact.extend([outcome.reward, outcome.loss, outcome.correct.into()]);
        // The means become f32 to be compared.
        bound.push(outcome.reward_error + gamma(1.0) * outcome.reward);
        bound.push(outcome.loss_error + gamma(1.0) * outcome.loss);
        bound.push(outcome.doubtful.into());
    }
    Network { graph, w, images, labels, population, exact, bound }
}

/// Compares what a function of context and samples returns with the exact outcome.
fn compare(case: &mut Case<'_>, network: &Network, outcome: impl Fn(&mut Context, &Samples) -> Outcome) {
    case.compare(&network.exact, &network.bound, |context| {
        let samples = Samples::new(context, &network.graph, network.images.view(), &network.labels);
        let outcome = outcome(context, &samples.expect("finite images"));
        let of = |genotype: usize| {
            [outcome.rewards[genotype] as f32, outcome.losses[genotype] as f32, outcome.correct[genotype] as f32]
        };
        (0..outcome.rewards.len()).flat_map(of).collect()
    });
}

fn evaluation(case: &mut Case<'_>) {
    let network = network(case, 1.0, true);
    compare(case, &network, |context, samples| evaluate(context, &network.w, samples, &network.population));
}

fn converged(case: &mut Case<'_>) {
    let network = network(case, 0.05, true);
    compare(case, &network, |context, samples| evaluate(context, &network.w, samples, &network.population));
}

fn in_parts(case: &mut Case<'_>) {
    let network = network(case, 0.3, true);
    let genotypes = network.population.genotypes();
    compare(case, &network, |context, samples| {
        let mut whole = Outcome { rewards: Vec::new(), losses: Vec::new(), correct: Vec::new() };
        for part in [0..genotypes / 3, genotypes / 3..genotypes] {
            let outcome = evaluate_part(context, &network.w, samples, &network.population, part);
            whole.rewards.extend(outcome.rewards);
            whole.losses.extend(outcome.losses);
            whole.correct.extend(outcome.correct);
        }
        whole
    });
}

fn given(case: &mut Case<'_>) {
    let network = network(case, 1.0, false);
    let (links, genotypes) = (network.w.links(), network.population.genotypes());
    let mut weights = Matrix::zeros(links, genotypes);
    decode(&mut case.contexts[0], &network.w, &network.population, 0..genotypes, weights.view_mut());
    let weights = weights.transposed();
    compare(case, &network, |context, samples| {
        evaluate_weights(context, samples, weights.view()).expect("finite weights")
    });
}

/// Activities of the hidden units, then the logits.
fn activities(case: &mut Case<'_>) {
    let [inputs, hidden, classes, count] = case.sizes();
    let probability = share(case);
    let graph = Graph::random(inputs, hidden, classes, probability, case.stream()).expect("a probability");
    let (weights, images) = (case.matrix(1, graph.links(), -1.0, 1.0), case.matrix(count, inputs, -0.5, 1.0));
    let weights = weights.as_slice();
    let exactly: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
    let (mut exact, mut bound) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for image in images.view().iter_rows() {
        let (activities, logits) = reference::forward(&graph, &exactly, image);
        let errors: Vec<f64> = (0..hidden)
            .map(|unit| {
                let links = graph.pattern().range(unit);
                let edges = graph.pattern().row(unit).iter().zip(links.clone());
                let sizes = edges.map(|(&input, link)| (exactly[link] * f64::from(image[input as usize])).abs());
                gamma(links.len() as f64) * sizes.sum::<f64>()
            })
            .collect();
        let of_class = |class: usize| {
            let terms = activities.iter().zip(&errors).enumerate().map(|(unit, (activity, error))| {
                let weight = exactly[graph.edges() + unit * classes + class].abs();
                gamma(hidden as f64) * weight * (activity.abs() + error) + weight * error
            });
            terms.sum::<f64>()
        };
        bound.1.extend((0..classes).map(of_class));
        bound.0.extend(errors);
        exact.0.extend(activities);
        exact.1.extend(logits);
    }
    let (exact, bound) = ([exact.0, exact.1].concat(), [bound.0, bound.1].concat());
    case.compare(&exact, &bound, |context| {
        let (mut hidden, mut logits) = (Case::poisoned(count, hidden), Case::poisoned(count, classes));
        forward(context, &graph, weights, images.view(), hidden.view_mut(), logits.view_mut());
        [hidden.as_slice(), logits.as_slice()].concat()
    });
}
