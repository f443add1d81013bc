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
    let several = [2, 3, 7].map(|n| Context::new().unwrap().with_threads(Threads::new(n).unwrap()));
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

#[test]
fn frequencies_must_be_probabilities() {
    assert_eq!(message(AlleleFrequencies::new(vec![])), "allele frequencies: expected 1 values, found 0");
    for wrong in [-0.1, 1.0000001, f64::NAN, f64::INFINITY] {
        let message = message(AlleleFrequencies::new(vec![0.0, 1.0, wrong]));
        assert_eq!(message, format!("allele frequency of gene 2: expected 0 to 1, found {wrong}"));
    }
    assert!(AlleleFrequencies::uniform(0, stream("p")).is_err());
    let p = AlleleFrequencies::new(vec![0.0, 0.001, 0.5, 0.999, 1.0]).unwrap();
    assert_eq!((p.fixed(0.0), p.fixed(0.01), p.fixed(0.5)), (0.4, 0.8, 1.0));
}

#[test]
fn a_population_in_parts_has_the_same_bits() {
    let p = AlleleFrequencies::uniform(77, stream("p")).unwrap();
    let all = Population::sample(&mut context(), &p, stream("s"), 0..300).unwrap();
    for parts in [1, 2, 3, 7] {
        for mut context in contexts() {
            for part in 0..parts {
                let (start, end) = (300 * part / parts, 300 * (part + 1) / parts);
                let own = Population::sample(&mut context, &p, stream("s"), start..end).unwrap();
                assert_eq!(own.genotypes(), (end - start) as usize);
                for genotype in start..end {
                    let same =
                        |gene| own.allele((genotype - start) as usize, gene) == all.allele(genotype as usize, gene);
                    assert!((0..77).all(same), "genotype {genotype}, {parts} parts");
                }
            }
        }
    }
}

#[test]
fn alleles_come_at_their_frequencies() {
    let p = AlleleFrequencies::new(vec![0.0, 0.1, 0.5, 0.9, 1.0]).unwrap();
    let population = Population::sample(&mut context(), &p, stream("s"), 0..20_000).unwrap();
    for (gene, &p) in p.values().iter().enumerate() {
        let carriers = (0..20_000).filter(|&genotype| population.allele(genotype, gene)).count() as f64;
        // Five standard deviations; none at 0 and 1.
        assert!((carriers - 20_000.0 * p).abs() <= 5.0 * (20_000.0 * p * (1.0 - p)).sqrt(), "gene {gene}: {carriers}");
    }
    // Neighbouring genes and neighbouring genotypes have nothing to do with each other.
    let p = AlleleFrequencies::new(vec![0.5; 64]).unwrap();
    let population = Population::sample(&mut context(), &p, stream("t"), 0..640).unwrap();
    let agree = |other: fn(usize, usize) -> (usize, usize)| {
        let all = (0..639).flat_map(|genotype| (0..63).map(move |gene| (genotype, gene)));
        all.filter(|&(genotype, gene)| {
            let (other_genotype, other_gene) = other(genotype, gene);
            population.allele(genotype, gene) == population.allele(other_genotype, other_gene)
        })
        .count() as f64
    };
    let (mean, deviation) = (639.0 * 63.0 / 2.0, (639.0f64 * 63.0 / 4.0).sqrt());
    assert!((agree(|genotype, gene| (genotype, gene + 1)) - mean).abs() < 5.0 * deviation);
    assert!((agree(|genotype, gene| (genotype + 1, gene)) - mean).abs() < 5.0 * deviation);
}

#[test]
fn empty_populations_are_refused() {
    let p = AlleleFrequencies::new(vec![0.5]).unwrap();
    #[allow(clippy::reversed_empty_ranges)]
    for range in [0..0, 5..5, 7..3] {
        let message = message(Population::sample(&mut context(), &p, stream("s"), range));
        assert_eq!(message, "genotypes of a population: expected 1 values, found 0");
    }
    assert!(Population::from_fn(0, 3, |_, _| true).is_err());
    assert!(Population::from_fn(3, 0, |_, _| true).is_err());
    assert!(Population::sample(&mut context(), &p, stream("s"), 0..u64::MAX).is_err());
}

