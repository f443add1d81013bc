//! Row-major `f32` matrices: an owned, 64-byte aligned [`Matrix`] and the views [`MatRef`] and [`MatMut`].
//!
//! A view is a slice with a shape: `rows` rows of `cols` neighbouring values, each row `stride` values after the one
//! before. It borrows whatever the caller has (a `Vec`, a memory map, a `faer` or `ndarray` matrix) without a copy.
//!
//! ```
//! use neuropil::{MatRef, Matrix};
//! let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
//! let view = MatRef::new(&values, 2, 3)?;
//! assert_eq!(view.row(1), &[4.0, 5.0, 6.0]);
//! assert_eq!(view.columns(1..3).row(0), &[2.0, 3.0]);
//! let owned: Matrix = view.to_owned();
//! assert_eq!(owned[(1, 2)], 6.0);
//! # Ok::<(), neuropil::Error>(())
//! ```

use std::fmt;
use std::ops::{Index, IndexMut, Range};

use crate::error::{Error, Result};
use crate::shown::Shown;
use crate::simd::rows::{Rows, RowsMut, span};

mod buffer;
pub(crate) use buffer::{LINE, LONGEST_BUFFER, aligned_buffer};

/// An owned row-major matrix whose first value lies on a 64-byte boundary.
///
/// One of 2 MiB and more asks the system for large pages (Linux, where `/sys/kernel/mm/transparent_hugepage/enabled` is not `never`): kernels
/// take up to a quarter less time on them. Views of other memory are as fast as that memory.
pub struct Matrix {
    data: Vec<f32>,
    offset: usize,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// A matrix of zeros.
    ///
    /// # Panics
    /// If so many values do not fit into the address space, or a matrix without values has more than `isize::MAX` rows or columns.
    #[track_caller]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        // No closure: one would not know the caller's line.
        let len = span(rows, cols, cols).filter(|len| *len <= LONGEST_BUFFER);
        let Some(len) = len else { panic!("a {rows} x {cols} matrix does not fit in memory") };
        let (data, offset) = aligned_buffer(len);
        Matrix { data, offset, rows, cols }
    }

    /// A matrix whose value at `(row, col)` is `value(row, col)`, filled in row-major order.
    ///
    /// # Panics
    /// As [`Matrix::zeros`].
    #[track_caller]
    pub fn from_fn(rows: usize, cols: usize, mut value: impl FnMut(usize, usize) -> f32) -> Self {
        let mut matrix = Matrix::zeros(rows, cols);
        for row in 0..rows {
            for (col, slot) in matrix.row_mut(row).iter_mut().enumerate() {
                *slot = value(row, col);
            }
        }
        matrix
    }

    /// A copy of `rows * cols` values in row-major order.
    ///
    /// # Errors
    /// As [`MatRef::new`].
    pub fn from_slice(values: &[f32], rows: usize, cols: usize) -> Result<Self> {
        Ok(MatRef::new(values, rows, cols)?.to_owned())
    }

    /// A matrix of another shape in the same memory, if that is enough, and of zeros otherwise.
    pub(crate) fn reshaped(self, rows: usize, cols: usize) -> Self {
        match span(rows, cols, cols) {
            Some(len) if len <= self.data.len() - self.offset => Matrix { rows, cols, ..self },
            _ => Matrix::zeros(rows, cols),
        }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values in row-major order.
    #[inline]
    pub fn as_slice(&self) -> &[f32] {
        &self.data[self.offset..self.offset + self.rows * self.cols]
    }

    /// All values in row-major order, to change.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data[self.offset..self.offset + self.rows * self.cols]
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub fn row(&self, row: usize) -> &[f32] {
        self.row_exists(row);
        &self.as_slice()[row * self.cols..(row + 1) * self.cols]
    }

    /// One row, to change.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        self.row_exists(row);
        let cols = self.cols;
        &mut self.as_mut_slice()[row * cols..(row + 1) * cols]
    }

    #[inline(always)]
    #[track_caller]
    fn row_exists(&self, row: usize) {
        assert!(row < self.rows, "row {row} of a matrix of {} rows", self.rows);
    }

    /// A view of the whole.
    #[inline]
    pub fn view(&self) -> MatRef<'_> {
        MatRef(Rows::from_slice(self.as_slice(), self.rows, self.cols, self.cols))
    }

    /// A view of the whole, to change.
    #[inline]
    pub fn view_mut(&mut self) -> MatMut<'_> {
        let (rows, cols) = (self.rows, self.cols);
        MatMut(RowsMut::from_slice(self.as_mut_slice(), rows, cols, cols))
    }

    /// The transpose, as a new matrix, at the [cost](MatRef::transposed) of that of a view.
    pub fn transposed(&self) -> Matrix {
        self.view().transposed()
    }
}

