//! The sweeps over the units of algorithm 1, a chunk of samples at a time.
//!
//! ```text
//! map = 0, image                                        [1]
//! K times, for each unit: write latents(map[field])     saturating sweeps, nothing learns   [2]
//! for each unit: x = map[field]; h = latents(x); write h; y = reconstruction(h)
//!                gradients of mean (y - x)^2 by y, by h
//! ```
//! 1. Samples never meet before the weights' gradients. So a chunk of 32 goes through all sweeps while its map (a line of 32 samples a
//!    cell, 100 KB) stays in L2, and chunks are shared among threads. With samples in the lanes a field is gathered by copying lines, every
//!    lane works whatever the number of latents, and latents are written straight into the map.
//! 2. What nobody reads is not computed: a latent that is overwritten before a field reads it. Masks are named by (batch, sweep, unit,
//!    chunk), so leaving some out changes no other bit. When all fields lie on the image nothing of the saturating sweeps is left.

use super::images::Prepared;
use super::topology::Geometry;
use super::units::{self, Unit};
use crate::datasets::Scaling;
use crate::kernels::activation::Dropout;
use crate::kernels::activation::dropout::Masks;
use crate::kernels::dense::blocked::{Epilogue, Panels, chunk_product, panel_vectors};
use crate::kernels::masked::{ReceptiveField, Run};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd};

/// Samples of a chunk. Part of the definition of the dropout masks.
pub(super) const SAMPLES: usize = 32;
const WIDTH: usize = SAMPLES / LANES;

/// A cell of the map, or an input, or a latent, of all samples of a chunk.
type Line = [[f32; LANES]; WIDTH];

/// Where a unit reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// Cells it sees, in the order of its inputs.
    pub(super) inputs: Vec<Run>,
    /// How many.
    pub(super) len: usize,
    /// Cells its latents go to.
    latents: Vec<Run>,
}

/// Which unit reads and writes what, and which evaluations are needed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    cells: usize,
    pub(super) hidden: usize,
    /// Cells of the image, and its pixels.
    image: Vec<Run>,
    pub(super) seats: Vec<Seat>,
    /// For each saturating sweep and unit, whether anybody reads the result.
    live: Vec<Vec<bool>>,
}

impl Plan {
    pub(super) fn new(geometry: &Geometry, fields: &[ReceptiveField], form: super::Form, sweeps: usize) -> Plan {
        let map = geometry.map();
        let runs = |rectangle| ReceptiveField::new(map, std::slice::from_ref(rectangle)).map(|f| f.runs().to_vec());
        let runs = |rectangle| runs(rectangle).expect("a part of the map lies on it");
        let seats: Vec<Seat> = fields
            .iter()
            .zip(geometry.latents())
            .map(|(field, latents)| {
                let inputs = units::inputs(field, form);
                Seat { len: units::len(&inputs), inputs, latents: runs(latents) }
            })
            .collect();
        let live = live(&seats, map.len(), sweeps);
        Plan { cells: map.len(), hidden: geometry.hidden(), image: runs(geometry.image()), seats, live }
    }

    /// The same without leaving anything out.
    #[cfg(test)]
    pub(super) fn complete(mut self) -> Plan {
        self.live.iter_mut().flatten().for_each(|live| *live = true);
        self
    }

    /// Multiply-adds of a training sample, and of one that is only encoded.
    pub(super) fn work(&self) -> [usize; 2] {
        let products = |seat: &Seat| seat.len * self.hidden;
        let saturating: usize = self
            .live
            .iter()
            .flat_map(|live| live.iter().zip(&self.seats))
            .filter(|(l, _)| **l)
            .map(|(_, s)| products(s))
            .sum();
        let tracked: usize = self.seats.iter().map(products).sum();
        [saturating + 5 * tracked, saturating + tracked]
    }

    fn widest(&self) -> usize {
        self.seats.iter().map(|seat| seat.len).max().unwrap_or(0)
    }

