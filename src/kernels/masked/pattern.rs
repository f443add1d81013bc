//! Fixed patterns of entries, checked once, and sparse matrices: a pattern and its values.

use std::fmt;

use rand_core::Rng;

use super::lists::{Kept, Lists, Summed, blocks};
use crate::error::{Error, Result};
use crate::matrix::{MatRef, Matrix};
use crate::random::Stream;
use crate::shown::shown;

/// Which entries of a `rows` x `cols` matrix there are: compressed rows, the column indices of each sorted and unique.
///
/// ```
/// use neuropil::kernels::masked::Pattern;
/// // Entries (0, 1), (0, 3) and (2, 0).
/// let pattern = Pattern::new(3, 4, vec![0, 2, 2, 3], vec![1, 3, 0])?;
/// assert_eq!(pattern.row(0), &[1, 3]);
/// let repeated = Pattern::new(3, 4, vec![0, 2, 2, 3], vec![1, 1, 0]);
/// assert_eq!(repeated.unwrap_err().to_string(), "pattern, row 0, entry 1: expected a column above 1, found 1");
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    rows: usize,
    cols: usize,
    /// `rows + 1` of them, non-decreasing from 0 to the number of entries.
    offsets: Vec<u32>,
    /// Below `cols`, increasing within each row.
    indices: Vec<u32>,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pattern { rows, cols, offsets, indices } = self;
        let mut printed = f.debug_struct("Pattern");
        printed.field("rows", rows).field("cols", cols);
        printed.field("offsets", &shown(offsets)).field("indices", &shown(indices)).finish()
    }
}

/// Rows, columns and entries are numbered in 31 bits.
pub(super) const MAX: usize = 1 << 31;

pub(super) fn check_shape(rows: usize, cols: usize) -> Result<()> {
    let small = rows < MAX && cols < MAX;
    if small {
        Ok(())
    } else {
        Err(Error::setting("pattern", "fewer than 2^31 rows and columns", format!("{rows} x {cols}")))
    }
}

/// Whether the next entry is one, with this probability.
fn chosen(density: f64, stream: Stream) -> impl FnMut() -> bool {
    // 2^32 times the density: 1 is never below it by accident, and 0 never above.
    let threshold = (density * 4_294_967_296.0) as u64;
    let mut generator = stream.generator();
    move || u64::from(generator.next_u32()) < threshold
}

impl Pattern {
    /// The pattern whose row `r` has the columns `indices[offsets[r]..offsets[r + 1]]`.
    ///
    /// Cost: two comparisons an entry, and two a row; nothing is copied.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not `rows + 1` offsets, or if the last is not the number of indices; [`Error::Setting`], naming row and
    /// entry, if the first offset is not 0, an offset is below the one before, a column is outside the matrix, or not above the one before; or if
    /// rows, columns or entries are 2^31 or more.
    pub fn new(rows: usize, cols: usize, offsets: Vec<u32>, indices: Vec<u32>) -> Result<Self> {
        check_shape(rows, cols)?;
        if offsets.len() != rows + 1 {
            return Err(Error::Length { what: "offsets of a pattern", expected: rows + 1, found: offsets.len() });
        }
        if offsets[0] != 0 {
            return Err(Error::setting("pattern, offset 0", "0", offsets[0]));
        }
        for (row, pair) in offsets.windows(2).enumerate() {
            if pair[1] < pair[0] {
                return Err(Error::setting(
                    format!("pattern, offset {}", row + 1),
                    format!("{} or more", pair[0]),
                    pair[1],
                ));
            }
        }
        let count = offsets[rows] as usize;
        if count != indices.len() {
            return Err(Error::Length { what: "indices of a pattern", expected: count, found: indices.len() });
        }
        if count >= MAX {
            return Err(Error::setting("pattern", "fewer than 2^31 entries", count));
        }
        for row in 0..rows {
            let mut lowest = 0;
            for (at, &col) in indices[offsets[row] as usize..offsets[row + 1] as usize].iter().enumerate() {
                let place = || format!("pattern, row {row}, entry {at}");
                if col as usize >= cols {
                    return Err(Error::setting(place(), format!("a column below {cols}"), col));
                }
                if col < lowest {
                    return Err(Error::setting(place(), format!("a column above {}", lowest - 1), col));
                }
                lowest = col + 1;
            }
        }
        Ok(Pattern { rows, cols, offsets, indices })
    }

