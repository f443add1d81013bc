//! Frequencies, populations, and what alleles earn.

use super::*;

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
                // Equal in all their words: genotypes beyond the last have allele 0.
                let same = |genotype, gene| all.allele(start as usize + genotype, gene);
                let same = Population::from_fn((end - start) as usize, 77, same).unwrap();
                assert!(own == same, "from {start}, {parts} parts");
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
fn populations_too_large_name_both_sizes() {
    for (genotypes, genes) in [(1 << 46, 1), (1 << 20, 1 << 26), (usize::MAX, 1 << 30)] {
        let found = message(Population::from_fn(genotypes, genes, |_, _| unreachable!("refused before")));
        let expected = "population: expected fewer than 2^46 alleles, found";
        assert_eq!(found, format!("{expected} {genotypes} genotypes of {genes} genes"));
    }
}

#[test]
fn rounding_takes_the_more_frequent_allele() {
    let p = AlleleFrequencies::new(vec![0.0, 0.49, 0.5, 1.0]).unwrap();
    let one = Population::rounded(&p);
    assert_eq!((0..4).map(|gene| one.allele(0, gene)).collect::<Vec<_>>(), [false, false, true, true]);
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
        assert_eq!(message, format!("epsilon: expected 0 to 1, the most theorem 1 ever allows, found {epsilon}"));
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

#[test]
fn alleles_are_asked_for_genotype_by_genotype() {
    let mut asked = Vec::new();
    let population = Population::from_fn(70, 3, |genotype, gene| {
        asked.push((genotype, gene));
        asked.len() % 5 == 0
    });
    let population = population.unwrap();
    assert_eq!(asked, (0..70).flat_map(|genotype| (0..3).map(move |gene| (genotype, gene))).collect::<Vec<_>>());
    for (at, &(genotype, gene)) in asked.iter().enumerate() {
        assert_eq!(population.allele(genotype, gene), (at + 1) % 5 == 0);
    }
}