    /// Scratch values of a chunk: map, panel, gradient, sums, a panel split by vectors, latents.
    pub(super) fn scratch(&self) -> usize {
        (self.cells + 2 * self.widest() + 2 * self.widest().max(self.hidden) + self.hidden) * WIDTH * LANES
    }
}

/// Walks the sweeps backwards from what is read last.
fn live(seats: &[Seat], cells: usize, sweeps: usize) -> Vec<Vec<bool>> {
    let reads: Vec<Vec<usize>> = seats
        .iter()
        .map(|seat| {
            let mut seen = vec![false; cells];
            seat.inputs.iter().for_each(|run| seen[run.start..run.start + run.len].fill(true));
            let read = |other: &Seat| other.latents.iter().any(|r| seen[r.start..r.start + r.len].contains(&true));
            (0..seats.len()).filter(|&other| read(&seats[other])).collect()
        })
        .collect();
    let mut needed = vec![false; seats.len()];
    for unit in (0..seats.len()).rev() {
        needed[unit] = false;
        reads[unit].iter().for_each(|&other| needed[other] = true);
    }
    let mut live = vec![vec![false; seats.len()]; sweeps];
    for sweep in live.iter_mut().rev() {
        for unit in (0..seats.len()).rev() {
            if std::mem::replace(&mut needed[unit], false) {
                sweep[unit] = true;
                reads[unit].iter().for_each(|&other| needed[other] = true);
            }
        }
    }
    live
}

/// A unit's weights as the sweeps use them.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) unit: &'a Unit,
    /// The decoder's weights, `[inputs, hidden]`.
    pub(super) transposed: &'a Matrix,
}

/// The chunk's images: where they lie on the map, their indices, and how they are changed.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) images: &'a Prepared,
    pub(super) indices: &'a [u32],
    /// Streams of the chunk's samples, by their place in it.
    pub(super) augmentation: Option<Stream>,
}

/// What a chunk leaves for the gradients of one unit's weights: columns of matrices with samples as columns.
pub(super) struct Traces<'a> {
    /// `[inputs, samples]`
    pub(super) x: MatMut<'a>,
    /// `[hidden, samples]`
    pub(super) h: MatMut<'a>,
    /// Gradient by the decoder's sums, `[inputs, samples]`.
    pub(super) output: MatMut<'a>,
    /// Gradient by the encoder's sums, `[hidden, samples]`.
    pub(super) hidden: MatMut<'a>,
    /// The sum of squared errors.
    pub(super) loss: &'a mut f64,
}

/// A chunk in base learning, up to the gradients by the units' sums.
pub(super) struct Learn<'a> {
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a [Weights<'a>],
    pub(super) source: Source<'a>,
    pub(super) dropout: Dropout,
    /// The chunk's stream.
    pub(super) stream: Stream,
    /// Samples of the whole batch.
    pub(super) batch: usize,
    pub(super) traces: Vec<Traces<'a>>,
    pub(super) scratch: &'a mut [f32],
    pub(super) bytes: &'a mut Vec<u8>,
}

/// A chunk's latents without dropout.
pub(super) struct Encode<'a> {
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a [Weights<'a>],
    pub(super) source: Source<'a>,
    /// `[samples, units * hidden]`
    pub(super) latents: MatMut<'a>,
    pub(super) scratch: &'a mut [f32],
    pub(super) bytes: &'a mut Vec<u8>,
}

/// A chunk's whole map without dropout, after the last sweep.
pub(super) struct Activity<'a> {
    pub(super) encode: Encode<'a>,
    /// `[samples, cells]`
    pub(super) map: MatMut<'a>,
}

/// Scratch memory, cut.
struct Scratch<'a> {
    map: &'a mut [Line],
    panel: &'a mut [Line],
    sums: &'a mut [Line],
    latents: &'a mut [Line],
    gradient: &'a mut [Line],
    split: &'a mut [[f32; LANES]],
}

