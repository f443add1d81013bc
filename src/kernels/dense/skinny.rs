//! Products with few outputs: `y = z w` for w [inputs, outputs] with some tens of outputs at most.
//!
//! A blocked product wants panels of at least a register's width of outputs; ten would waste a third of it. Here the vectors lie along
//! the inputs instead, and every output is a dot product of two contiguous rows:
//!
//! ```text
//! transpose w (and w + noise) into rows of inputs, padded with zeros        once, 20 rows of 2000 stay in L2
//! for each group of 16 samples                                              their sums of 16 lanes fit the first-level cache
//!   for each block of 256 inputs                                            and so does the block of all weights
//!     for each tile of 4 samples x 5 outputs:                               20 sums in registers
//!         for each vector of 16 inputs: load 4 + 5 vectors, 20 multiply-adds
//!   fold the 16 lanes of each sum
//! ```
//! Each output is one chain of fused multiply-adds along the inputs in each of 16 lanes, folded by the fixed tree, whatever the tile: so the
//! bits do not depend on the instruction set, whose registers bound the tile, nor on how samples are shared out to threads.
//!
//! Legal for any shape; wins while the transposed weights stay in the second-level cache.

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Samples of a work item.
const ROWS: usize = 64;

/// `y = z w` for few outputs. z [batch, inputs], w [inputs, outputs], y [batch, outputs].
///
/// Error: `|got - exact| <= (n/16 + 6) 2^-24 sum |z| |w|` for n inputs. NaN and infinities pass into the outputs they reach. The same bits
/// on every instruction set and for any number of threads.
///
/// # Panics
/// If shapes disagree.
#[track_caller]
pub fn matmul_skinny(context: &mut Context, z: MatRef<'_>, w: MatRef<'_>, y: MatMut<'_>) {
    let expected = (z.rows(), w.cols());
    assert!(z.cols() == w.rows(), "z is {} x {}, w is {} x {}", z.rows(), z.cols(), w.rows(), w.cols());
    assert!((y.rows(), y.cols()) == expected, "y is {} x {}, expected {expected:?}", y.rows(), y.cols());
    products(context, z, w, None, y, None);
}

/// `clean = z w`, and with noise `perturbed = z (w + noise)`. Shapes were checked.
pub(crate) fn products(
    context: &mut Context,
    z: MatRef<'_>,
    w: MatRef<'_>,
    noise: Option<MatRef<'_>>,
    clean: MatMut<'_>,
    perturbed: Option<MatMut<'_>>,
) {
    let (batch, inputs, outputs) = (z.rows(), z.cols(), w.cols());
    if batch == 0 || outputs == 0 {
        return;
    }
    let (isa, threads) = (context.isa(), context.threads());
    let stride = inputs.next_multiple_of(LANES);
    let columns = if noise.is_some() { 2 * outputs } else { outputs };
    let threads = threads.for_work(batch * inputs * columns);
    let [transposed] = context.scratch([columns * stride]);
    let (plain, noisy) = transposed.split_at_mut(outputs * stride);
    transpose(w, stride, plain);
    if let Some(noise) = noise {
        transpose(noise, stride, noisy);
        noisy.iter_mut().zip(plain).for_each(|(noisy, plain)| *noisy += *plain);
    }
    let weights = &*transposed;
    let mut perturbed = perturbed.map(|perturbed| perturbed.row_blocks(ROWS));
    let items = clean.row_blocks(ROWS).enumerate().map(|(block, clean)| {
        let z = z.rows_range(block * ROWS..block * ROWS + clean.rows());
        Products { z, weights, clean, perturbed: perturbed.as_mut().and_then(Iterator::next) }
    });
    for_each(threads, items, |item| dispatch(isa, item));
}

/// Columns of w as rows of `stride` values, zeros behind.
fn transpose(w: MatRef<'_>, stride: usize, to: &mut [f32]) {
    let inputs = w.rows();
    if stride == 0 {
        return;
    }
    for row in to.chunks_mut(stride) {
        row[inputs..].fill(0.0);
    }
    for (i, row) in w.iter_rows().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            to[j * stride + i] = value;
        }
    }
}

struct Products<'a> {
    z: MatRef<'a>,
    /// Rows of weights, those of `perturbed` after those of `clean`.
    weights: &'a [f32],
    clean: MatMut<'a>,
    perturbed: Option<MatMut<'a>>,
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        if S::REGISTERS >= 32 {
            rows::<S, 4, 5>(s, &mut self);
        } else {
            rows::<S, 2, 2>(s, &mut self);
        }
    }
}

/// Samples whose sums are kept at once.
const GROUP: usize = 16;
/// Vectors of inputs of a block.
const BLOCK: usize = 16;