#[test]
fn rounding_takes_the_more_frequent_allele() {
    let p = AlleleFrequencies::new(vec![0.0, 0.49, 0.5, 1.0]).unwrap();
    let one = Population::rounded(&p);
    assert_eq!((0..4).map(|gene| one.allele(0, gene)).collect::<Vec<_>>(), [false, false, true, true]);
}

#[test]
fn random_weights_have_their_density_and_range() {
    let w = WeightGeneration::random(300, 130, 0.05, stream("w")).unwrap();
    let (count, mean) = (w.entries() as f64, 300.0 * 130.0 * 0.05);
    assert!((count - mean).abs() < 5.0 * f64::sqrt(mean), "{count} entries");
    assert!((0..300).all(|link| w.link(link).1.iter().all(|value| (-1.0..1.0).contains(value))));
    let last = (0..300).filter(|&link| w.link(link).0.contains(&129)).count();
    assert!((1..40).contains(&last), "{last} entries of the last gene");
    assert_eq!(WeightGeneration::random(7, 65, 1.0, stream("w")).unwrap().entries(), 7 * 65);
    assert_eq!(WeightGeneration::random(7, 65, 0.0, stream("w")).unwrap().entries(), 0);
    assert_eq!(WeightGeneration::random(0, 5, 0.5, stream("w")).unwrap().links(), 0);
    assert!(WeightGeneration::random(7, 0, 0.5, stream("w")).is_err());
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(WeightGeneration::random(7, 5, wrong, stream("w")).is_err());
    }
}

#[test]
fn malformed_entries_are_named() {
    let build = |triples: &[(u32, u32, f32)]| WeightGeneration::from_triples(3, 4, triples);
    let w = build(&[(2, 1, 0.5), (0, 3, -1.0), (2, 0, 0.25)]).unwrap();
    assert_eq!(w.link(0), (&[3][..], &[-1.0][..]));
    assert_eq!(w.link(1), (&[][..], &[][..]));
    assert_eq!(w.link(2), (&[0, 1][..], &[0.25, 0.5][..]));
    for wrong in [(3, 0, 0.5), (0, 4, 0.5)] {
        let message = message(build(&[(0, 0, 1.0), wrong]));
        let (link, gene, _) = wrong;
        assert_eq!(
            message,
            format!("entry 1: expected a link below 3 and a gene below 4, found link {link}, gene {gene}")
        );
    }
    assert_eq!(message(build(&[(0, 0, f32::NAN)])), "entry 0: expected a finite value, found NaN");
    let twice = message(build(&[(0, 1, 1.0), (1, 1, 1.0), (0, 1, 2.0)]));
    assert_eq!(twice, "entry 2: expected one entry for link 0 and gene 1, found a second");
    assert!(message(build(&[(1, 0, 3e38), (1, 1, 3e38)])).starts_with("entries of link 1: expected a sum within"));
}

#[test]
fn decoding_agrees_with_the_reference_on_every_set() {
    for (links, genes, genotypes, density) in
        [(0, 5, 3, 0.5), (1, 1, 1, 1.0), (17, 70, 64, 0.3), (40, 33, 130, 0.0), (1030, 200, 65, 0.02), (9, 64, 15, 1.0)]
    {
        let w = WeightGeneration::random(links, genes, density, stream("w")).unwrap();
        let population = population(genotypes, genes);
        let mut oracle: Option<Vec<u32>> = None;
        for mut context in contexts() {
            // A stride, poison and canaries.
            let stride = genotypes + 3;
            let mut out = vec![f32::NAN; links * stride];
            let view = MatMut::with_stride(&mut out, links, genotypes, stride).unwrap();
            decode(&mut context, &w, &population, 0..genotypes, view);
            for genotype in 0..genotypes {
                let exact = reference::weights(&w, &population, genotype);
                let sizes = reference::magnitudes(&w);
                for link in 0..links {
                    let bound = 1.01 * genes as f64 * 2f64.powi(-24) * sizes[link];
                    assert!((f64::from(out[link * stride + genotype]) - exact[link]).abs() <= bound);
                }
            }
            assert!(
                (0..links).all(|link| out[link * stride + genotypes..(link + 1) * stride].iter().all(|v| v.is_nan()))
            );
            let bits: Vec<u32> = out.iter().map(|v| v.to_bits()).collect();
            assert_eq!(oracle.get_or_insert_with(|| bits.clone()), &bits, "{context:?}");
        }
        if genotypes > 64 {
            let mut part = Matrix::zeros(links, genotypes - 64);
            decode(&mut context(), &w, &population, 64..genotypes, part.view_mut());
            let mut all = Matrix::zeros(links, genotypes);
            decode(&mut context(), &w, &population, 0..genotypes, all.view_mut());
            assert_eq!(part, all.view().columns(64..genotypes).to_owned());
        }
    }
}

