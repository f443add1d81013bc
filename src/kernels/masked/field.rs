//! Layers in which every unit has its own receptive field: legal for any fields; wins up to the densities that [`Plan`](super::Plan) has.
//!
//! ```text
//! for each panel of V vectors of samples           panel[column] = the samples' values of that column, packed: lanes are samples
//!   for each band of map rows that the L1 cache holds, or of four times as many where V is 1 or 2                    (1)
//!     for each unit, three side by side where V is 1 or 2, as far as their runs are as long
//!       load its sums; for each of its runs in the band, each column: sums += w * panel[column]; store them        (2)
//! ```
//! 1. Fields are local, so the runs of all units in a few rows of the map read the same few columns again and again.
//! 2. Runs are kept by map row, sorted by their first column: each output is then one chain of fused multiply-adds in that order,
//!    wherever the bands are cut. No index is read, only the ends of runs.
//!
//! [Few samples](super::few_samples) lie side by side, without lanes of nothing between them, and go another way to the same sums.
//!
//! The gradient by the inputs turns this round: the band's gradients stay in L1, and a unit's activities in registers. The gradient by the
//! weights is, column by column, a [dot product along the samples](super::sampled).

use super::chains::{Connections, Panel, Runs};
use super::few_samples::{FEW_SAMPLES, Samples, few_samples};
use super::geometry::{Map, ReceptiveField};
use super::sampled::{self, PANEL, by_vectors};
use super::sparse::{load_all, panel_of, store_all, widest, with_workspaces, write_outputs};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::dense::Write;
use crate::kernels::dense::blocked::{pack_panel, packed_len};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, registers};

/// The fields of a layer's units, all on one map, and where each unit's weights lie: in one slice, unit by unit, in the order of its field's
/// values.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{FieldLayer, Map, Rectangle, ReceptiveField, field_matmul};
/// use neuropil::{Context, Matrix};
/// let map = Map { rows: 2, cols: 3 };
/// let field = |rectangle| ReceptiveField::new(map, &[rectangle]);
/// let layer = FieldLayer::new(vec![field(Rectangle::new(0..1, 0..3))?, field(Rectangle::new(0..2, 2..3))?])?;
/// let weights = [1.0, 1.0, 1.0, 10.0, 100.0];
/// let x = Matrix::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 1, 6)?;
/// let mut y = Matrix::zeros(1, 2);
/// field_matmul(&mut Context::new()?, x.view(), &layer, &weights, y.view_mut(), Write::Replace);
/// assert_eq!(y.as_slice(), &[3.0, 520.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLayer {
    map: Map,
    fields: Vec<ReceptiveField>,
    /// The first weight of each unit, and the count of all.
    offsets: Vec<usize>,
    /// Every unit's runs, cut at the ends of map rows and sorted by their first column.
    segments: Vec<Segment>,
    /// `firsts[unit * (rows + 1) + row]`: the first of the unit's segments in that map row or after.
    firsts: Vec<u32>,
}

/// Neighbouring columns of one map row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    start: u32,
    len: u32,
    /// The first column's weight, from the first of the unit's.
    weight: u32,
}