impl Clone for Matrix {
    fn clone(&self) -> Self {
        // Not derived: a copied buffer may start elsewhere in its cache line.
        self.view().to_owned()
    }
}

impl PartialEq for Matrix {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.cols) == (other.rows, other.cols) && self.as_slice() == other.as_slice()
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f32;
    #[inline]
    fn index(&self, (row, col): (usize, usize)) -> &f32 {
        &self.row(row)[col]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    #[inline]
    fn index_mut(&mut self, (row, col): (usize, usize)) -> &mut f32 {
        &mut self.row_mut(row)[col]
    }
}

/// Checks that `len` values can be seen as `rows` x `cols` with this stride.
fn check(what: &'static str, len: usize, rows: usize, cols: usize, stride: usize) -> Result<()> {
    if stride < cols && rows > 1 {
        return Err(Error::setting("row stride", format!("at least the {cols} columns"), stride));
    }
    let fits = "a size that fits in memory, at most isize::MAX rows and columns";
    let expected =
        span(rows, cols, stride).ok_or_else(|| Error::setting("matrix shape", fits, format!("{rows} x {cols}")))?;
    if len < expected { Err(Error::Length { what, expected, found: len }) } else { Ok(()) }
}

/// A borrowed row-major matrix.
#[derive(Clone, Copy)]
pub struct MatRef<'a>(Rows<'a>);

