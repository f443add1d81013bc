//! Products with few outputs: `y = z w` for w [inputs, outputs] with some tens of outputs at most.
//!
//! A blocked product wants panels of at least a register's width of outputs; ten would waste a third of it. Here the vectors lie along
//! the inputs instead, and every output is a dot product of two contiguous rows:
//!
//! ```text
//! pack w (and w + noise) by vectors of 16 inputs: panels of 4 outputs, zeros behind the last     once; 20 x 2000 stay in L2
//! for each 6 samples, for each 5 panels:
//!     for each block of 512 inputs:                                       the samples' part stays in L1     [1]
//!         for each panel:
//!             load 24 sums of 16 lanes into registers                                                       [2]
//!             for each vector of 16 inputs: load 4 weights; 6 times load a value, 4 multiply-adds
//!             store the sums
//!     fold the 16 lanes of every sum
//! ```
//! 1. Without blocks the samples' rows would be read again from L2 for every panel, beside the weights that come from there anyway.
//!    Each panel's pass asks for a share of the next block, which else would be waited for in the first.
//! 2. 6 x 4 sums, 4 weights and a value fill the registers of AVX-512; the other sets hold 2 x 2.
//!
//! Each output is one chain of fused multiply-adds along the inputs in each of 16 lanes, folded by the fixed tree, whatever the tile: so the
//! bits do not depend on the instruction set, whose registers bound the tile, nor on how samples are shared out to threads.
//!
//! Legal for any shape; wins while the packed weights stay in the second-level cache.

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, registers};

/// Samples of a work item: eight tiles of six.
pub(crate) const ROWS: usize = 48;
/// Vectors of inputs in a block.
const BLOCK: usize = 32;
/// Panels whose sums are kept side by side.
const GROUP: usize = 5;

/// Outputs of a panel.
fn panel_width(isa: Isa) -> usize {
    if registers(isa) >= 32 { 4 } else { 2 }
}

/// `y = z w` for few outputs. z [batch, inputs], w [inputs, outputs], y [batch, outputs]; what y held is not read.
///
/// The sums that [`perturb`](crate::kernels::perturb) makes of clean outputs, with the same bits, which are seldom those of
/// [`matmul`](super::matmul). Right for any shape. Its vectors lie along the inputs, so that ten outputs waste no lanes: with AVX2
/// 0.83 of `matmul`'s time for 2000 x 784 x 10; with AVX-512, whose `matmul` puts samples in the lanes there, no less.
///
/// Error: `|got - exact| <= (n/16 + 6) 2^-24 sum |z| |w|` for n inputs. NaN and infinities pass into the outputs they reach. The same bits
/// on every instruction set and for any number of threads. Cost: batch inputs outputs multiply-adds; z is read once, w copied.
///
/// ```
/// use neuropil::kernels::dense::matmul_skinny;
/// use neuropil::{Context, Matrix};
/// let z = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let w = Matrix::from_slice(&[1.0, 0.5], 2, 1)?;
/// let mut y = Matrix::zeros(2, 1);
/// matmul_skinny(&mut Context::new()?, z.view(), w.view(), y.view_mut());
/// assert_eq!(y.as_slice(), &[2.0, 5.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If shapes disagree.
#[track_caller]
pub fn matmul_skinny(context: &mut Context, z: MatRef<'_>, w: MatRef<'_>, y: MatMut<'_>) {
    assert!(
        z.cols() == w.rows() && (y.rows(), y.cols()) == (z.rows(), w.cols()),
        "matmul_skinny: z is {} x {}, w is {} x {}, y is {} x {}",
        z.rows(),
        z.cols(),
        w.rows(),
        w.cols(),
        y.rows(),
        y.cols()
    );
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
    products_then(context, z, w, noise, clean, perturbed, std::iter::repeat(()), |(), _, _| ());
}