impl<'a> Scratch<'a> {
    fn new(plan: &Plan, scratch: &'a mut [f32]) -> Self {
        let (lines, _) = scratch.as_chunks_mut::<LANES>().0.as_chunks_mut::<WIDTH>();
        let (map, rest) = lines.split_at_mut(plan.cells);
        let (panel, rest) = rest.split_at_mut(plan.widest());
        let (gradient, rest) = rest.split_at_mut(plan.widest());
        let (sums, rest) = rest.split_at_mut(plan.widest().max(plan.hidden));
        let (split, rest) = rest.split_at_mut(plan.widest().max(plan.hidden));
        Scratch { map, panel, sums, latents: &mut rest[..plan.hidden], gradient, split: split.as_flattened_mut() }
    }
}

impl Kernel for Learn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Learn { plan, weights, source, dropout, stream, batch, traces, scratch, bytes } = self;
        let mut scratch = Scratch::new(plan, scratch);
        begin(s, plan, source, scratch.map, bytes);
        // Streams: two for each evaluation, latents and reconstruction.
        let mut number = 0;
        for live in &plan.live {
            for ((seat, weights), &live) in plan.seats.iter().zip(weights).zip(live) {
                if live {
                    gather(scratch.map, &seat.inputs, scratch.panel);
                    let mut masks = Masks::seeded(s, dropout, stream.item(number));
                    encode(s, seat, weights, &mut scratch, Some(&mut masks));
                }
                number += 2;
            }
        }
        let mut valid = [s.zero(); WIDTH];
        for v in 0..WIDTH {
            let lanes = std::array::from_fn(|lane| if v * LANES + lane < source.indices.len() { 1.0 } else { 0.0 });
            valid[v] = s.load(&lanes);
        }
        for ((seat, weights), mut trace) in plan.seats.iter().zip(weights).zip(traces) {
            gather(scratch.map, &seat.inputs, scratch.panel);
            copy_lines(&scratch.panel[..seat.len], &mut trace.x);
            let mut masks = Masks::seeded(s, dropout, stream.item(number));
            encode(s, seat, weights, &mut scratch, Some(&mut masks));
            gather(scratch.map, &seat.latents, scratch.latents);
            copy_lines(scratch.latents, &mut trace.h);

            product(s, weights.transposed.view(), scratch.latents, scratch.split, &mut scratch.sums[..seat.len]);
            let mut masks = Masks::seeded(s, dropout, stream.item(number + 1));
            let factor = s.splat(2.0 * dropout.scale() / (batch * seat.len) as f32);
            let mut squares = [s.zero(); WIDTH];
            let lines = scratch.sums[..seat.len].iter().zip(&*scratch.panel).zip(&mut *scratch.gradient);
            for (((sums, x), gradient), &bias) in lines.zip(&weights.unit.decoder.bias) {
                let bias = s.splat(bias);
                let y = masks.relu_pair([s.add(s.load(&sums[0]), bias), s.add(s.load(&sums[1]), bias)]);
                for v in 0..WIDTH {
                    let difference = s.sub(y[v], s.load(&x[v]));
                    let counts = s.lt(s.zero(), valid[v]);
                    let difference = s.select(counts, difference, s.zero());
                    squares[v] = s.mul_add(difference, difference, squares[v]);
                    // NaN is not below zero, and stays.
                    let off = s.le(y[v], s.zero());
                    s.store(s.select(off, s.zero(), s.mul(difference, factor)), &mut gradient[v]);
                }
            }
            *trace.loss = f64::from(s.reduce_add(s.add(squares[0], squares[1])));
            copy_lines(&scratch.gradient[..seat.len], &mut trace.output);

            product(
                s,
                weights.unit.decoder.weights.view(),
                &scratch.gradient[..seat.len],
                scratch.split,
                &mut scratch.sums[..plan.hidden],
            );
            let scale = s.splat(dropout.scale());
            for (sums, h) in scratch.sums[..plan.hidden].iter_mut().zip(&*scratch.latents) {
                for v in 0..WIDTH {
                    let off = s.le(s.load(&h[v]), s.zero());
                    let gradient = s.select(off, s.zero(), s.mul(s.load(&sums[v]), scale));
                    s.store(gradient, &mut sums[v]);
                }
            }
            copy_lines(&scratch.sums[..plan.hidden], &mut trace.hidden);
            number += 2;
        }
    }
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        encode_chunk(s, self);
    }
}

