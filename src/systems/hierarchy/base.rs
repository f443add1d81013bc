//! Base learning: epochs of algorithm 1, and latents of learnt units.

use std::ops::ControlFlow;

use super::config::Base;
use super::images::Prepared;
use super::layer::Layer;
use super::sweep::{Activity, Encode, Learn, Plan, SAMPLES, Source, Traces, Weights};
use super::units::Unit;
use crate::context::Context;
use crate::datasets::batches::Batches;
use crate::kernels::activation::Dropout;
use crate::kernels::adam::Step;
use crate::kernels::dense::{Transpose, Write, matmul_nt};
use crate::kernels::entropy::Histogram;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{Threads, for_each_with};
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// What one thread computes in.
struct Workspace {
    context: Context,
    scratch: Matrix,
    bytes: Vec<u8>,
    gradient: Matrix,
    bias_gradient: Vec<f32>,
}

impl Workspace {
    fn new(context: &Context, plan: &Plan) -> Self {
        Workspace {
            context: context.clone().with_threads(Threads::ONE),
            scratch: Matrix::zeros(1, plan.scratch()),
            bytes: Vec::new(),
            gradient: Matrix::zeros(0, 0),
            bias_gradient: Vec::new(),
        }
    }
}

/// What an epoch is made of.
#[derive(Clone, Copy)]
pub(super) struct Epoch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) base: &'a Base,
    pub(super) images: &'a Prepared,
    /// The first batch's number.
    pub(super) first: u64,
    pub(super) batches: u64,
    /// Adam's steps before the first batch.
    pub(super) adam_steps: u64,
    /// Names masks and changes of images, by the number of the batch.
    pub(super) stream: Stream,
}

/// Buffers of base learning, and the latents of an epoch.
pub(super) struct Engine {
    workspaces: Vec<Workspace>,
    /// Decoders as `[inputs, hidden]`.
    transposed: Vec<Matrix>,
    inputs: Vec<Matrix>,
    outputs: Vec<Matrix>,
    hidden: Vec<Matrix>,
    losses: Vec<f64>,
    /// Latents of the tracked sweeps, a unit each: `[batches * hidden, samples of a batch, padded]`.
    latents: Vec<Matrix>,
    /// Samples of a batch.
    batch: usize,
}

fn reshape(matrices: &mut Vec<Matrix>, shapes: impl Iterator<Item = (usize, usize)>) {
    let mut old = std::mem::take(matrices).into_iter();
    for (rows, cols) in shapes {
        let reused = old.next().filter(|matrix| (matrix.rows(), matrix.cols()) == (rows, cols));
        matrices.push(reused.unwrap_or_else(|| Matrix::zeros(rows, cols)));
    }
}

