//! The blocked product, legal for every shape, and what all dense work of a few samples or more runs on.
//!
//! ```text
//! pack b into panels of NV vectors: panel[p][k] = b[k, 16 NV p ..][..16 NV]     once per call, shared by all threads
//! for each chunk of CHUNK rows of c                                             the unit of parallel work
//!   for each block of DEPTH values of k                                         (1)
//!     for each panel p                                                          stays in L1 for the whole chunk
//!       for each tile of MR rows                                                MR x NV accumulators in registers
//!         acc = sum over k of a[row, k] * panel[p][k]                           one broadcast, NV fused multiply-adds
//!         c   = write(c, acc)                                                   (2)
//! ```
//! 1. `DEPTH` is the same on every instruction set because it decides the order of the sums: each output is a chain of fused
//!    multiply-adds over k within a block, and blocks are added in order. `MR`, `NV` and `CHUNK` do not touch that order.
//! 2. `a` is read where it lies: a broadcast needs no packing, and 8 rows are 8 streams the hardware follows. Only a transposed
//!    `a` is packed, a chunk at a time.

use crate::matrix::{MatMut, MatRef};
use crate::simd::{LANES, Simd};

/// Values of k summed before they are added to c.
pub(crate) const DEPTH: usize = 256;
/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 8;
/// Rows of c that are one item of parallel work.
pub(crate) const CHUNK: usize = 56;

/// Vectors per panel on an instruction set.
#[inline(always)]
pub(crate) const fn panel_vectors(registers: usize) -> usize {
    if registers >= 32 { 3 } else { 1 }
}

/// `b` in panels: for each panel, `depth` rows of `vectors` vectors; columns beyond `cols` are zero.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) data: &'a [[f32; LANES]],
    pub(crate) depth: usize,
    pub(crate) cols: usize,
}

/// Vectors needed to pack a `depth` x `cols` matrix.
pub(crate) fn packed_len(depth: usize, cols: usize) -> usize {
    depth * cols.next_multiple_of(LANES)
}

/// How a tile's sums reach c.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// `None`: c = sum. `Some(s)`: c += s * sum.
    pub(crate) scale: Option<f32>,
    /// With a scale: sum += diagonal[column] * c, with c as it was before the call.
    pub(crate) diagonal: Option<&'a [f32]>,
    /// Negative results become zero.
    pub(crate) non_negative: bool,
}

impl Epilogue<'static> {
    pub(crate) const REPLACE: Self = Epilogue { scale: None, diagonal: None, non_negative: false };

    pub(crate) const fn add(scale: f32) -> Self {
        Epilogue { scale: Some(scale), diagonal: None, non_negative: false }
    }
}

impl<'a> Panels<'a> {
    /// The panel that starts at vector `first` and is `count` vectors wide, and its rows `range`.
    #[inline(always)]
    fn rows<const NV: usize>(&self, first: usize, range: std::ops::Range<usize>) -> &'a [[[f32; LANES]; NV]] {
        let start = first * self.depth;
        let (rows, rest) = self.data[start..start + NV * self.depth].as_chunks::<NV>();
        debug_assert!(rest.is_empty());
        &rows[range]
    }

    /// The panels that cover the columns from `first` (a multiple of the panel width) on.
    #[allow(dead_code)]
    pub(crate) fn columns(&self, first: usize, cols: usize) -> Panels<'a> {
        debug_assert!(first.is_multiple_of(LANES));
        Panels { data: &self.data[first / LANES * self.depth..], depth: self.depth, cols }
    }
}

/// `c = write(c, a * panels)` for one chunk of rows.
///
/// `a` holds the chunk's rows, at least as many columns as the panels are deep.
#[inline(always)]
pub(crate) fn chunk_product<S: Simd>(
    s: S,
    a: MatRef<'_>,
    panels: Panels<'_>,
    c: &mut MatMut<'_>,
    epilogue: Epilogue<'_>,
) {
    let (rows, depth, vectors) = (c.rows(), panels.depth, panels.cols.div_ceil(LANES));
    if depth == 0 {
        return finish_empty(c, epilogue);
    }
    for k in (0..depth).step_by(DEPTH) {
        let range = k..depth.min(k + DEPTH);
        let block = Epilogue {
            // Later blocks add to what the first has written.
            scale: if k == 0 { epilogue.scale } else { Some(epilogue.scale.unwrap_or(1.0)) },
            diagonal: if k == 0 { epilogue.diagonal } else { None },
            non_negative: epilogue.non_negative && range.end == depth,
        };
        let mut vector = 0;
        while vector < vectors {
            let width = panel_vectors(S::REGISTERS).min(vectors - vector);
            let mut row = 0;
            while row < rows {
                let live = TILE_ROWS.min(rows - row);
                // A short last tile repeats its last row and throws the repeats away.
                let a: [&[f32]; TILE_ROWS] = std::array::from_fn(|i| &a.row(row + i.min(live - 1))[range.clone()]);
                let place = Place { row, live, col: vector * LANES, cols: panels.cols };
                match width {
                    3 => tile::<S, 3>(s, a, panels.rows(vector, range.clone()), c, place, block),
                    2 => tile::<S, 2>(s, a, panels.rows(vector, range.clone()), c, place, block),
                    _ => tile::<S, 1>(s, a, panels.rows(vector, range.clone()), c, place, block),
                }
                row += live;
            }
            vector += width;
        }
    }
}

