//! Rows of `f32` in memory that anyone may own: the one place that turns pointers into row slices.
//!
//! A slice over a whole strided view would also cover the gaps between its rows, which may be uninitialised (`faer` pads)
//! or borrowed by somebody else (`ndarray` splits by columns). So a view keeps a pointer, and only rows become slices.

use std::marker::PhantomData;
use std::ptr::NonNull;

/// `rows` slices of `cols` values, their starts `stride` apart. Shared.
///
/// Invariant: for every `r < rows`, `pointer + r * stride` lies in (or, for no columns, ends) one allocation, and the `cols` values from there
/// are initialised and readable for `'a`. Neither number is above `isize::MAX`, of rows without values either.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pointer: NonNull<f32>,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
    life: PhantomData<&'a [f32]>,
}

// SAFETY: a `Rows` is a set of shared slices, and `&[f32]` is both Send and Sync.
unsafe impl Send for Rows<'_> {}
// SAFETY: as above.
unsafe impl Sync for Rows<'_> {}

/// The values that rows of this shape span, or `None` on overflow; and for a shape without values that has more rows or columns than pointers
/// may step over, as `ndarray` would.
pub(crate) fn span(rows: usize, cols: usize, stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return isize::try_from(rows.max(cols)).ok().map(|_| 0);
    }
    (rows - 1).checked_mul(stride)?.checked_add(cols)
}

/// The stride kept for a view: none where no row has values, as nothing then says that a row's start lies in any memory; and never one of an
/// only row, as nobody walks it.
#[inline]
fn kept_stride(rows: usize, cols: usize, stride: usize) -> usize {
    if rows <= 1 || cols == 0 { cols } else { stride }
}

impl<'a> Rows<'a> {
    /// Rows of a slice. Panics if the slice is too short for them: callers check first.
    #[inline]
    pub(crate) fn from_slice(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(span(rows, cols, stride).is_some_and(|len| len <= data.len()));
        let stride = kept_stride(rows, cols, stride);
        Rows { pointer: NonNull::from(data).cast(), rows, cols, stride, life: PhantomData }
    }

    /// Rows of a `faer` view with contiguous rows.
    #[cfg(feature = "faer")]
    pub(crate) fn from_faer(matrix: faer::MatRef<'a, f32>) -> Option<Self> {
        let (rows, cols) = matrix.shape();
        let stride = row_stride(rows, cols, matrix.row_stride(), matrix.col_stride())?;
        // The invariant holds because faer's view promises the same of every (row, col) at these strides.
        Some(Rows { pointer: NonNull::new(matrix.as_ptr().cast_mut())?, rows, cols, stride, life: PhantomData })
    }

    /// Rows of an `ndarray` view with contiguous rows.
    #[cfg(feature = "ndarray")]
    pub(crate) fn from_ndarray(array: &ndarray::ArrayView2<'a, f32>) -> Option<Self> {
        let (rows, cols) = array.dim();
        let stride = row_stride(rows, cols, array.strides()[0], array.strides()[1])?;
        // The invariant holds because ndarray's view promises the same of every (row, col) at these strides.
        Some(Rows { pointer: NonNull::new(array.as_ptr().cast_mut())?, rows, cols, stride, life: PhantomData })
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows, "row {row} of a matrix of {} rows", self.rows);
        // SAFETY: row < rows, so by the invariant these cols values are readable for 'a.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().add(row * self.stride), self.cols) }
    }

    /// All values as one slice, if no gaps lie between the rows.
    #[inline]
    pub(crate) fn contiguous(&self) -> Option<&'a [f32]> {
        if self.rows == 0 || self.cols == 0 {
            return Some(&[]);
        }
        if self.rows > 1 && self.stride != self.cols {
            return None;
        }
        // SAFETY: the rows follow each other without a gap, so by the invariant all rows * cols values are readable.
        Some(unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.rows * self.cols) })
    }

    /// The block of rows and columns that starts at (row, col).
    #[inline]
    #[track_caller]
    pub(crate) fn block(&self, row: usize, rows: usize, col: usize, cols: usize) -> Self {
        assert!(row <= self.rows && rows <= self.rows - row, "rows {row}..{} of {}", row + rows, self.rows);
        assert!(col <= self.cols && cols <= self.cols - col, "columns {col}..{} of {}", col + cols, self.cols);
        if rows == 0 || cols == 0 {
            return Rows { rows, cols, ..*self };
        }
        // SAFETY: row < self.rows and col < self.cols, so the address lies within the first of the block's rows.
        let pointer = unsafe { self.pointer.add(row * self.stride + col) };
        Rows { pointer, rows, cols, stride: self.stride, life: PhantomData }
    }

    #[cfg(feature = "faer")]
    pub(crate) fn to_faer(self) -> faer::MatRef<'a, f32> {
        // SAFETY: by the invariant every (row, col) of these strides is readable for 'a.
        unsafe { faer::MatRef::from_raw_parts(self.pointer.as_ptr(), self.rows, self.cols, signed(self.stride), 1) }
    }

    #[cfg(feature = "ndarray")]
    pub(crate) fn to_ndarray(self) -> ndarray::ArrayView2<'a, f32> {
        let shape = strided(self.rows, self.cols, self.stride);
        // SAFETY: by the invariant every (row, col) of these strides is readable for 'a, and all of them lie in one allocation; without
        // values neither axis leads anywhere, and none is longer than isize::MAX.
        unsafe { ndarray::ArrayView2::from_shape_ptr(shape, self.pointer.as_ptr()) }
    }
}