impl FieldLayer {
    /// A layer of units with these fields.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are none, if two lie on different maps, or if there are 2^31 weights or more, or as many rows of the map for all units
    /// together: each keeps four bytes a row.
    pub fn new(fields: Vec<ReceptiveField>) -> Result<Self> {
        let Some(first) = fields.first() else {
            return Err(Error::setting("receptive fields of a layer", "one or more", 0));
        };
        let map = first.map();
        let rows = fields.len().saturating_mul(map.rows + 1);
        if rows >= 1 << 31 {
            let range = "fewer than 2^31 rows of a map (and one more), times units";
            return Err(Error::setting("receptive fields of a layer", range, rows));
        }
        let (mut offsets, mut segments, mut firsts) = (vec![0], Vec::new(), Vec::new());
        for (unit, field) in fields.iter().enumerate() {
            if field.map() != map {
                let name = format!("receptive field of unit {unit}");
                return Err(Error::setting(name, format!("a map of {map}"), field.map()));
            }
            let (begin, mut weight) = (segments.len(), 0);
            for run in field.runs() {
                let (mut start, end) = (run.start, run.start + run.len);
                while start < end {
                    let len = (end - start).min(map.cols - start % map.cols);
                    segments.push(Segment { start: start as u32, len: len as u32, weight });
                    start += len;
                    weight += len as u32;
                }
            }
            segments[begin..].sort_by_key(|segment| segment.start);
            let mut at = begin;
            for row in 0..=map.rows {
                while at < segments.len() && (segments[at].start as usize) < row * map.cols {
                    at += 1;
                }
                firsts.push(at as u32);
            }
            let total = offsets[unit] + field.len();
            if total >= 1 << 31 {
                return Err(Error::setting("receptive fields of a layer", "fewer than 2^31 weights", total));
            }
            offsets.push(total);
        }
        Ok(FieldLayer { map, fields, offsets, segments, firsts })
    }

    /// The map of all fields.
    pub fn map(&self) -> Map {
        self.map
    }

    /// The fields, unit by unit.
    pub fn fields(&self) -> &[ReceptiveField] {
        &self.fields
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.fields.len()
    }

    /// Number of weights of all units.
    pub fn weights(&self) -> usize {
        self.offsets[self.units()]
    }

    /// Which of the weights are a unit's.
    ///
    /// # Panics
    /// If there is no such unit.
    #[track_caller]
    pub fn range(&self, unit: usize) -> std::ops::Range<usize> {
        assert!(unit < self.units(), "field layer: unit {unit} of {}", self.units());
        self.offsets[unit]..self.offsets[unit + 1]
    }

    /// Weights as a share of a dense layer's.
    pub fn density(&self) -> f64 {
        self.weights() as f64 / (self.units() as f64 * self.map.len() as f64)
    }

    /// A unit's segments within these map rows.
    #[inline(always)]
    fn segments(&self, unit: usize, rows: &std::ops::Range<usize>) -> &[Segment] {
        let firsts = &self.firsts[unit * (self.map.rows + 1)..(unit + 1) * (self.map.rows + 1)];
        &self.segments[firsts[rows.start] as usize..firsts[rows.end] as usize]
    }

    #[track_caller]
    fn shapes_agree(&self, name: &str, x: (usize, usize), y: (usize, usize), weights: usize) {
        assert!(
            x.1 == self.map.len() && y == (x.0, self.units()) && weights == self.weights(),
            "{name}: the maps are {} x {}, the layer has {} units on {} and {} weights, {weights} are given, its outputs are {} x {}",
            x.0,
            x.1,
            self.units(),
            self.map,
            self.weights(),
            y.0,
            y.1
        );
    }
}

/// Values of a band of the map, for every sample of the panel: two thirds of an L1 cache.
const BAND: usize = 8192;
/// Units whose sums are kept for all bands.
const UNITS: usize = 128;

/// Map rows of a band, when each column is so many vectors. Few would wait for units that go alone, which the cuts of bands make.
fn band_rows(map: Map, vectors: usize) -> usize {
    let band = if vectors <= FEW { 4 * BAND } else { BAND };
    (band / (map.cols * vectors * LANES)).max(1)
}