#[test]
#[should_panic(expected = "decode: w is 3 x 4, genotypes 0..2 of 5 genes, out is 3 x 2")]
fn decoding_names_disagreeing_shapes() {
    let w = WeightGeneration::from_triples(3, 4, &[]).unwrap();
    decode(&mut context(), &w, &population(2, 5), 0..2, Matrix::zeros(3, 2).view_mut());
}

#[test]
#[should_panic(expected = "genotypes 16..20 of 40: a range from a multiple of 64")]
fn decoding_starts_at_a_group() {
    let w = WeightGeneration::from_triples(3, 5, &[]).unwrap();
    decode(&mut context(), &w, &population(40, 5), 16..20, Matrix::zeros(3, 4).view_mut());
}

#[test]
fn expected_weights_are_sums_over_frequencies() {
    let w = WeightGeneration::random(50, 40, 0.3, stream("w")).unwrap();
    let p = AlleleFrequencies::uniform(40, stream("p")).unwrap();
    let mut out = vec![f32::NAN; 50];
    expected_weights(&w, &p, &mut out);
    let exact = reference::expected_weights(&w, &p);
    assert!(out.iter().zip(exact).all(|(&got, exact)| got == exact as f32));
    // At frequencies of 0 and 1 they are the one genotype's.
    let p = AlleleFrequencies::new((0..40).map(|gene| f64::from(gene % 3 == 0)).collect()).unwrap();
    expected_weights(&w, &p, &mut out);
    let exact = reference::weights(&w, &Population::rounded(&p), 0);
    assert!(out.iter().zip(exact).all(|(&got, exact)| got == exact as f32));
}

#[test]
fn malformed_graphs_are_named() {
    let build = |edges: &[(u32, u32)]| Graph::from_edges(4, 3, 2, edges);
    let graph = build(&[(0, 0), (3, 0), (1, 2)]).unwrap();
    assert_eq!((graph.inputs(), graph.hidden(), graph.classes(), graph.edges(), graph.links()), (4, 3, 2, 3, 9));
    assert_eq!([0, 1, 2].map(|unit| graph.pattern().row(unit).to_vec()), [vec![0, 3], vec![], vec![1]]);
    for (edges, found) in [
        (&[(0, 0), (4, 0)][..], "an input below 4 and a unit below 3, found input 4 to unit 0"),
        (&[(0, 0), (1, 3)][..], "an input below 4 and a unit below 3, found input 1 to unit 3"),
        (&[(1, 1), (1, 1)][..], "one behind input 1 to unit 1, by unit and then by input, found input 1 to unit 1"),
        (&[(2, 1), (1, 1)][..], "one behind input 2 to unit 1, by unit and then by input, found input 1 to unit 1"),
        (&[(0, 1), (1, 0)][..], "one behind input 0 to unit 1, by unit and then by input, found input 1 to unit 0"),
    ] {
        assert_eq!(message(build(edges)), format!("edge 1: expected {found}"));
    }
    for (inputs, hidden, classes) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 257), (1 << 17, 1, 1)] {
        assert!(Graph::from_edges(inputs, hidden, classes, &[]).is_err());
        assert!(Graph::random(inputs, hidden, classes, 0.5, stream("g")).is_err());
    }
    assert!(Graph::random(4, 3, 2, 1.5, stream("g")).is_err());
    assert_eq!(Graph::random(4, 3, 2, 1.0, stream("g")).unwrap().edges(), 12);
}