impl Kernel for Activity<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Activity { encode, mut map } = self;
        let lines = encode_chunk(s, encode);
        transpose(s, lines, &mut map);
    }
}

#[inline(always)]
fn encode_chunk<'a, S: Simd>(s: S, chunk: Encode<'a>) -> &'a [Line] {
    let Encode { plan, weights, source, mut latents, scratch, bytes } = chunk;
    let mut scratch = Scratch::new(plan, scratch);
    begin(s, plan, source, scratch.map, bytes);
    for live in &plan.live {
        for ((seat, weights), &live) in plan.seats.iter().zip(weights).zip(live) {
            if live {
                gather(scratch.map, &seat.inputs, scratch.panel);
                encode(s, seat, weights, &mut scratch, None);
            }
        }
    }
    for (seat, weights) in plan.seats.iter().zip(weights) {
        gather(scratch.map, &seat.inputs, scratch.panel);
        encode(s, seat, weights, &mut scratch, None);
        gather(scratch.map, &seat.latents, scratch.latents);
        let (mut own, rest) = latents.split_columns(plan.hidden);
        transpose(s, scratch.latents, &mut own);
        latents = rest;
    }
    scratch.map
}

/// The map at the beginning: the images, and zeros elsewhere.
#[inline(always)]
fn begin<S: Simd>(s: S, plan: &Plan, source: Source<'_>, map: &mut [Line], bytes: &mut Vec<u8>) {
    let Source { images, indices, augmentation } = source;
    map.fill([[0.0; LANES]; WIDTH]);
    let stride = images.stride();
    if let Some(stream) = augmentation {
        bytes.resize(SAMPLES * stride, 0);
        for ((&index, out), place) in indices.iter().zip(bytes.chunks_mut(stride)).zip(0..) {
            images.augment(index, stream.item(place), out);
        }
    }
    let Scaling { scale, offset } = images.scaling();
    let (scale, offset) = (s.splat(scale), s.splat(offset));
    let blank = [0u8; LANES];
    // Pixels follow each other over the runs of the image's rows.
    let mut cells = plan.image.iter().flat_map(|run| run.start..run.start + run.len);
    for first in (0..images.pixels()).step_by(LANES) {
        let mut block = [[s.zero(); LANES]; WIDTH];
        for v in 0..WIDTH {
            let mut rows = [s.zero(); LANES];
            for lane in 0..LANES {
                let place = v * LANES + lane;
                let row = match indices.get(place) {
                    None => &blank,
                    Some(&index) => {
                        let row = if augmentation.is_some() { &bytes[place * stride..] } else { images.row(index) };
                        row[first..].first_chunk::<LANES>().expect("rows are padded to whole vectors")
                    }
                };
                rows[lane] = s.mul_add(s.load_u8(row), scale, offset);
            }
            block[v] = s.transpose(rows);
        }
        let mut lines = [[[0.0; LANES]; WIDTH]; LANES];
        for pixel in 0..LANES {
            for v in 0..WIDTH {
                s.store(block[v][pixel], &mut lines[pixel][v]);
            }
        }
        for (line, cell) in lines.iter().zip(&mut cells) {
            map[cell] = *line;
        }
    }
}

#[inline(always)]
fn gather(map: &[Line], runs: &[Run], to: &mut [Line]) {
    let mut at = 0;
    for run in runs {
        to[at..at + run.len].copy_from_slice(&map[run.start..run.start + run.len]);
        at += run.len;
    }
}