#[cfg(feature = "ndarray")]
fn strided(rows: usize, cols: usize, stride: usize) -> ndarray::StrideShape<ndarray::Ix2> {
    // Without values ndarray's own strides, zeros: along others its `row` would lead out of whatever memory the pointer is of.
    if rows == 0 || cols == 0 { (rows, cols).into() } else { ndarray::ShapeBuilder::strides((rows, cols), (stride, 1)) }
}

#[cfg(feature = "faer")]
fn signed(stride: usize) -> isize {
    isize::try_from(stride).expect("a stride within an allocation")
}

/// The same, exclusive.
///
/// Invariant: as for [`Rows`], the rows are also writable, do not overlap (`stride >= cols` or at most one row), and nobody else
/// reaches them for `'a`.
pub(crate) struct RowsMut<'a> {
    pointer: NonNull<f32>,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `RowsMut` is a set of exclusive slices, and `&mut [f32]` is both Send and Sync.
unsafe impl Send for RowsMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for RowsMut<'_> {}

impl<'a> RowsMut<'a> {
    /// Rows of a slice. Panics if the slice is too short for them or they overlap: callers check first.
    #[inline]
    pub(crate) fn from_slice(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(span(rows, cols, stride).is_some_and(|len| len <= data.len()));
        assert!(rows <= 1 || stride >= cols);
        let stride = kept_stride(rows, cols, stride);
        RowsMut { pointer: NonNull::from(data).cast(), rows, cols, stride, life: PhantomData }
    }

    /// Rows of a `faer` view with contiguous rows.
    #[cfg(feature = "faer")]
    pub(crate) fn from_faer(matrix: faer::MatMut<'a, f32>) -> Option<Self> {
        let (rows, cols) = matrix.shape();
        let stride = row_stride(rows, cols, matrix.row_stride(), matrix.col_stride())?;
        // The invariant holds because faer's exclusive view promises the same of every (row, col) at these strides.
        Some(RowsMut { pointer: NonNull::new(matrix.as_ptr_mut())?, rows, cols, stride, life: PhantomData })
    }

    /// Rows of an `ndarray` view with contiguous rows.
    #[cfg(feature = "ndarray")]
    pub(crate) fn from_ndarray(mut array: ndarray::ArrayViewMut2<'a, f32>) -> Option<Self> {
        let (rows, cols) = array.dim();
        let stride = row_stride(rows, cols, array.strides()[0], array.strides()[1])?;
        // The invariant holds because ndarray's exclusive view promises the same of every (row, col) at these strides.
        Some(RowsMut { pointer: NonNull::new(array.as_mut_ptr())?, rows, cols, stride, life: PhantomData })
    }

