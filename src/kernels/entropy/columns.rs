//! Histograms of columns: lanes are columns, so that neighbouring increments go to different counters.
//!
//! A row meets the table [columns, bins] once. Without gaps between the rows, as many rows are taken together as fill whole vectors,
//! and the constants of the ranges are laid out for that many. Columns go in groups whose 16-bit counters fit in half of the
//! first-level cache.

use super::binning::{Binning, Doubt, Factors};
use super::{Buffers, COST, Histogram, whole_vectors};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::math::ROUND;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Counters of a group of columns that fit in half of the first-level cache.
const GROUP: usize = 1 << 14;
/// Every number of 16 bits is an index.
const ENTRIES: usize = 1 << 16;
/// Vectors that share a test of doubt.
const BLOCK: usize = 4;
/// Blocks between the one at work and the one asked for.
const AHEAD: usize = 16;
/// Their values.
const BLOCK_VALUES: usize = BLOCK * LANES;
/// Work items of each thread.
const ITEMS: usize = 4;
/// The most rows of one: a multiple of those that fill whole vectors, below what a counter holds.
const ROWS: usize = 1 << 15;

pub(super) fn add(context: &mut Context, x: MatRef<'_>, histograms: &mut [Histogram]) {
    let places = histograms[0].counts.len();
    // Whole blocks of columns if they fit in half of the cache, or else in the table at all.
    let width = (GROUP / places / BLOCK_VALUES * BLOCK_VALUES).max((ENTRIES / places).min(LANES));
    let groups = histograms.chunks_mut(width).enumerate();
    for (group, histograms) in groups {
        let first = group * width;
        add_group(context, x.columns(first..first + histograms.len()), histograms);
    }
}

/// What 16 values after each other are placed by, each in a cache line of its own.
#[repr(align(64))]
struct Constants {
    low: [f32; LANES],
    high: [f32; LANES],
    scale: [f32; LANES],
    /// Where the column's counters begin, on top of [`ROUND`].
    zero: [f32; LANES],
}

impl Constants {
    #[inline(always)]
    fn binning<S: Simd>(&self, s: S, bins: usize) -> Binning<S> {
        Binning::new([&self.low, &self.high, &self.scale, &self.zero].map(|lanes| s.load(lanes)), bins)
    }

    /// The counters of 16 values, in the low 16 bits of each lane.
    #[inline(always)]
    fn place<S: Simd>(&self, s: S, x: S::F32, bins: usize) -> [u32; LANES] {
        let mut at = [0; LANES];
        s.store_u32(s.to_bits(self.binning(s, bins).place(s, x)), &mut at);
        at
    }
}

/// The constants of the vectors of some rows after each other.
struct Layout {
    /// As many as the rows have vectors, and again the first, so that a block may begin with any.
    constants: Vec<Constants>,
    /// Vectors after which they repeat.
    period: usize,
}

impl Layout {
    fn new(histograms: &[Histogram], rows: usize) -> Self {
        let (places, bins) = (histograms[0].counts.len(), histograms[0].bins());
        let factors: Vec<Factors> = histograms.iter().map(|h| Factors::new(h.range, bins)).collect();
        let of_vector = |first: usize| {
            let column = |lane| (first + lane) % factors.len();
            Constants {
                low: std::array::from_fn(|lane| factors[column(lane)].low),
                high: std::array::from_fn(|lane| factors[column(lane)].high),
                scale: std::array::from_fn(|lane| factors[column(lane)].scale),
                zero: std::array::from_fn(|lane| ROUND + (column(lane) * places) as f32),
            }
        };
        let period = (rows * factors.len()).div_ceil(LANES);
        let constants = (0..period + BLOCK - 1).map(|vector| of_vector(vector % period * LANES)).collect();
        Layout { constants, period }
    }
}

/// A thread's counters.
struct Table<'a> {
    /// [columns, bins + 3]
    counters: &'a mut [u16; ENTRIES],
    /// Rows in the table.
    held: usize,
    counts: Vec<u64>,
}

impl<'a> Table<'a> {
    fn new(counters: &'a mut [u16; ENTRIES], used: usize) -> Self {
        counters[..used].fill(0);
        Table { counters, held: 0, counts: vec![0; used] }
    }

    fn empty(&mut self) {
        for (count, counter) in self.counts.iter_mut().zip(self.counters.iter_mut()) {
            *count += u64::from(*counter);
            *counter = 0;
        }
        self.held = 0;
    }
}

