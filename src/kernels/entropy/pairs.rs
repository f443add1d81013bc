//! One increment for two values, in a table of all pairs of bins: legal up to 180 bins; wins from some tens of thousands of values on.
//!
//! ```text
//! for each two vectors of the values          16 pairs of bins, a >= b
//!   table[a, b] += 1                          if a and b differ
//!   diagonal[a, lane] += 1                    if they are the same: a counter for every lane
//! counts[a] += sum_b table[a, b];  counts[b] += sum_a table[a, b];  counts[a] += 2 sum_lane diagonal[a, lane]
//! ```
//! What bounds a histogram is the number of increments (a load, an addition and a store each, of which a core does one per cycle), and
//! the wait for the last store to the same counter. Pairs halve the first. Pairs of one bin, which make the waits (the zeros of a
//! ReLU, constant stretches), get sixteen counters. Which of the two came first does not matter, so that the table is a triangle; with
//! counters of 16 bits, emptied before they can overflow, that of 100 bins takes 14 KB of the first-level cache.

use super::binning::{Binning, Doubt, Factors};
use super::{APART, Buffers, COST, Range, pieces};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::math::ROUND;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// The most bins: their table and the values on their way still fit in a first-level cache of 48 KiB.
pub(super) const MAX_BINS: usize = 180;
/// Values from which the table is worth emptying.
pub(super) const WORTH: usize = 50_000;
/// Pairs between two emptyings at most, so that no counter overflows: the 2 x 16 values of a step at a time.
const PAIRS: usize = (u16::MAX as usize / LANES) * LANES;
/// Every number of 16 bits is an index.
const ENTRIES: usize = 1 << 16;

/// Values of a step: two vectors.
const STEP: usize = 2 * LANES;
/// Steps that share a test of doubt.
const BLOCK: usize = 4;
/// Blocks between the one at work and the one asked for: the hardware's own requests stop at every page.
const AHEAD: usize = 12;

/// A thread's counters.
struct Table {
    /// Rows of 1, 2, ... bins + 3 pairs, then [bins + 3, 16] pairs of the same.
    pairs: Box<[u16; ENTRIES]>,
    /// Pairs in the table.
    held: usize,
    counts: Vec<u64>,
}

impl Table {
    fn new(places: usize) -> Self {
        let pairs = vec![0u16; ENTRIES].into_boxed_slice().try_into().expect("as many entries as were made");
        Table { pairs, held: 0, counts: vec![0; places] }
    }

    /// Adds the table to the counts and clears it.
    fn empty(&mut self) {
        let (mut pairs, diagonal) = self.pairs.split_at_mut(triangle(self.counts.len()));
        let mut smaller = vec![0u32; self.counts.len()];
        for (place, lanes) in diagonal.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(self.counts.len()) {
            let row = pairs.split_off_mut(..=place).expect("a row of the triangle");
            let mut larger = 0;
            for (pair, smaller) in row.iter_mut().zip(&mut smaller) {
                larger += u32::from(*pair);
                *smaller += u32::from(*pair);
                *pair = 0;
            }
            let same: u32 = lanes.iter().map(|&lane| u32::from(lane)).sum();
            self.counts[place] += u64::from(larger) + 2 * u64::from(same);
            lanes.fill(0);
        }
        for (count, smaller) in self.counts.iter_mut().zip(smaller) {
            *count += u64::from(smaller);
        }
        self.held = 0;
    }
}

/// Entries before row n: 1 + 2 + ... + n.
fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

pub(super) fn add(context: &mut Context, x: MatRef<'_>, range: Range, counts: &mut [u64]) {
    let isa = context.isa();
    let bins = counts.len() - APART;
    let factors = Factors::new(range, bins);
    let threads = context.threads().for_work([x.rows(), x.cols(), COST]);
    let mut tables: Vec<Table> = (0..threads.get()).map(|_| Table::new(counts.len())).collect();
    for_each_with(threads, &mut tables, pieces(x, 2 * PAIRS), |table, piece| {
        dispatch(isa, Count { piece, factors, bins, table });
    });
    for mut table in tables {
        table.empty();
        for (count, more) in counts.iter_mut().zip(table.counts) {
            *count += more;
        }
    }
}

