//! Dense products, optionally added to what is there and clamped at zero in the same pass.
//!
//! ```text
//! matmul      p[i, j] = sum_k a[i, k] b[k, j]
//! matmul_nt   p[i, j] = sum_k a[i, k] b[j, k]
//! matmul_tn   p[i, j] = sum_k a[k, i] b[k, j]
//! ```
//! and then `c = p`, `c += s p` or `c = max(0, c + s p)`, as [`Write`] says.
//!
//! **Error.** With gamma = 2^-24 and n terms, |p - exact| <= 1.01 n gamma sum_k |a b|: each output is a chain of fused
//! multiply-adds over blocks of 256 terms, blocks added in order. **Determinism.** That order depends on neither threads nor
//! instruction set, so neither do the bits. **NaN and infinity** spread as in the sums above; nothing is skipped for being zero.
//! **Cost.** m n k multiply-adds; `b` is copied once into panels.
//!
//! ```
//! use neuropil::kernels::dense::{Write, matmul};
//! use neuropil::{Context, Matrix};
//! let x = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
//! let w = Matrix::from_slice(&[1.0, 0.0, -1.0, 0.0, 1.0, 1.0], 2, 3)?;
//! let mut y = Matrix::zeros(2, 3);
//! matmul(&mut Context::new()?, x.view(), w.view(), y.view_mut(), Write::Replace);
//! assert_eq!(y.as_slice(), &[1.0, 2.0, 1.0, 3.0, 4.0, 1.0]);
//! # Ok::<(), neuropil::Error>(())
//! ```

pub(crate) mod blocked;
pub mod reference;
pub(crate) mod skinny;

pub use skinny::matmul_skinny;

use crate::context::Context;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::{Threads, for_each, for_each_with};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch};
use blocked::{CHUNK, Epilogue, Panels, chunk_product, pack_panel, packed_len, panel_vectors};

/// What becomes of a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Write {
    /// `c = p`; what c held, NaN included, is never read.
    Replace,
    /// `c += s p`
    Add(f32),
    /// `c = max(0, c + s p)`; NaN stays NaN.
    AddNonNegative(f32),
}

impl Write {
    fn epilogue(self) -> Epilogue<'static> {
        match self {
            Write::Replace => Epilogue::REPLACE,
            Write::Add(scale) => Epilogue::add(scale),
            Write::AddNonNegative(scale) => Epilogue { non_negative: true, ..Epilogue::add(scale) },
        }
    }
}

/// `p = a b` for `a` \[m, k\], `b` \[k, n\], `c` \[m, n\].
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul", a, b, (a.rows(), a.cols()), (b.rows(), b.cols()), (c.rows(), c.cols()));
    product(context, a, false, b, false, c, write.epilogue());
}

/// `p = a b^T` for `a` \[m, k\], `b` \[n, k\], `c` \[m, n\].
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul_nt(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul_nt", a, b, (a.rows(), a.cols()), (b.cols(), b.rows()), (c.rows(), c.cols()));
    product(context, a, false, b, true, c, write.epilogue());
}

/// `p = a^T b` for `a` \[k, m\], `b` \[k, n\], `c` \[m, n\].
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul_tn(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul_tn", a, b, (a.cols(), a.rows()), (b.rows(), b.cols()), (c.rows(), c.cols()));
    product(context, a, true, b, false, c, write.epilogue());
}

#[track_caller]
fn shapes_agree(
    name: &str,
    a: MatRef<'_>,
    b: MatRef<'_>,
    (m, k): (usize, usize),
    (depth, n): (usize, usize),
    c: (usize, usize),
) {
    assert!(
        k == depth && c == (m, n),
        "{name}: a is {} x {}, b is {} x {}, c is {} x {}",
        a.rows(),
        a.cols(),
        b.rows(),
        b.cols(),
        c.0,
        c.1
    );
}

