//! Networks that were compressed answer as they did before.

use super::*;

/// What the sums of a layer may differ by, for inputs x that may differ by `input`: each side's own rounding, and that of the inputs.
fn sums_differ(x: &Rows, input: &Rows, w: &Rows) -> Rows {
    let rounding = 2.02 * w.len() as f64 * 2f64.powi(-24);
    let sample = |(x, d): (&Vec<f64>, &Vec<f64>)| {
        let unit = |j: usize| {
            let terms = x.iter().zip(d).zip(w).map(|((x, d), w)| (d + rounding * (x.abs() + d)) * w[j].abs());
            terms.sum()
        };
        (0..w[0].len()).map(unit).collect()
    };
    x.iter().zip(input).map(sample).collect()
}

/// What the activities of sums y that may differ by d differ by, z those of y: as documented.
fn activities_differ(activation: Activation, y: &Matrix, z: &Rows, d: &Rows) -> Rows {
    let Activation::MagnitudeZscore { rescale, .. } = activation else { return d.clone() };
    let axis = crate::kernels::activation::Axis::Sample;
    let reference = crate::kernels::activation::reference::magnitude_zscore_bounds;
    let own = reference(y.as_slice(), y.rows(), y.cols(), axis, rescale);
    let (cols, n) = (y.cols(), y.cols() as f64);
    let sample = |(row, (z, d)): (usize, (&Vec<f64>, &Vec<f64>))| -> Vec<f64> {
        let a: Vec<f64> = y.row(row).iter().map(|&y| f64::from(y).abs()).collect();
        let mean = a.iter().sum::<f64>() / n;
        let deviation = (a.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / n).sqrt();
        let (d_mean, d_rms) = (d.iter().sum::<f64>() / n, (d.iter().map(|d| d * d).sum::<f64>() / n).sqrt());
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let (span, d_span) = (most(&a) - mean, most(d) + d_mean);
        if deviation == 0.0 {
            // All alike on both sides, or the bound says nothing.
            return vec![if most(d) == 0.0 { 0.0 } else { f64::INFINITY }; z.len()];
        }
        let unit = |(j, (z, d)): (usize, (&f64, &f64))| {
            let moved = match rescale {
                true => (d + d_mean + z * d_span) / (span - d_span),
                false => (d + d_mean + z * d_rms) / (deviation - d_rms),
            };
            // The other side's rounding is that of other sums, nearly the same.
            moved + 2.1 * own[row * cols + j]
        };
        z.iter().zip(d).enumerate().map(unit).collect()
    };
    z.iter().zip(d).enumerate().map(sample).collect()
}

/// A network whose weights are zero but for these shares, layer by layer and the output's last.
fn sparse_network(densities: &[f64], activation: Activation, output: Output, data: &Dataset) -> Network {
    let hidden = Hidden { activation, epochs: 0, ..Hidden::default() };
    let layers = [70, 40][..densities.len() - 1].to_vec();
    let mut network = Network::new(Config { layers, hidden, output, ..Config::default() }, INPUTS, CLASSES).unwrap();
    let fill = |w: &mut Matrix, density: f64, seed: u64| {
        let (mut kept, mut values) = (vec![0.0; w.as_slice().len()], vec![0.0; w.as_slice().len()]);
        Stream::new(seed, "kept").uniform(0.0, 1.0, &mut kept);
        Stream::new(seed, "values").uniform(-1.0, 1.0, &mut values);
        let cells = kept.iter().zip(&values).map(|(&kept, &value)| if f64::from(kept) < density { value } else { 0.0 });
        w.as_mut_slice().iter_mut().zip(cells).for_each(|(w, cell)| *w = cell);
    };
    for (layer, w) in network.layers.0.iter_mut().enumerate() {
        fill(w, densities[layer], layer as u64);
    }
    // The output's scale and map of inputs are found when its training begins.
    assert!(network.train(&mut Context::new().unwrap(), data, None, &mut go).unwrap().is_continue());
    let weights = match &mut network.output {
        Head::Backpropagation(output) => &mut output.weights,
        Head::Perturbation(output) => &mut output.weights,
    };
    fill(weights, densities[densities.len() - 1], 9);
    network
}