impl<'a> MatRef<'a> {
    /// Sees a slice of exactly `rows * cols` values as a matrix.
    ///
    /// # Errors
    /// [`Error::Length`] if the slice has another length, [`Error::Setting`] for a shape that fits in no memory; and for more than `isize::MAX` rows
    /// or columns where there are no values.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Result<Self> {
        check("matrix", data.len(), rows, cols, cols)?;
        if data.len() > rows * cols {
            return Err(Error::Length { what: "matrix", expected: rows * cols, found: data.len() });
        }
        Ok(MatRef(Rows::from_slice(data, rows, cols, cols)))
    }

    /// Sees a slice as rows that start `stride` values apart.
    ///
    /// ```
    /// use neuropil::MatRef;
    /// // The first two of every three; what is behind the last row need not be there.
    /// let view = MatRef::with_stride(&[1.0, 2.0, 9.0, 3.0, 4.0], 2, 2, 3)?;
    /// assert_eq!((view.row(0), view.row(1)), (&[1.0, 2.0][..], &[3.0, 4.0][..]));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if the slice ends before the last row does, [`Error::Setting`] if rows would overlap or no memory holds them; and for more
    /// than `isize::MAX` rows or columns where there are no values.
    pub fn with_stride(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check("matrix", data.len(), rows, cols, stride)?;
        Ok(MatRef(Rows::from_slice(data, rows, cols, stride)))
    }

    /// Sees a `faer` matrix whose rows are contiguous, without a copy; `None` if they are not, or if there are no values but more than
    /// `isize::MAX` rows or columns. Feature `faer`.
    ///
    /// A column-major `faer` matrix is the transpose of a row-major one: pass `matrix.transpose()`.
    #[cfg(feature = "faer")]
    pub fn from_faer(matrix: faer::MatRef<'a, f32>) -> Option<Self> {
        Rows::from_faer(matrix).map(MatRef)
    }

    /// Sees an `ndarray` view whose rows are contiguous, without a copy; `None` if they are not, or lie backwards or over each
    /// other, as broadcast ones do. Feature `ndarray`.
    #[cfg(feature = "ndarray")]
    pub fn from_ndarray(array: ndarray::ArrayView2<'a, f32>) -> Option<Self> {
        Rows::from_ndarray(&array).map(MatRef)
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.0.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.0.cols
    }

    /// Values from the start of one row to the start of the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.0.stride
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub fn row(&self, row: usize) -> &'a [f32] {
        self.0.row(row)
    }

    /// The rows in order.
    pub fn iter_rows(self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        (0..self.rows()).map(move |row| self.row(row))
    }

    /// A range of rows.
    ///
    /// # Panics
    /// If the range is not within the rows.
    #[track_caller]
    pub fn rows_range(&self, range: Range<usize>) -> MatRef<'a> {
        assert!(range.start <= range.end, "rows {range:?} of a matrix of {}", self.rows());
        MatRef(self.0.block(range.start, range.len(), 0, self.cols()))
    }

    /// A range of columns.
    ///
    /// # Panics
    /// If the range is not within the columns.
    #[track_caller]
    pub fn columns(&self, range: Range<usize>) -> MatRef<'a> {
        assert!(range.start <= range.end, "columns {range:?} of a matrix of {}", self.cols());
        MatRef(self.0.block(0, self.rows(), range.start, range.len()))
    }

    /// All values as one slice, if no gaps lie between the rows.
    pub fn as_contiguous(&self) -> Option<&'a [f32]> {
        self.0.contiguous()
    }

    /// The same values as a `faer` view. Feature `faer`.
    #[cfg(feature = "faer")]
    pub fn to_faer(&self) -> faer::MatRef<'a, f32> {
        self.0.to_faer()
    }

    /// The same values as an `ndarray` view. Feature `ndarray`.
    #[cfg(feature = "ndarray")]
    pub fn to_ndarray(&self) -> ndarray::ArrayView2<'a, f32> {
        self.0.to_ndarray()
    }

    /// A copy.
    pub fn to_owned(&self) -> Matrix {
        let mut copy = Matrix::zeros(self.rows(), self.cols());
        copy.view_mut().copy_from(*self);
        copy
    }

    /// The transpose, as a new matrix.
    ///
    /// Cost: a read and a write a value, in blocks of 16 x 16, on the calling thread.
    pub fn transposed(&self) -> Matrix {
        let mut transposed = Matrix::zeros(self.cols(), self.rows());
        let (rows, cols) = (transposed.cols, transposed.rows);
        // However many rows of nothing there are.
        if cols == 0 {
            return transposed;
        }
        let to = transposed.as_mut_slice();
        for first in (0..rows).step_by(LINE) {
            let height = LINE.min(rows - first);
            let mut lines = [&[][..]; LINE];
            for i in 0..height {
                lines[i] = self.row(first + i);
            }
            for col in 0..cols {
                let to = &mut to[col * rows + first..][..height];
                for (to, line) in to.iter_mut().zip(lines) {
                    *to = line[col];
                }
            }
        }
        transposed
    }
}

impl Index<(usize, usize)> for MatRef<'_> {
    type Output = f32;
    #[inline]
    fn index(&self, (row, col): (usize, usize)) -> &f32 {
        &self.row(row)[col]
    }
}

impl fmt::Debug for MatRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} ", self.rows(), self.cols())?;
        Shown { all: self.rows(), item: |row| Shown { all: self.cols(), item: move |col| self.row(row)[col] } }.fmt(f)
    }
}

/// A borrowed row-major matrix, to change.
pub struct MatMut<'a>(RowsMut<'a>);

impl<'a> MatMut<'a> {
    /// Sees a slice of exactly `rows * cols` values as a matrix.
    ///
    /// # Errors
    /// As [`MatRef::new`].
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Result<Self> {
        MatRef::new(data, rows, cols)?;
        Ok(MatMut(RowsMut::from_slice(data, rows, cols, cols)))
    }

