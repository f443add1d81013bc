//! Products with a sparse matrix: legal for any pattern; wins up to the densities that [`Plan`](super::Plan) has, the higher the more samples.
//!
//! ```text
//! for each panel of V vectors of samples           panel[k] = the samples' values of input k, packed: lanes are samples
//!   for each block of inputs                       one, unless there are many samples and entries               (1)
//!     for each output j
//!       acc = 0, or what it was after the block before       V registers
//!       for each entry (k, w) of output j in the block
//!         acc += w * panel[k]                      one broadcast and V loads for V multiply-adds                (2)
//!       keep acc; after the last block 16 outputs at a time go to y through a transpose in registers            (3)
//! ```
//! 1. What a panel has of a block's inputs stays in the L1 cache: then the chains of sums are the limit, rather than loads from the
//!    second-level cache. Entries must be many enough for another walk through all outputs to pay.
//! 2. What an index costs is shared by 16 V samples.
//! 3. Where the outputs of a sample lie side by side (y = x w). In a sparse times a dense matrix they need no transpose.
//!
//! Every output is one chain of fused multiply-adds over its entries in order, whatever the panel: so neither the instruction set nor the
//! threads, both of which choose V, show in the bits. [Few samples](super::few_samples) go another way to the same sums.

use super::chains::{Panel, chains};
use super::few_samples::{FEW_SAMPLES, Samples, few_samples};
use super::lists::{Lists, Summed};
use super::pattern::SparseMatrix;
use crate::context::Context;
use crate::kernels::dense::Write;
use crate::kernels::dense::blocked::{pack_panel, packed_len};
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each_with};
use crate::simd::{FENCES_BEFORE_READING, Kernel, LANES, Simd, dispatch};

/// `p = x w` for x \[batch, inputs\], w \[inputs, units\] sparse, y \[batch, units\].
///
/// Faster than the dense product up to the densities that [`Plan`](super::Plan) has, which grow with the batch
/// ([`MaskedWeights`](super::MaskedWeights) chooses by them); legal for any pattern. The first product builds lists, which `w` keeps: use the
/// same `w` again.
///
/// Cost: batch x entries multiply-adds. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{Pattern, SparseMatrix, sparse_matmul};
/// use neuropil::{Context, Matrix};
/// // Two inputs, three units: w is (0, 2, 3) and (4, 0, 0).
/// let w = SparseMatrix::new(Pattern::new(2, 3, vec![0, 2, 3], vec![1, 2, 0])?, vec![2.0, 3.0, 4.0])?;
/// let x = Matrix::from_slice(&[1.0, 10.0], 1, 2)?;
/// let mut y = Matrix::zeros(1, 3);
/// sparse_matmul(&mut Context::new()?, x.view(), &w, y.view_mut(), Write::Replace);
/// assert_eq!(y.as_slice(), &[40.0, 2.0, 3.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn sparse_matmul(context: &mut Context, x: MatRef<'_>, w: &SparseMatrix, y: MatMut<'_>, write: Write) {
    assert!(
        x.cols() == w.rows() && (y.rows(), y.cols()) == (x.rows(), w.cols()),
        "sparse_matmul: x is {} x {}, w is {} x {}, y is {} x {}",
        x.rows(),
        x.cols(),
        w.rows(),
        w.cols(),
        y.rows(),
        y.cols()
    );
    samples_times_lists(context, x, w, Summed::Rows, y, write);
}

/// `p = y w^T` for y \[batch, units\], w \[inputs, units\] sparse, x \[batch, inputs\]: the gradient by the inputs of [`sparse_matmul`].
///
/// Faster than the dense product where [`sparse_matmul`] is.
///
/// Cost: batch x entries multiply-adds. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{Pattern, SparseMatrix, sparse_matmul_nt};
/// use neuropil::{Context, Matrix};
/// // Two inputs, three units: w is (0, 2, 3) and (4, 0, 0).
/// let w = SparseMatrix::new(Pattern::new(2, 3, vec![0, 2, 3], vec![1, 2, 0])?, vec![2.0, 3.0, 4.0])?;
/// let y = Matrix::from_slice(&[1.0, 10.0, 100.0], 1, 3)?;
/// let mut x = Matrix::zeros(1, 2);
/// sparse_matmul_nt(&mut Context::new()?, y.view(), &w, x.view_mut(), Write::Replace);
/// assert_eq!(x.as_slice(), &[320.0, 4.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn sparse_matmul_nt(context: &mut Context, y: MatRef<'_>, w: &SparseMatrix, x: MatMut<'_>, write: Write) {
    assert!(
        y.cols() == w.cols() && (x.rows(), x.cols()) == (y.rows(), w.rows()),
        "sparse_matmul_nt: y is {} x {}, w is {} x {}, x is {} x {}",
        y.rows(),
        y.cols(),
        w.rows(),
        w.cols(),
        x.rows(),
        x.cols()
    );
    samples_times_lists(context, y, w, Summed::Columns, x, write);
}

