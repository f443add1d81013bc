//! One increment for two values, in a table of all pairs of bins: legal up to 130 bins; wins from some ten thousand values on.
//!
//! ```text
//! for each two vectors of the values          16 pairs (a, b) of bins
//!   table[a, b] += 1                          if a and b differ
//!   diagonal[a, lane] += 1                    if they are the same: a counter for every lane
//! counts[a] += sum_b table[a, b];  counts[b] += sum_a table[a, b];  counts[a] += 2 sum_lane diagonal[a, lane]
//! ```
//! What bounds a histogram is the number of increments (a load, an addition and a store each), and the wait for the last store to
//! the same counter. Pairs halve the first. Pairs of one bin, which make the waits (the zeros of a ReLU, constant stretches), get
//! sixteen counters. Counters have 16 bits, so that the table of 100 bins takes half of the first-level cache; they are emptied
//! before they can overflow.

use super::binning::{Binning, Factors, INTEGER};
use super::{APART, COST, Range, pieces};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// The most bins: their table still fits in a first-level cache of 48 KiB.
pub(super) const MAX_BINS: usize = 130;
/// Values from which the table is worth emptying.
pub(super) const WORTH: usize = 50_000;
/// Pairs between two emptyings at most, so that no counter overflows: the 2 x 16 values of a step at a time.
const PAIRS: usize = (u16::MAX as usize / LANES) * LANES;
/// Every number of 16 bits is an index.
const ENTRIES: usize = 1 << 16;

/// A thread's counters.
struct Table {
    /// [bins + 3, bins + 3] pairs, then [bins + 3, 16] pairs of the same.
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
        let places = self.counts.len();
        let (pairs, rest) = self.pairs.split_at_mut(places * places);
        let mut columns = vec![0u32; places];
        for (row, count) in pairs.chunks_exact_mut(places).zip(&mut self.counts) {
            let mut sum = 0;
            for (pair, column) in row.iter_mut().zip(&mut columns) {
                sum += u32::from(*pair);
                *column += u32::from(*pair);
                *pair = 0;
            }
            *count += u64::from(sum);
        }
        let diagonal = rest[..places * LANES].chunks_exact_mut(LANES);
        for ((count, column), lanes) in self.counts.iter_mut().zip(columns).zip(diagonal) {
            let same: u32 = lanes.iter().map(|&lane| u32::from(lane)).sum();
            *count += u64::from(column) + 2 * u64::from(same);
            lanes.fill(0);
        }
        self.held = 0;
    }
}

pub(super) fn add(context: &mut Context, x: MatRef<'_>, range: Range, counts: &mut [u64]) {
    let isa = context.isa();
    let bins = counts.len() - APART;
    let factors = Factors::new(range, bins);
    let threads = context.threads().for_work(x.rows() * x.cols() * COST);
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
        let binning = Binning::splat(s, self.factors, self.bins);
        let (places, table) = ((self.bins + APART) as f32, self.table);
        let diagonal: [f32; LANES] = std::array::from_fn(|lane| INTEGER + places * places + lane as f32);
        let diagonal = s.load(&diagonal);
        for values in self.piece.iter_rows().flat_map(|row| row.chunks(2 * PAIRS)) {
            let (steps, rest) = values.as_chunks::<{ 2 * LANES }>();
            if table.held + LANES * steps.len() > PAIRS {
                table.empty();
            }
            table.held += LANES * steps.len();
            for step in steps {
                let vectors = step.as_chunks::<LANES>().0;
                let a = binning.place(s, s.load(&vectors[0]));
                let b = binning.place(s, s.load(&vectors[1]));
                let pair = s.mul_add(a, s.splat(places), s.add(b, s.splat(INTEGER)));
                let same = s.mul_add(a, s.splat(LANES as f32), diagonal);
                let at = s.lanes(s.select(s.eq(a, b), same, pair));
                for lane in 0..LANES {
                    table.pairs[usize::from(at[lane].to_bits() as u16)] += 1;
                }
            }
            for values in rest.chunks(LANES) {
                let at = s.lanes(s.add(binning.place(s, s.load_partial(values)), s.splat(INTEGER)));
                for lane in 0..values.len() {
                    table.counts[usize::from(at[lane].to_bits() as u16)] += 1;
                }
            }
        }
    }
}
