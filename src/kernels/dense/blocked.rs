//! The blocked product, legal for every shape, and what all dense work of more than [some tens of rows](super::unpacked) runs on.
//!
//! ```text
//! for each panel of NV vectors of columns of b            panel[k] = b[k, 16 NV p ..][..16 NV], packed so that it reads as a stream
//!   for each block of DEPTH values of k                                         (1)
//!     for each tile of MR rows                                                  MR x NV accumulators in registers
//!       acc = sum over k of a[row, k] * panel[k]                                one broadcast, NV fused multiply-adds
//!       c   = write(c, acc)                                                     (2)
//! ```
//! 1. `DEPTH` is the same on every instruction set because it decides the order of the sums: each output is a chain of fused
//!    multiply-adds over k within a block, and blocks are added in order. `MR`, `NV` and who does which panel do not touch it.
//! 2. `a` is read where it lies: a broadcast needs no packing, and 8 rows are 8 streams the hardware follows.
//!
//! Up to 10 columns behind the last whole vector are a panel of their own, for which rows of a lie across the lanes, transposed sixteen by
//! sixteen; up to 4 where registers are few.
//!
//! A block of a panel stays in L1 for all its tiles, the panel's columns of c in L2; a streams at 3 bytes a cycle.

use crate::matrix::{MatMut, MatRef};
use crate::simd::{LANES, Simd};

/// Values of k summed before they are added to c.
pub(crate) const DEPTH: usize = 256;
/// Rows of c that are one item of parallel work where a chunk's rows are done with all panels: a multiple of every tile.
pub(crate) const CHUNK: usize = 48;

/// The widest panel, in vectors.
pub(crate) const MAX_PANEL: usize = 4;

/// Up to this many columns behind the last whole vector are a panel of their own: [`few_columns`].
const FEW: usize = 10;

/// Vectors of the next panel when this many columns are left, on an instruction set with this many registers.
///
/// With 32 registers 8 x 3 tiles are best, and 6 x 4 where four vectors are left: 8 x 1 would be bound by its loads.
#[inline(always)]
pub(crate) const fn panel_vectors(registers: usize, columns: usize) -> usize {
    let (whole, rest) = (columns / LANES, columns % LANES);
    let left = if whole > 0 && rest <= FEW { whole } else { columns.div_ceil(LANES) };
    match left {
        _ if registers < 32 => 1,
        4 => 4,
        1 | 2 => left,
        _ => 3,
    }
}

/// `b` in panels: for each panel, `depth` rows of `vectors` vectors; columns beyond `cols` are zero.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) data: &'a [[f32; LANES]],
    pub(crate) depth: usize,
    pub(crate) cols: usize,
}

/// Values of a packed `depth` x `cols` matrix, whose rows are whole vectors.
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

impl Epilogue<'_> {
    /// That of the block of k from `first` on: later blocks add to what the first has written, and the last may clamp.
    #[inline(always)]
    pub(super) fn of_block(self, first: usize, last: bool) -> Self {
        Epilogue {
            scale: if first == 0 { self.scale } else { Some(self.scale.unwrap_or(1.0)) },
            diagonal: if first == 0 { self.diagonal } else { None },
            non_negative: self.non_negative && last,
        }
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
    selected_rows_product(s, a, panels, c, epilogue, None, None);
}