#[test]
fn malformed_samples_are_named() {
    let graph = Graph::random(3, 2, 2, 0.5, stream("g")).unwrap();
    let new = |images: &Matrix, labels: &[u8]| Samples::new(&mut context(), &graph, images.view(), labels);
    let good = Matrix::zeros(2, 3);
    assert_eq!(new(&good, &[0, 1]).unwrap().images(), 2);
    assert_eq!(message(new(&Matrix::zeros(0, 3), &[])), "images to evaluate: expected 1 values, found 0");
    assert_eq!(message(new(&Matrix::zeros(2, 4), &[0, 1])), "pixels of an image: expected 3 values, found 4");
    assert_eq!(message(new(&good, &[0])), "labels of images: expected 2 values, found 1");
    assert_eq!(message(new(&good, &[0, 2])), "label of image 1: expected a class below 2, found 2");
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut bad = good.clone();
        bad[(1, 2)] = wrong;
        assert_eq!(message(new(&bad, &[0, 1])), format!("pixel 2 of image 1: expected a finite value, found {wrong}"));
    }
}

/// Compares with the reference, and the bits of every context with the first's; and, unless genotypes have much in common, with those
/// of the same weights given.
fn check(
    graph: &Graph,
    w: &WeightGeneration,
    population: &Population,
    images: &Matrix,
    labels: &[u8],
    converged: bool,
) {
    let mut oracle: Option<Outcome> = None;
    let (mut sizes, mut roundings) = (reference::magnitudes(w), reference::roundings(graph, w));
    if converged {
        // What the modal genotype has and another has not is added and taken away again, on either side of the units.
        sizes.iter_mut().for_each(|size| *size *= 2.0);
        roundings = reference::roundings_of_differences(graph, w, population);
    }
    let want: Vec<_> = (0..population.genotypes())
        .map(|genotype| {
            let weights = reference::weights(w, population, genotype);
            reference::evaluate(graph, &weights, &sizes, roundings, images.view(), labels)
        })
        .collect();
    for mut context in contexts() {
        let samples = Samples::new(&mut context, graph, images.view(), labels).unwrap();
        let got = evaluate(&mut context, w, &samples, population);
        for (genotype, want) in want.iter().enumerate() {
            let off = (got.losses[genotype] - want.loss).abs();
            assert!(off <= want.loss_error, "loss of {genotype}: {off}, bound {}", want.loss_error);
            let off = (got.rewards[genotype] - want.reward).abs();
            assert!(off <= want.reward_error, "reward of {genotype}: {off}, bound {}", want.reward_error);
            assert!(got.correct[genotype].abs_diff(want.correct) <= want.doubtful);
        }
        assert_eq!(oracle.get_or_insert_with(|| got.clone()), &got, "{context:?}");
        if converged {
            continue;
        }
        let mut weights = Matrix::zeros(graph.links(), population.genotypes());
        decode(&mut context, w, population, 0..population.genotypes(), weights.view_mut());
        let given = evaluate_weights(&mut context, &samples, weights.transposed().view()).unwrap();
        assert_eq!(given, got, "{context:?}");
    }
}

/// A population most of whose genes are fixed, at either allele, but for `varying` of them.
fn converged(genotypes: usize, genes: usize, varying: usize) -> Population {
    let random = population(genotypes, genes);
    Population::from_fn(
        genotypes,
        genes,
        |genotype, gene| {
            if gene < varying { random.allele(genotype, gene) } else { gene % 2 == 0 }
        },
    )
    .unwrap()
}

#[test]
fn converged_populations_agree_with_the_reference_on_every_set() {
    for (inputs, hidden, classes, probability, genes, varying, genotypes, count) in [
        (5, 3, 2, 0.5, 7, 0, 65, 16),
        (150, 17, 10, 1.0, 200, 2, 65, 17),
        (70, 33, 11, 0.5, 300, 9, 130, 70),
        (30, 15, 5, 0.9, 100, 1, 128, 129),
    ] {
        let graph = Graph::random(inputs, hidden, classes, probability, stream("g")).unwrap();
        let w = WeightGeneration::random(graph.links(), genes, 0.05, stream("w")).unwrap();
        let (images, labels) = images(count, inputs, classes);
        let population = converged(genotypes, genes, varying);
        assert!(difference::Differences::of(&w, &graph, &population).is_some());
        check(&graph, &w, &population, &images, &labels, true);
    }
}