/// `p = a b` for a \[m, k\] sparse, b \[k, n\], c \[m, n\].
///
/// With a the activities of a batch, compressed, and b the weights \[units, outputs\] of the layer above, this is what reaches that layer.
/// Faster than the dense product below a density of some 40 %, where there are many columns; legal for any pattern.
///
/// Cost: n x entries multiply-adds. See [the module](super) for error, NaN and determinism.
///
/// ```
/// use neuropil::kernels::dense::Write;
/// use neuropil::kernels::masked::{SparseMatrix, sparse_times_dense};
/// use neuropil::{Context, Matrix};
/// let mut context = Context::new()?;
/// let z = Matrix::from_slice(&[0.0, 2.0, 0.0, 4.0, 0.0, 3.0], 2, 3)?;
/// let a = SparseMatrix::compress(&mut context, z.view())?;
/// let b = Matrix::from_slice(&[1.0, -1.0, 10.0, -10.0, 100.0, -100.0], 3, 2)?;
/// let mut c = Matrix::from_slice(&[1.0, 1.0, 1.0, 1.0], 2, 2)?;
/// sparse_times_dense(&mut context, &a, b.view(), c.view_mut(), Write::Add(0.5));
/// assert_eq!(c.as_slice(), &[11.0, -9.0, 153.0, -151.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn sparse_times_dense(context: &mut Context, a: &SparseMatrix, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    assert!(
        a.cols() == b.rows() && (c.rows(), c.cols()) == (a.rows(), b.cols()),
        "sparse_times_dense: a is {} x {}, b is {} x {}, c is {} x {}",
        a.rows(),
        a.cols(),
        b.rows(),
        b.cols(),
        c.rows(),
        c.cols()
    );
    let (isa, lists, cols) = (context.isa(), a.by_row(), c.cols());
    if a.rows() == 0 || cols == 0 {
        return;
    }
    if cols <= FEW_SAMPLES {
        return few_samples(context, lists, Samples::Columns, b, c, write);
    }
    let threads = context.threads().for_work([lists.indices.len(), cols]);
    let widest = widest(WIDEST, lists.inputs, cols, threads);
    let [packed] = context.scratch([packed_len(lists.inputs, widest * LANES) * threads.get()]);
    with_workspaces(threads, packed, c.column_blocks_by(panel_of(widest)), |packed, (first, c)| {
        dispatch(isa, TimesDense { lists, b, first, packed, c, write });
    });
}

/// `y = write(y, x w)`, or `x w^T` if it is columns that are summed.
fn samples_times_lists(
    context: &mut Context,
    x: MatRef<'_>,
    w: &SparseMatrix,
    summed: Summed,
    y: MatMut<'_>,
    write: Write,
) {
    let (isa, batch) = (context.isa(), x.rows());
    if batch == 0 || y.cols() == 0 {
        return;
    }
    if batch <= FEW_SAMPLES {
        return few_samples(context, w.lists(summed, false), Samples::Rows, x, y, write);
    }
    let threads = context.threads().for_work([w.values().len(), batch]);
    let widest = widest(WIDEST, x.cols(), batch, threads);
    let lists = w.lists(summed, widest == WIDEST);
    let panel = packed_len(lists.inputs, widest * LANES);
    let [workspaces] = context.scratch([(panel + sums(lists) * widest * LANES) * threads.get()]);
    let past_caches = batch.saturating_mul(y.cols()) >= PAST_CACHES;
    with_workspaces(threads, workspaces, y.row_blocks_by(panel_of(widest)), |workspace, (first, y)| {
        // Each width is a kernel of its own: what is written for one would show in the registers of another.
        match y.rows().div_ceil(LANES) {
            4 => dispatch(isa, SamplesTimesLists::<4> { lists, x, first, workspace, y, write, past_caches }),
            2 => dispatch(isa, SamplesTimesLists::<2> { lists, x, first, workspace, y, write, past_caches }),
            _ => dispatch(isa, SamplesTimesLists::<1> { lists, x, first, workspace, y, write, past_caches }),
        }
    });
}

/// Outputs whose sums are kept until they are written: those of a block of outputs, or all, from one block of inputs to the next.
fn sums(lists: Lists<'_>) -> usize {
    if lists.blocks() == 1 { BLOCK } else { lists.outputs.next_multiple_of(LANES) }
}

/// Outputs from which they are written past the caches, which could not hold them until they are read.
pub(crate) const PAST_CACHES: usize = 2 << 20;