/// The same for some rows of `a` and `c` only, in increasing order, if `selected` names them.
#[inline(always)]
pub(crate) fn selected_rows_product<S: Simd>(
    s: S,
    a: MatRef<'_>,
    panels: Panels<'_>,
    c: &mut MatMut<'_>,
    epilogue: Epilogue<'_>,
    selected: Option<&[u32]>,
    mut ahead: Option<Ahead<'_>>,
) {
    let (depth, vectors) = (panels.depth, panels.cols.div_ceil(LANES));
    let rows = selected.map_or(c.rows(), <[u32]>::len);
    if depth == 0 {
        assert!(selected.is_none(), "no empty sums for a choice of rows");
        return finish_empty(c, epilogue);
    }
    let mut vector = 0;
    while vector < vectors {
        let columns = panels.cols - vector * LANES;
        let width = panel_vectors(S::REGISTERS, columns);
        let mut first = 0;
        if columns <= FEW && selected.is_none() {
            first = match columns {
                ..=4 => few_columns::<S, 4>(s, a, panels, vector, c, epilogue),
                // With few registers eight sums leave none for the transpose.
                _ if S::REGISTERS < 32 => 0,
                5..=8 => few_columns::<S, 8>(s, a, panels, vector, c, epilogue),
                _ => few_columns::<S, FEW>(s, a, panels, vector, c, epilogue),
            };
        }
        for k in (0..depth).step_by(DEPTH) {
            let range = k..depth.min(k + DEPTH);
            let block = epilogue.of_block(k, range.end == depth);
            let place = Place { row: first, rows, selected, col: vector * LANES };
            if S::REGISTERS >= 32 {
                match width {
                    4 => tiles::<S, 6, 4>(s, a, panels.rows(vector, range.clone()), range, c, place, block, &mut ahead),
                    3 => tiles::<S, 8, 3>(s, a, panels.rows(vector, range.clone()), range, c, place, block, &mut ahead),
                    2 => tiles::<S, 8, 2>(s, a, panels.rows(vector, range.clone()), range, c, place, block, &mut ahead),
                    _ => tiles::<S, 8, 1>(s, a, panels.rows(vector, range.clone()), range, c, place, block, &mut ahead),
                }
            } else {
                tiles::<S, 6, 1>(s, a, panels.rows(vector, range.clone()), range, c, place, block, &mut ahead);
            }
        }
        vector += width;
    }
}

/// What the next panel is made of, asked for while this one is computed: a few rows a tile, whose distance the hardware does not follow.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a> {
    from: MatRef<'a>,
    col: usize,
    row: usize,
    /// Rows to ask for with every tile.
    each: usize,
}

impl<'a> Ahead<'a> {
    /// The columns from `col` on, while `rows` rows of a product of the same depth are computed; nothing beyond the last column, and nothing
    /// if the rows are so few that the requests would come all at once, or the product is empty.
    #[inline(always)]
    pub(crate) fn new(from: MatRef<'a>, col: usize, rows: usize) -> Option<Self> {
        let tiles = from.rows().div_ceil(DEPTH) * rows.div_ceil(8);
        (col < from.cols() && rows >= 64 && tiles > 0).then(|| Ahead {
            from,
            col,
            row: 0,
            each: from.rows().div_ceil(tiles),
        })
    }

    #[inline(always)]
    fn ask<S: Simd, const NV: usize>(&mut self, s: S) {
        let end = self.from.rows().min(self.row + self.each);
        for row in self.row..end {
            let values = &self.from.row(row)[self.col..];
            for v in 0..NV {
                if let Some(value) = values.get(v * LANES) {
                    s.prefetch(value);
                }
            }
        }
        self.row = end;
    }
}

/// All tiles of one block of a panel.
#[inline(always)]
fn tiles<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    a: MatRef<'_>,
    panel: &[[[f32; LANES]; NV]],
    range: std::ops::Range<usize>,
    c: &mut MatMut<'_>,
    mut place: Place<'_>,
    epilogue: Epilogue<'_>,
    ahead: &mut Option<Ahead<'_>>,
) {
    while place.row < place.rows {
        if let Some(ahead) = ahead {
            ahead.ask::<S, NV>(s);
        }
        // A short last tile repeats its last row and throws the repeats away.
        // A loop, as in `tile`: the array functions of the standard library do not inline here.
        let mut rows: [&[f32]; MR] = [&[]; MR];
        for i in 0..MR {
            rows[i] = &a.row(place.nth((place.row + i).min(place.rows - 1)))[range.clone()];
        }
        tile::<S, MR, NV>(s, rows, panel, c, place, epilogue);
        place.row += MR;
    }
}