    /// Sees a slice as rows that start `stride` values apart; what lies between them stays as it is.
    ///
    /// ```
    /// use neuropil::MatMut;
    /// let mut values = [0.0; 5];
    /// MatMut::with_stride(&mut values, 2, 2, 3)?.row_mut(1).fill(1.0);
    /// assert_eq!(values, [0.0, 0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`MatRef::with_stride`].
    pub fn with_stride(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Result<Self> {
        check("matrix", data.len(), rows, cols, stride)?;
        Ok(MatMut(RowsMut::from_slice(data, rows, cols, stride)))
    }

    /// Sees a `faer` matrix whose rows are contiguous, without a copy; `None` as from [`MatRef::from_faer`]. Feature `faer`.
    #[cfg(feature = "faer")]
    pub fn from_faer(matrix: faer::MatMut<'a, f32>) -> Option<Self> {
        RowsMut::from_faer(matrix).map(MatMut)
    }

    /// Sees an `ndarray` view whose rows are contiguous, without a copy; `None` if they are not, or lie backwards or over each
    /// other, as broadcast ones do. Feature `ndarray`.
    #[cfg(feature = "ndarray")]
    pub fn from_ndarray(array: ndarray::ArrayViewMut2<'a, f32>) -> Option<Self> {
        RowsMut::from_ndarray(array).map(MatMut)
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.0.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.0.cols
    }

    /// Values from the start of one row to the start of the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.0.stride
    }

    /// A read-only view.
    #[inline]
    pub fn as_ref(&self) -> MatRef<'_> {
        MatRef(self.0.as_shared())
    }

    /// The same values as a `faer` view. Feature `faer`.
    #[cfg(feature = "faer")]
    pub fn into_faer(self) -> faer::MatMut<'a, f32> {
        self.0.into_faer()
    }

    /// The same values as an `ndarray` view. Feature `ndarray`.
    #[cfg(feature = "ndarray")]
    pub fn into_ndarray(self) -> ndarray::ArrayViewMut2<'a, f32> {
        self.0.into_ndarray()
    }

    /// A shorter borrow of the same view.
    #[inline]
    pub fn reborrow(&mut self) -> MatMut<'_> {
        MatMut(self.0.reborrow())
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub fn row(&self, row: usize) -> &[f32] {
        self.0.as_shared().row(row)
    }

    /// One row, to change.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    #[track_caller]
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        self.0.row_mut(row)
    }

    /// The rows in order, to change.
    ///
    /// ```
    /// use neuropil::Matrix;
    /// let mut matrix = Matrix::zeros(2, 2);
    /// for (row, values) in matrix.view_mut().into_rows().enumerate() {
    ///     values.fill(row as f32);
    /// }
    /// assert_eq!(matrix.as_slice(), [0.0, 0.0, 1.0, 1.0]);
    /// ```
    pub fn into_rows(self) -> impl ExactSizeIterator<Item = &'a mut [f32]> + use<'a> {
        self.row_blocks(1).map(|row| row.0.into_row(0))
    }

    /// A range of rows. To have the others again afterwards, take it of a [`reborrow`](Self::reborrow).
    ///
    /// # Panics
    /// If the range is not within the rows.
    ///
    /// ```
    /// use neuropil::Matrix;
    /// let mut matrix = Matrix::zeros(3, 2);
    /// matrix.view_mut().rows_range(1..3).fill(1.0);
    /// assert_eq!(matrix.as_slice(), [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn rows_range(self, range: Range<usize>) -> MatMut<'a> {
        assert!(range.start <= range.end && range.end <= self.rows(), "rows {range:?} of a matrix of {}", self.rows());
        self.split_rows(range.end).0.split_rows(range.start).1
    }

    /// A range of columns. To have the others again afterwards, take it of a [`reborrow`](Self::reborrow).
    ///
    /// # Panics
    /// If the range is not within the columns.
    ///
    /// ```
    /// use neuropil::Matrix;
    /// let mut matrix = Matrix::zeros(2, 3);
    /// matrix.view_mut().columns(1..2).fill(1.0);
    /// assert_eq!(matrix.as_slice(), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> MatMut<'a> {
        assert!(
            range.start <= range.end && range.end <= self.cols(),
            "columns {range:?} of a matrix of {}",
            self.cols()
        );
        self.split_columns(range.end).0.split_columns(range.start).1
    }

    /// Splits into the first `rows` rows and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub fn split_rows(self, rows: usize) -> (MatMut<'a>, MatMut<'a>) {
        let (head, tail) = self.0.split_rows(rows);
        (MatMut(head), MatMut(tail))
    }

    /// Splits into the first `cols` columns and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub fn split_columns(self, cols: usize) -> (MatMut<'a>, MatMut<'a>) {
        let (left, right) = self.0.split_columns(cols);
        (MatMut(left), MatMut(right))
    }

    /// Blocks of `rows` rows (the last may be shorter), in order: the unit of parallel work.
    ///
    /// # Panics
    /// If `rows` is zero.
    #[track_caller]
    pub fn row_blocks(self, rows: usize) -> RowBlocks<'a> {
        assert!(rows > 0, "blocks of no rows");
        RowBlocks { rest: Some(self), block: rows }
    }

    /// Blocks of rows, in order, with the first row of each; `size` says how many come next of so many that are left.
    pub(crate) fn row_blocks_by(self, mut size: impl FnMut(usize) -> usize) -> impl Iterator<Item = (usize, Self)> {
        let (mut rest, mut first) = (Some(self), 0);
        std::iter::from_fn(move || {
            let left = rest.take().filter(|left| left.rows() > 0)?;
            let rows = size(left.rows()).min(left.rows());
            let (block, others) = left.split_rows(rows);
            (rest, first) = (Some(others), first + rows);
            Some((first - rows, block))
        })
    }

    /// The same of columns.
    pub(crate) fn column_blocks_by(self, mut size: impl FnMut(usize) -> usize) -> impl Iterator<Item = (usize, Self)> {
        let (mut rest, mut first) = (Some(self), 0);
        std::iter::from_fn(move || {
            let left = rest.take().filter(|left| left.cols() > 0)?;
            let cols = size(left.cols()).min(left.cols());
            let (block, others) = left.split_columns(cols);
            (rest, first) = (Some(others), first + cols);
            Some((first - cols, block))
        })
    }

    /// Sets every value.
    pub fn fill(&mut self, value: f32) {
        // However many rows of nothing there are; so below.
        if self.cols() == 0 {
            return;
        }
        for row in 0..self.rows() {
            self.row_mut(row).fill(value);
        }
    }

    /// Copies the values of a matrix of the same shape.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn copy_from(&mut self, from: MatRef<'_>) {
        assert_eq!((self.rows(), self.cols()), (from.rows(), from.cols()), "copy between different shapes");
        if self.cols() == 0 {
            return;
        }
        for row in 0..self.rows() {
            self.row_mut(row).copy_from_slice(from.row(row));
        }
    }
}