/// An empty sum: c is replaced by zero, or scaled by its diagonal and clamped.
#[inline(always)]
fn finish_empty(c: &mut MatMut<'_>, epilogue: Epilogue<'_>) {
    for row in 0..c.rows() {
        for (col, value) in c.row_mut(row).iter_mut().enumerate() {
            let old = *value;
            let sum = epilogue.diagonal.map_or(0.0, |d| d[col] * old);
            *value = epilogue.scale.map_or(0.0, |scale| scale.mul_add(sum, old));
            if epilogue.non_negative && *value < 0.0 {
                *value = 0.0;
            }
        }
    }
}

/// Where a tile lies in c: its first row, its rows that count, its first column, and the columns of c.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    live: usize,
    col: usize,
    cols: usize,
}

#[inline(always)]
fn tile<S: Simd, const NV: usize>(
    s: S,
    a: [&[f32]; TILE_ROWS],
    panel: &[[[f32; LANES]; NV]],
    c: &mut MatMut<'_>,
    place: Place,
    epilogue: Epilogue<'_>,
) {
    let depth = panel.len();
    let a = a.map(|row| &row[..depth]);
    let mut acc = [[s.zero(); NV]; TILE_ROWS];
    for k in 0..depth {
        let mut b = [s.zero(); NV];
        for v in 0..NV {
            b[v] = s.load(&panel[k][v]);
        }
        for i in 0..TILE_ROWS {
            let value = s.splat(a[i][k]);
            for v in 0..NV {
                acc[i][v] = s.mul_add(value, b[v], acc[i][v]);
            }
        }
    }
    for i in 0..TILE_ROWS {
        if i >= place.live {
            break;
        }
        let row = c.row_mut(place.row + i);
        for v in 0..NV {
            let col = place.col + v * LANES;
            write_vector(s, acc[i][v], col, &mut row[col..place.cols.min(col + LANES)], epilogue);
        }
    }
}

#[inline(always)]
fn write_vector<S: Simd>(s: S, sum: S::F32, col: usize, to: &mut [f32], epilogue: Epilogue<'_>) {
    let mut result = sum;
    if let Some(scale) = epilogue.scale {
        let old = match to.as_array::<LANES>() {
            Some(full) => s.load(full),
            None => s.load_partial(to),
        };
        if let Some(diagonal) = epilogue.diagonal {
            result = s.mul_add(s.load_partial(&diagonal[col..col + to.len()]), old, result);
        }
        result = s.mul_add(s.splat(scale), result, old);
    }
    if epilogue.non_negative {
        // The operands' order keeps NaN: max gives the second if either is NaN.
        result = s.max(s.zero(), result);
    }
    match to.as_mut_array::<LANES>() {
        Some(full) => s.store(result, full),
        None => s.store_partial(result, to),
    }
}

/// Packs the columns of panel vectors `first..first + width` of `b` (`depth` x `cols`), or of its transpose.
#[inline(always)]
pub(crate) fn pack_panel<S: Simd>(
    s: S,
    b: MatRef<'_>,
    transposed: bool,
    first: usize,
    width: usize,
    to: &mut [[f32; LANES]],
) {
    let cols = if transposed { b.rows() } else { b.cols() };
    let start = first * LANES;
    let end = cols.min(start + width * LANES);
    if transposed {
        for v in 0..width {
            let from = start + v * LANES;
            pack_transposed(s, b.rows_range(from..end.min(from + LANES)), v, width, to);
        }
        return;
    }
    for (k, line) in to.chunks_exact_mut(width).enumerate() {
        let row = &b.row(k)[start..end];
        let (whole, rest) = row.as_chunks::<LANES>();
        for (slot, values) in line.iter_mut().zip(whole) {
            *slot = *values;
        }
        if whole.len() < width {
            line[whole.len()..].fill([0.0; LANES]);
            line[whole.len()][..rest.len()].copy_from_slice(rest);
        }
    }
}

/// Packs up to 16 rows of `b` as the columns of vector `v` of a panel, 16 values of k at a time so that both sides stay in L1.
#[inline(always)]
fn pack_transposed<S: Simd>(_s: S, rows: MatRef<'_>, v: usize, width: usize, to: &mut [[f32; LANES]]) {
    let depth = to.len() / width;
    for k in (0..depth).step_by(LANES) {
        let end = depth.min(k + LANES);
        let mut block = [[0.0; LANES]; LANES];
        for (lane, row) in rows.iter_rows().enumerate() {
            for (at, &value) in row[k..end].iter().enumerate() {
                block[at][lane] = value;
            }
        }
        for (at, values) in block[..end - k].iter().enumerate() {
            to[(k + at) * width + v] = *values;
        }
    }
}