#[inline(always)]
fn copy_lines(from: &[Line], to: &mut MatMut<'_>) {
    for (index, line) in from.iter().enumerate() {
        // Of a constant length: vectors, not a call.
        let (rows, _) = to.row_mut(index).as_chunks_mut::<LANES>();
        rows.first_chunk_mut::<WIDTH>().expect("traces hold whole chunks").copy_from_slice(line);
    }
}

/// `to = a panel`, for `a` `[rows of to, rows of panel]`.
#[inline(always)]
fn product<S: Simd>(s: S, a: MatRef<'_>, panel: &[Line], split: &mut [[f32; LANES]], to: &mut [Line]) {
    let (rows, depth) = (to.len(), panel.len());
    let mut data = panel.as_flattened();
    if panel_vectors(S::REGISTERS, SAMPLES) < WIDTH {
        // Sets with few registers take a vector of columns after the other.
        for (v, part) in split[..WIDTH * depth].chunks_exact_mut(depth.max(1)).enumerate() {
            for (to, line) in part.iter_mut().zip(panel) {
                *to = line[v];
            }
        }
        data = &split[..WIDTH * depth];
    }
    let panels = Panels { data, depth, cols: SAMPLES };
    let mut c = MatMut::new(to.as_flattened_mut().as_flattened_mut(), rows, SAMPLES).expect("lines are a matrix");
    chunk_product(s, a, panels, &mut c, Epilogue::REPLACE);
}

/// Latents of the panel, written to the map.
#[inline(always)]
fn encode<S: Simd>(s: S, seat: &Seat, weights: &Weights<'_>, scratch: &mut Scratch<'_>, masks: Option<&mut Masks<S>>) {
    let encoder = &weights.unit.encoder;
    let hidden = encoder.bias.len();
    product(s, encoder.weights.view(), &scratch.panel[..seat.len], scratch.split, &mut scratch.sums[..hidden]);
    let mut sums = scratch.sums[..hidden].iter().zip(&encoder.bias);
    match masks {
        Some(masks) => {
            let mut own = *masks;
            for run in &seat.latents {
                for (line, (sums, &bias)) in scratch.map[run.start..run.start + run.len].iter_mut().zip(&mut sums) {
                    let bias = s.splat(bias);
                    let h = own.relu_pair([s.add(s.load(&sums[0]), bias), s.add(s.load(&sums[1]), bias)]);
                    s.store(h[0], &mut line[0]);
                    s.store(h[1], &mut line[1]);
                }
            }
        }
        None => {
            for run in &seat.latents {
                for (line, (sums, &bias)) in scratch.map[run.start..run.start + run.len].iter_mut().zip(&mut sums) {
                    for v in 0..WIDTH {
                        s.store(s.max(s.zero(), s.add(s.load(&sums[v]), s.splat(bias))), &mut line[v]);
                    }
                }
            }
        }
    }
}

/// Lines as the columns of `to`, a row a sample; it may have fewer rows than there are samples in a line.
#[inline(always)]
fn transpose<S: Simd>(s: S, lines: &[Line], to: &mut MatMut<'_>) {
    for first in (0..lines.len()).step_by(LANES) {
        let len = LANES.min(lines.len() - first);
        for v in 0..WIDTH {
            let mut block = [s.zero(); LANES];
            for i in 0..LANES {
                if i < len {
                    block[i] = s.load(&lines[first + i][v]);
                }
            }
            let block = s.transpose(block);
            let mut rows = [[0.0; LANES]; LANES];
            for i in 0..LANES {
                s.store(block[i], &mut rows[i]);
            }
            for (i, row) in rows.iter().enumerate() {
                let sample = v * LANES + i;
                if sample < to.rows() {
                    to.row_mut(sample)[first..first + len].copy_from_slice(&row[..len]);
                }
            }
        }
    }
}