/// Blocks of `cols` columns.
fn column_blocks(matrix: MatMut<'_>, cols: usize) -> impl Iterator<Item = MatMut<'_>> {
    let mut rest = Some(matrix);
    std::iter::from_fn(move || {
        let matrix = rest.take().filter(|matrix| matrix.cols() > 0)?;
        let width = cols.min(matrix.cols());
        let (head, tail) = matrix.split_columns(width);
        rest = Some(tail);
        Some(head)
    })
}

impl Engine {
    pub(super) fn new() -> Self {
        Engine {
            workspaces: Vec::new(),
            transposed: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            hidden: Vec::new(),
            losses: Vec::new(),
            latents: Vec::new(),
            batch: 0,
        }
    }

    /// One epoch; `observe` hears the mean loss of every batch. After a `Break` units hold what that batch left.
    pub(super) fn epoch(
        &mut self,
        context: &Context,
        epoch: Epoch<'_>,
        batches: &mut Batches,
        units: &mut [Unit],
        observe: &mut dyn FnMut(u64, f64) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Epoch { plan, base, batches: count, .. } = epoch;
        let padded = base.batch.next_multiple_of(SAMPLES);
        let chunks = padded / SAMPLES;
        self.batch = base.batch;
        let lens = || plan.seats.iter().map(|seat| seat.len);
        reshape(&mut self.inputs, lens().map(|len| (len, padded)));
        reshape(&mut self.outputs, lens().map(|len| (len, padded)));
        reshape(&mut self.hidden, lens().map(|_| (plan.hidden, padded)));
        reshape(&mut self.latents, lens().map(|_| (count as usize * plan.hidden, padded)));
        reshape(&mut self.transposed, lens().map(|len| (len, plan.hidden)));
        self.losses.resize(plan.seats.len() * chunks, 0.0);
        let threads = context.threads().for_work([plan.work()[0], base.batch]);
        if self
            .workspaces
            .first()
            .is_none_or(|w| w.scratch.cols() != plan.scratch() || w.context.isa() != context.isa())
        {
            self.workspaces.clear();
        }
        self.workspaces.resize_with(threads.get(), || Workspace::new(context, plan));
        for (unit, transposed) in units.iter().zip(&mut self.transposed) {
            transpose_into(context, unit.decoder.weights.view(), transposed.view_mut());
        }
        let dropout = Dropout::new(base.dropout).expect("a validated configuration");
        for number in 0..count {
            let indices = batches.indices(epoch.first.wrapping_add(number));
            self.forward(threads, epoch, dropout, units, indices, number);
            self.learn(threads, epoch, units, number);
            let squares: f64 = self.losses.iter().sum();
            let values: usize = lens().map(|len| len * base.batch).sum();
            if observe(number, squares / values as f64).is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// All sweeps of a batch, and the gradients by the units' sums.
    fn forward(
        &mut self,
        threads: Threads,
        epoch: Epoch<'_>,
        dropout: Dropout,
        units: &[Unit],
        indices: &[u32],
        number: u64,
    ) {
        let Epoch { plan, images, stream, first, .. } = epoch;
        let stream = stream.item(first.wrapping_add(number));
        let weights: Vec<Weights<'_>> =
            units.iter().zip(&self.transposed).map(|(unit, transposed)| Weights { unit, transposed }).collect();
        let rows = number as usize * plan.hidden;
        let mut items: Vec<Vec<Traces<'_>>> =
            indices.chunks(SAMPLES).map(|_| Vec::with_capacity(units.len())).collect();
        let count = items.len();
        let per_unit = self
            .inputs
            .iter_mut()
            .zip(&mut self.latents)
            .zip(self.outputs.iter_mut().zip(&mut self.hidden))
            .zip(self.losses.chunks_mut(count));
        for (((x, h), (output, hidden)), losses) in per_unit {
            let h = h.view_mut().split_rows(rows).1.split_rows(plan.hidden).0;
            let columns = column_blocks(x.view_mut(), SAMPLES)
                .zip(column_blocks(h, SAMPLES))
                .zip(column_blocks(output.view_mut(), SAMPLES).zip(column_blocks(hidden.view_mut(), SAMPLES)))
                .zip(losses);
            for (item, (((x, h), (output, hidden)), loss)) in items.iter_mut().zip(columns) {
                item.push(Traces { x, h, output, hidden, loss });
            }
        }
        let items = items.into_iter().zip(indices.chunks(SAMPLES)).zip(0u64..);
        let weights = &weights;
        let batch = indices.len();
        for_each_with(threads, self.workspaces.iter_mut(), items, |workspace, ((traces, indices), chunk)| {
            let augmentation = images.is_augmented().then(|| stream.item(0).item(chunk));
            let isa = workspace.context.isa();
            let learn = Learn {
                plan,
                weights,
                source: Source { images, indices, augmentation },
                dropout,
                stream: stream.item(1).item(chunk),
                batch,
                traces,
                scratch: workspace.scratch.as_mut_slice(),
                bytes: &mut workspace.bytes,
            };
            dispatch(isa, learn);
        });
    }

    /// Gradients of all weights, and Adam's step: encoders and decoders are as many pieces of equal work.
    fn learn(&mut self, threads: Threads, epoch: Epoch<'_>, units: &mut [Unit], number: u64) {
        let Epoch { plan, base, adam_steps, .. } = epoch;
        let step = Step {
            rate: base.rate,
            number: adam_steps + number + 1,
            scale: 1.0,
            decay: base.decay as f32,
            ..Step::default()
        };
        let (rows, batch) = (number as usize * plan.hidden, self.batch);
        let traces = self.inputs.iter().zip(&self.latents).zip(self.outputs.iter().zip(&self.hidden));
        let items = units.iter_mut().zip(traces).zip(&mut self.transposed).flat_map(
            |((unit, ((x, h), (output, hidden))), transposed)| {
                let h = h.view().rows_range(rows..rows + plan.hidden);
                let Unit { encoder, decoder, .. } = unit;
                // A product's left side gives the rows: `[hidden, inputs]`.
                let encoder = Piece {
                    layer: encoder,
                    left: hidden.view().columns(0..batch),
                    right: x.view().columns(0..batch),
                    bias: hidden.view().columns(0..batch),
                    transposed: None,
                };
                let decoder = Piece {
                    layer: decoder,
                    left: h.columns(0..batch),
                    right: output.view().columns(0..batch),
                    bias: output.view().columns(0..batch),
                    transposed: Some(transposed),
                };
                [encoder, decoder]
            },
        );
        for_each_with(threads, self.workspaces.iter_mut(), items, |workspace, piece| piece.learn(workspace, &step));
    }

    /// The entropy of each unit's latents over the last epoch, in bits: this many equal bins from the least to the largest. NaN if one of them is NaN
    /// or infinite: what the others say is nothing to compare.
    pub(super) fn entropies(&self, context: &Context, bins: usize) -> Vec<f64> {
        let mut context = context.clone();
        let entropy = |latents: &Matrix| {
            let histogram = Histogram::of(&mut context, latents.view().columns(0..self.batch), bins);
            let histogram = histogram.expect("a validated number of bins");
            let left_out = histogram.nan() + histogram.below() + histogram.above();
            if left_out > 0 { f64::NAN } else { histogram.entropy_bits() }
        };
        self.latents.iter().map(entropy).collect()
    }
}

/// Half of a unit, with what its gradients are made of.
struct Piece<'a> {
    layer: &'a mut Layer,
    left: MatRef<'a>,
    right: MatRef<'a>,
    /// The bias's gradient, sample by sample.
    bias: MatRef<'a>,
    /// Where the weights' transpose goes.
    transposed: Option<&'a mut Matrix>,
}

impl Piece<'_> {
    fn learn(self, workspace: &mut Workspace, step: &Step) {
        let Workspace { context, gradient, bias_gradient, .. } = workspace;
        let (rows, cols) = (self.layer.weights.rows(), self.layer.weights.cols());
        if (gradient.rows(), gradient.cols()) != (rows, cols) {
            *gradient = Matrix::zeros(rows, cols);
        }
        matmul_nt(context, self.left, self.right, gradient.view_mut(), Write::Replace);
        bias_gradient.resize(self.bias.rows(), 0.0);
        dispatch(context.isa(), RowSums { matrix: self.bias, sums: bias_gradient });
        let layer = self.layer;
        layer.update(context, step, gradient, bias_gradient);
        if let Some(transposed) = self.transposed {
            transpose_into(context, layer.weights.view(), transposed.view_mut());
        }
    }
}

/// The sum of each row.
struct RowSums<'a> {
    matrix: MatRef<'a>,
    sums: &'a mut [f32],
}