    /// Every entry of a dense matrix that is not zero; NaN is not.
    ///
    /// # Errors
    /// As [`Pattern::from_fn`].
    pub fn from_dense(dense: MatRef<'_>) -> Result<Self> {
        Self::from_fn(dense.rows(), dense.cols(), |row, col| dense.row(row)[col] != 0.0)
    }

    /// Entry (row, col) where bit `row * cols + col` is set, bits counted from the lowest of each word.
    ///
    /// ```
    /// use neuropil::kernels::masked::Pattern;
    /// let pattern = Pattern::from_bits(2, 3, &[0b100_011])?;
    /// assert_eq!((pattern.row(0), pattern.row(1)), (&[0, 1][..], &[2][..]));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many words as the bits need; [`Error::Setting`] if a bit beyond the last entry is set, or as
    /// [`Pattern::from_fn`].
    pub fn from_bits(rows: usize, cols: usize, bits: &[u64]) -> Result<Self> {
        check_shape(rows, cols)?;
        let count = rows * cols;
        if bits.len() != count.div_ceil(64) {
            return Err(Error::Length { what: "words of a bit mask", expected: count.div_ceil(64), found: bits.len() });
        }
        if !count.is_multiple_of(64) && bits[count / 64] >> (count % 64) != 0 {
            return Err(Error::setting("bit mask", format!("no bit set beyond the {count} entries"), "one or more"));
        }
        Self::from_fn(rows, cols, |row, col| {
            let bit = row * cols + col;
            bits[bit / 64] >> (bit % 64) & 1 == 1
        })
    }

    /// Every entry with the probability `density`, independently, as the stream decides.
    ///
    /// Cost: a random number for every place of the matrix, however low the density.
    ///
    /// # Errors
    /// [`Error::Setting`] if `density` is not within 0 and 1; otherwise as [`Pattern::from_fn`].
    pub fn random(rows: usize, cols: usize, density: f64, stream: Stream) -> Result<Self> {
        if !(0.0..=1.0).contains(&density) {
            return Err(Error::setting("density", "0 to 1", density));
        }
        let mut chosen = chosen(density, stream);
        Self::from_fn(rows, cols, |_, _| chosen())
    }

    /// How many entries [`random`](Self::random) makes, without making them, at the same cost of a number for every place.
    #[cfg(feature = "systems")]
    pub(crate) fn random_entries(rows: usize, cols: usize, density: f64, stream: Stream) -> usize {
        let mut chosen = chosen(density, stream);
        (0..rows * cols).filter(|_| chosen()).count()
    }

    /// Every entry. Cost: a write for every place of the matrix, 4 bytes each.
    ///
    /// # Errors
    /// As [`Pattern::from_fn`].
    pub fn full(rows: usize, cols: usize) -> Result<Self> {
        Self::from_fn(rows, cols, |_, _| true)
    }

    /// The entries for which `keep(row, col)`, asked in row-major order. Cost: a call of it for every place of the matrix, however few are kept.
    ///
    /// # Errors
    /// [`Error::Setting`] if rows, columns or entries are 2^31 or more.
    pub fn from_fn(rows: usize, cols: usize, mut keep: impl FnMut(usize, usize) -> bool) -> Result<Self> {
        check_shape(rows, cols)?;
        let (mut offsets, mut indices) = (Vec::with_capacity(rows + 1), Vec::new());
        offsets.push(0);
        for row in 0..rows {
            indices.extend((0..cols).filter(|&col| keep(row, col)).map(|col| col as u32));
            if indices.len() >= MAX {
                return Err(Error::setting("pattern", "fewer than 2^31 entries", indices.len()));
            }
            offsets.push(indices.len() as u32);
        }
        Ok(Pattern { rows, cols, offsets, indices })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.indices.len()
    }

