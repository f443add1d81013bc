//! Dense products, optionally added to what is there and clamped at zero in the same pass.
//!
//! ```text
//! matmul      p[i, j] = sum_k a[i, k] b[k, j]
//! matmul_nt   p[i, j] = sum_k a[i, k] b[j, k]
//! matmul_tn   p[i, j] = sum_k a[k, i] b[k, j]
//! ```
//! and then `c = p`, `c += s p` or `c = max(0, c + s p)`, as [`Write`] says. A layer's bias is added by [`add_bias`].
//!
//! **Error.** With u = 2^-24, g(n) = n u / (1 - n u) and k terms, |p - exact| <= g(k) sum_k |a b|: each output is a chain of fused
//! multiply-adds over blocks of 256 terms, blocks added in order. Where a product is added, every block is added to c by itself, so that
//! with t = k / 256, rounded up, a new c is within `g(k + 2 t) |s| sum_k |a b| + g(2 t) (|c| + |old c|)` of the exact c. By dot products, as under
//! cost, each output is 16 chains, of every sixteenth term, added in a tree, and t is 1: within the same bounds.
//! **Determinism.** That order depends on the shape, but on neither threads nor instruction set, so neither do the bits.
//! **NaN and infinity** spread as in the sums above; nothing is skipped for being zero.
//! **Cost.** m n k multiply-adds. Few rows read `b` where it lies: with AVX-512 up to 64, or 24 to 32 where columns behind the last sixteen are a
//! large part of all; on other sets up to 32 with less than 192 columns, and 8 with more; up to 8 where `b` is transposed (4 if it has fewer than
//! 64 rows). For more it is copied once into panels. `matmul_nt` of up to 16 rows, or 12 columns and more rows, or 1024 outputs is computed by dot
//! products of rows as they lie, where k is at least 64, and 32 times the lesser of rows and columns, and the factor with more rows has at most
//! 2^22 values (or is multiplied with one row); `matmul` so too, of up to 4 columns and 16 rows or more, once b is
//! transposed. `matmul_tn` first copies `a`, transposed, into the context's scratch memory; where c is at least twice as tall as wide, up to 16 columns, or 256 and half of k, b and c instead.
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
pub(crate) mod dots;
mod few_rows;
pub mod reference;
pub(crate) mod skinny;
mod unpacked;

pub use skinny::matmul_skinny;

use dots::Dots;
use few_rows::{FEW_ROWS, FewRows, FewRowsTransposed, SUMS};

use crate::context::Context;
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::parallel::{ITEM_VALUES, TOUCHED, Threads, for_each, for_each_with};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, registers};
use blocked::{
    Ahead, CHUNK, Epilogue, MAX_PANEL, Panels, chunk_product, pack_panel, packed_len, panel_vectors,
    selected_rows_product, transpose_to,
};

/// What becomes of a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Write {
    /// `c = p`; what c held, NaN included, is never read.
    Replace,
    /// `c += s p`. The factor is data: one that is NaN or infinite spreads as the formula says.
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
/// For a few columns of b (ten or so) and a hundred rows of a or more [`matmul_skinny`] is faster with AVX2; for a b that is mostly zeros, the products of
/// [`masked`](crate::kernels::masked). See [the module](self) for error, NaN, determinism and cost.
///
/// ```
/// use neuropil::kernels::dense::{Write, matmul};
/// use neuropil::{Context, Matrix};
/// let a = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let b = Matrix::from_slice(&[1.0, 0.0, 10.0, 100.0], 2, 2)?;
/// let mut c = Matrix::from_slice(&[1.0, 1.0, 1.0, 1.0], 2, 2)?;
/// matmul(&mut Context::new()?, a.view(), b.view(), c.view_mut(), Write::Add(0.5));
/// assert_eq!(c.as_slice(), &[11.5, 101.0, 22.5, 201.0]); // 1 and half of rows of a times columns of b
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul", a, b, (a.rows(), a.cols()), (b.rows(), b.cols()), (c.rows(), c.cols()));
    if dots::transposed_wins(c.rows(), a.cols(), c.cols()) {
        return by_transpose(context, (b, true), (a, true), c, write);
    }
    product(context, a, false, b, false, c, write.epilogue());
}