/// Hands each thread its part of `packed`, even where there is none to hand.
pub(super) fn with_workspaces<I: Send>(
    threads: Threads,
    packed: &mut [f32],
    items: impl IntoIterator<Item = I, IntoIter: Send>,
    f: impl Fn(&mut [f32], I) + Sync,
) {
    let each = (packed.len() / threads.get()).max(1);
    let workspaces = packed.chunks_mut(each).chain(std::iter::repeat_with(|| &mut [][..]));
    for_each_with(threads, workspaces, items, |packed, item| f(packed, item));
}

/// Vectors of a panel where nothing speaks against it: with 8 the sums of a block of outputs would crowd the L1 cache.
const WIDEST: usize = 4;
/// The panel may fill this many vectors: half a megabyte.
const PANEL_VECTORS: usize = 8192;

/// Vectors of the widest panel: within half of the second-level cache, and some panels for every thread.
pub(super) fn widest(most: usize, inputs: usize, samples: usize, threads: Threads) -> usize {
    let shared = samples.div_ceil(LANES).div_ceil(if threads.get() == 1 { 1 } else { 2 * threads.get() });
    let fits = [8, 4, 2].into_iter().find(|&v| v <= most && v * inputs <= PANEL_VECTORS && v <= shared);
    fits.unwrap_or(1)
}

/// The widest panel that `left` vectors fill.
fn width(widest: usize, left: usize) -> usize {
    [8, 4, 2].into_iter().find(|&v| v <= widest && v <= left).unwrap_or(1)
}

/// Rows of the next panel of samples, of so many that are left.
pub(super) fn panel_of(widest: usize) -> impl FnMut(usize) -> usize {
    move |left| width(widest, left.div_ceil(LANES)) * LANES
}

/// Outputs whose sums are collected before they are written: whole stretches of each sample's row.
const BLOCK: usize = 64;

struct SamplesTimesLists<'a, 'b, 'c, const V: usize> {
    lists: Lists<'a>,
    x: MatRef<'a>,
    first: usize,
    workspace: &'b mut [f32],
    y: MatMut<'c>,
    write: Write,
    past_caches: bool,
}

impl<const V: usize> Kernel for SamplesTimesLists<'_, '_, '_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let SamplesTimesLists { lists, x, first, workspace, mut y, write, past_caches } = self;
        let (panel, sums) = workspace.as_chunks_mut::<LANES>().0.split_at_mut(V * lists.inputs);
        if !panel.is_empty() {
            pack_panel(s, x, true, first / LANES, V, panel);
        }
        let (outputs, last) = (lists.outputs, lists.blocks() - 1);
        let ((inputs, _), (sums, _)) = (panel.as_chunks::<V>(), sums.as_chunks_mut::<V>());
        let panel = Panel { s, inputs };
        for block in 0..last {
            list_sums(panel, lists, block * outputs, block == 0, &mut sums[..outputs]);
        }
        for first in (0..outputs).step_by(BLOCK) {
            let count = BLOCK.min(outputs - first);
            let sums = &mut sums[if last == 0 { 0 } else { first }..][..count.next_multiple_of(LANES)];
            list_sums(panel, lists, last * outputs + first, last == 0, &mut sums[..count]);
            for v in 0..V {
                for (part, sums) in sums.as_chunks::<LANES>().0.iter().enumerate() {
                    write_outputs(s, sums, v, &mut y, first + part * LANES, write, past_caches);
                }
            }
        }
        if past_caches {
            s.fence();
        }
    }
}

#[inline(always)]
pub(super) fn load_all<S: Simd, const V: usize>(s: S, from: &[[f32; LANES]; V]) -> [S::F32; V] {
    let mut all = [s.zero(); V];
    for v in 0..V {
        all[v] = s.load(&from[v]);
    }
    all
}

#[inline(always)]
pub(super) fn store_all<S: Simd, const V: usize>(s: S, all: [S::F32; V], to: &mut [[f32; LANES]; V]) {
    for v in 0..V {
        s.store(all[v], &mut to[v]);
    }
}

/// The lists from `first` on, one for each of `sums`, added to what is there or in its place: so many at a time that multiply-adds seldom wait
/// for each other: three or four chains.
#[inline(always)]
fn list_sums<S: Simd, const V: usize>(
    panel: Panel<'_, S, V>,
    lists: Lists<'_>,
    first: usize,
    replace: bool,
    sums: &mut [[[f32; LANES]; V]],
) {
    let done = match V {
        1 => groups::<S, V, 3>(panel, lists, first, replace, sums),
        2 => groups::<S, V, 2>(panel, lists, first, replace, sums),
        _ => 0,
    };
    groups::<S, V, 1>(panel, lists, first + done, replace, &mut sums[done..]);
}