/// The product of `a` (or its transpose) and `b` (or its transpose), shapes already checked.
fn product(
    context: &mut Context,
    a: MatRef<'_>,
    a_transposed: bool,
    b: MatRef<'_>,
    b_transposed: bool,
    c: MatMut<'_>,
    epilogue: Epilogue<'_>,
) {
    let (rows, cols) = (c.rows(), c.cols());
    if rows == 0 || cols == 0 {
        return;
    }
    let depth = if a_transposed { a.rows() } else { a.cols() };
    let isa = context.isa();
    let threads = context.threads().for_work(rows.saturating_mul(cols).saturating_mul(depth));
    // A transposed a is packed a chunk at a time, by each thread for itself.
    let chunk_len = if a_transposed { CHUNK * depth.next_multiple_of(LANES) } else { 0 };
    let [packed, chunks] = context.scratch([packed_len(depth, cols), chunk_len * threads.get()]);
    let panels = pack(isa, threads, b, b_transposed, depth, cols, packed);
    let workspaces =
        chunks.chunks_mut(chunk_len.max(1)).chain(std::iter::repeat_with(|| &mut [][..])).take(threads.get());
    for_each_with(threads, workspaces, c.row_blocks(CHUNK).enumerate(), |chunk, (index, c)| {
        dispatch(isa, ChunkProduct { a, a_transposed, first: index * CHUNK, chunk, panels, c, epilogue });
    });
}

/// Packs `b` into panels, in parallel.
pub(crate) fn pack<'p>(
    isa: Isa,
    threads: Threads,
    b: MatRef<'_>,
    transposed: bool,
    depth: usize,
    cols: usize,
    to: &'p mut [f32],
) -> Panels<'p> {
    let vectors = cols.div_ceil(LANES);
    let width = panel_vectors(if isa == Isa::Avx512 { 32 } else { 8 });
    let (lines, _) = to.as_chunks_mut::<LANES>();
    if depth > 0 {
        let panels = lines[..vectors * depth].chunks_mut(width * depth).enumerate();
        for_each(threads, panels, |(index, panel)| {
            let width_here = panel.len() / depth;
            dispatch(isa, PackPanel { b, transposed, first: index * width, width: width_here, to: panel });
        });
    }
    Panels { data: &lines[..vectors * depth], depth, cols }
}

struct PackPanel<'a, 'b> {
    b: MatRef<'a>,
    transposed: bool,
    first: usize,
    width: usize,
    to: &'b mut [[f32; LANES]],
}

impl Kernel for PackPanel<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        pack_panel(s, self.b, self.transposed, self.first, self.width, self.to);
    }
}

struct ChunkProduct<'a, 'b, 'c> {
    a: MatRef<'a>,
    a_transposed: bool,
    first: usize,
    chunk: &'b mut [f32],
    panels: Panels<'a>,
    c: MatMut<'c>,
    epilogue: Epilogue<'a>,
}

impl Kernel for ChunkProduct<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let rows = self.c.rows();
        let a = if self.a_transposed {
            transpose_columns(self.a, self.first, rows, self.chunk)
        } else {
            self.a.rows_range(self.first..self.first + rows)
        };
        chunk_product(s, a, self.panels, &mut self.c, self.epilogue);
    }
}

/// Columns `first..first + rows` of `a` as the rows of a matrix in scratch memory.
#[inline(always)]
pub(crate) fn transpose_columns<'s>(a: MatRef<'_>, first: usize, rows: usize, scratch: &'s mut [f32]) -> MatRef<'s> {
    let depth = a.rows();
    let stride = depth.next_multiple_of(LANES);
    let mut to = MatMut::with_stride(scratch, rows, depth, stride).expect("scratch memory for a chunk");
    // Blocks of 16 x 16 keep reads and writes within a few cache lines.
    for k in (0..depth).step_by(LANES) {
        for i in (0..rows).step_by(LANES) {
            let (width, height) = (LANES.min(rows - i), LANES.min(depth - k));
            for at in 0..width {
                let row = &mut to.row_mut(i + at)[k..k + height];
                for (value, step) in row.iter_mut().zip(0..) {
                    *value = a.row(k + step)[first + i + at];
                }
            }
        }
    }
    MatRef::with_stride(scratch, rows, depth, stride).expect("scratch memory for a chunk")
}

#[cfg(test)]
mod tests;