/// `p = a b^T` for `a` \[m, k\], `b` \[n, k\], `c` \[m, n\]. See [the module](self) for error, NaN, determinism and cost.
///
/// ```
/// use neuropil::kernels::dense::{Write, matmul_nt};
/// use neuropil::{Context, Matrix};
/// let a = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let b = Matrix::from_slice(&[1.0, 0.0, 10.0, 100.0], 2, 2)?;
/// let mut c = Matrix::zeros(2, 2);
/// matmul_nt(&mut Context::new()?, a.view(), b.view(), c.view_mut(), Write::Replace);
/// assert_eq!(c.as_slice(), &[1.0, 210.0, 3.0, 430.0]); // rows of a times rows of b
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul_nt(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul_nt", a, b, (a.rows(), a.cols()), (b.cols(), b.rows()), (c.rows(), c.cols()));
    if dots::transpose_wins(c.rows(), a.cols(), c.cols()) {
        return by_transpose(context, (b, false), (a, true), c, write);
    }
    product(context, a, false, b, true, c, write.epilogue());
}

/// `p = a^T b` for `a` \[k, m\], `b` \[k, n\], `c` \[m, n\]. See [the module](self) for error, NaN, determinism and cost.
///
/// ```
/// use neuropil::kernels::dense::{Write, matmul_tn};
/// use neuropil::{Context, Matrix};
/// let a = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// let b = Matrix::from_slice(&[1.0, 0.0, 10.0, 100.0], 2, 2)?;
/// let mut c = Matrix::zeros(2, 2);
/// matmul_tn(&mut Context::new()?, a.view(), b.view(), c.view_mut(), Write::Replace);
/// assert_eq!(c.as_slice(), &[31.0, 300.0, 42.0, 400.0]); // columns of a times columns of b
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn matmul_tn(context: &mut Context, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>, write: Write) {
    shapes_agree("matmul_tn", a, b, (a.cols(), a.rows()), (b.rows(), b.cols()), (c.rows(), c.cols()));
    if narrow(a.rows(), c.rows(), c.cols()) {
        return by_transpose(context, (b, true), (a, false), c, write);
    }
    product(context, a, true, b, false, c, write.epilogue());
}

/// Whether `a^T b` is so much taller than wide that its transpose is computed, for which it is b that is transposed: the fewer columns there
/// are, or the more values of k, the more it wins.
fn narrow(depth: usize, rows: usize, cols: usize) -> bool {
    rows >= 2 * cols && (cols <= LANES || (cols <= 256 && 2 * cols <= depth))
}

/// `c^T` as a product of these factors, either by its transpose if so marked: the same bits, as the factors of a product may change places.
fn by_transpose(context: &mut Context, a: (MatRef<'_>, bool), b: (MatRef<'_>, bool), c: MatMut<'_>, write: Write) {
    let isa = context.isa();
    context.with_product(c.cols(), c.rows(), |context, transposed| {
        if write != Write::Replace {
            dispatch(isa, Transpose { from: c.as_ref(), to: transposed.view_mut() });
        }
        product(context, a.0, a.1, b.0, b.1, transposed.view_mut(), write.epilogue());
        dispatch(isa, Transpose { from: transposed.view(), to: c });
    });
}

/// `y[b, j] += bias[j]` for every row b of y \[batch, units\].
///
/// One rounding a value. NaN and infinities of either spread as in the sum. The same bits on every instruction set and for any number of threads.
/// Cost: an addition, a read and a write a value.
///
/// ```
/// use neuropil::kernels::dense::add_bias;
/// use neuropil::{Context, Matrix};
/// let mut y = Matrix::from_slice(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
/// add_bias(&mut Context::new()?, y.view_mut(), &[10.0, 0.5]);
/// assert_eq!(y.as_slice(), &[11.0, 2.5, 13.0, 4.5]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If there is not a bias for every column.
#[track_caller]
pub fn add_bias(context: &mut Context, y: MatMut<'_>, bias: &[f32]) {
    let (rows, cols) = (y.rows(), y.cols());
    assert!(bias.len() == cols, "add_bias: y is {rows} x {cols}, there are {} biases", bias.len());
    if cols == 0 {
        return;
    }
    let (isa, threads) = (context.isa(), context.threads().for_work([rows, cols, TOUCHED]));
    let block = ITEM_VALUES.div_ceil(cols);
    for_each(threads, y.row_blocks(block), |y| dispatch(isa, AddBias { y, bias }));
}

struct AddBias<'a, 'b> {
    y: MatMut<'a>,
    bias: &'b [f32],
}

impl Kernel for AddBias<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (bias, bias_tail) = self.bias.as_chunks::<LANES>();
        for row in 0..self.y.rows() {
            let (y, y_tail) = self.y.row_mut(row).as_chunks_mut::<LANES>();
            for (y, bias) in y.iter_mut().zip(bias) {
                s.store(s.add(s.load(y), s.load(bias)), y);
            }
            s.store_partial(s.add(s.load_partial(y_tail), s.load_partial(bias_tail)), y_tail);
        }
    }
}