#[test]
fn compressed_networks_answer_within_the_bound() {
    use crate::kernels::masked::Strategy;
    let (data, mut context) = (data(), Context::new().unwrap());
    let zscore = |rescale| Activation::MagnitudeZscore { axis: Axis::Sample, rescale };
    let backpropagation = || {
        let feature_length = Some(2.0);
        Output::Backpropagation(crate::systems::read_out::Config {
            batch: 9,
            epochs: 1,
            feature_length,
            ..Default::default()
        })
    };
    let perturbation =
        |inputs| Output::Perturbation(Perturbation { inputs, batch: 9, steps: 2, ..Perturbation::default() });
    let mut x = Matrix::zeros(data.len(), INPUTS);
    data.gather(&mut context, &(0..30).collect::<Vec<u32>>(), Scaling::UNIT, x.view_mut()).unwrap();
    for (densities, activation, output) in [
        (&[0.1, 0.05][..], Activation::Relu, backpropagation()),
        (&[0.2, 0.1, 0.3], Activation::Relu, perturbation(Inputs::Plain)),
        (&[0.2, 1.0, 0.2], zscore(false), perturbation(Inputs::Standardised)),
        (&[1.0, 0.1, 1.0], zscore(true), backpropagation()),
        (&[0.3, 0.1, 0.5], zscore(false), perturbation(Inputs::Scaled)),
        // Layers without any weight: the answers are the biases.
        (&[0.0, 0.2], zscore(false), backpropagation()),
        (&[0.2, 0.0, 0.1], Activation::Relu, perturbation(Inputs::Plain)),
        (&[0.2, 0.0], zscore(true), perturbation(Inputs::Plain)),
    ] {
        let network = sparse_network(densities, activation, output, &data);
        let compressed = network.compressed(&mut context, x.rows()).unwrap();
        for (plan, &density) in compressed.plans().zip(densities) {
            let expected = if density < 0.4 { Strategy::Sparse } else { Strategy::Dense };
            assert_eq!(plan.strategy(), expected, "{plan}");
        }
        assert_eq!(compressed.plans().count(), densities.len());

        // The network, layer by layer, with what the other side may differ by.
        let (mut z, mut z_rows) = (x.clone(), rows(&x));
        let mut differ: Rows = vec![vec![0.0; INPUTS]; 30];
        for w in &network.layers.0 {
            let mut y = Matrix::zeros(30, w.cols());
            dense::matmul(&mut context, z.view(), w.view(), y.view_mut(), Write::Replace);
            differ = sums_differ(&z_rows, &differ, &rows(w));
            z = y.clone();
            activate(&mut context, activation, z.view_mut());
            z_rows = rows(&z);
            differ = activities_differ(activation, &y, &z_rows, &differ);
        }
        let unit = 2f64.powi(-24);
        let mut scale = 1.0;
        match &network.output {
            Head::Perturbation(PerturbedOutput { conditioning: Some(map), .. }) => {
                assert_eq!(network.output_normalisation(), Some((&map.shift[..], &map.gain[..])));
                for (z, d) in z_rows.iter_mut().zip(&mut differ) {
                    for (at, (z, d)) in z.iter_mut().zip(d).enumerate() {
                        let (shift, gain) = (f64::from(map.shift[at]), f64::from(map.gain[at]));
                        *d = (*d + 4.04 * unit * (z.abs() + shift.abs() + *d)) * gain.abs();
                        *z = (*z - shift) * gain;
                    }
                }
            }
            Head::Perturbation(_) => assert_eq!(network.output_normalisation(), None),
            Head::Backpropagation(output) => scale = f64::from(output.scale),
        }
        let w = rows(&network.output_weights().to_owned());
        let differ = sums_differ(&z_rows, &differ, &w);
        let (mut got, mut dense) = (Matrix::zeros(30, CLASSES), Matrix::zeros(30, CLASSES));
        compressed.predict(&mut context, x.view(), got.view_mut());
        network.predict(&mut context, x.view(), dense.view_mut());
        for row in 0..30 {
            for (class, &bias) in network.output_bias().iter().enumerate() {
                let (got, dense) = (f64::from(got[(row, class)]), f64::from(dense[(row, class)]));
                let bound = scale * differ[row][class]
                    + 4.04 * unit * (dense.abs() + f64::from(bias).abs() + scale * differ[row][class]);
                assert!(bound < 1e-2 * (1.0 + dense.abs()), "a bound that says nothing: {bound} of {dense}");
                assert!(
                    (got - dense).abs() <= bound,
                    "{densities:?} {activation:?}: {got}, dense {dense}, within {bound}"
                );
                assert!(!densities.contains(&0.0) || got == f64::from(bias), "{densities:?}: {got}, bias {bias}");
            }
        }
        let accuracy = network.accuracy(&mut context, &data).unwrap();
        assert_eq!(compressed.accuracy(&mut context, &data).unwrap(), accuracy);
        assert_eq!((compressed.inputs(), compressed.classes()), (INPUTS, CLASSES));
        let best = |row: &[f32]| Some((0..CLASSES).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u8);
        let best: Vec<_> = got.view().iter_rows().map(best).collect();
        assert_eq!(compressed.classify(&mut context, &data).unwrap(), best);

        // The same bits on every instruction set, on any number of threads, and wherever it was compressed.
        for isa in crate::Isa::available() {
            for threads in [1, 3] {
                let mut context = Context::on(isa).unwrap().with_threads(crate::Threads::always(threads).unwrap());
                let mut again = Matrix::zeros(30, CLASSES);
                compressed.predict(&mut context, x.view(), again.view_mut());
                assert_eq!(again, got, "{isa}, {threads} threads");
                let elsewhere = network.compressed(&mut context, x.rows()).unwrap();
                elsewhere.predict(&mut Context::new().unwrap(), x.view(), again.view_mut());
                assert_eq!(again, got, "compressed on {isa}");
            }
        }
    }
}