/// The last panel, of at most `C` columns, for sixteen rows at a time, which lie across the lanes: `C` multiply-adds rather than 16, and a
/// transpose. Every sum is the chain that it is in a tile. The first row that is left.
#[inline(always)]
fn few_columns<S: Simd, const C: usize>(
    s: S,
    a: MatRef<'_>,
    panels: Panels<'_>,
    vector: usize,
    c: &mut MatMut<'_>,
    epilogue: Epilogue<'_>,
) -> usize {
    let (depth, col) = (panels.depth, vector * LANES);
    let whole = c.rows() / LANES * LANES;
    for row in (0..whole).step_by(LANES) {
        // All blocks of these rows, which are read to their ends.
        for first in (0..depth).step_by(DEPTH) {
            let end = depth.min(first + DEPTH);
            let (blocks, rest) = panels.rows::<1>(vector, first..end).as_chunks::<LANES>();
            let mut acc = [s.zero(); C];
            for (at, block) in blocks.iter().enumerate() {
                let values = transpose_block(s, a, row, LANES, first + at * LANES, LANES);
                for k in 0..LANES {
                    for j in 0..C {
                        acc[j] = s.mul_add(values[k], s.splat(block[k][0][j]), acc[j]);
                    }
                }
            }
            if !rest.is_empty() {
                let values = transpose_block(s, a, row, LANES, end - rest.len(), rest.len());
                for (line, value) in rest.iter().zip(values) {
                    for j in 0..C {
                        acc[j] = s.mul_add(value, s.splat(line[0][j]), acc[j]);
                    }
                }
            }
            let mut sums = [s.zero(); LANES];
            sums[..C].copy_from_slice(&acc);
            let epilogue = epilogue.of_block(first, end == depth);
            for (i, sums) in s.transpose(sums).into_iter().enumerate() {
                let to = &mut c.row_mut(row + i)[col..];
                let end = to.len().min(LANES);
                write_vector(s, sums, col, &mut to[..end], epilogue);
            }
        }
    }
    whole
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

/// Where a tile lies in c: its first row of how many (selected) ones, its first column.
#[derive(Clone, Copy)]
struct Place<'a> {
    row: usize,
    rows: usize,
    selected: Option<&'a [u32]>,
    col: usize,
}

impl Place<'_> {
    /// The n-th row.
    #[inline(always)]
    fn nth(&self, n: usize) -> usize {
        match self.selected {
            Some(rows) => rows[n] as usize,
            None => n,
        }
    }
}