/// [`add_bias`] with the same bits, for a few rows that a thread has at hand.
pub(crate) fn add_bias_here(mut y: MatMut<'_>, bias: &[f32]) {
    for row in 0..y.rows() {
        for (y, bias) in y.row_mut(row).iter_mut().zip(bias) {
            *y += bias;
        }
    }
}

/// [`matmul_tn`] for some rows of c only, which are columns of a; the others stay as they are. Shapes were checked, and no
/// dimension is zero.
pub(crate) fn matmul_tn_rows(
    context: &mut Context,
    a: MatRef<'_>,
    b: MatRef<'_>,
    selected: &[u32],
    c: MatMut<'_>,
    write: Write,
) {
    let (isa, depth) = (context.isa(), a.rows());
    let threads = context.threads().for_work([selected.len(), c.cols(), depth]);
    let transposed_len = a.cols() * transposed_stride(depth);
    let [transposed, packed] = context.scratch([transposed_len, panel_scratch(depth, threads)]);
    let a = transpose(isa, threads, a, transposed);
    by_panel(isa, threads, a, b, false, c, write.epilogue(), Some(selected), packed);
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
    // As much of b is read for one row as for eight, and few columns take a vector's time.
    let threads = context.threads().for_work([rows.max(FEW_ROWS), cols.max(LANES), depth]);
    let transposed_len = if a_transposed { rows * transposed_stride(depth) } else { 0 };
    if !b_transposed && depth > 0 && unpacked::wins(rows, depth, cols, registers(isa)) {
        let [transposed] = context.scratch([transposed_len]);
        let a = if a_transposed { transpose(isa, threads, a, transposed) } else { a };
        return unpacked::product(isa, threads, a, b, c, epilogue);
    }
    if b_transposed && dots::wins(rows, depth, cols) {
        let [transposed] = context.scratch([transposed_len]);
        let a = if a_transposed { transpose(isa, threads, a, transposed) } else { a };
        // As many pieces for each thread.
        let width = cols.div_ceil(2 * threads.get()).next_multiple_of(LANES);
        for_each(threads, c.column_blocks_by(|_| width), |(first, c)| {
            dispatch(isa, Dots { a, b: b.rows_range(first..first + c.cols()), c, epilogue });
        });
        return;
    }
    if few_rows::wins(rows, cols) && depth > 0 {
        let [transposed, sums] = context.scratch([transposed_len, SUMS * LANES * threads.get()]);
        let a = if a_transposed { transpose(isa, threads, a, transposed) } else { a };
        let width = few_rows::strip(rows, cols, threads.get());
        let strips = c.column_blocks_by(|_| width);
        for_each_with(threads, sums.chunks_mut(SUMS * LANES), strips, |sums, (first, c)| {
            let columns = first..first + c.cols();
            if b_transposed {
                dispatch(isa, FewRowsTransposed { a, b: b.rows_range(columns), c, epilogue });
            } else {
                dispatch(isa, FewRows { a, b: b.columns(columns), sums, c, epilogue });
            }
        });
        return;
    }
    // Panels of so many vectors are items of work; more threads than these would share are better off with chunks of rows, if there are more.
    let panels = cols.div_ceil(panel_vectors(registers(isa), cols) * LANES);
    if cols >= BY_PANEL && (panels >= 2 * threads.get() || panels >= rows.div_ceil(CHUNK)) {
        let [transposed, packed] = context.scratch([transposed_len, panel_scratch(depth, threads)]);
        let a = if a_transposed { transpose(isa, threads, a, transposed) } else { a };
        by_panel(isa, threads, a, b, b_transposed, c, epilogue, None, packed);
    } else {
        let [transposed, packed] = context.scratch([transposed_len, packed_len(depth, cols)]);
        let a = if a_transposed { transpose(isa, threads, a, transposed) } else { a };
        let panels = pack(isa, threads, b, b_transposed, depth, cols, packed);
        for_each(threads, c.row_blocks(CHUNK).enumerate(), |(index, c)| {
            dispatch(isa, ChunkProduct { a, first: index * CHUNK, panels, c, epilogue });
        });
    }
}

/// Columns from which work is split by panels of columns, if there are enough for the threads; else by chunks of rows, which share the packed
/// panels.
pub(crate) const BY_PANEL: usize = 384;

/// Scratch memory of [`by_panel`].
pub(crate) fn panel_scratch(depth: usize, threads: Threads) -> usize {
    packed_len(depth, MAX_PANEL * LANES) * threads.get()
}