fn add_group(context: &mut Context, x: MatRef<'_>, histograms: &mut [Histogram]) {
    let isa = context.isa();
    let (rows, cols) = (x.rows(), x.cols());
    let (places, bins) = (histograms[0].counts.len(), histograms[0].bins());
    let together = if x.as_contiguous().is_some() { whole_vectors(cols) } else { 1 };
    let layout = &Layout::new(histograms, together);
    let threads = context.threads().for_work([rows, cols, COST]);
    let counters = context.counters(threads.get() * ENTRIES).as_chunks_mut().0;
    let mut tables: Vec<Table<'_>> = counters.iter_mut().map(|counters| Table::new(counters, cols * places)).collect();
    // Counts are whole numbers: how the rows are cut shows nowhere.
    let step = rows.div_ceil(ITEMS * threads.get()).next_multiple_of(LANES).clamp(LANES, ROWS);
    let items = (0..rows).step_by(step).map(|first| x.rows_range(first..rows.min(first + step)));
    for_each_with(threads, &mut tables, items, |table, piece| {
        if table.held + piece.rows() > usize::from(u16::MAX) {
            table.empty();
        }
        table.held += piece.rows();
        dispatch(isa, Count { piece, layout, bins, counters: table.counters });
    });
    for mut table in tables {
        table.empty();
        for (histogram, own) in histograms.iter_mut().zip(table.counts.chunks_exact(places)) {
            for (count, more) in histogram.counts.iter_mut().zip(own) {
                *count += more;
            }
        }
    }
}

struct Count<'a, 'b> {
    piece: MatRef<'a>,
    layout: &'a Layout,
    bins: usize,
    counters: &'b mut [u16; ENTRIES],
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let piece = self.piece;
        if let Some(values) = piece.as_contiguous() {
            let later = values.get(AHEAD * BLOCK_VALUES..).unwrap_or_default();
            return self.count(s, std::iter::once((values, later)));
        }
        let ahead = (AHEAD * BLOCK_VALUES).div_ceil(piece.cols());
        let later = |row| if row + ahead < piece.rows() { piece.row(row + ahead) } else { &[][..] };
        self.count(s, (0..piece.rows()).map(|row| (piece.row(row), later(row))));
    }
}

impl Count<'_, '_> {
    /// Counts stretches of values of which the first belongs to the first column; each comes with what stands in the same places some blocks on.
    #[inline(always)]
    fn count<'v, S: Simd>(&mut self, s: S, stretches: impl Iterator<Item = (&'v [f32], &'v [f32])>) {
        let Layout { constants, period } = self.layout;
        // Vectors of the block before are counted in turn with those whose indices are computed, so that the two overlap in the processor, and
        // no index is read while its store is still on the way.
        let Buffers([to, from]) = &mut Buffers([[[0; LANES]; BLOCK]; 2]);
        let (mut to, mut from, mut waiting) = (to, from, false);
        let step = BLOCK % period;
        for (values, later) in stretches {
            let (vectors, tail) = values.as_chunks::<LANES>();
            let (blocks, left) = vectors.as_chunks::<BLOCK>();
            let mut later = later.as_chunks::<LANES>().0.as_chunks::<BLOCK>().0.iter();
            let mut phase = 0;
            for block in blocks {
                if let Some(later) = later.next() {
                    later.iter().for_each(|vector| s.prefetch(&vector[0]));
                }
                let constants = constants[phase..].first_chunk().expect("a block from any vector on");
                if waiting {
                    self.of_block(s, constants, block, to, |this, vector| this.count_all(&from[vector..=vector]));
                } else {
                    self.of_block(s, constants, block, to, |_, _| ());
                }
                std::mem::swap(&mut to, &mut from);
                waiting = true;
                phase += step;
                phase -= if phase >= *period { *period } else { 0 };
            }
            let constants = &constants[phase..];
            for (vector, constants) in left.iter().zip(constants) {
                self.count_all(&[constants.place(s, s.load(vector), self.bins)]);
            }
            if !tail.is_empty() {
                let at = constants[left.len()].place(s, s.load_partial(tail), self.bins);
                for &at in &at[..tail.len()] {
                    self.counters[usize::from(at as u16)] += 1;
                }
            }
        }
        if waiting {
            self.count_all(from);
        }
    }

    /// One more in each of these counters.
    #[inline(always)]
    fn count_all(&mut self, indices: &[[u32; LANES]]) {
        for at in indices {
            for lane in 0..LANES {
                self.counters[usize::from(at[lane] as u16)] += 1;
            }
        }
    }

    /// The counters of a block; `after` is called after each vector of it.
    #[inline(always)]
    fn of_block<S: Simd>(
        &mut self,
        s: S,
        constants: &[Constants; BLOCK],
        block: &[[f32; LANES]; BLOCK],
        to: &mut [[u32; LANES]; BLOCK],
        mut after: impl FnMut(&mut Self, usize),
    ) {
        let mut doubt = Doubt::none(s);
        for i in 0..BLOCK {
            let place = constants[i].binning(s, self.bins).guess(s, s.load(&block[i]), &mut doubt);
            s.store_u32(s.to_bits(place), &mut to[i]);
            after(self, i);
        }
        if doubt.any(s) {
            for i in 0..BLOCK {
                to[i] = constants[i].place(s, s.load(&block[i]), self.bins);
            }
        }
    }
}