/// `p = x (w o delta)`: each unit's weighted sum over its own field, for x \[batch, map\], y \[batch, units\].
///
/// Cost: batch x weights multiply-adds. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{FieldLayer, Map, Rectangle, ReceptiveField, field_matmul};
/// use neuropil::{Context, Matrix};
/// let map = Map { rows: 2, cols: 3 };
/// let field = |rectangle| ReceptiveField::new(map, &[rectangle]);
/// // One unit sees the first row, the other the last column.
/// let layer = FieldLayer::new(vec![field(Rectangle::new(0..1, 0..3))?, field(Rectangle::new(0..2, 2..3))?])?;
/// let x = Matrix::from_slice(&[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0], 1, 6)?;
/// let mut y = Matrix::zeros(1, 2);
/// field_matmul(&mut Context::new()?, x.view(), &layer, &[1.0, 1.0, 1.0, 10.0, 100.0], y.view_mut(), Write::Replace);
/// assert_eq!(y.as_slice(), &[6.0, 630.0]); // what nobody sees reaches nobody
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn field_matmul(
    context: &mut Context,
    x: MatRef<'_>,
    layer: &FieldLayer,
    weights: &[f32],
    y: MatMut<'_>,
    write: Write,
) {
    layer.shapes_agree("field_matmul", (x.rows(), x.cols()), (y.rows(), y.cols()), weights.len());
    let (isa, batch) = (context.isa(), x.rows());
    if batch == 0 {
        return;
    }
    if batch <= FEW_SAMPLES {
        let all = Band { layer, weights, first_row: 0, end_row: layer.map.rows };
        return few_samples(context, all, Samples::Rows, x, y, write);
    }
    let threads = context.threads().for_work([batch, weights.len()]);
    let widest = widest(if registers(isa) >= 32 { 8 } else { 4 }, x.cols(), batch, threads);
    let each = packed_len(x.cols() + UNITS, widest * LANES);
    let [packed] = context.scratch([each * threads.get()]);
    with_workspaces(threads, packed, y.row_blocks_by(panel_of(widest)), |packed, (first, y)| {
        dispatch(isa, Forward { layer, weights, x, first, packed, y, write });
    });
}

struct Forward<'a, 'b, 'c> {
    layer: &'a FieldLayer,
    weights: &'a [f32],
    x: MatRef<'a>,
    first: usize,
    packed: &'b mut [f32],
    y: MatMut<'c>,
    write: Write,
}

impl Kernel for Forward<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.y.rows().div_ceil(LANES) {
            8 => forward::<S, 8>(s, self),
            4 => forward::<S, 4>(s, self),
            2 => forward::<S, 2>(s, self),
            _ => forward::<S, 1>(s, self),
        }
    }
}

#[inline(always)]
fn forward<S: Simd, const V: usize>(s: S, mut work: Forward<'_, '_, '_>) {
    let (layer, map) = (work.layer, work.layer.map);
    let (lines, _) = work.packed.as_chunks_mut::<LANES>();
    let (panel, sums) = lines.split_at_mut(map.len() * V);
    pack_panel(s, work.x, true, work.first / LANES, V, panel);
    let (panel, sums) = (panel.as_chunks::<V>().0, &mut sums.as_chunks_mut::<V>().0[..UNITS]);
    let (panel, band) = (Panel { s, inputs: panel }, band_rows(map, V));
    for first in (0..layer.units()).step_by(UNITS) {
        let units = first..layer.units().min(first + UNITS);
        sums.fill([[0.0; LANES]; V]);
        for row in (0..map.rows).step_by(band) {
            let rows = Band { layer, weights: work.weights, first_row: row, end_row: map.rows.min(row + band) };
            let (groups, _) = sums[..units.len()].as_chunks_mut::<SIDE>();
            let mut unit = units.start;
            if V <= FEW {
                for sums in groups {
                    let mut acc = [[s.zero(); V]; SIDE];
                    for n in 0..SIDE {
                        acc[n] = load_all(s, &sums[n]);
                    }
                    let acc = rows.sum(panel, unit, acc);
                    for n in 0..SIDE {
                        store_all(s, acc[n], &mut sums[n]);
                    }
                    unit += SIDE;
                }
            }
            for sums in &mut sums[unit - units.start..units.len()] {
                let own = rows.of_unit(unit);
                if !own.0.is_empty() {
                    let [acc] = add_segments(panel, [own], [load_all(s, sums)]);
                    store_all(s, acc, sums);
                }
                unit += 1;
            }
        }
        let blocks = sums[..units.len().next_multiple_of(LANES)].as_chunks::<LANES>().0;
        for v in 0..V {
            for (part, sums) in blocks.iter().enumerate() {
                write_outputs(s, sums, v, &mut work.y, first + part * LANES, work.write, false);
            }
        }
    }
}

