//! Hebbian networks by topic; what the topics share stands here.

mod compression;
mod configuration;
mod rules;
mod training;

use std::ops::ControlFlow;

use super::config::{Activation, Axis, Config, Draws, Hidden, Inputs, Mode, Order, Output, Perturbation, Reward};
use super::network::{Head, Network, activate};
use super::output::{self, PerturbedOutput};
use crate::context::Context;
use crate::datasets::{Dataset, Scaling, Shape};
use crate::error::Error;
use crate::kernels::dense::{self, Write};
use crate::kernels::perturb;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::{Differentiable, Learner, Progress, Schedule, features};

const INPUTS: usize = 12;

const CLASSES: usize = 3;

/// Thirty images of three by four pixels.
fn data() -> Dataset {
    let mut values = vec![0.0; 30 * INPUTS];
    Stream::new(5, "pixels").uniform(0.0, 256.0, &mut values);
    let pixels = values.iter().map(|&v| v as u8).collect::<Vec<u8>>();
    let labels = (0..30).map(|index| (index % CLASSES) as u8).collect();
    Dataset::new(pixels, labels, Shape::new(1, 3, 4).unwrap(), CLASSES).unwrap()
}

fn go(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

type Rows = Vec<Vec<f64>>;

fn rows(matrix: &Matrix) -> Rows {
    matrix.view().iter_rows().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
}

fn product(a: &Rows, b: &Rows) -> Rows {
    let cell = |row: &Vec<f64>, col: usize| row.iter().zip(b).map(|(a, b)| a * b[col]).sum();
    a.iter().map(|row| (0..b[0].len()).map(|col| cell(row, col)).collect()).collect()
}

/// Rule (6) over the units of each sample.
fn zscore(y: &Rows) -> Rows {
    let sample = |row: &Vec<f64>| {
        let count = row.len() as f64;
        let mean = row.iter().map(|y| y.abs()).sum::<f64>() / count;
        let deviation = (row.iter().map(|y| (y.abs() - mean).powi(2)).sum::<f64>() / count).sqrt();
        row.iter().map(|y| ((y.abs() - mean) / deviation).max(0.0)).collect()
    };
    y.iter().map(sample).collect()
}

/// Rules (1), or (2) if `excluding`, by the sums as printed: the mean update of W.
fn hebb(x: &Rows, z: &Rows, w: &Rows, excluding: bool) -> Rows {
    let mut update = vec![vec![0.0; w[0].len()]; w.len()];
    for (x, z) in x.iter().zip(z) {
        for i in 0..w.len() {
            for j in 0..w[0].len() {
                let decay: f64 =
                    (0..w[0].len()).filter(|&k| !(excluding && k == j)).map(|k| w[i][k] * z[k] * z[j]).sum();
                update[i][j] += x[i] * z[j] - decay;
            }
        }
    }
    update.iter_mut().flatten().for_each(|value| *value /= x.len() as f64);
    update
}

fn softmax(logits: &Rows) -> Rows {
    let sample = |row: &Vec<f64>| {
        let sum: f64 = row.iter().map(|l| l.exp()).sum();
        row.iter().map(|l| l.exp() / sum).collect()
    };
    logits.iter().map(sample).collect()
}

fn add(w: &Rows, factor: f64, update: &Rows, non_negative: bool) -> Rows {
    let cell = |(w, u): (&f64, &f64)| if non_negative { (w + factor * u).max(0.0) } else { w + factor * u };
    w.iter().zip(update).map(|(w, u)| w.iter().zip(u).map(cell).collect()).collect()
}

#[track_caller]
fn close(got: &Rows, expected: &Rows, tolerance: f64, what: &str) {
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((got - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {got}, expected {expected}");
    }
}

fn logits(z: &Rows, w: &Rows, bias: &[f64]) -> Rows {
    let mut logits = product(z, w);
    logits.iter_mut().for_each(|row| row.iter_mut().zip(bias).for_each(|(l, b)| *l += b));
    logits
}

fn loss(logits: &Rows, labels: &[u8]) -> f64 {
    let chosen = softmax(logits).into_iter().zip(labels).map(|(row, &label)| -row[usize::from(label)].ln());
    chosen.sum::<f64>() / labels.len() as f64
}

fn head(network: &Network) -> (Rows, Vec<f64>) {
    let bias = network.output_bias().iter().map(|&b| f64::from(b)).collect();
    (rows(&network.output_weights().to_owned()), bias)
}