#[test]
fn differences_of_numbers_that_nothing_rounds_give_the_same_bits() {
    for (inputs, hidden, classes, varying, genotypes, count) in
        [(9, 30, 2, 6, 65, 70), (40, 40, 10, 7, 130, 17), (20, 25, 11, 1, 128, 16), (12, 50, 20, 9, 200, 33)]
    {
        let graph = Graph::random(inputs, hidden, classes, 0.6, stream("g")).unwrap();
        // Quarters of small integers: products and sums of any order are exact.
        let mut generator = stream("w").generator();
        let mut quarters = |most: u64| (below(&mut generator, 2 * most + 1) as f32 - most as f32) / 4.0;
        let mut triples = Vec::new();
        for link in 0..graph.links() as u32 {
            for gene in 0..60 {
                // One in twenty-one.
                if quarters(10) == 0.25 {
                    triples.push((link, gene, quarters(4)));
                }
            }
        }
        let w = WeightGeneration::from_triples(graph.links(), 60, &triples).unwrap();
        let images = Matrix::from_fn(count, inputs, |_, _| quarters(4).max(0.0));
        let labels: Vec<u8> = (0..count).map(|image| (image % classes) as u8).collect();
        let population = converged(genotypes, 60, varying);
        let differences = difference::Differences::of(&w, &graph, &population).unwrap();
        for mut context in contexts() {
            let samples = Samples::new(&mut context, &graph, images.view(), &labels).unwrap();
            let mut weights = Matrix::zeros(graph.links(), genotypes);
            decode(&mut context, &w, &population, 0..genotypes, weights.view_mut());
            let want = evaluate_weights(&mut context, &samples, weights.transposed().view()).unwrap();
            let got = evaluate::by_differences(&mut context, &differences, &samples, genotypes);
            assert_eq!(got.as_ref(), Some(&want), "{context:?}");
            assert_eq!(evaluate(&mut context, &w, &samples, &population), want, "{context:?}");
        }
    }
}

#[test]
fn what_overflows_in_some_genotypes_does_not_show_in_the_others() {
    // Gene 0, the only one that varies, makes the weight of the only edge too large for the pixel.
    let graph = Graph::from_edges(1, 1, 2, &[(0, 0)]).unwrap();
    let w = WeightGeneration::from_triples(3, 10, &[(0, 0, 1e30), (0, 1, 0.5), (1, 2, 2.0), (2, 3, 1.0)]).unwrap();
    let population = Population::from_fn(70, 10, |genotype, gene| gene != 0 || genotype % 3 == 0).unwrap();
    let images = Matrix::from_slice(&[1e10, 0.5], 2, 1).unwrap();
    let samples = Samples::new(&mut context(), &graph, images.view(), &[0, 1]).unwrap();
    let differences = difference::Differences::of(&w, &graph, &population).unwrap();
    for mut context in contexts() {
        assert_eq!(evaluate::by_differences(&mut context, &differences, &samples, 70), None);
        let outcome = evaluate(&mut context, &w, &samples, &population);
        for genotype in 0..70 {
            let (loss, reward) = (outcome.losses[genotype], outcome.rewards[genotype]);
            assert_eq!((loss.is_nan(), reward.is_nan()), (genotype % 3 == 0, genotype % 3 == 0), "{genotype}");
        }
    }
}

#[test]
fn more_slopes_than_links_are_never_kept() {
    let graph = Graph::from_edges(1, 1, 2, &[(0, 0)]).unwrap();
    let w = WeightGeneration::from_triples(3, 1000, &[(0, 0, 1.0)]).unwrap();
    for (varying, kept) in [(1, true), (2, false)] {
        let population = Population::from_fn(70, 1000, |genotype, gene| gene < varying && genotype == 0).unwrap();
        assert_eq!(difference::Differences::of(&w, &graph, &population).is_some(), kept);
    }
}