/// Units side by side where samples are so few that one unit's sums would wait for themselves.
const SIDE: usize = 3;
/// The most vectors of samples for which that is so.
const FEW: usize = 2;

/// What the units see of these map rows.
#[derive(Clone, Copy)]
struct Band<'a> {
    layer: &'a FieldLayer,
    weights: &'a [f32],
    first_row: usize,
    end_row: usize,
}

impl<'a> Band<'a> {
    /// A unit's segments in these rows, and all its weights.
    #[inline(always)]
    fn of_unit(self, unit: usize) -> (&'a [Segment], &'a [f32]) {
        let Band { layer, weights, first_row, end_row } = self;
        (layer.segments(unit, &(first_row..end_row)), &weights[layer.range(unit)])
    }
}

impl Connections for Band<'_> {
    fn inputs(self) -> usize {
        self.layer.map.len()
    }
    fn outputs(self) -> usize {
        self.layer.units()
    }
    fn entries(self) -> usize {
        self.weights.len()
    }
    #[inline(always)]
    fn sum<C: Runs, const N: usize>(self, chain: C, first: usize, sums: [C::Sums; N]) -> [C::Sums; N] {
        let mut units = [(&[][..], &[][..]); N];
        for n in 0..N {
            units[n] = self.of_unit(first + n);
        }
        add_segments(chain, units, sums)
    }
}

/// The segments of some units added to their sums, side by side as far as they are as long as each other.
#[inline(always)]
fn add_segments<C: Runs, const N: usize>(
    chain: C,
    units: [(&[Segment], &[f32]); N],
    mut sums: [C::Sums; N],
) -> [C::Sums; N] {
    let mut alike = 0;
    if N > 1 {
        let shortest = units.iter().map(|(segments, _)| segments.len()).min().unwrap_or(0);
        let len = |n: usize, at: usize| units[n].0[at].len;
        alike = (0..shortest).position(|at| (1..N).any(|n| len(n, at) != len(0, at))).unwrap_or(shortest);
    }
    for at in 0..alike {
        let len = units[0].0[at].len as usize;
        let (mut own, mut runs) = ([&[][..]; N], [chain; N]);
        for n in 0..N {
            let (segments, weights) = units[n];
            let Segment { start, weight, .. } = segments[at];
            (own[n], runs[n]) = (&weights[weight as usize..][..len], chain.run(start as usize, len));
        }
        for k in 0..len {
            for n in 0..N {
                sums[n] = runs[n].add(sums[n], k as u32, own[n][k]);
            }
        }
    }
    for n in 0..N {
        let (segments, weights) = units[n];
        for &Segment { start, weight, len } in &segments[alike..] {
            let run = chain.run(start as usize, len as usize);
            for (k, &weight) in weights[weight as usize..][..len as usize].iter().enumerate() {
                sums[n] = run.add(sums[n], k as u32, weight);
            }
        }
    }
    sums
}