    /// Entries as a share of the whole matrix; 0 for an empty one.
    pub fn density(&self) -> f64 {
        let all = self.rows as f64 * self.cols as f64;
        if all == 0.0 { 0.0 } else { self.entries() as f64 / all }
    }

    /// The columns of a row's entries.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn row(&self, row: usize) -> &[u32] {
        &self.indices[self.range(row)]
    }

    /// Whether there is this entry; outside the matrix there is none. A search of the row: a comparison for each doubling of its entries.
    ///
    /// ```
    /// use neuropil::kernels::masked::Pattern;
    /// let pattern = Pattern::new(3, 4, vec![0, 2, 2, 3], vec![1, 3, 0])?;
    /// assert!(pattern.contains(0, 3) && !pattern.contains(0, 2) && !pattern.contains(1, 1) && !pattern.contains(3, 0));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn contains(&self, row: usize, col: usize) -> bool {
        // A column that 32 bits cannot number is none, not another.
        u32::try_from(col).is_ok_and(|col| row < self.rows && self.row(row).binary_search(&col).is_ok())
    }

    /// Which of all entries are a row's.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        assert!(row < self.rows, "row {row} of a pattern of {}", self.rows);
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// Where each row's entries begin, and where the last row's end.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The columns of all entries, row by row.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The rows, so many at a time, and what belongs to their entries of one value for each.
    pub(super) fn blocks<'v>(
        &self,
        mut values: &'v mut [f32],
        rows: usize,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, &'v mut [f32])> + Send {
        (0..self.rows).step_by(rows).map(move |first| {
            let rows = first..self.rows.min(first + rows);
            let count = (self.offsets[rows.end] - self.offsets[first]) as usize;
            let (own, rest) = std::mem::take(&mut values).split_at_mut(count);
            values = rest;
            (rows, own)
        })
    }

    /// A pattern from parts that a kernel has made well.
    pub(super) fn from_checked(rows: usize, cols: usize, offsets: Vec<u32>, indices: Vec<u32>) -> Self {
        debug_assert!(Pattern::new(rows, cols, offsets.clone(), indices.clone()).is_ok());
        Pattern { rows, cols, offsets, indices }
    }
}

/// A sparse matrix: a [`Pattern`] and a value for each of its entries.
///
/// Products build the order of entries that they need on first use, and keep it; [`update_values`](Self::update_values) keeps it too.
#[derive(Clone)]
pub struct SparseMatrix {
    pattern: Pattern,
    values: Vec<f32>,
    /// For products that sum over rows, and for those over rows and columns that have many samples.
    by_column: Kept,
    in_blocks: [Kept; 2],
}

impl fmt::Debug for SparseMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("SparseMatrix");
        printed.field("pattern", &self.pattern).field("values", &shown(&self.values)).finish_non_exhaustive()
    }
}

impl SparseMatrix {
    /// A pattern with values, in the order of its entries: row by row.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many values as entries.
    pub fn new(pattern: Pattern, values: Vec<f32>) -> Result<Self> {
        if values.len() != pattern.entries() {
            let (expected, found) = (pattern.entries(), values.len());
            return Err(Error::Length { what: "values of a sparse matrix", expected, found });
        }
        Ok(SparseMatrix { pattern, values, by_column: Kept::default(), in_blocks: Default::default() })
    }