/// The same; whoever has done [`ROWS`] samples goes on with them, while they are near: `then` gets their outputs, clean and
/// perturbed, and their share of `extras`.
pub(crate) fn products_then<'c, T: Send>(
    context: &mut Context,
    z: MatRef<'_>,
    w: MatRef<'_>,
    noise: Option<MatRef<'_>>,
    clean: MatMut<'c>,
    perturbed: Option<MatMut<'c>>,
    extras: impl Iterator<Item = T> + Send,
    then: impl Fn(T, MatMut<'c>, Option<MatMut<'c>>) + Sync,
) {
    let (batch, inputs, outputs) = (z.rows(), z.cols(), w.cols());
    if batch == 0 || outputs == 0 {
        return;
    }
    let (isa, threads) = (context.isa(), context.threads());
    let columns = if noise.is_some() { 2 * outputs } else { outputs };
    let threads = threads.for_work([batch, inputs, columns]);
    let (vectors, width) = (inputs.div_ceil(LANES), panel_width(isa));
    let [weights] = context.scratch([columns.div_ceil(width) * vectors * width * LANES]);
    // Zeros behind the last input and the last column.
    if !inputs.is_multiple_of(LANES) || !columns.is_multiple_of(width) {
        weights.fill(0.0);
    }
    pack(w, None, 0, width, weights);
    if let Some(noise) = noise {
        pack(w, Some(noise), outputs, width, weights);
    }
    let weights = &*weights;
    let mut perturbed = perturbed.map(|perturbed| perturbed.row_blocks(ROWS));
    let items = clean.row_blocks(ROWS).enumerate().zip(extras).map(|((block, clean), extra)| {
        let z = z.rows_range(block * ROWS..block * ROWS + clean.rows());
        (Products { z, weights, clean, perturbed: perturbed.as_mut().and_then(Iterator::next) }, extra)
    });
    for_each(threads, items, |(mut item, extra)| {
        dispatch(isa, &mut item);
        then(extra, item.clean, item.perturbed);
    });
}

/// Writes the columns of `w`, or of `w + noise`, into panels of `width` columns as columns `first..` of all.
fn pack(w: MatRef<'_>, noise: Option<MatRef<'_>>, first: usize, width: usize, to: &mut [f32]) {
    let panel = w.rows().div_ceil(LANES) * width * LANES;
    let place = |column: usize| column / width * panel + column % width * LANES;
    let places: Vec<usize> = (first..first + w.cols()).map(place).collect();
    for (input, row) in w.iter_rows().enumerate() {
        let to = &mut to[input / LANES * width * LANES + input % LANES..];
        if let Some(noise) = noise {
            for ((&place, &value), &noise) in places.iter().zip(row).zip(noise.row(input)) {
                to[place] = value + noise;
            }
        } else {
            for (&place, &value) in places.iter().zip(row) {
                to[place] = value;
            }
        }
    }
}

struct Products<'a, 'c> {
    z: MatRef<'a>,
    /// Panels of packed weights, the columns of `perturbed` after those of `clean`.
    weights: &'a [f32],
    clean: MatMut<'c>,
    perturbed: Option<MatMut<'c>>,
}

impl Kernel for &mut Products<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // As `panel_width` says.
        if S::REGISTERS >= 32 {
            tiles::<S, 6, 4>(s, self);
        } else {
            tiles::<S, 2, 2>(s, self);
        }
    }
}

/// Sums of `R` samples and the `C` outputs of a panel, 16 lanes each.
type Sums<const R: usize, const C: usize> = [[[f32; LANES]; C]; R];