impl Index<(usize, usize)> for MatMut<'_> {
    type Output = f32;
    #[inline]
    fn index(&self, (row, col): (usize, usize)) -> &f32 {
        &self.row(row)[col]
    }
}

impl IndexMut<(usize, usize)> for MatMut<'_> {
    #[inline]
    fn index_mut(&mut self, (row, col): (usize, usize)) -> &mut f32 {
        &mut self.row_mut(row)[col]
    }
}

impl fmt::Debug for MatMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// Disjoint row blocks of a [`MatMut`], in order.
#[derive(Debug)]
pub struct RowBlocks<'a> {
    rest: Option<MatMut<'a>>,
    block: usize,
}

impl<'a> Iterator for RowBlocks<'a> {
    type Item = MatMut<'a>;

    fn next(&mut self) -> Option<MatMut<'a>> {
        let rest = self.rest.take().filter(|rest| rest.rows() > 0)?;
        let rows = self.block.min(rest.rows());
        let (head, tail) = rest.split_rows(rows);
        self.rest = Some(tail);
        Some(head)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let blocks = self.rest.as_ref().map_or(0, |rest| rest.rows().div_ceil(self.block));
        (blocks, Some(blocks))
    }
}

impl ExactSizeIterator for RowBlocks<'_> {}

impl<'a> From<&'a Matrix> for MatRef<'a> {
    fn from(matrix: &'a Matrix) -> Self {
        matrix.view()
    }
}

impl<'a> From<&'a mut Matrix> for MatMut<'a> {
    fn from(matrix: &'a mut Matrix) -> Self {
        matrix.view_mut()
    }
}

#[cfg(test)]
mod tests;
