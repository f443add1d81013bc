//! One increment a value, in eight counters for every bin: legal always; for few values or many bins.
//!
//! Lane i counts in the counters of number i mod 8, so that neighbours in one bin (the zeros of a ReLU) do not wait for each other's
//! addition.

use super::binning::{Binning, Factors, INTEGER};
use super::{APART, COST, Range, pieces};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Counters of a bin.
const PARTS: usize = 8;
/// Vectors whose indices are found before any is counted.
const BLOCK: usize = 8;
/// Values of a work item.
const VALUES: usize = 1 << 17;

pub(super) fn add(context: &mut Context, x: MatRef<'_>, range: Range, counts: &mut [u64]) {
    let isa = context.isa();
    let bins = counts.len() - APART;
    let threads = context.threads().for_work(x.rows() * x.cols() * COST);
    // A counter holds 2^32 values, far more than fit in a work item; they are emptied after each.
    let mut workspaces = vec![(vec![0; counts.len() * PARTS], vec![0; counts.len()]); threads.get()];
    for_each_with(threads, &mut workspaces, pieces(x, VALUES), |(parts, counts), piece| {
        dispatch(isa, Count { piece, factors: Factors::new(range, bins), bins, parts });
        for (count, parts) in counts.iter_mut().zip(parts.chunks_exact_mut(PARTS)) {
            *count += parts.iter().map(|&part| u64::from(part)).sum::<u64>();
            parts.fill(0);
        }
    });
    for (_, own) in workspaces {
        for (count, more) in counts.iter_mut().zip(own) {
            *count += more;
        }
    }
}

struct Count<'a, 'b> {
    piece: MatRef<'a>,
    factors: Factors,
    bins: usize,
    parts: &'b mut [u32],
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let binning = Binning::splat(s, self.factors, self.bins);
        let part: [f32; LANES] = std::array::from_fn(|lane| INTEGER + (lane % PARTS) as f32);
        let part = s.load(&part);
        for row in self.piece.iter_rows() {
            let (vectors, tail) = row.as_chunks::<LANES>();
            let mut buffer = [[0; LANES]; BLOCK];
            for vectors in vectors.chunks(BLOCK) {
                for (vector, at) in vectors.iter().zip(&mut buffer) {
                    let places = s.sub(binning.place(s, s.load(vector)), s.splat(INTEGER));
                    s.store_u32(s.to_bits(s.mul_add(places, s.splat(PARTS as f32), part)), at);
                }
                for at in &buffer[..vectors.len()] {
                    for lane in 0..LANES {
                        self.parts[index(at[lane])] += 1;
                    }
                }
            }
            if !tail.is_empty() {
                let places = s.sub(binning.place(s, s.load_partial(tail)), s.splat(INTEGER));
                s.store_u32(s.to_bits(s.mul_add(places, s.splat(PARTS as f32), part)), &mut buffer[0]);
                for &at in &buffer[0][..tail.len()] {
                    self.parts[index(at)] += 1;
                }
            }
        }
    }
}

/// The integer that was added to [`INTEGER`].
#[inline(always)]
fn index(bits: u32) -> usize {
    (bits & 0x3f_ffff) as usize
}