struct Count<'a, 'b> {
    piece: MatRef<'a>,
    factors: Factors,
    bins: usize,
    table: &'b mut Table,
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let first = triangle(self.bins + APART);
        let diagonal: [f32; LANES] = std::array::from_fn(|lane| ROUND + (first + lane) as f32);
        let indices = Indices { binning: Binning::splat(s, self.factors, self.bins), diagonal: s.load(&diagonal) };
        let table = self.table;
        for values in self.piece.iter_rows().flat_map(|row| row.chunks(2 * PAIRS)) {
            let (steps, rest) = values.as_chunks::<STEP>();
            if table.held + LANES * steps.len() > PAIRS {
                table.empty();
            }
            table.held += LANES * steps.len();
            let pairs: &mut [u16; ENTRIES] = &mut table.pairs;
            let (blocks, left) = steps.as_chunks::<BLOCK>();
            // Steps of the block before are counted in turn with those whose indices are computed, so that the two overlap in the processor, and
            // no index is read while its store is still on the way.
            let Buffers([to, from]) = &mut Buffers([[[0; LANES]; BLOCK]; 2]);
            let (mut to, mut from) = (to, from);
            if let Some((first, blocks)) = blocks.split_first() {
                indices.of_block(s, first, from, |_| ());
                for (number, block) in blocks.iter().enumerate() {
                    if let Some(later) = blocks.get(number + AHEAD) {
                        later.as_flattened().as_chunks::<LANES>().0.iter().for_each(|vector| s.prefetch(&vector[0]));
                    }
                    indices.of_block(s, block, to, |step| count(pairs, &from[step..=step]));
                    std::mem::swap(&mut to, &mut from);
                }
                count(pairs, from);
            }
            for step in left {
                count(pairs, &[indices.of_step(s, step)]);
            }
            for values in rest.chunks(LANES) {
                let at = s.lanes(indices.binning.place(s, s.load_partial(values)));
                for lane in 0..values.len() {
                    table.counts[usize::from(at[lane].to_bits() as u16)] += 1;
                }
            }
        }
    }
}

/// One more in each of these entries of the table.
#[inline(always)]
fn count(pairs: &mut [u16; ENTRIES], indices: &[[u32; LANES]]) {
    for at in indices {
        for lane in 0..LANES {
            pairs[usize::from(at[lane] as u16)] += 1;
        }
    }
}

/// What turns values into entries of the table, in the low 16 bits of each lane.
struct Indices<S: Simd> {
    binning: Binning<S>,
    diagonal: S::F32,
}

impl<S: Simd> Indices<S> {
    /// Those of a block; `after` is called after each step of it.
    #[inline(always)]
    fn of_block(
        &self,
        s: S,
        block: &[[f32; STEP]; BLOCK],
        to: &mut [[u32; LANES]; BLOCK],
        mut after: impl FnMut(usize),
    ) {
        let mut doubt = Doubt::none(s);
        for i in 0..BLOCK {
            let vectors = block[i].as_chunks::<LANES>().0;
            let a = self.binning.guess(s, s.load(&vectors[0]), &mut doubt);
            let b = self.binning.guess(s, s.load(&vectors[1]), &mut doubt);
            s.store_u32(self.of_pair(s, a, b), &mut to[i]);
            after(i);
        }
        if doubt.any(s) {
            for (step, to) in block.iter().zip(to) {
                *to = self.of_step(s, step);
            }
        }
    }

    #[inline(always)]
    fn of_step(&self, s: S, step: &[f32; STEP]) -> [u32; LANES] {
        let vectors = step.as_chunks::<LANES>().0;
        let a = self.binning.place(s, s.load(&vectors[0]));
        let b = self.binning.place(s, s.load(&vectors[1]));
        let mut at = [0; LANES];
        s.store_u32(self.of_pair(s, a, b), &mut at);
        at
    }

    /// The entries of pairs of bins, given and returned on top of [`ROUND`].
    #[inline(always)]
    fn of_pair(&self, s: S, a: S::F32, b: S::F32) -> S::U32 {
        let larger = s.sub(s.max(a, b), s.splat(ROUND));
        let twice = s.mul_add(larger, larger, larger);
        let pair = s.mul_add(twice, s.splat(0.5), s.min(a, b));
        let same = s.mul_add(larger, s.splat(LANES as f32), self.diagonal);
        s.to_bits(s.select(s.eq(a, b), same, pair))
    }
}