#[test]
fn a_population_of_one_genotype_is_evaluated_as_the_genotype() {
    let graph = Graph::random(40, 20, 10, 0.5, stream("g")).unwrap();
    let w = WeightGeneration::random(graph.links(), 60, 0.2, stream("w")).unwrap();
    let (images, labels) = images(50, 40, 10);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    let one = evaluate(&mut context(), &w, &samples, &converged(1, 60, 0));
    let many = evaluate(&mut context(), &w, &samples, &converged(100, 60, 0));
    // Nothing differs from the modal genotype, so nothing is rounded otherwise.
    assert!(
        (0..100).all(|genotype| many.rewards[genotype] == one.rewards[0] && many.losses[genotype] == one.losses[0])
    );
}

#[test]
fn evaluation_agrees_with_the_reference_on_every_set() {
    for (inputs, hidden, classes, probability, genes, genotypes, count) in [
        (1, 1, 1, 1.0, 1, 1, 1),
        (5, 3, 2, 0.5, 7, 3, 16),
        (70, 17, 10, 0.9, 40, 65, 17),
        (130, 33, 11, 1.0, 30, 64, 63),
        (20, 16, 5, 0.3, 100, 16, 65),
        (30, 15, 12, 0.0, 10, 17, 5),
        (40, 40, 3, 0.2, 50, 129, 15),
        (64, 9, 20, 1.0, 20, 8, 130),
    ] {
        let graph = Graph::random(inputs, hidden, classes, probability, stream("g")).unwrap();
        let w = WeightGeneration::random(graph.links(), genes, 0.2, stream("w")).unwrap();
        let (images, labels) = images(count, inputs, classes);
        check(&graph, &w, &population(genotypes, genes), &images, &labels, false);
    }
}

#[test]
fn unreachable_units_and_unread_inputs_do_not_matter() {
    // Unit 1 sees nothing, input 1 is seen by nobody.
    let graph = Graph::from_edges(3, 3, 2, &[(0, 0), (2, 0), (2, 2)]).unwrap();
    let w = WeightGeneration::random(graph.links(), 20, 0.5, stream("w")).unwrap();
    let (mut images, labels) = images(20, 3, 2);
    let population = population(10, 20);
    check(&graph, &w, &population, &images, &labels, false);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    let before = evaluate(&mut context(), &w, &samples, &population);
    for image in 0..20 {
        images[(image, 1)] = 1e30;
    }
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    let mut weights = Matrix::zeros(graph.links(), 10);
    decode(&mut context(), &w, &population, 0..10, weights.view_mut());
    // The output links of unit 1 are links 5 and 6.
    weights.row_mut(5).fill(1e30);
    weights.row_mut(6).fill(-1e30);
    assert_eq!(evaluate_weights(&mut context(), &samples, weights.transposed().view()).unwrap(), before);
}

#[test]
fn sums_that_overflow_give_nan() {
    let graph = Graph::from_edges(2, 1, 2, &[(0, 0), (1, 0)]).unwrap();
    let images = Matrix::from_slice(&[1e30, 1e30, 1.0, 0.0], 2, 2).unwrap();
    let samples = Samples::new(&mut context(), &graph, images.view(), &[0, 0]).unwrap();
    for mut context in contexts() {
        let weights = [1e30, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25];
        let weights = Matrix::from_slice(&weights, 2, 4).unwrap();
        let outcome = evaluate_weights(&mut context, &samples, weights.view()).unwrap();
        assert!(outcome.losses[0].is_nan() && outcome.rewards[0].is_nan());
        assert!(outcome.losses[1].is_finite() && outcome.rewards[1].is_finite());
    }
}