/// `p = y (w o delta)^T`: what the units send back to the map, for y \[batch, units\], x \[batch, map\]. Columns no unit sees get 0.
///
/// Cost: batch x weights multiply-adds. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{FieldLayer, Map, Rectangle, ReceptiveField, field_matmul_nt};
/// use neuropil::{Context, Matrix};
/// let map = Map { rows: 2, cols: 3 };
/// let field = |rectangle| ReceptiveField::new(map, &[rectangle]);
/// let layer = FieldLayer::new(vec![field(Rectangle::new(0..1, 0..3))?, field(Rectangle::new(0..2, 2..3))?])?;
/// let weights = [1.0, 2.0, 3.0, 10.0, 100.0];
/// let y = Matrix::from_slice(&[1.0, 0.5], 1, 2)?;
/// let mut x = Matrix::zeros(1, 6);
/// field_matmul_nt(&mut Context::new()?, y.view(), &layer, &weights, x.view_mut(), Write::Replace);
/// assert_eq!(x.as_slice(), &[1.0, 2.0, 8.0, 0.0, 0.0, 50.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn field_matmul_nt(
    context: &mut Context,
    y: MatRef<'_>,
    layer: &FieldLayer,
    weights: &[f32],
    x: MatMut<'_>,
    write: Write,
) {
    layer.shapes_agree("field_matmul_nt", (x.rows(), x.cols()), (y.rows(), y.cols()), weights.len());
    let (isa, batch) = (context.isa(), y.rows());
    if batch == 0 {
        return;
    }
    let threads = context.threads().for_work([batch, weights.len()]);
    // Half as wide as forwards: each multiply-add stores here.
    let widest = widest(4, x.cols() + y.cols(), batch, threads);
    let each = packed_len(x.cols() + LANES + y.cols(), widest * LANES);
    let [packed] = context.scratch([each * threads.get()]);
    with_workspaces(threads, packed, x.row_blocks_by(panel_of(widest)), |packed, (first, x)| {
        dispatch(isa, Backward { layer, weights, y, first, packed, x, write });
    });
}

struct Backward<'a, 'b, 'c> {
    layer: &'a FieldLayer,
    weights: &'a [f32],
    y: MatRef<'a>,
    first: usize,
    packed: &'b mut [f32],
    x: MatMut<'c>,
    write: Write,
}

impl Kernel for Backward<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.x.rows().div_ceil(LANES) {
            4 => backward::<S, 4>(s, self),
            2 => backward::<S, 2>(s, self),
            _ => backward::<S, 1>(s, self),
        }
    }
}

#[inline(always)]
fn backward<S: Simd, const V: usize>(s: S, mut work: Backward<'_, '_, '_>) {
    let (layer, map) = (work.layer, work.layer.map);
    let (lines, _) = work.packed.as_chunks_mut::<LANES>();
    let (panel, sums) = lines.split_at_mut(layer.units() * V);
    pack_panel(s, work.y, true, work.first / LANES, V, panel);
    let columns = map.len().next_multiple_of(LANES);
    let (panel, sums) = (panel.as_chunks::<V>().0, &mut sums.as_chunks_mut::<V>().0[..columns]);
    sums.fill([[0.0; LANES]; V]);
    let band = band_rows(map, V);
    for row in (0..map.rows).step_by(band) {
        let rows = row..map.rows.min(row + band);
        for (unit, outputs) in panel.iter().enumerate() {
            let segments = layer.segments(unit, &rows);
            if segments.is_empty() {
                continue;
            }
            let weights = &work.weights[layer.range(unit)];
            let mut sent = [s.zero(); V];
            for v in 0..V {
                sent[v] = s.load(&outputs[v]);
            }
            for segment in segments {
                let (start, weight, len) = (segment.start as usize, segment.weight as usize, segment.len as usize);
                for (&weight, sums) in weights[weight..weight + len].iter().zip(&mut sums[start..start + len]) {
                    let weight = s.splat(weight);
                    for v in 0..V {
                        s.store(s.mul_add(weight, sent[v], s.load(&sums[v])), &mut sums[v]);
                    }
                }
            }
        }
    }
    for v in 0..V {
        for (part, sums) in sums.as_chunks::<LANES>().0.iter().enumerate() {
            write_outputs(s, sums, v, &mut work.x, part * LANES, work.write, false);
        }
    }
}