    /// The values of a dense matrix at a pattern's entries; what the pattern leaves out, NaN included, is not read. Cost: a read and a write an
    /// entry.
    ///
    /// ```
    /// use neuropil::Matrix;
    /// use neuropil::kernels::masked::{Pattern, SparseMatrix};
    /// let dense = Matrix::from_slice(&[1.0, f32::NAN, 0.0, 4.0], 2, 2)?;
    /// let masked = SparseMatrix::from_masked(dense.view(), Pattern::from_bits(2, 2, &[0b1101])?)?;
    /// assert_eq!(masked.values(), &[1.0, 0.0, 4.0]);
    /// assert_eq!(masked.to_dense().as_slice(), &[1.0, 0.0, 0.0, 4.0]);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if the shapes differ.
    pub fn from_masked(dense: MatRef<'_>, pattern: Pattern) -> Result<Self> {
        let shape = [
            ("a column of the dense matrix", pattern.rows, dense.rows()),
            ("a row of the dense matrix", pattern.cols, dense.cols()),
        ];
        if let Some((what, expected, found)) = shape.into_iter().find(|(_, expected, found)| expected != found) {
            return Err(Error::Length { what, expected, found });
        }
        let mut values = Vec::with_capacity(pattern.entries());
        for row in 0..pattern.rows {
            let from = dense.row(row);
            values.extend(pattern.row(row).iter().map(|&col| from[col as usize]));
        }
        Ok(SparseMatrix { pattern, values, by_column: Kept::default(), in_blocks: Default::default() })
    }

    /// Its entries.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.pattern.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.pattern.cols
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The pattern and the values, to be used in other ways.
    pub fn into_parts(self) -> (Pattern, Vec<f32>) {
        (self.pattern, self.values)
    }

    /// Changes the values in place. The pattern stays, and entries that become zero stay entries.
    ///
    /// Cost: that of the function, and a read and a write an entry for each order of them that products have built.
    pub fn update_values<R>(&mut self, change: impl FnOnce(&mut [f32]) -> R) -> R {
        let result = change(&mut self.values);
        for kept in self.in_blocks.iter_mut().chain([&mut self.by_column]) {
            kept.set_values(&self.values);
        }
        result
    }

    /// The same as a dense matrix, zero outside the pattern. Cost: memory of rows x columns, and a write an entry.
    pub fn to_dense(&self) -> Matrix {
        let mut dense = Matrix::zeros(self.rows(), self.cols());
        self.write_to(&mut dense);
        dense
    }

    /// Writes the values of all entries into a dense matrix of the same shape.
    pub(super) fn write_to(&self, dense: &mut Matrix) {
        for row in 0..self.rows() {
            let to = dense.row_mut(row);
            for at in self.pattern.range(row) {
                to[self.pattern.indices[at] as usize] = self.values[at];
            }
        }
    }

    /// Each row's entries.
    pub(crate) fn by_row(&self) -> Lists<'_> {
        let Pattern { offsets, indices, cols, rows } = &self.pattern;
        Lists { offsets, indices, values: &self.values, inputs: *cols, outputs: *rows }
    }

    /// The lists for a product that sums over rows or columns, for so many samples that blocks of inputs pay, or for fewer.
    pub(super) fn lists(&self, summed: Summed, many_samples: bool) -> Lists<'_> {
        let (at, inputs) = match summed {
            Summed::Rows => (0, self.rows()),
            Summed::Columns => (1, self.cols()),
        };
        let blocks = if many_samples { blocks(inputs, self.pattern.density()) } else { 1 };
        let kept = match (blocks, summed) {
            (1, Summed::Columns) => return self.by_row(),
            (1, Summed::Rows) => &self.by_column,
            _ => &self.in_blocks[at],
        };
        kept.lists(|reordered| reordered.fill(&self.pattern, &self.values, summed, blocks))
    }

    /// Its offsets, indices and values, for reuse: what is left has no rows.
    pub(super) fn take_parts(&mut self) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let empty = Pattern { rows: 0, cols: 0, offsets: vec![0], indices: Vec::new() };
        let Pattern { offsets, indices, .. } = std::mem::replace(&mut self.pattern, empty);
        (offsets, indices, std::mem::take(&mut self.values))
    }

    /// Another pattern with as many values. Other orders of them are built when they are next needed, in the memory of those before.
    pub(super) fn set_parts(&mut self, pattern: Pattern, values: Vec<f32>) {
        debug_assert_eq!(pattern.entries(), values.len());
        (self.pattern, self.values) = (pattern, values);
        self.in_blocks.iter_mut().chain([&mut self.by_column]).for_each(Kept::forget);
    }
}

impl PartialEq for SparseMatrix {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.values == other.values
    }
}