#[inline(always)]
fn tile<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    a: [&[f32]; MR],
    panel: &[[[f32; LANES]; NV]],
    c: &mut MatMut<'_>,
    place: Place<'_>,
    epilogue: Epilogue<'_>,
) {
    let depth = panel.len();
    // One length for all rows, known here: no bounds are checked below.
    let mut a = a;
    for i in 0..MR {
        a[i] = &a[i][..depth];
    }
    // What is written comes nearer meanwhile.
    let whole = place.rows - place.row >= MR && place.col + NV * LANES <= c.cols();
    if whole && depth >= 64 {
        for i in 0..MR {
            let row = &c.row(place.nth(place.row + i))[place.col..place.col + NV * LANES];
            for v in 0..NV {
                s.prefetch(&row[v * LANES]);
            }
        }
    }
    let mut acc = [[s.zero(); NV]; MR];
    for k in 0..depth {
        let mut b = [s.zero(); NV];
        for v in 0..NV {
            b[v] = s.load(&panel[k][v]);
        }
        for i in 0..MR {
            let value = s.splat(a[i][k]);
            for v in 0..NV {
                acc[i][v] = s.mul_add(value, b[v], acc[i][v]);
            }
        }
    }
    if whole && epilogue.diagonal.is_none() {
        // Small enough to unroll, so that the sums stay in registers.
        let lowest = s.splat(if epilogue.non_negative { 0.0 } else { f32::NEG_INFINITY });
        if let Some(scale) = epilogue.scale {
            let scale = s.splat(scale);
            for i in 0..MR {
                let to = whole_vectors::<NV>(c, place.nth(place.row + i), place.col);
                for v in 0..NV {
                    let new = s.mul_add(scale, acc[i][v], s.load(&to[v]));
                    s.store(s.max(lowest, new), &mut to[v]);
                }
            }
        } else {
            for i in 0..MR {
                let to = whole_vectors::<NV>(c, place.nth(place.row + i), place.col);
                for v in 0..NV {
                    s.store(s.max(lowest, acc[i][v]), &mut to[v]);
                }
            }
        }
        return;
    }
    if let (true, Some(diagonal), Some(scale)) = (whole, epilogue.diagonal, epilogue.scale) {
        let lowest = s.splat(if epilogue.non_negative { 0.0 } else { f32::NEG_INFINITY });
        let (diagonal, scale) = (&diagonal[place.col..][..NV * LANES].as_chunks::<LANES>().0[..NV], s.splat(scale));
        for i in 0..MR {
            let to = whole_vectors::<NV>(c, place.nth(place.row + i), place.col);
            for v in 0..NV {
                let old = s.load(&to[v]);
                let sum = s.mul_add(s.load(&diagonal[v]), old, acc[i][v]);
                s.store(s.max(lowest, s.mul_add(scale, sum, old)), &mut to[v]);
            }
        }
        return;
    }
    // The sums leave the registers here, in loops that unroll: the loops below need not, and would keep them in memory throughout.
    let mut sums = [[[0.0; LANES]; NV]; MR];
    for i in 0..MR {
        for v in 0..NV {
            s.store(acc[i][v], &mut sums[i][v]);
        }
    }
    for (i, sums) in sums[..MR.min(place.rows - place.row)].iter().enumerate() {
        let row = &mut c.row_mut(place.nth(place.row + i))[place.col..];
        let (whole, _) = row.as_chunks_mut::<LANES>();
        if let Some(whole) = whole.first_chunk_mut::<NV>() {
            for v in 0..NV {
                write_whole(s, s.load(&sums[v]), place.col + v * LANES, &mut whole[v], epilogue);
            }
            continue;
        }
        for (v, sum) in sums.iter().enumerate() {
            let end = row.len().min((v + 1) * LANES);
            write_vector(s, s.load(sum), place.col + v * LANES, &mut row[v * LANES..end], epilogue);
        }
    }
}

#[inline(always)]
fn whole_vectors<'c, const NV: usize>(c: &'c mut MatMut<'_>, row: usize, col: usize) -> &'c mut [[f32; LANES]; NV] {
    let (vectors, _) = c.row_mut(row)[col..col + NV * LANES].as_chunks_mut::<LANES>();
    vectors.first_chunk_mut::<NV>().expect("checked by the caller")
}

#[inline(always)]
fn write_whole<S: Simd>(s: S, sum: S::F32, col: usize, to: &mut [f32; LANES], epilogue: Epilogue<'_>) {
    let old = if epilogue.scale.is_some() { s.load(to) } else { s.zero() };
    let diagonal = epilogue.diagonal.map(|values| s.load_partial(&values[col..col + LANES]));
    s.store(finish(s, sum, old, diagonal, epilogue), to);
}

#[inline(always)]
pub(super) fn write_vector<S: Simd>(s: S, sum: S::F32, col: usize, to: &mut [f32], epilogue: Epilogue<'_>) {
    let old = if epilogue.scale.is_some() { s.load_partial(to) } else { s.zero() };
    let diagonal = epilogue.diagonal.map(|values| s.load_partial(&values[col..col + to.len()]));
    s.store_partial(finish(s, sum, old, diagonal, epilogue), to);
}