/// `g = (x^T y) o delta`: the gradient by each unit's weights, for x \[batch, map\], y \[batch, units\]; replaces what g held.
///
/// g lies as the weights do; a column listed twice by a field has the same gradient twice.
/// Cost: batch x weights multiply-adds, the samples behind the last whole 128 rounded up to 16, 32, 64 or 128 and the length of each run of a field to 16; for
/// each 128 samples or part of them 16 x weights for folding lanes; and a copy of x and y, whose scratch is map + units values for each of up to 128 samples. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::masked::{FieldLayer, Map, Rectangle, ReceptiveField, field_weight_gradient};
/// use neuropil::{Context, Matrix};
/// let map = Map { rows: 2, cols: 3 };
/// let field = |rectangle| ReceptiveField::new(map, &[rectangle]);
/// let layer = FieldLayer::new(vec![field(Rectangle::new(0..1, 0..3))?, field(Rectangle::new(0..2, 2..3))?])?;
/// let x = Matrix::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 1, 6)?;
/// let y = Matrix::from_slice(&[1.0, 10.0], 1, 2)?;
/// let mut gradient = vec![f32::NAN; layer.weights()];
/// field_weight_gradient(&mut Context::new()?, x.view(), y.view(), &layer, &mut gradient);
/// assert_eq!(gradient, [0.0, 1.0, 2.0, 20.0, 50.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn field_weight_gradient(
    context: &mut Context,
    x: MatRef<'_>,
    y: MatRef<'_>,
    layer: &FieldLayer,
    gradient: &mut [f32],
) {
    layer.shapes_agree("field_weight_gradient", (x.rows(), x.cols()), (y.rows(), y.cols()), gradient.len());
    let (isa, batch) = (context.isa(), x.rows());
    if batch == 0 {
        return gradient.fill(0.0);
    }
    // Threads meet after every panel, so it is a panel's work that must be worth it.
    let threads = context.threads().for_work([sampled::work(batch), gradient.len()]);
    let panel = sampled::panel_of(batch);
    let [inputs, outputs] = context.scratch([panel * x.cols(), panel * y.cols()]);
    for first in (0..batch).step_by(PANEL) {
        let samples = first..batch.min(first + PANEL);
        let (x, y) = (x.rows_range(samples.clone()), y.rows_range(samples.clone()));
        by_vectors!(samples.len(), weight_gradient(isa, threads, x, y, layer, gradient, first > 0, inputs, outputs));
    }
}

/// The gradient of a panel's samples, or what it adds.
fn weight_gradient<const V: usize>(
    isa: Isa,
    threads: Threads,
    x: MatRef<'_>,
    y: MatRef<'_>,
    layer: &FieldLayer,
    mut gradient: &mut [f32],
    add: bool,
    inputs: &mut [f32],
    outputs: &mut [f32],
) {
    let (inputs, outputs) = (sampled::pack::<V>(isa, threads, x, inputs), sampled::pack::<V>(isa, threads, y, outputs));
    // Units are many and small: an item is a few of them.
    let mut units: Vec<_> = (0..layer.units())
        .map(|unit| {
            let (own, after) = std::mem::take(&mut gradient).split_at_mut(layer.range(unit).len());
            gradient = after;
            (unit, own)
        })
        .collect();
    for_each(threads, units.chunks_mut(8), |units| {
        dispatch(isa, WeightGradient { layer, inputs, outputs, add, units });
    });
}

struct WeightGradient<'a, 'b, 'c, const V: usize> {
    layer: &'a FieldLayer,
    inputs: &'a [sampled::Samples<V>],
    outputs: &'a [sampled::Samples<V>],
    add: bool,
    units: &'b mut [(usize, &'c mut [f32])],
}

impl<const V: usize> Kernel for WeightGradient<'_, '_, '_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (unit, gradient) in self.units {
            let (output, mut rest) = (&self.outputs[*unit], &mut **gradient);
            for run in self.layer.fields[*unit].runs() {
                let (own, after) = std::mem::take(&mut rest).split_at_mut(run.len);
                rest = after;
                let inputs = &self.inputs[run.start..run.start + run.len];
                for (own, inputs) in own.chunks_mut(LANES).zip(inputs.chunks(LANES)) {
                    sampled::dots(s, output, |at| &inputs[at.min(inputs.len() - 1)], own, self.add);
                }
            }
        }
    }
}
