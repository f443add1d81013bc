//! What every kernel call is given: the instruction set, the threads, and reusable scratch memory.

use crate::error::Result;
use crate::matrix::{LINE, Matrix, aligned_buffer};
use crate::parallel::Threads;
use crate::simd::Isa;

/// Instruction set, threads and scratch memory of kernel calls: an argument, not a surprise.
///
/// Make one per caller and keep it: the scratch memory grows to what the largest call needs and is then reused.
///
/// ```
/// use neuropil::{Context, Threads};
/// let mut context = Context::new()?.with_threads(Threads::new(2)?);
/// assert_eq!(context.threads().get(), 2);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub struct Context {
    isa: Isa,
    threads: Threads,
    buffer: Vec<f32>,
    offset: usize,
    counters: Vec<u16>,
    products: Vec<Matrix>,
}

impl Context {
    /// One thread on the best instruction set of this CPU, or on the one the variable `NEUROPIL_SIMD` names.
    ///
    /// # Errors
    /// [`Error::InstructionSet`](crate::Error::InstructionSet) if the variable names a set that cannot be had.
    pub fn new() -> Result<Self> {
        Context::on(Isa::from_environment()?)
    }

    /// One thread on this instruction set.
    ///
    /// # Errors
    /// [`Error::InstructionSet`](crate::Error::InstructionSet) if this CPU lacks it.
    pub fn on(isa: Isa) -> Result<Self> {
        Ok(Context::empty(isa.require()?, Threads::ONE))
    }

    fn empty(isa: Isa, threads: Threads) -> Self {
        Context { isa, threads, buffer: Vec::new(), offset: 0, counters: Vec::new(), products: Vec::new() }
    }

    /// The same with this many threads.
    #[must_use]
    pub fn with_threads(self, threads: Threads) -> Self {
        Context { threads, ..self }
    }

    /// Uses this many threads from now on.
    pub fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The threads in use.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// Scratch memory of these lengths, each on a cache line, holding whatever the last call left.
    pub(crate) fn scratch<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [f32]; N] {
        let padded = lengths.map(|len| len.next_multiple_of(LINE));
        let total: usize = padded.iter().sum();
        if self.buffer.len() < total + self.offset {
            (self.buffer, self.offset) = aligned_buffer(total);
        }
        let mut rest = &mut self.buffer[self.offset..];
        let mut index = 0;
        lengths.map(|len| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(padded[index]);
            index += 1;
            rest = tail;
            &mut head[..len]
        })
    }

    /// So many counters, holding whatever the last call left. (To give such memory back after every call costs more than to count: each
    /// thread's pages are taken from all of them.)
    pub(crate) fn counters(&mut self, length: usize) -> &mut [u16] {
        if self.counters.len() < length {
            self.counters.resize(length, 0);
        }
        &mut self.counters[..length]
    }

    /// What `with` makes of a matrix of this shape that holds whatever the last call left. The context is lent to it as well, for kernels
    /// that need scratch memory, or a product of their own.
    pub(crate) fn with_product<R>(
        &mut self,
        rows: usize,
        cols: usize,
        with: impl FnOnce(&mut Context, &mut Matrix) -> R,
    ) -> R {
        let mut product = self.products.pop().unwrap_or_else(|| Matrix::zeros(0, 0)).reshaped(rows, cols);
        let result = with(self, &mut product);
        self.products.push(product);
        result
    }
}

impl Clone for Context {
    /// The same settings; scratch memory is not shared.
    fn clone(&self) -> Self {
        Context::empty(self.isa, self.threads)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("isa", &self.isa).field("threads", &self.threads).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_pieces_are_aligned_disjoint_and_reused() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        let [a, b] = context.scratch([3, 20]);
        assert_eq!((a.len(), b.len()), (3, 20));
        a.fill(1.0);
        b.fill(2.0);
        assert!(a.iter().all(|&v| v == 1.0));
        assert_eq!([a.as_ptr() as usize % 64, b.as_ptr() as usize % 64], [0, 0]);
        let first = a.as_ptr();
        assert_eq!(context.scratch([16]).map(|s| s.as_ptr()), [first]);
    }

    #[test]
    fn a_product_keeps_its_memory_beside_scratch() {
        let mut context = Context::on(Isa::Scalar).unwrap();
        let first = context.with_product(6, 10, |context, product| {
            product.as_mut_slice().fill(1.0);
            context.scratch([100])[0].fill(2.0);
            assert!(product.as_slice().iter().all(|&v| v == 1.0));
            product.as_slice().as_ptr()
        });
        let smaller =
            context.with_product(4, 3, |_, product| (product.rows(), product.cols(), product.as_slice().as_ptr()));
        assert_eq!(smaller, (4, 3, first));
        assert_eq!(context.with_product(10, 10, |_, product| product.as_slice().to_vec()), [0.0; 100]);
        // One within another.
        let mut places = || {
            context.with_product(5, 5, |context, outer| {
                (outer.as_slice().as_ptr(), context.with_product(4, 4, |_, inner| inner.as_slice().as_ptr()))
            })
        };
        let (outer, inner) = places();
        assert_ne!(outer, inner);
        assert_eq!(places(), (outer, inner));
    }
}