    #[inline]
    pub(crate) fn as_shared(&self) -> Rows<'_> {
        Rows { pointer: self.pointer, rows: self.rows, cols: self.cols, stride: self.stride, life: PhantomData }
    }

    #[cfg(feature = "faer")]
    pub(crate) fn into_faer(self) -> faer::MatMut<'a, f32> {
        // SAFETY: by the invariant every (row, col) of these strides is ours alone for 'a.
        unsafe { faer::MatMut::from_raw_parts_mut(self.pointer.as_ptr(), self.rows, self.cols, signed(self.stride), 1) }
    }

    #[cfg(feature = "ndarray")]
    pub(crate) fn into_ndarray(self) -> ndarray::ArrayViewMut2<'a, f32> {
        let shape = strided(self.rows, self.cols, self.stride);
        // SAFETY: by the invariant every (row, col) of these strides is ours alone for 'a, no two are one place, and all of them lie in one
        // allocation; without values neither axis leads anywhere, and none is longer than isize::MAX.
        unsafe { ndarray::ArrayViewMut2::from_shape_ptr(shape, self.pointer.as_ptr()) }
    }

    #[inline]
    pub(crate) fn reborrow(&mut self) -> RowsMut<'_> {
        RowsMut { pointer: self.pointer, rows: self.rows, cols: self.cols, stride: self.stride, life: PhantomData }
    }

    #[inline(always)]
    #[track_caller]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of a matrix of {} rows", self.rows);
        // SAFETY: row < rows, so by the invariant these cols values are ours alone while self is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().add(row * self.stride), self.cols) }
    }

    /// One row, for as long as the view was to live.
    #[inline]
    #[track_caller]
    pub(crate) fn into_row(self, row: usize) -> &'a mut [f32] {
        assert!(row < self.rows, "row {row} of a matrix of {} rows", self.rows);
        // SAFETY: row < rows, so by the invariant these cols values are ours alone for 'a, and the view that said so is gone.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().add(row * self.stride), self.cols) }
    }

    /// Splits after `rows` rows.
    #[inline]
    #[track_caller]
    pub(crate) fn split_rows(self, rows: usize) -> (Self, Self) {
        assert!(rows <= self.rows, "split after {rows} of {} rows", self.rows);
        let rest = self.rows - rows;
        let pointer = if rest == 0 {
            self.pointer
        } else {
            // SAFETY: row `rows` exists, so its start lies within the memory the view spans.
            unsafe { self.pointer.add(rows * self.stride) }
        };
        let (cols, stride, life) = (self.cols, self.stride, PhantomData);
        (
            RowsMut { pointer: self.pointer, rows, cols, stride, life },
            RowsMut { pointer, rows: rest, cols, stride, life },
        )
    }

    /// Splits after `cols` columns.
    #[inline]
    #[track_caller]
    pub(crate) fn split_columns(self, cols: usize) -> (Self, Self) {
        assert!(cols <= self.cols, "split after {cols} of {} columns", self.cols);
        let rest = self.cols - cols;
        let pointer = if rest == 0 || self.rows == 0 {
            self.pointer
        } else {
            // SAFETY: column `cols` of row 0 exists, so its address lies within the memory the view spans.
            unsafe { self.pointer.add(cols) }
        };
        let (rows, stride, life) = (self.rows, self.stride, PhantomData);
        (
            RowsMut { pointer: self.pointer, rows, cols, stride, life },
            RowsMut { pointer, rows, cols: rest, stride, life },
        )
    }
}

/// The row stride of a foreign view, if its rows are contiguous and do not run backwards into each other.
///
/// Of a view without values nobody walks any stride, and its owner may have written down anything: `ndarray` has zeros.
#[cfg(any(feature = "faer", feature = "ndarray"))]
fn row_stride(rows: usize, cols: usize, row_stride: isize, col_stride: isize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return isize::try_from(rows.max(cols)).is_ok().then_some(cols);
    }
    if cols > 1 && col_stride != 1 {
        return None;
    }
    if rows == 1 {
        return Some(cols);
    }
    usize::try_from(row_stride).ok().filter(|&stride| stride >= cols)
}
