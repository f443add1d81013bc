//! Read-outs on latents that were set: when they stop, and what a step does.

use super::network::Reading;
use super::read_out::{Classifier, Samples};
use super::train::Task;
use super::*;
use crate::kernels::adam::{self, Step};
use crate::systems::journal::Journal;

#[test]
fn a_read_out_is_stopped_when_patience_ends_and_its_best_weights_are_kept() {
    // Of blank latents only biases are left, and without a rate they stay where they were set: the loss is
    // ln(1 + exp(-bias)), which falls as the first of two grows.
    let config = ReadOut { hidden: 0, epochs: 100, patience: 2, batch: 4, rate: 0.0, decay: 0.0 };
    let latents = Matrix::zeros(4, 1);
    let samples = Samples { latents: latents.view(), labels: &[0; 4] };
    let stream = Stream::new(1, "batches");
    let task = Task { config: &config, train: samples, validation: samples, monitor: None, stream };
    let mut reading = Reading::new(Classifier::new(&config, 1, 2, Stream::new(1, "weights")));
    let (mut context, mut journal) = (context(Isa::best(), 1), Journal::default());
    let mut stop = |_: &Progress<'_>| ControlFlow::Break(());
    // Bias, whether its loss is the lowest so far, and epochs since that. No lower is not lower.
    for (epoch, (bias, lowest, waited)) in (1..).zip([
        (0.5, true, 0),
        (0.25, false, 1),
        (1.0, true, 0),
        (2.0, true, 0),
        (2.0, false, 1),
        (3.0, true, 0),
        (2.5, false, 1),
        (2.75, false, 2),
    ]) {
        reading.classifier.layers[0].bias = vec![bias, 0.0];
        assert!(reading.train(&mut context, &task, &mut journal, &mut stop).unwrap().is_break(), "epoch {epoch}");
        assert_eq!((reading.epochs, reading.waited), (epoch, waited));
        let kept = &reading.best.layers[0].bias;
        assert_eq!(*kept == [bias, 0.0], lowest || bias == 2.0, "epoch {epoch}: {kept:?}");
    }
    assert!((reading.loss - (-3f64).exp().ln_1p()).abs() < 1e-6);
    // Patience is over: an observer that would stop it is not even asked.
    reading.classifier.layers[0].bias = vec![9.0, 0.0];
    assert!(reading.train(&mut context, &task, &mut journal, &mut stop).unwrap().is_continue());
    assert_eq!((reading.epochs, journal.step, &reading.best.layers[0].bias[..]), (8, 8, &[3.0, 0.0][..]));
}

#[test]
fn decay_is_a_penalty_in_the_gradient_of_a_step() {
    let (mut context, decay) = (context(Isa::best(), 1), 0.25);
    let z = Matrix::from_fn(5, 4, |row, col| ((row * 3 + col * 5) % 7) as f32 / 4.0 - 0.5);
    let labels = [0u8, 2, 1, 1, 0];
    for hidden in [0, 3] {
        let config = ReadOut { hidden, decay, rate: 0.01, ..ReadOut::default() };
        let before = Classifier::new(&config, 4, 3, Stream::new(4, "weights"));
        let mut after = before.clone();
        let loss = after.step(&mut context, &config, z.view(), &labels, 1);
        // The loss and the gradients by weights and biases of the layers in turn, biases last, in `f64`.
        let mut gradients: Vec<Vec<f64>> =
            before.layers.iter().map(|layer| vec![0.0; (layer.weights.rows() + 1) * layer.weights.cols()]).collect();
        let mut expected = 0.0;
        for (x, &label) in z.view().iter_rows().zip(&labels) {
            let mut values: Vec<Vec<f64>> = vec![x.iter().map(|&x| f64::from(x)).collect()];
            for (number, layer) in before.layers.iter().enumerate() {
                let sum = |to: usize| -> f64 {
                    let terms = values[number].iter().enumerate().map(|(i, x)| x * f64::from(layer.weights[(i, to)]));
                    terms.sum::<f64>() + f64::from(layer.bias[to])
                };
                let sums = (0..layer.bias.len()).map(sum);
                let last = number + 1 == before.layers.len();
                values.push(if last { sums.collect() } else { sums.map(|sum| sum.max(0.0)).collect() });
            }
            let logits = values.pop().unwrap();
            let all: f64 = logits.iter().map(|logit| logit.exp()).sum();
            expected -= (logits[usize::from(label)].exp() / all).ln() / 5.0;
            let right = |k: usize| f64::from(u8::from(k == usize::from(label)));
            let mut errors: Vec<f64> = (0..3).map(|k| (logits[k].exp() / all - right(k)) / 5.0).collect();
            for ((layer, gradient), x) in before.layers.iter().zip(&mut gradients).zip(&values).rev() {
                let mut below = vec![0.0; x.len()];
                for (k, error) in errors.iter().enumerate() {
                    for (i, x) in x.iter().enumerate() {
                        gradient[i * errors.len() + k] += x * error;
                        below[i] += if *x > 0.0 { error * f64::from(layer.weights[(i, k)]) } else { 0.0 };
                    }
                    gradient[x.len() * errors.len() + k] += error;
                }
                errors = below;
            }
        }
        assert!((loss - expected).abs() < 1e-6, "{loss}, expected {expected}: without the penalty");
        let step = Step { rate: 0.01, decay: decay as f32, ..Step::default() };
        for ((before, after), gradient) in before.layers.iter().zip(&after.layers).zip(&gradients) {
            let parameters = before.weights.as_slice().iter().chain(&before.bias);
            let moved = after.weights.as_slice().iter().chain(&after.bias);
            let first = after.moments.first().iter().chain(after.bias_moments.first());
            assert_eq!(parameters.clone().count(), gradient.len());
            for (((&w, moved), first), &gradient) in parameters.zip(moved).zip(first).zip(gradient) {
                let w = f64::from(w);
                // Adam's first mean is a tenth of the first gradient.
                let (got, penalised) = (10.0 * f64::from(*first), gradient + decay * w);
                assert!((got - penalised).abs() < 1e-6, "{hidden} hidden: {got}, expected {penalised}");
                let [next, ..] = adam::reference::update(&step, gradient, [w, 0.0, 0.0]);
                assert!((f64::from(*moved) - next).abs() < 1e-6, "{hidden} hidden: {moved}, expected {next}");
            }
        }
    }
}
