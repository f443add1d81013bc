//! Weights, graphs, samples.

use super::*;

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
#[should_panic(expected = "decode: genotypes 16..20 of 40: a range from a multiple of 64")]
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
    // A link without entries has the weight zero, as it has in every genotype.
    let empty = WeightGeneration::random(2, 40, 0.0, stream("w")).unwrap();
    let mut out = [f32::NAN; 2];
    expected_weights(&empty, &p, &mut out);
    assert_eq!(out.map(f32::to_bits), [0; 2]);
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
    for wrong in [1.5, -0.1, f64::NAN] {
        let message = message(Graph::random(4, 3, 2, wrong, stream("g")));
        assert_eq!(message, format!("probability: expected 0 to 1, found {wrong}"));
    }
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

#[test]
fn more_links_than_can_be_numbered_are_refused_before_anything_is_made() {
    for links in [1 << 31, usize::MAX] {
        for result in [
            WeightGeneration::from_triples(links, 4, &[]),
            WeightGeneration::random(links, 4, 0.0, Stream::new(1, "w")),
        ] {
            assert!(result.unwrap_err().to_string().contains("fewer than 2^31"), "{links}");
        }
    }
}
