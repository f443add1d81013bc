//! Dense matrices with many zeros, compressed: sixteen values a step, without a branch.
//!
//! ```text
//! for each row, each vector of 16: mask = value != 0; values and columns under the mask to the front, both stored; advance by their count
//! ```
//! What is stored behind the count is overwritten by the next step. A vector costs some six instructions, so a matrix is compressed about as
//! fast as it is read. All vectors are kept and filled again: a layer may be compressed anew after each step of its training.

use super::pattern::{MAX, Pattern, SparseMatrix, check_shape};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::matrix::MatRef;
use crate::simd::{Kernel, LANES, Simd, dispatch};

impl SparseMatrix {
    /// The entries of a dense matrix that are not zero (NaN is not).
    ///
    /// Cost: one reading of the matrix, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Setting`] if rows, columns or entries are 2^31 or more.
    ///
    /// ```
    /// use neuropil::kernels::dense::Write;
    /// use neuropil::kernels::masked::{SparseMatrix, sparse_matmul};
    /// use neuropil::{Context, Matrix};
    /// let mut context = Context::new()?;
    /// let trained = Matrix::from_slice(&[0.0, 2.0, 0.0, 0.0, 0.5, 0.0], 2, 3)?;
    /// let w = SparseMatrix::compress(&mut context, trained.view())?;
    /// assert_eq!((w.pattern().indices(), w.values()), (&[1, 1][..], &[2.0, 0.5][..]));
    /// let (x, mut y) = (Matrix::from_slice(&[1.0, 4.0], 1, 2)?, Matrix::zeros(1, 3));
    /// sparse_matmul(&mut context, x.view(), &w, y.view_mut(), Write::Replace);
    /// assert_eq!(y.as_slice(), &[0.0, 4.0, 0.0]);
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn compress(context: &mut Context, dense: MatRef<'_>) -> Result<Self> {
        let mut matrix = SparseMatrix::new(Pattern::from_checked(0, 0, vec![0], Vec::new()), Vec::new())?;
        matrix.recompress(context, dense)?;
        Ok(matrix)
    }

    /// Becomes [`compress`](Self::compress) of another matrix, of any shape, and reuses its memory. The orders of entries that products read
    /// are built again when a product needs them, in their memory too.
    ///
    /// # Errors
    /// As [`compress`](Self::compress); after too many entries the matrix is empty.
    pub fn recompress(&mut self, context: &mut Context, dense: MatRef<'_>) -> Result<()> {
        let (rows, cols) = (dense.rows(), dense.cols());
        check_shape(rows, cols)?;
        let (mut offsets, mut indices, mut values) = self.take_parts();
        let work = Compress { dense, offsets: &mut offsets, indices: &mut indices, values: &mut values };
        if let Err(error) = dispatch(context.isa(), work) {
            *self = SparseMatrix::new(Pattern::from_checked(0, 0, vec![0], Vec::new()), Vec::new())?;
            return Err(error);
        }
        self.set_parts(Pattern::from_checked(rows, cols, offsets, indices), values);
        Ok(())
    }
}

struct Compress<'a, 'b> {
    dense: MatRef<'a>,
    offsets: &'b mut Vec<u32>,
    indices: &'b mut Vec<u32>,
    values: &'b mut Vec<f32>,
}

impl Kernel for Compress<'_, '_> {
    type Output = Result<()>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Result<()> {
        let Compress { dense, offsets, indices, values } = self;
        let (lanes, zero) = (std::array::from_fn(|lane| lane as u32), s.zero());
        offsets.clear();
        offsets.push(0);
        let mut at = 0;
        for row in dense.iter_rows() {
            // Room for a row of no zeros, and for what the last vector stores behind its count.
            let room = at + row.len() + LANES;
            if indices.len() < room {
                indices.resize(room, 0);
                values.resize(room, 0.0);
            }
            let (indices, values) = (&mut indices[at..room], &mut values[at..room]);
            let (vectors, rest) = row.as_chunks::<LANES>();
            let (mut columns, mut count) = (s.load_u32(&lanes), 0);
            for vector in vectors {
                count += keep(s, s.load(vector), columns, zero, &mut indices[count..], &mut values[count..]);
                columns = s.add_u32(columns, s.splat_u32(LANES as u32));
            }
            // The lanes beyond the row are zero, and so not kept.
            count += keep(s, s.load_partial(rest), columns, zero, &mut indices[count..], &mut values[count..]);
            at += count;
            if at >= MAX {
                return Err(Error::setting("matrix", "fewer than 2^31 values that are not zero", at));
            }
            offsets.push(at as u32);
        }
        indices.truncate(at);
        values.truncate(at);
        Ok(())
    }
}

/// Stores the lanes that are not zero, and their columns; says how many.
#[inline(always)]
fn keep<S: Simd>(s: S, value: S::F32, columns: S::U32, zero: S::F32, indices: &mut [u32], values: &mut [f32]) -> usize {
    // Not "zero": unlike "not equal", that is false for NaN.
    let kept = !s.mask_bits(s.eq(value, zero));
    s.store(s.compress(kept, value), values.first_chunk_mut().expect("room for a vector"));
    s.store_u32(
        s.to_bits(s.compress(kept, s.from_bits(columns))),
        indices.first_chunk_mut().expect("room for a vector"),
    );
    kept.count_ones() as usize
}