/// All samples, in groups.
#[inline(always)]
fn rows<S: Simd, const R: usize, const C: usize>(s: S, p: &mut Products<'_>) {
    let outputs = p.clean.cols();
    let columns = if p.perturbed.is_some() { 2 * outputs } else { outputs };
    let vectors = p.z.cols() / LANES;
    let mut sums = vec![[0.0; LANES]; GROUP * columns];
    for first in (0..p.z.rows()).step_by(GROUP) {
        let group = Group { first, rows: GROUP.min(p.z.rows() - first), columns };
        sums.fill([0.0; LANES]);
        for block in (0..vectors).step_by(BLOCK) {
            let range = block..vectors.min(block + BLOCK);
            let mut row = 0;
            while row + R <= group.rows {
                // A block is too short a stream for the hardware to notice: ask for the next tile's samples, or the next block's.
                let (next, ahead) = if row + 2 * R <= group.rows {
                    (row + R, range.clone())
                } else {
                    (0, range.end..vectors.min(range.end + BLOCK))
                };
                for r in next..group.rows.min(next + R) {
                    for values in p.z.row(first + r)[ahead.start * LANES..ahead.end * LANES].iter().step_by(LANES) {
                        s.prefetch(values);
                    }
                }
                columns_of::<S, R, C>(s, p, group, row, range.clone(), &mut sums);
                row += R;
            }
            while row < group.rows {
                columns_of::<S, 1, C>(s, p, group, row, range.clone(), &mut sums);
                row += 1;
            }
        }
        finish(s, p, group, &mut sums);
    }
}

/// Samples of a group, and outputs of each.
#[derive(Clone, Copy)]
struct Group {
    first: usize,
    rows: usize,
    columns: usize,
}

/// All outputs of `R` samples, `C` at a time and then one by one.
#[inline(always)]
fn columns_of<S: Simd, const R: usize, const C: usize>(
    s: S,
    p: &Products<'_>,
    group: Group,
    row: usize,
    range: std::ops::Range<usize>,
    sums: &mut [[f32; LANES]],
) {
    let mut column = 0;
    while column + C <= group.columns {
        tile::<S, R, C>(s, p, group, (row, column), range.clone(), sums);
        column += C;
    }
    while column < group.columns {
        tile::<S, R, 1>(s, p, group, (row, column), range.clone(), sums);
        column += 1;
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize, const C: usize>(
    s: S,
    p: &Products<'_>,
    group: Group,
    (row, column): (usize, usize),
    range: std::ops::Range<usize>,
    sums: &mut [[f32; LANES]],
) {
    let stride = p.z.cols().next_multiple_of(LANES);
    let len = range.len();
    let z: [&[[f32; LANES]]; R] =
        std::array::from_fn(|r| &p.z.row(group.first + row + r).as_chunks().0[range.clone()][..len]);
    let w: [&[[f32; LANES]]; C] =
        std::array::from_fn(|c| &p.weights[(column + c) * stride..].as_chunks().0[range.clone()][..len]);
    let mut acc = [[s.zero(); C]; R];
    for r in 0..R {
        for c in 0..C {
            acc[r][c] = s.load(&sums[(row + r) * group.columns + column + c]);
        }
    }
    for i in 0..len {
        let mut values = [s.zero(); R];
        for r in 0..R {
            values[r] = s.load(&z[r][i]);
        }
        for c in 0..C {
            let weight = s.load(&w[c][i]);
            for r in 0..R {
                acc[r][c] = s.mul_add(values[r], weight, acc[r][c]);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            s.store(acc[r][c], &mut sums[(row + r) * group.columns + column + c]);
        }
    }
}

/// The inputs beyond the last whole vector, and the folding of the lanes.
#[inline(always)]
fn finish<S: Simd>(s: S, p: &mut Products<'_>, group: Group, sums: &mut [[f32; LANES]]) {
    let (outputs, inputs) = (p.clean.cols(), p.z.cols());
    let (stride, whole) = (inputs.next_multiple_of(LANES), inputs / LANES * LANES);
    for row in 0..group.rows {
        let rest = s.load_partial(&p.z.row(group.first + row)[whole..]);
        for column in 0..group.columns {
            let mut sum = s.load(&sums[row * group.columns + column]);
            if whole < inputs {
                let at = column * stride + whole;
                sum = s.mul_add(rest, s.load_partial(&p.weights[at..at + LANES]), sum);
            }
            let value = s.reduce_add(sum);
            match &mut p.perturbed {
                Some(perturbed) if column >= outputs => perturbed.row_mut(group.first + row)[column - outputs] = value,
                _ => p.clean.row_mut(group.first + row)[column] = value,
            }
        }
    }
}
