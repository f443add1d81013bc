//! Products of up to eight samples with a sparse matrix or with receptive fields, legal for any.
//!
//! ```text
//! inputs[k] = the samples' values of input k        side by side: 1, 4 or 8 floats
//! for each block of outputs                         what threads share
//!   for each three outputs                          three chains, as each multiply-add waits for the one before it
//!     for each entry (k, w): sums += w * inputs[k]
//!   write 48 outputs of each sample
//! ```
//! Every sum is the chain that it is among more samples, and so has the same bits.

use super::chains::{Connections, Interleaved};
use super::sparse::write_values;
use crate::context::Context;
use crate::kernels::dense::Write;
use crate::kernels::dense::blocked::transpose_block;
use crate::matrix::{MatMut, MatRef};
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// The most samples that go this way.
pub(super) const FEW_SAMPLES: usize = 8;

/// What an entry costs, in multiply-adds: reading it, however many samples there are.
const ENTRY: usize = 64;
/// Outputs side by side: with four, the registers do not hold where their entries lie.
const SIDE: usize = 3;
/// Outputs whose sums are collected before they are written.
const BLOCK: usize = SIDE * LANES;

/// How samples lie in a matrix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    Rows,
    Columns,
}

/// `to = write(to, product)`: of each sample the sums of the outputs.
pub(super) fn few_samples(
    context: &mut Context,
    layer: impl Connections,
    samples: Samples,
    from: MatRef<'_>,
    to: MatMut<'_>,
    write: Write,
) {
    let (isa, count) = (context.isa(), if samples == Samples::Rows { from.rows() } else { from.cols() });
    let threads = context.threads().for_work([layer.entries(), ENTRY]);
    let width = if count == 1 { 1 } else { count.next_power_of_two().max(4) };
    let [scratch] = context.scratch([layer.inputs().next_multiple_of(LANES) * width + LANES]);
    let inputs = match from.as_contiguous() {
        Some(inputs) if count == 1 || (samples == Samples::Columns && count == width) => inputs,
        _ => {
            dispatch(isa, Interleave { samples, from, width, inputs: &mut *scratch });
            scratch
        }
    };
    // Some blocks for every thread, as outputs do not all sum as much.
    let block = layer.outputs().div_ceil(4 * threads.get()).next_multiple_of(BLOCK);
    let run = |(first, to)| dispatch(isa, Outputs { layer, inputs, width, first, samples, to, write });
    match samples {
        Samples::Rows => for_each(threads, to.column_blocks_by(|_| block), run),
        Samples::Columns => for_each(threads, to.row_blocks_by(|_| block), run),
    }
}

/// Puts the samples' values of each input side by side, `width` apart.
struct Interleave<'a, 'b> {
    samples: Samples,
    from: MatRef<'a>,
    width: usize,
    /// Of whole vectors of inputs, and a vector more.
    inputs: &'b mut [f32],
}

impl Kernel for Interleave<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Interleave { samples, from, width, inputs } = self;
        if samples == Samples::Columns {
            for (row, inputs) in from.iter_rows().zip(inputs.chunks_mut(width)) {
                inputs[..row.len()].copy_from_slice(row);
            }
            return;
        }
        for first in (0..from.cols()).step_by(LANES) {
            let block = transpose_block(s, from, 0, from.rows(), first, LANES.min(from.cols() - first));
            for i in 0..LANES {
                // The lanes behind the samples are written over by the next.
                let to = inputs[(first + i) * width..].first_chunk_mut().expect("a vector more");
                s.store(block[i], to);
            }
        }
    }
}

struct Outputs<'a, 'c, L> {
    layer: L,
    inputs: &'a [f32],
    width: usize,
    /// The first output.
    first: usize,
    samples: Samples,
    to: MatMut<'c>,
    write: Write,
}

impl<L: Connections> Kernel for Outputs<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.width {
            1 => self.outputs::<S, 1>(s),
            4 => self.outputs::<S, 4>(s),
            _ => self.outputs::<S, FEW_SAMPLES>(s),
        }
    }
}

impl<L: Connections> Outputs<'_, '_, L> {
    #[inline(always)]
    fn outputs<S: Simd, const B: usize>(self, s: S) {
        let Outputs { layer, inputs, first, samples, mut to, write, .. } = self;
        let chain = Interleaved { inputs: inputs.as_chunks::<B>().0 };
        let outputs = if samples == Samples::Rows { to.cols() } else { to.rows() };
        for at in (0..outputs).step_by(BLOCK) {
            let count = BLOCK.min(outputs - at);
            let mut sums = [[[0.0; B]; SIDE]; LANES];
            let (groups, rest) = sums.as_flattened_mut()[..count].as_chunks_mut::<SIDE>();
            let mut output = first + at;
            for group in groups {
                *group = layer.sum(chain, output, [[0.0; B]; SIDE]);
                output += SIDE;
            }
            for sum in rest {
                [*sum] = layer.sum(chain, output, [[0.0; B]]);
                output += 1;
            }
            let sums = sums.as_flattened();
            match samples {
                Samples::Rows => {
                    for (part, sums) in sums.as_chunks::<LANES>().0[..count.div_ceil(LANES)].iter().enumerate() {
                        let mut lanes = [[0.0; LANES]; B];
                        for output in 0..LANES {
                            for sample in 0..B {
                                lanes[sample][output] = sums[output][sample];
                            }
                        }
                        let cols = at + part * LANES..outputs.min(at + (part + 1) * LANES);
                        for (sample, lanes) in lanes[..to.rows()].iter().enumerate() {
                            write_values(s, s.load(lanes), &mut to.row_mut(sample)[cols.clone()], write);
                        }
                    }
                }
                Samples::Columns => {
                    for (output, sums) in sums[..count].iter().enumerate() {
                        write_values(s, s.load_partial(sums), to.row_mut(at + output), write);
                    }
                }
            }
        }
    }
}