/// As many of the lists as are a multiple of `N`, and their number.
#[inline(always)]
fn groups<S: Simd, const V: usize, const N: usize>(
    panel: Panel<'_, S, V>,
    lists: Lists<'_>,
    first: usize,
    replace: bool,
    sums: &mut [[[f32; LANES]; V]],
) -> usize {
    let (groups, _) = sums.as_chunks_mut::<N>();
    for (group, sums) in groups.iter_mut().enumerate() {
        let mut before = [[panel.s.zero(); V]; N];
        for n in 0..N {
            if !replace {
                before[n] = load_all(panel.s, &sums[n]);
            }
        }
        let after = chains(panel, lists, first + group * N, before);
        for n in 0..N {
            store_all(panel.s, after[n], &mut sums[n]);
        }
    }
    groups.len() * N
}

/// Writes vector `v` of the sums of 16 outputs, samples in lanes, to the columns from `col` of those samples' rows.
#[inline(always)]
pub(super) fn write_outputs<S: Simd, const V: usize>(
    s: S,
    sums: &[[[f32; LANES]; V]; LANES],
    v: usize,
    y: &mut MatMut<'_>,
    col: usize,
    write: Write,
    past_caches: bool,
) {
    let mut block = [s.zero(); LANES];
    for i in 0..LANES {
        block[i] = s.load(&sums[i][v]);
    }
    let block = s.transpose(block);
    let (rows, count) = (y.rows() - (v * LANES).min(y.rows()), LANES.min(y.cols() - col));
    if count == LANES && rows >= LANES && write == Write::Replace {
        // Two loops, each small enough to unroll: the rows stay in registers.
        if past_caches {
            for i in 0..LANES {
                s.store_past_caches(block[i], sixteen(y.row_mut(v * LANES + i), col), FENCES_BEFORE_READING);
            }
        } else {
            for i in 0..LANES {
                s.store(block[i], sixteen(y.row_mut(v * LANES + i), col));
            }
        }
        return;
    }
    let mut lanes = [[0.0; LANES]; LANES];
    for i in 0..LANES {
        s.store(block[i], &mut lanes[i]);
    }
    for (i, lanes) in lanes[..rows.min(LANES)].iter().enumerate() {
        write_values(s, s.load(lanes), &mut y.row_mut(v * LANES + i)[col..col + count], write);
    }
}

#[inline(always)]
fn sixteen(row: &mut [f32], col: usize) -> &mut [f32; LANES] {
    row[col..].first_chunk_mut().expect("sixteen columns")
}

/// At most 16 sums to where they go.
#[inline(always)]
pub(super) fn write_values<S: Simd>(s: S, sum: S::F32, to: &mut [f32], write: Write) {
    let value = match write {
        Write::Replace => sum,
        Write::Add(scale) => s.mul_add(s.splat(scale), sum, s.load_partial(to)),
        // The operands' order keeps NaN.
        Write::AddNonNegative(scale) => s.max(s.zero(), s.mul_add(s.splat(scale), sum, s.load_partial(to))),
    };
    s.store_partial(value, to);
}

struct TimesDense<'a, 'b, 'c> {
    lists: Lists<'a>,
    b: MatRef<'a>,
    first: usize,
    packed: &'b mut [f32],
    c: MatMut<'c>,
    write: Write,
}

impl Kernel for TimesDense<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let width = self.c.cols().div_ceil(LANES);
        let (lines, _) = self.packed.as_chunks_mut::<LANES>();
        let panel = &mut lines[..width * self.lists.inputs];
        if !panel.is_empty() {
            pack_panel(s, self.b, false, self.first / LANES, width, panel);
        }
        match width {
            4 => outputs_below_each_other::<S, 4>(s, self.lists, panel, &mut self.c, self.write),
            2 => outputs_below_each_other::<S, 2>(s, self.lists, panel, &mut self.c, self.write),
            _ => outputs_below_each_other::<S, 1>(s, self.lists, panel, &mut self.c, self.write),
        }
    }
}

#[inline(always)]
fn outputs_below_each_other<S: Simd, const V: usize>(
    s: S,
    lists: Lists<'_>,
    panel: &[[f32; LANES]],
    c: &mut MatMut<'_>,
    write: Write,
) {
    let (inputs, _) = panel.as_chunks::<V>();
    for output in 0..c.rows() {
        let mut sums = [[0.0; LANES]; V];
        let [all] = chains(Panel { s, inputs }, lists, output, [[s.zero(); V]]);
        store_all(s, all, &mut sums);
        let row = c.row_mut(output);
        for (sums, to) in sums.iter().zip(row.chunks_mut(LANES)) {
            write_values(s, s.load(sums), to, write);
        }
    }
}