/// The product split by panels of columns of c: each is packed by the thread that uses it, while it is hot.
pub(crate) fn by_panel(
    isa: Isa,
    threads: Threads,
    a: MatRef<'_>,
    b: MatRef<'_>,
    b_transposed: bool,
    c: MatMut<'_>,
    epilogue: Epilogue<'_>,
    selected: Option<&[u32]>,
    packed: &mut [f32],
) {
    let panel_len = packed_len(a.cols(), MAX_PANEL * LANES);
    let workspaces = packed.chunks_mut(panel_len.max(1)).chain(std::iter::repeat_with(|| &mut [][..]));
    for_each_with(threads, workspaces, panel_columns(c, registers(isa)), |packed, (first, c)| {
        // The panel that this thread takes next, more or less.
        let next = if b_transposed { None } else { Some(first + threads.get() * c.cols()) };
        dispatch(isa, PanelProduct { a, b, b_transposed, first, next, packed, c, epilogue, selected });
    });
}

/// A matrix laid out once for many products in which it stands on the right, for one kind of registers.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix {
    lines: Matrix,
    registers: usize,
    depth: usize,
    cols: usize,
}

impl PackedMatrix {
    /// For this instruction set.
    pub(crate) fn new(isa: Isa, b: MatRef<'_>) -> Self {
        let (depth, cols) = (b.rows(), b.cols());
        let mut lines = Matrix::zeros(packed_len(depth, cols) / LANES, LANES);
        pack(isa, Threads::ONE, b, false, depth, cols, lines.as_mut_slice());
        PackedMatrix { lines, registers: registers(isa), depth, cols }
    }

    /// Becomes another matrix of the same shape, for this instruction set, in the same memory.
    pub(crate) fn replace(&mut self, isa: Isa, b: MatRef<'_>) {
        debug_assert_eq!((b.rows(), b.cols()), (self.depth, self.cols));
        pack(isa, Threads::ONE, b, false, self.depth, self.cols, self.lines.as_mut_slice());
        self.registers = registers(isa);
    }

    /// Whether it is laid out for this instruction set, and better than a matrix as it lies for so many rows on the left.
    pub(crate) fn fits(&self, isa: Isa, rows: usize) -> bool {
        let registers = registers(isa);
        self.registers == registers && self.cols >= BY_PANEL && unpacked::loses_to_packed(rows, registers)
    }
}

/// [`matmul`] with the same bits, for shapes that were checked.
pub(crate) fn matmul_packed(context: &mut Context, a: MatRef<'_>, b: &PackedMatrix, c: MatMut<'_>, write: Write) {
    let (isa, depth) = (context.isa(), b.depth);
    let threads = context.threads().for_work([a.rows(), depth, b.cols]);
    let lines = b.lines.as_slice().as_chunks::<LANES>().0;
    for_each(threads, panel_columns(c, b.registers), |(first, c)| {
        let width = c.cols().div_ceil(LANES);
        let (panel, rest) = lines[first / LANES * depth..].split_at(width * depth);
        let next = rest.get((threads.get() - 1) * width * depth..).and_then(|rest| rest.get(..width * depth));
        dispatch(isa, PackedProduct { a, panel, next, c, epilogue: write.epilogue() });
    });
}

struct PackedProduct<'a, 'c> {
    a: MatRef<'a>,
    panel: &'a [[f32; LANES]],
    next: Option<&'a [[f32; LANES]]>,
    c: MatMut<'c>,
    epilogue: Epilogue<'static>,
}

impl Kernel for PackedProduct<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (depth, cols) = (self.a.cols(), self.c.cols());
        let width = cols.next_multiple_of(LANES);
        let next = self.next.and_then(|next| MatRef::new(next.as_flattened(), depth, width).ok());
        let ahead = next.and_then(|next| Ahead::new(next, 0, self.c.rows()));
        let panels = Panels { data: self.panel, depth, cols };
        selected_rows_product(s, self.a, panels, &mut self.c, self.epilogue, None, ahead);
    }
}

/// Between the rows of a [`transpose`], whole vectors; of few columns as they come, or each would be a cache line.
fn transposed_stride(depth: usize) -> usize {
    if depth < LANES { depth } else { depth.next_multiple_of(LANES) }
}

/// The transpose of `a` in scratch memory, if it takes any.
fn transpose<'s>(isa: Isa, threads: Threads, a: MatRef<'s>, scratch: &'s mut [f32]) -> MatRef<'s> {
    let (rows, depth) = (a.cols(), a.rows());
    if depth == 1 {
        return MatRef::with_stride(a.row(0), rows, depth, 1).expect("a row as a column");
    }
    let stride = transposed_stride(depth);
    let to = MatMut::with_stride(&mut *scratch, rows, depth, stride).expect("scratch memory for the transpose");
    transpose_into(isa, threads, a, to);
    MatRef::with_stride(scratch, rows, depth, stride).expect("scratch memory for the transpose")
}