#[test]
fn given_weights_must_be_finite_and_as_many_as_links() {
    let graph = Graph::from_edges(2, 1, 2, &[(0, 0)]).unwrap();
    let samples = Samples::new(&mut context(), &graph, Matrix::zeros(1, 2).view(), &[0]).unwrap();
    let mut weights = Matrix::zeros(2, 3);
    weights[(1, 2)] = f32::NEG_INFINITY;
    let message = message(evaluate_weights(&mut context(), &samples, weights.view()));
    assert_eq!(message, "weight of link 2, row 1: expected a finite value, found -inf");
    // In the last row of many, on an edge or an output link.
    for link in 0..3 {
        let mut weights = Matrix::zeros(70, 3);
        weights[(69, link)] = f32::NAN;
        let message = self::message(evaluate_weights(&mut context(), &samples, weights.view()));
        assert_eq!(message, format!("weight of link {link}, row 69: expected a finite value, found NaN"));
    }
    let long = evaluate_weights(&mut context(), &samples, Matrix::zeros(1, 4).view());
    assert!(matches!(long, Err(Error::Length { expected: 3, found: 4, .. })));
    let none = evaluate_weights(&mut context(), &samples, Matrix::zeros(0, 3).view()).unwrap();
    assert!(none.rewards.is_empty());
}

#[test]
fn chance_earns_nothing() {
    // No weights: every class is as likely, L = a.
    let graph = Graph::random(9, 5, 10, 0.5, stream("g")).unwrap();
    let w = WeightGeneration::from_triples(graph.links(), 4, &[]).unwrap();
    let (images, labels) = images(20, 9, 10);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    let first = labels.iter().filter(|&&label| label == 0).count() as u32;
    // With images across the lanes, and with genotypes.
    for genotypes in [3, 70] {
        let outcome = evaluate(&mut context(), &w, &samples, &population(genotypes, 4));
        for genotype in 0..genotypes {
            assert!(outcome.rewards[genotype].abs() < 1e-5);
            assert!((outcome.losses[genotype] - 10f64.ln()).abs() < 1e-6);
            assert_eq!(outcome.correct[genotype], first, "the first of equals, {genotypes} genotypes");
        }
    }
}