#[inline(always)]
fn tiles<S: Simd, const R: usize, const C: usize>(s: S, p: &mut Products<'_, '_>) {
    let (rows, inputs, outputs) = (p.z.rows(), p.z.cols(), p.clean.cols());
    let (full, vectors) = (inputs / LANES, inputs.div_ceil(LANES));
    let columns = if p.perturbed.is_some() { 2 * outputs } else { outputs };
    let panels = columns.div_ceil(C);
    let weights = p.weights.as_chunks::<LANES>().0.as_chunks::<C>().0;
    for row in (0..rows).step_by(R) {
        for group in (0..panels).step_by(GROUP) {
            let count = GROUP.min(panels - group);
            let mut sums: [Sums<R, C>; GROUP] = [[[[0.0; LANES]; C]; R]; GROUP];
            let mut start = 0;
            while start < full {
                let end = (start + BLOCK).min(full);
                let mut z: [&[[f32; LANES]]; R] = [&[]; R];
                for r in 0..R {
                    // The last tile may repeat the last sample; what it gives is not written.
                    z[r] = &p.z.row((row + r).min(rows - 1)).as_chunks().0[start..end];
                }
                // What comes next: these samples' next block, or the next samples.
                let mut ahead: [&[[f32; LANES]]; R] = [&[]; R];
                for r in 0..R {
                    if end < full {
                        ahead[r] = &p.z.row((row + r).min(rows - 1)).as_chunks().0[end..(end + BLOCK).min(full)];
                    } else if group + count == panels && row + R + r < rows {
                        ahead[r] = &p.z.row(row + R + r).as_chunks().0[..BLOCK.min(full)];
                    }
                }
                for (panel, sums) in sums[..count].iter_mut().enumerate() {
                    let first = (group + panel) * vectors;
                    let fetch = [panel, panel + count].map(|r| if r < R { ahead[r] } else { &[] });
                    accumulate(s, z, &weights[first + start..first + end], fetch, sums);
                }
                start = end;
            }
            if full < vectors {
                for r in 0..R {
                    let value = s.load_partial(&p.z.row((row + r).min(rows - 1))[full * LANES..]);
                    for (panel, sums) in sums[..count].iter_mut().enumerate() {
                        let w = &weights[(group + panel) * vectors + full];
                        for c in 0..C {
                            s.store(s.mul_add(value, s.load(&w[c]), s.load(&sums[r][c])), &mut sums[r][c]);
                        }
                    }
                }
            }
            let (low, high) = (group * C, columns.min((group + count) * C));
            for r in 0..R.min(rows - row) {
                let fold = |at: usize| s.reduce_add(s.load(&sums[(at - low) / C][r][(at - low) % C]));
                let clean = p.clean.row_mut(row + r);
                for at in low..high.min(outputs) {
                    clean[at] = fold(at);
                }
                if let Some(perturbed) = &mut p.perturbed {
                    let perturbed = perturbed.row_mut(row + r);
                    for at in low.max(outputs)..high {
                        perturbed[at - outputs] = fold(at);
                    }
                }
            }
        }
    }
}

/// Adds a block's products to a panel's sums, all of them in registers meanwhile, and asks for what is needed next.
#[inline(always)]
fn accumulate<S: Simd, const R: usize, const C: usize>(
    s: S,
    z: [&[[f32; LANES]]; R],
    weights: &[[[f32; LANES]; C]],
    ahead: [&[[f32; LANES]]; 2],
    sums: &mut Sums<R, C>,
) {
    let mut held = [[s.zero(); C]; R];
    for r in 0..R {
        assert_eq!(z[r].len(), weights.len());
        for c in 0..C {
            held[r][c] = s.load(&sums[r][c]);
        }
    }
    for (i, weights) in weights.iter().enumerate() {
        let mut w = [s.zero(); C];
        for c in 0..C {
            w[c] = s.load(&weights[c]);
        }
        for ahead in ahead {
            if let Some(line) = ahead.get(i) {
                s.prefetch(&line[0]);
            }
        }
        for r in 0..R {
            let value = s.load(&z[r][i]);
            for c in 0..C {
                held[r][c] = s.mul_add(value, w[c], held[r][c]);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            s.store(held[r][c], &mut sums[r][c]);
        }
    }
}