#[test]
fn what_is_not_a_number_reaches_the_units_that_have_a_weight_for_it() {
    let (data, mut context) = (data(), Context::new().unwrap());
    for density in [0.2, 1.0] {
        let output =
            Output::Backpropagation(crate::systems::read_out::Config { batch: 9, epochs: 1, ..Default::default() });
        let mut network = sparse_network(&[density, 1.0], Activation::Relu, output, &data);
        network.layers.0[0].row_mut(5).fill(0.0);
        network.layers.0[0][(6, 1)] = 0.5;
        let compressed = network.compressed(&mut context, 2).unwrap();
        let mut x = Matrix::zeros(2, INPUTS);
        Stream::new(1, "x").uniform(0.0, 1.0, x.as_mut_slice());
        let mut blank = x.clone();
        (x[(0, 5)], blank[(0, 5)]) = (f32::NAN, 0.0);
        let (mut got, mut expected) = (Matrix::zeros(2, CLASSES), Matrix::zeros(2, CLASSES));
        compressed.predict(&mut context, x.view(), got.view_mut());
        compressed.predict(&mut context, blank.view(), expected.view_mut());
        assert!(got.as_slice().iter().all(|logit| logit.is_finite()), "no unit sees it: {got:?}");
        for (got, expected) in got.as_slice().iter().zip(expected.as_slice()) {
            assert!((got - expected).abs() < 1e-5, "{got}, expected {expected}");
        }
        network.predict(&mut context, x.view(), got.view_mut());
        assert!(got.row(0)[0].is_nan(), "the dense product hands it to all");
        // One that a unit sees, and a weight.
        x[(0, 5)] = 0.0;
        x[(1, 6)] = f32::INFINITY;
        compressed.predict(&mut context, x.view(), got.view_mut());
        assert!(got.row(0).iter().all(|logit| logit.is_finite()) && got.row(1).iter().all(|logit| !logit.is_finite()));
        network.layers.0[0][(6, 1)] = f32::NAN;
        let compressed = network.compressed(&mut context, 2).unwrap();
        compressed.predict(&mut context, blank.view(), got.view_mut());
        assert!(got.as_slice().iter().all(|logit| logit.is_nan()), "{got:?}");
    }
}