/// Writes the transpose of `a`.
pub(crate) fn transpose_into(isa: Isa, threads: Threads, a: MatRef<'_>, to: MatMut<'_>) {
    for_each(threads, to.row_blocks(CHUNK).enumerate(), |(index, to)| {
        let from = a.columns(index * CHUNK..index * CHUNK + to.rows());
        dispatch(isa, Transpose { from, to });
    });
}

/// Writes the transpose of one matrix into another.
pub(crate) struct Transpose<'a, 'b> {
    pub(crate) from: MatRef<'a>,
    pub(crate) to: MatMut<'b>,
}

impl Kernel for Transpose<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        transpose_to(s, self.from, &mut self.to);
    }
}

/// The columns of each panel, in order, with the first of them.
fn panel_columns(c: MatMut<'_>, registers: usize) -> impl Iterator<Item = (usize, MatMut<'_>)> {
    c.column_blocks_by(move |left| panel_vectors(registers, left) * LANES)
}

struct PanelProduct<'a, 'b, 'c> {
    a: MatRef<'a>,
    b: MatRef<'a>,
    b_transposed: bool,
    /// The panel's first column.
    first: usize,
    /// That of the panel after this one, if it is to be asked for.
    next: Option<usize>,
    packed: &'b mut [f32],
    c: MatMut<'c>,
    epilogue: Epilogue<'a>,
    selected: Option<&'a [u32]>,
}

impl Kernel for PanelProduct<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (depth, cols) = (self.a.cols(), self.c.cols());
        let width = cols.div_ceil(LANES);
        let (lines, _) = self.packed.as_chunks_mut::<LANES>();
        let panel = &mut lines[..width * depth];
        if depth > 0 {
            pack_panel(s, self.b, self.b_transposed, self.first / LANES, width, panel);
        }
        let panels = Panels { data: panel, depth, cols };
        let ahead = self.next.and_then(|next| Ahead::new(self.b, next, self.c.rows()));
        let diagonal = self.epilogue.diagonal.map(|values| &values[self.first..][..cols]);
        let epilogue = Epilogue { diagonal, ..self.epilogue };
        selected_rows_product(s, self.a, panels, &mut self.c, epilogue, self.selected, ahead);
    }
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
    let (lines, _) = to.as_chunks_mut::<LANES>();
    if depth > 0 {
        let rest = &mut lines[..vectors * depth];
        let panels = PackedPanels { rest, depth, cols, registers: registers(isa), first: 0 };
        for_each(threads, panels, |(first, to)| {
            dispatch(isa, PackPanel { b, transposed, first, width: to.len() / depth, to });
        });
    }
    Panels { data: &lines[..vectors * depth], depth, cols }
}

/// The memory of each panel, in order, with the panel's first vector.
struct PackedPanels<'a> {
    rest: &'a mut [[f32; LANES]],
    depth: usize,
    cols: usize,
    registers: usize,
    first: usize,
}

impl<'a> Iterator for PackedPanels<'a> {
    type Item = (usize, &'a mut [[f32; LANES]]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (first, width) = (self.first, panel_vectors(self.registers, self.cols - self.first * LANES));
        let (panel, rest) = std::mem::take(&mut self.rest).split_at_mut(width * self.depth);
        self.rest = rest;
        self.first += width;
        Some((first, panel))
    }
}

/// Packs one panel, of `width` vectors from the vector `first` on.
pub(crate) struct PackPanel<'a, 'b> {
    pub(crate) b: MatRef<'a>,
    pub(crate) transposed: bool,
    pub(crate) first: usize,
    pub(crate) width: usize,
    pub(crate) to: &'b mut [[f32; LANES]],
}

impl Kernel for PackPanel<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        pack_panel(s, self.b, self.transposed, self.first, self.width, self.to);
    }
}

/// The product of the rows of `a` from `first` on, as many as c has.
pub(crate) struct ChunkProduct<'a, 'c> {
    pub(crate) a: MatRef<'a>,
    pub(crate) first: usize,
    pub(crate) panels: Panels<'a>,
    pub(crate) c: MatMut<'c>,
    pub(crate) epilogue: Epilogue<'a>,
}

impl Kernel for ChunkProduct<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let a = self.a.rows_range(self.first..self.first + self.c.rows());
        chunk_product(s, a, self.panels, &mut self.c, self.epilogue);
    }
}

#[cfg(test)]
mod tests;
