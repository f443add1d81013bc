//! Evaluation of genotypes, each by itself and by what differs.

use super::*;

/// The outcome of a population's weights, given.
fn by_weights(context: &mut Context, w: &WeightGeneration, samples: &Samples, population: &Population) -> Outcome {
    let mut weights = Matrix::zeros(w.links(), population.genotypes());
    decode(context, w, population, 0..population.genotypes(), weights.view_mut());
    evaluate_weights(context, samples, weights.transposed().view()).unwrap()
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
        assert_eq!(by_weights(&mut context, w, &samples, population), got, "{context:?}");
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
            let want = by_weights(&mut context, &w, &samples, &population);
            let got = evaluate::by_differences(&mut context, &differences, &samples, 0, genotypes);
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
        assert_eq!(evaluate::by_differences(&mut context, &differences, &samples, 0, 70), None);
        let outcome = evaluate(&mut context, &w, &samples, &population);
        for genotype in 0..70 {
            let (loss, reward) = (outcome.losses[genotype], outcome.rewards[genotype]);
            assert_eq!((loss.is_nan(), reward.is_nan()), (genotype % 3 == 0, genotype % 3 == 0), "{genotype}");
        }
    }
}

#[test]
fn slopes_that_overflow_leave_genotypes_to_their_own_sums() {
    // Three units of 2e38, or none; the first takes 2e38 from class 0, each of the others adds as much. Gene 0, the only one that varies, brings
    // the others about: alone they are too much. It makes their edges, or their output links.
    let graph = Graph::from_edges(1, 3, 2, &[(0, 0), (0, 1), (0, 2)]).unwrap();
    let images = Matrix::from_slice(&[2e38, 0.5], 2, 1).unwrap();
    let population = Population::from_fn(70, 10, |genotype, gene| gene != 0 || genotype % 3 == 0).unwrap();
    for (edges, links) in [(0, 1), (1, 0)] {
        let triples = [(0, 1, 1.0), (1, edges, 1.0), (2, edges, 1.0), (3, 1, -1.0), (5, links, 1.0), (7, links, 1.0)];
        let w = WeightGeneration::from_triples(graph.links(), 10, &triples).unwrap();
        let samples = Samples::new(&mut context(), &graph, images.view(), &[0, 0]).unwrap();
        let differences = difference::Differences::of(&w, &graph, &population).unwrap();
        for mut context in contexts() {
            assert_eq!(evaluate::by_differences(&mut context, &differences, &samples, 0, 70), None, "{context:?}");
            let outcome = evaluate(&mut context, &w, &samples, &population);
            assert_eq!(outcome, by_weights(&mut context, &w, &samples, &population), "{context:?}");
            assert!(outcome.rewards.iter().all(|reward| reward.is_finite()), "{context:?}");
            for genotype in 0..70 {
                let correct = if genotype % 3 == 0 { 2 } else { 0 };
                assert_eq!(outcome.correct[genotype], correct, "{context:?}, {genotype}");
            }
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
fn exponentials_of_many_classes_are_one_chain_of_sums() {
    // Every exponential but the largest logit's ends in 0.49 ulps of sums from 128 to 256, which lose that much at each of their steps.
    let u = 0.5 * f64::from(f32::EPSILON);
    let mut logit = -0.105f32;
    while (f64::from(logit).exp() as f32).to_bits() & 0xff != 0x7d {
        logit = logit.next_down();
    }
    // One pixel, one unit, one gene: logits are exact.
    let graph = Graph::from_edges(1, 1, 256, &[(0, 0)]).unwrap();
    let outputs = (2..257).map(|link| (link, 0, logit));
    let triples: Vec<_> = [(0, 0, 1.0)].into_iter().chain(outputs).collect();
    let w = WeightGeneration::from_triples(graph.links(), 1, &triples).unwrap();
    let (images, labels) = (Matrix::from_fn(2, 1, |_, _| 1.0), [0, 1]);
    // With images across the lanes, with genotypes, and by differences.
    for genotypes in [3, 64, 65] {
        let population = Population::from_fn(genotypes, 1, |_, _| true).unwrap();
        check(&graph, &w, &population, &images, &labels, genotypes > 64);
        let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
        let got = evaluate(&mut context(), &w, &samples, &population);
        let exact = (255.0 * f64::from(logit).exp()).ln_1p() - 0.5 * f64::from(logit);
        let off = (got.losses[0] - exact).abs();
        // Sixteen chains side by side would stay within 4 ln 256 + 256 / 16 + 6, and 5 for the logits.
        assert!(off > 50.0 * u, "{genotypes}: {off}");
    }
}

#[test]
fn parts_of_a_population_earn_the_same_bits() {
    let (graph, p) = (Graph::random(20, 7, 3, 0.5, stream("g")).unwrap(), AlleleFrequencies::uniform(30, stream("p")));
    let (w, p) = (WeightGeneration::random(graph.links(), 30, 0.5, stream("w")).unwrap(), p.unwrap());
    let (images, labels) = images(70, 20, 3);
    let sample = |context: &mut Context, range| Population::sample(context, &p, stream("s"), range).unwrap();
    let all = sample(&mut context(), 0..300);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    let want = evaluate(&mut context(), &w, &samples, &all);
    for parts in [1, 2, 3, 7, 300] {
        for mut context in contexts() {
            let mut got = Outcome { rewards: Vec::new(), losses: Vec::new(), correct: Vec::new() };
            for part in 0..parts {
                let own = sample(&mut context, 300 * part / parts..300 * (part + 1) / parts);
                let outcome = evaluate(&mut context, &w, &samples, &own);
                got.rewards.extend(outcome.rewards);
                got.losses.extend(outcome.losses);
                got.correct.extend(outcome.correct);
            }
            assert_eq!(got, want, "{parts} parts, {context:?}");
            assert_eq!(
                allele_rewards(&mut context, &all, &got.rewards),
                allele_rewards(&mut self::context(), &all, &want.rewards)
            );
        }
    }
}

#[test]
fn parts_that_know_the_whole_earn_its_bits_where_genes_are_fixed_too() {
    let graph = Graph::random(40, 20, 10, 0.5, stream("g")).unwrap();
    let w = WeightGeneration::random(graph.links(), 60, 0.2, stream("w")).unwrap();
    let (images, labels) = images(70, 40, 10);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    for varying in [3, 60] {
        let population = converged(300, 60, varying);
        assert_eq!(difference::Differences::of(&w, &graph, &population).is_some(), varying == 3);
        let want = evaluate(&mut context(), &w, &samples, &population);
        for parts in [1, 2, 3, 7] {
            for mut context in contexts() {
                let mut got = Outcome { rewards: Vec::new(), losses: Vec::new(), correct: Vec::new() };
                for part in 0..parts {
                    let range = 300 * part / parts..300 * (part + 1) / parts;
                    let outcome = evaluate_part(&mut context, &w, &samples, &population, range);
                    got.rewards.extend(outcome.rewards);
                    got.losses.extend(outcome.losses);
                    got.correct.extend(outcome.correct);
                }
                assert_eq!(got, want, "{parts} parts, {varying} genes vary, {context:?}");
            }
        }
        for at in [0, 64, 130, 300] {
            let none = evaluate_part(&mut context(), &w, &samples, &population, at..at);
            assert!(none.rewards.is_empty() && none.losses.is_empty() && none.correct.is_empty());
        }
    }
}

#[test]
#[should_panic(expected = "genotypes 60..71 of 70")]
fn a_part_lies_within_its_population() {
    let graph = Graph::random(5, 3, 2, 0.5, stream("g")).unwrap();
    let w = WeightGeneration::random(graph.links(), 10, 0.5, stream("w")).unwrap();
    let (images, labels) = images(4, 5, 2);
    let samples = Samples::new(&mut context(), &graph, images.view(), &labels).unwrap();
    evaluate_part(&mut context(), &w, &samples, &population(70, 10), 60..71);
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
    // Downwards: a silent unit leaves both classes alike; a class of minus infinity costs nothing as long as it is not the label's.
    let samples = Samples::new(&mut context(), &graph, images.view(), &[0, 0]).unwrap();
    let weights = [-1e30, 1.0, 1.0, 1.0, 1e8, 0.0, 1.0, -1e30, 1e8, 0.0, -1e30, 1.0];
    let weights = Matrix::from_slice(&weights, 3, 4).unwrap();
    for mut context in contexts() {
        let outcome = evaluate_weights(&mut context, &samples, weights.view()).unwrap();
        assert!(outcome.losses[0].is_finite() && outcome.rewards[0].is_finite(), "{outcome:?}");
        assert!(outcome.losses[1] == 0.0 && (outcome.rewards[1] - 2f64.ln().powi(2)).abs() < 1e-6, "{outcome:?}");
        assert_eq!((outcome.losses[2], outcome.rewards[2]), (f64::INFINITY, 0.0));
    }
}

#[test]
fn given_weights_must_be_finite() {
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
    let none = evaluate_weights(&mut context(), &samples, Matrix::zeros(0, 3).view()).unwrap();
    assert!(none.rewards.is_empty());
}

#[test]
#[should_panic(expected = "evaluate_weights: the weights are 3 x 1, the graph has 3 links")]
fn given_weights_have_a_genotype_a_row() {
    let graph = Graph::from_edges(2, 1, 2, &[(0, 0)]).unwrap();
    let samples = Samples::new(&mut context(), &graph, Matrix::zeros(1, 2).view(), &[0]).unwrap();
    let _ = evaluate_weights(&mut context(), &samples, Matrix::zeros(3, 1).view());
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
        // Four roundings of sums of at most 0.5 move the loss by twice that; its own error is 4 ln 2 + 2 + 6 + 2 * 0.75 halves of an ulp.
        let error = 2.0 * 4.0 * u * 0.5 + 1.01 * u * (4.0 * chance + 2.0 + 6.0 + 2.0 * behind);
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
fn pixels_that_are_no_normal_numbers_count() {
    // One pixel, one hidden unit, two classes: z = (0.4, -0.4) of a pixel of 1e-40, and nothing of a zero of either sign.
    let graph = Graph::from_edges(1, 1, 2, &[(0, 0)]).unwrap();
    let weights = [1e38, 40.0, -40.0].map(|weight| weight as f32);
    for genotypes in [1, 20, 100] {
        let weights = Matrix::from_fn(genotypes, 3, |_, link| weights[link]);
        for mut context in contexts() {
            for (pixel, z) in [(1e-40f32, 0.4f64), (0.0, 0.0), (-0.0, 0.0)] {
                let samples =
                    Samples::new(&mut context, &graph, Matrix::from_slice(&[pixel], 1, 1).unwrap().view(), &[1])
                        .unwrap();
                let outcome = evaluate_weights(&mut context, &samples, weights.view()).unwrap();
                let want = (1.0 + (2.0 * z).exp()).ln();
                for loss in outcome.losses {
                    assert!((loss - want).abs() < 1e-5, "{genotypes} genotypes, {pixel:e}: {loss} for {want}");
                }
            }
        }
    }
}