#[inline(always)]
fn finish<S: Simd>(s: S, sum: S::F32, old: S::F32, diagonal: Option<S::F32>, epilogue: Epilogue<'_>) -> S::F32 {
    let mut result = sum;
    if let Some(scale) = epilogue.scale {
        if let Some(diagonal) = diagonal {
            result = s.mul_add(diagonal, old, result);
        }
        result = s.mul_add(s.splat(scale), result, old);
    }
    // The operands' order keeps NaN: max gives the second if either is NaN.
    if epilogue.non_negative { s.max(s.zero(), result) } else { result }
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

/// Packs up to 16 rows of `b` as the columns of vector `v` of a panel, a 16 x 16 block at a time.
#[inline(always)]
pub(crate) fn pack_transposed<S: Simd>(s: S, rows: MatRef<'_>, v: usize, width: usize, to: &mut [[f32; LANES]]) {
    let depth = to.len() / width;
    for k in (0..depth).step_by(LANES) {
        let len = LANES.min(depth - k);
        let block = transpose_block(s, rows, 0, rows.rows(), k, len);
        for at in 0..len {
            s.store(block[at], &mut to[(k + at) * width + v]);
        }
    }
}

/// The transpose of rows `row..row + height` and columns `col..col + width` (both at most 16), zeros around it.
#[inline(always)]
pub(crate) fn transpose_block<S: Simd>(
    s: S,
    from: MatRef<'_>,
    row: usize,
    height: usize,
    col: usize,
    width: usize,
) -> [S::F32; LANES] {
    let mut block = [s.zero(); LANES];
    if height == LANES && width == LANES {
        for i in 0..LANES {
            let (values, _) = from.row(row + i)[col..col + LANES].as_chunks::<LANES>();
            block[i] = s.load(&values[0]);
        }
    } else {
        for i in 0..LANES {
            if i < height {
                block[i] = s.load_partial(&from.row(row + i)[col..col + width]);
            }
        }
    }
    s.transpose(block)
}

/// Writes a block's transpose: `height` rows of `to` from `row` on, in these columns.
#[inline(always)]
pub(crate) fn write_transposed<S: Simd>(
    s: S,
    block: &[[f32; LANES]; LANES],
    to: &mut MatMut<'_>,
    row: usize,
    height: usize,
    columns: std::ops::Range<usize>,
) {
    let mut lines = [s.zero(); LANES];
    for at in 0..LANES {
        lines[at] = s.load(&block[at]);
    }
    let lines = s.transpose(lines);
    for i in 0..LANES {
        if i < height {
            s.store_partial(lines[i], &mut to.row_mut(row + i)[columns.clone()]);
        }
    }
}

/// Columns `first..first + rows` of `a` as the rows of a matrix in scratch memory.
#[inline(always)]
pub(crate) fn transpose_columns<'s, S: Simd>(
    s: S,
    a: MatRef<'_>,
    first: usize,
    rows: usize,
    scratch: &'s mut [f32],
) -> MatRef<'s> {
    let depth = a.rows();
    let stride = depth.next_multiple_of(LANES);
    let mut to = MatMut::with_stride(&mut *scratch, rows, depth, stride).expect("scratch memory for a chunk");
    transpose_to(s, a.columns(first..first + rows), &mut to);
    MatRef::with_stride(scratch, rows, depth, stride).expect("scratch memory for a chunk")
}

/// Columns of `a` as the rows of `to`, in blocks of 16 x 16.
#[inline(always)]
pub(crate) fn transpose_to<S: Simd>(s: S, a: MatRef<'_>, to: &mut MatMut<'_>) {
    let (rows, depth) = (to.rows(), to.cols());
    for k in (0..depth).step_by(LANES) {
        for i in (0..rows).step_by(LANES) {
            let (width, height) = (LANES.min(rows - i), LANES.min(depth - k));
            let block = transpose_block(s, a, k, height, i, width);
            let mut lanes = [[0.0; LANES]; LANES];
            for at in 0..LANES {
                s.store(block[at], &mut lanes[at]);
            }
            for (at, lanes) in lanes[..width].iter().enumerate() {
                to.row_mut(i + at)[k..k + height].copy_from_slice(&lanes[..height]);
            }
        }
    }
}
