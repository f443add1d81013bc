//! Autoencoder units: their parameters, in both forms.
//!
//! ```text
//! h = dropout(ReLU(x E^T + e))      y = dropout(ReLU(h D + d))      loss = mean (y - x)^2
//! ```
//! with E, D `[hidden, inputs]`. A unit's *working set* is what belongs to the cells it sees now, relative to its field; base
//! learning knows nothing else. In the gathered form that is the unit. In the masked form the unit also has weights for every
//! cell of the map: they are gathered when the field comes to rest and put back when it moves on.

use super::config::Form;
use super::layer::Layer;
use crate::kernels::masked::{ReceptiveField, Run};
use crate::matrix::Matrix;
use crate::random::Stream;

/// What base learning changes of a unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unit {
    /// E and e (a value a latent).
    pub(crate) encoder: Layer,
    /// D and d (a value an input).
    pub(crate) decoder: Layer,
    /// Weights for every cell of the map, in the masked form.
    pub(crate) store: Option<Store>,
}

/// Weights for every cell of the map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Store {
    /// `[hidden, cells]`
    pub(crate) encoder: Matrix,
    /// `[hidden, cells]`
    pub(crate) decoder: Matrix,
    /// A value a cell.
    pub(crate) decoder_bias: Vec<f32>,
}

/// The cells a unit sees, in the order of its inputs.
pub(crate) fn inputs(field: &ReceptiveField, form: Form) -> Vec<Run> {
    let runs = field.runs().to_vec();
    match form {
        Form::Gathered => runs,
        Form::Masked => {
            // An indicator holds a cell once.
            let mut seen = vec![false; field.map().len()];
            let mut cells = Vec::new();
            for cell in field.columns() {
                if !std::mem::replace(&mut seen[cell], true) {
                    cells.push(cell);
                }
            }
            let mut runs: Vec<Run> = Vec::new();
            for cell in cells {
                match runs.last_mut() {
                    Some(run) if run.start + run.len == cell => run.len += 1,
                    _ => runs.push(Run { start: cell, len: 1 }),
                }
            }
            runs
        }
    }
}

/// Values in runs.
pub(crate) fn len(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.len).sum()
}

/// Initial parameters of the whole map: uniform within one over the root of a value's inputs, as PyTorch's linear layers.
struct Initial {
    stream: Stream,
    hidden: usize,
    cells: usize,
    inputs: usize,
}

impl Store {
    pub(crate) fn zeros(hidden: usize, cells: usize) -> Self {
        let [encoder, decoder] = std::array::from_fn(|_| Matrix::zeros(hidden, cells));
        Store { encoder, decoder, decoder_bias: vec![0.0; cells] }
    }
}

impl Initial {
    /// Encoder, decoder and decoder's bias; a cell that a field holds twice has the weights of both occurrences.
    fn store(&self, occurrence: u64) -> Store {
        let stream = |layer: u64| self.stream.item(layer).item(occurrence);
        let uniform = |layer: u64, fan_in: usize, out: &mut [f32]| {
            let bound = 1.0 / (fan_in as f32).sqrt();
            stream(layer).uniform(-bound, bound, out);
        };
        let mut store = Store::zeros(self.hidden, self.cells);
        uniform(0, self.inputs, store.encoder.as_mut_slice());
        uniform(1, self.hidden, store.decoder.as_mut_slice());
        uniform(2, self.hidden, &mut store.decoder_bias);
        store
    }
}

impl Unit {
    /// A unit of zeros, without weights for the whole map.
    pub(crate) fn zeros(inputs: usize, hidden: usize) -> Self {
        let layer = |biases| Layer::new(Matrix::zeros(hidden, inputs), vec![0.0; biases]);
        Unit { encoder: layer(hidden), decoder: layer(inputs), store: None }
    }

    /// A unit at this field, with initial weights: those of a cell are the same wherever the field lies, in both forms.
    pub(crate) fn new(form: Form, field: &ReceptiveField, hidden: usize, stream: Stream) -> Self {
        let runs = inputs(field, form);
        let inputs = len(&runs);
        let mut unit = Unit::zeros(inputs, hidden);
        let initial = Initial { stream, hidden, cells: field.map().len(), inputs };
        let bound = 1.0 / (inputs as f32).sqrt();
        stream.item(3).uniform(-bound, bound, &mut unit.encoder.bias);
        let first = initial.store(0);
        unit.gather(&first, &runs);
        match form {
            Form::Masked => unit.store = Some(first),
            Form::Gathered => unit.gather_repeated(&initial, field),
        }
        unit
    }

    /// Weights of cells that were seen before in the field: draws of their own.
    fn gather_repeated(&mut self, initial: &Initial, field: &ReceptiveField) {
        let mut seen = vec![0usize; field.map().len()];
        let mut stores: Vec<Store> = Vec::new();
        for (input, cell) in field.columns().enumerate() {
            let occurrence = seen[cell];
            seen[cell] += 1;
            if occurrence == 0 {
                continue;
            }
            if stores.len() < occurrence {
                stores.push(initial.store(occurrence as u64));
            }
            let store = &stores[occurrence - 1];
            for j in 0..initial.hidden {
                self.encoder.weights[(j, input)] = store.encoder[(j, cell)];
                self.decoder.weights[(j, input)] = store.decoder[(j, cell)];
            }
            self.decoder.bias[input] = store.decoder_bias[cell];
        }
    }

    /// Takes the working set of these cells from whole-map weights.
    fn gather(&mut self, store: &Store, runs: &[Run]) {
        for j in 0..self.encoder.bias.len() {
            copy_runs(store.encoder.row(j), runs, self.encoder.weights.row_mut(j));
            copy_runs(store.decoder.row(j), runs, self.decoder.weights.row_mut(j));
        }
        copy_runs(&store.decoder_bias, runs, &mut self.decoder.bias);
    }

    /// The whole-map weights with the working set put back where it belongs; `None` in the gathered form.
    pub(crate) fn whole_map(&self, runs: &[Run]) -> Option<Store> {
        let mut store = self.store.clone()?;
        for j in 0..self.encoder.bias.len() {
            put_runs(self.encoder.weights.row(j), runs, store.encoder.row_mut(j));
            put_runs(self.decoder.weights.row(j), runs, store.decoder.row_mut(j));
        }
        put_runs(&self.decoder.bias, runs, &mut store.decoder_bias);
        Some(store)
    }

    /// Begins a base learning: Adam starts anew.
    pub(crate) fn begin(&mut self) {
        self.encoder.forget_moments();
        self.decoder.forget_moments();
    }

    /// The unit after its field moved.
    pub(crate) fn moved(&self, form: Form, from: &ReceptiveField, to: &ReceptiveField) -> Unit {
        let Some(store) = self.whole_map(&inputs(from, form)) else {
            return self.clone();
        };
        let runs = inputs(to, form);
        let mut unit = Unit::zeros(len(&runs), self.encoder.bias.len());
        unit.encoder.bias.clone_from(&self.encoder.bias);
        unit.gather(&store, &runs);
        unit.store = Some(store);
        unit
    }
}

fn copy_runs(from: &[f32], runs: &[Run], to: &mut [f32]) {
    let mut at = 0;
    for run in runs {
        to[at..at + run.len].copy_from_slice(&from[run.start..run.start + run.len]);
        at += run.len;
    }
}

fn put_runs(from: &[f32], runs: &[Run], to: &mut [f32]) {
    let mut at = 0;
    for run in runs {
        to[run.start..run.start + run.len].copy_from_slice(&from[at..at + run.len]);
        at += run.len;
    }
}