impl Kernel for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, sum) in self.sums.iter_mut().enumerate() {
            let (vectors, tail) = self.matrix.row(row).as_chunks::<LANES>();
            let mut total = s.load_partial(tail);
            for vector in vectors {
                total = s.add(total, s.load(vector));
            }
            *sum = s.reduce_add(total);
        }
    }
}

fn transpose_into(context: &Context, from: MatRef<'_>, to: MatMut<'_>) {
    dispatch(context.isa(), Transpose { from, to });
}

/// Latents `[images, units * hidden]` without dropout, and, for whoever wants to see them, whole maps `[images, cells]`.
pub(super) fn latents(
    context: &Context,
    plan: &Plan,
    units: &[Unit],
    images: &Prepared,
    indices: &[u32],
    maps: Option<MatMut<'_>>,
) -> Matrix {
    let mut latents = Matrix::zeros(indices.len(), units.len() * plan.hidden);
    // Encoders alone: the decoders' transposes are not looked at.
    let nothing = Matrix::zeros(0, 0);
    let weights: Vec<Weights<'_>> = units.iter().map(|unit| Weights { unit, transposed: &nothing }).collect();
    let threads = context.threads().for_work([plan.work()[1], indices.len()]);
    let mut workspaces: Vec<Workspace> = Vec::new();
    workspaces.resize_with(threads.get(), || Workspace::new(context, plan));
    let maps = maps.map(|maps| maps.row_blocks(SAMPLES)).into_iter().flatten().map(Some);
    let maps = maps.chain(std::iter::repeat_with(|| None));
    let items = latents.view_mut().row_blocks(SAMPLES).zip(indices.chunks(SAMPLES)).zip(maps);
    let weights = &weights;
    for_each_with(threads, workspaces.iter_mut(), items, |workspace, ((latents, indices), map)| {
        let isa = workspace.context.isa();
        let encode = Encode {
            plan,
            weights,
            source: Source { images, indices, augmentation: None },
            latents,
            scratch: workspace.scratch.as_mut_slice(),
            bytes: &mut workspace.bytes,
        };
        match map {
            None => dispatch(isa, encode),
            Some(map) => dispatch(isa, Activity { encode, map }),
        }
    });
    latents
}