#[test]
fn the_reference_gives_what_can_be_worked_out_by_hand() {
    // Input 1 to the one hidden unit by 0.5, on to the classes by 2 and -1: logits 0.5 and -0.25; so many times the same image.
    let graph = Graph::from_edges(1, 1, 2, &[(0, 0)]).unwrap();
    let (weights, sizes) = ([0.5, 2.0, -1.0], [0.5, 2.0, 1.0]);
    let (u, chance) = (2f64.powi(-24), 2f64.ln());
    for (label, behind) in [(0, 0.0), (1, 0.75)] {
        let loss = (-0.75f64).exp().ln_1p() + behind;
        let reward = (chance * chance - loss * loss).max(0.0);
        // Four roundings of sums of at most 0.5 move the loss by twice that; its own error is 2 log2(2) + 6 + 0.75 + ln 2 halves of an ulp.
        let error = 2.0 * 4.0 * u * 0.5 + u * (2.0 + 6.0 + behind + chance);
        let of_reward = 2.0 * loss * error + 8.0 * u * (chance * chance + loss * loss);
        for count in [1, 50] {
            let images = Matrix::from_fn(count, 1, |_, _| 0.5);
            let got = reference::evaluate(&graph, &weights, &sizes, 4, images.view(), &vec![label; count]);
            assert!((got.loss - loss).abs() < 1e-13 && (got.reward - reward).abs() < 1e-13);
            assert_eq!((got.correct, got.doubtful), (if label == 0 { count as u32 } else { 0 }, 0));
            // A mean of equals is as far off as each of them, and by the sum's own roundings.
            let of_sum = 4.0 * u * u * (count * count) as f64;
            assert!((got.loss_error / (error + of_sum * loss) - 1.0).abs() < 1e-5);
            assert!((got.reward_error / (of_reward + of_sum * reward) - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn forward_agrees_with_the_reference() {
    let graph = Graph::random(40, 12, 10, 0.4, stream("g")).unwrap();
    let (images, _) = images(9, 40, 10);
    let mut weights = vec![0.0; graph.links()];
    stream("w").uniform(-1.0, 1.0, &mut weights);
    let exact: Vec<f64> = weights.iter().map(|&v| v.into()).collect();
    for mut context in contexts() {
        let (mut hidden, mut logits) = (Matrix::zeros(9, 12), Matrix::zeros(9, 10));
        forward(&mut context, &graph, &weights, images.view(), hidden.view_mut(), logits.view_mut());
        for image in 0..9 {
            let (want_hidden, want_logits) = reference::forward(&graph, &exact, images.row(image));
            let close = |got: &[f32], want: &[f64]| got.iter().zip(want).all(|(&g, w)| (f64::from(g) - w).abs() < 1e-5);
            assert!(close(hidden.row(image), &want_hidden) && close(logits.row(image), &want_logits));
        }
    }
}

#[test]
fn rewards_agree_with_the_reference() {
    for (genotypes, genes) in [(1, 1), (2, 3), (7, 255), (8, 256), (9, 257), (64, 5), (65, 300), (1000, 40)] {
        let random = population(genotypes, genes);
        let population = Population::from_fn(genotypes, genes, |genotype, gene| match gene % 5 {
            0 => false,
            1 => true,
            _ => random.allele(genotype, gene),
        });
        let population = population.unwrap();
        let mut values = vec![0.0; genotypes];
        stream("r").uniform(0.0, 5.0, &mut values);
        let rewards: Vec<f64> = values.into_iter().map(f64::from).collect();
        let want = reference::allele_rewards(&population, &rewards);
        for mut context in contexts() {
            let got = allele_rewards(&mut context, &population, &rewards);
            assert_eq!(got, allele_rewards(&mut self::context(), &population, &rewards));
            for (gene, &(present, absent)) in want.iter().enumerate() {
                let carriers = (0..genotypes).filter(|&genotype| population.allele(genotype, gene)).count();
                assert_eq!(got.carriers(gene), carriers);
                match got.get(gene) {
                    None => assert!(present.is_nan() && absent.is_nan() && (carriers == 0 || carriers == genotypes)),
                    Some((f, f0)) => {
                        let bound = (genotypes + 1) as f64 * f64::EPSILON;
                        assert!((f - present).abs() <= bound * present && (f0 - absent).abs() <= bound * absent);
                    }
                }
            }
        }
    }
}

/// Rewards of two genotypes, of which the first carries all genes but the last, which nobody does.
fn two(genes: usize, rewards: [f64; 2]) -> AlleleRewards {
    let population = Population::from_fn(2, genes, |genotype, gene| genotype == 0 && gene + 1 < genes).unwrap();
    allele_rewards(&mut context(), &population, &rewards)
}

#[test]
fn frequencies_follow_equation_three() {
    let p = [0.0, 0.2, 0.5, 0.9, 1.0, 0.3];
    for epsilon in [0.0, 0.1, 1.0] {
        let mut next = AlleleFrequencies::new(p.to_vec()).unwrap();
        next.update(&two(6, [3.0, 0.5]), epsilon).unwrap();
        for gene in 0..5 {
            let want = reference::update(p[gene], 3.0, 0.5, epsilon);
            assert!((next.values()[gene] - want).abs() <= 4.0 * f64::EPSILON, "{} {want}", next.values()[gene]);
        }
        assert_eq!(next.values()[5], 0.3, "an allele nobody carries keeps its frequency");
        assert_eq!((next.values()[0], next.values()[4]), (0.0, 1.0));
    }
}

#[test]
fn wrong_rewards_and_rates_leave_the_frequencies_alone() {
    let start = AlleleFrequencies::new(vec![0.5, 0.5]).unwrap();
    let mut p = start.clone();
    for epsilon in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let message = message(p.update(&two(2, [1.0, 2.0]), epsilon));
        assert_eq!(message, format!("epsilon: expected 0 to 1, the limit of theorem 1, found {epsilon}"));
    }
    let nan = message(p.update(&two(2, [f64::NAN, 2.0]), 1.0));
    assert_eq!(nan, "reward of allele 1 of gene 0: expected a finite number of at least -1 / epsilon, found NaN");
    let low = message(p.update(&two(2, [1.0, -2.0]), 1.0));
    assert_eq!(low, "reward of allele 0 of gene 0: expected a finite number of at least -1 / epsilon, found -2");
    assert!(matches!(p.update(&two(3, [1.0, 2.0]), 1.0), Err(Error::Length { expected: 2, found: 3, .. })));
    assert_eq!(p, start);
    // Lethal for everybody: nobody is left to say anything.
    p.update(&two(2, [-1.0, -1.0]), 1.0).unwrap();
    assert_eq!(p, start);
}
