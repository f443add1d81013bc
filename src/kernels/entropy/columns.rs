//! Histograms of columns: lanes are columns, so that neighbouring increments go to different counters.
//!
//! A row meets the table [columns, bins] once. Without gaps between the rows, as many rows are taken together as fill whole vectors,
//! and the constants of the ranges are laid out for that many. Columns go in groups whose 16-bit counters fit in half of the
//! first-level cache.

use super::binning::{Binning, Factors, INTEGER};
use super::{COST, Histogram};
use crate::context::Context;
use crate::matrix::MatRef;
use crate::parallel::for_each_with;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Counters of a group of columns that fit in half of the first-level cache.
const GROUP: usize = 1 << 14;
/// Every number of 16 bits is an index.
const ENTRIES: usize = 1 << 16;
/// Rows of a work item.
const ROWS: usize = 4096;

pub(super) fn add(context: &mut Context, x: MatRef<'_>, histograms: &mut [Histogram]) {
    let places = histograms[0].counts.len();
    // Whole vectors of columns if they fit in half of the cache, or else in the table at all.
    let width = (GROUP / places / LANES * LANES).max((ENTRIES / places).min(LANES));
    let groups = histograms.chunks_mut(width).enumerate();
    for (group, histograms) in groups {
        let first = group * width;
        add_group(context, x.columns(first..first + histograms.len()), histograms);
    }
}

/// What a run of the table's columns is placed by, laid out for some rows after each other.
struct Layout {
    low: Vec<f32>,
    high: Vec<f32>,
    scale: Vec<f32>,
    trusted: Vec<f32>,
    /// Where the column's counters begin, on top of [`INTEGER`].
    base: Vec<f32>,
}

impl Layout {
    fn new(histograms: &[Histogram], rows: usize) -> Self {
        let (places, bins) = (histograms[0].counts.len(), histograms[0].bins());
        let factors: Vec<Factors> = histograms.iter().map(|h| Factors::new(h.range, bins)).collect();
        // The lanes beyond the last column repeat it.
        let len = (rows * factors.len()).next_multiple_of(LANES);
        let lay = |value: &dyn Fn(usize) -> f32| (0..len).map(|at| value(at % factors.len())).collect::<Vec<f32>>();
        Layout {
            low: lay(&|column| factors[column].low),
            high: lay(&|column| factors[column].high),
            scale: lay(&|column| factors[column].scale),
            trusted: lay(&|column| factors[column].trusted),
            base: lay(&|column| INTEGER + (column * places) as f32),
        }
    }
}

/// A thread's counters.
struct Table {
    /// [columns, bins + 3]
    counters: Box<[u16; ENTRIES]>,
    /// Rows in the table.
    held: usize,
    counts: Vec<u64>,
}

impl Table {
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
    let together = if x.as_contiguous().is_some() { together(cols) } else { 1 };
    let layout = &Layout::new(histograms, together);
    let threads = context.threads().for_work(rows * cols * COST);
    let table = |_| Table {
        counters: vec![0u16; ENTRIES].into_boxed_slice().try_into().expect("as many entries as were made"),
        held: 0,
        counts: vec![0; cols * places],
    };
    let mut tables: Vec<Table> = (0..threads.get()).map(table).collect();
    let items = (0..rows).step_by(ROWS).map(|first| x.rows_range(first..rows.min(first + ROWS)));
    for_each_with(threads, &mut tables, items, |table, piece| {
        if table.held + piece.rows() > usize::from(u16::MAX) {
            table.empty();
        }
        table.held += piece.rows();
        dispatch(isa, Count { piece, layout, together, bins, counters: &mut table.counters });
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

/// How many rows fill whole vectors: 16 over the greatest common divisor.
fn together(cols: usize) -> usize {
    LANES >> cols.trailing_zeros().min(LANES.ilog2())
}

struct Count<'a, 'b> {
    piece: MatRef<'a>,
    layout: &'a Layout,
    together: usize,
    bins: usize,
    counters: &'b mut [u16; ENTRIES],
}

impl Kernel for Count<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        match self.piece.as_contiguous() {
            Some(values) => {
                for values in values.chunks(self.together * self.piece.cols()) {
                    self.count(s, values);
                }
            }
            None => {
                for row in self.piece.iter_rows() {
                    self.count(s, row);
                }
            }
        }
    }
}

impl Count<'_, '_> {
    #[inline(always)]
    fn count<S: Simd>(&mut self, s: S, values: &[f32]) {
        let Layout { low, high, scale, trusted, base } = self.layout;
        let (low, high) = (low.as_chunks::<LANES>().0, high.as_chunks::<LANES>().0);
        let (scale, trusted) = (scale.as_chunks::<LANES>().0, trusted.as_chunks::<LANES>().0);
        let base = base.as_chunks::<LANES>().0;
        let (vectors, tail) = values.as_chunks::<LANES>();
        let constants = low.iter().zip(high).zip(scale).zip(trusted).zip(base);
        for (vector, ((((low, high), scale), trusted), base)) in vectors.iter().zip(constants) {
            let binning = Binning::new([s.load(low), s.load(high), s.load(scale), s.load(trusted)], self.bins);
            let at = s.lanes(s.add(binning.place(s, s.load(vector)), s.load(base)));
            for lane in 0..LANES {
                self.counters[usize::from(at[lane].to_bits() as u16)] += 1;
            }
        }
        if !tail.is_empty() {
            let last = vectors.len();
            let constants = [s.load(&low[last]), s.load(&high[last]), s.load(&scale[last]), s.load(&trusted[last])];
            let place = Binning::new(constants, self.bins).place(s, s.load_partial(tail));
            let at = s.lanes(s.add(place, s.load(&base[last])));
            for lane in 0..tail.len() {
                self.counters[usize::from(at[lane].to_bits() as u16)] += 1;
            }
        }
    }
}
