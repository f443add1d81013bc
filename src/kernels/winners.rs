//! Which values of a row are its largest: who wins a [competition](super::hebbian::Competition), and what
//! [`k_winners`](super::activation::k_winners) keeps. Of equals the first wins, NaN never does.
//!
//! ```text
//! one:   the largest value of each lane, of all lanes, and where it first stands
//! more:  the largest of each of 2 k parts of the row; the k-th largest of these bounds the k-th largest of all        (1)
//!        for each four vectors: collect what reaches the bound, once k have been collected, what is above it
//!        3 k + 64 are collected: keep the k largest, the last of which is the bound from then on                      (2)
//! ```
//! 1. Not much more than k values reach it, unless many are equal. A part is a lane of some vectors. Where parts would be short, the k-th largest
//!    of the first 2 k values is the bound, and some k ln(n / k) of n values reach that.
//! 2. As whole numbers in the same order, places below: all different, so that there is one answer.

use crate::simd::{LANES, Simd};

/// Finds the winners of one row after another.
#[derive(Default)]
pub(super) struct Winners {
    keys: Vec<u64>,
    indices: Vec<u32>,
    maxima: Vec<u32>,
}

impl Winners {
    /// The indices of the k largest values, k one or more, in no order: fewer, where fewer are numbers.
    #[inline(always)]
    pub(super) fn of_row<S: Simd>(&mut self, s: S, values: &[f32], k: usize) -> &mut [u32] {
        self.indices.clear();
        if k == 1 {
            self.indices.extend(first_largest(s, values).map(|index| index as u32));
        } else {
            self.collect(s, values, k);
            self.indices.extend(self.keys.iter().map(|&key| index_of(key) as u32));
        }
        &mut self.indices
    }

    /// The keys of the k largest.
    #[inline(always)]
    fn collect<S: Simd>(&mut self, s: S, values: &[f32], k: usize) {
        let most = k.saturating_mul(3).saturating_add(64);
        let bound = self.bound(s, values, k);
        let keys = &mut self.keys;
        keys.clear();
        let (mut at, mut below) = (0, bound.next_down());
        if bound == f32::NEG_INFINITY {
            // None: the first are all collected.
            while at < values.len() && keys.len() < k.saturating_mul(2).saturating_add(32) {
                keys.extend((!values[at].is_nan()).then(|| key_of(values, at)));
                at += 1;
            }
            keep(keys, k);
            // There are k, if there is anything left.
            below = keys.get(k - 1).map_or(f32::INFINITY, |&key| values[index_of(key)]);
        }
        let (groups, rest) = values[at..].as_chunks::<GROUP>();
        for group in groups {
            let limit = s.splat(below);
            let mut above = 0;
            for (v, values) in group.as_chunks::<LANES>().0.iter().enumerate() {
                above |= u64::from(s.mask_bits(s.lt(limit, s.load(values)))) << (v * LANES);
            }
            if above != 0 {
                while above != 0 {
                    keys.push(key_of(values, at + above.trailing_zeros() as usize));
                    above &= above - 1;
                }
                if keys.len() >= most {
                    keep(keys, k);
                    below = values[index_of(keys[k - 1])];
                } else if keys.len() >= k {
                    below = below.max(bound);
                }
            }
            at += GROUP;
        }
        keys.extend((at..at + rest.len()).filter(|&at| values[at] > below).map(|at| key_of(values, at)));
        keep(keys, k);
    }

    /// What k values reach, or minus infinity.
    #[inline(always)]
    fn bound<S: Simd>(&mut self, s: S, values: &[f32], k: usize) -> f32 {
        let (vectors, _) = values.as_chunks::<LANES>();
        // Chunks of vectors, four of them side by side.
        let chunks = k.saturating_mul(2).div_ceil(LANES).next_multiple_of(4);
        let len = vectors.len() / chunks;
        if len < SHORTEST {
            return f32::NEG_INFINITY;
        }
        self.maxima.clear();
        for chunks in vectors[..chunks * len].chunks_exact(4 * len) {
            let mut best = [s.splat(f32::NEG_INFINITY); 4];
            for at in 0..len {
                for c in 0..4 {
                    best[c] = s.max(s.load(&chunks[c * len + at]), best[c]);
                }
            }
            for c in 0..4 {
                self.maxima.extend(s.lanes(best[c]).map(ordered));
            }
        }
        let (_, &mut bound, _) = self.maxima.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
        f32::from_bits(if bound >> 31 == 1 { bound ^ 1 << 31 } else { !bound })
    }
}

/// The fewest vectors of a chunk whose largest values are worth finding.
const SHORTEST: usize = 8;
/// Values that are looked at together.
const GROUP: usize = 4 * LANES;

/// Where the largest value first stands; nowhere, if there is no number.
#[inline(always)]
fn first_largest<S: Simd>(s: S, values: &[f32]) -> Option<usize> {
    let (groups, rest) = values.as_chunks::<GROUP>();
    let mut best = [s.splat(f32::NEG_INFINITY); 4];
    for group in groups {
        for v in 0..4 {
            // Never NaN: the second operand stays.
            best[v] = s.max(s.load(&group.as_chunks().0[v]), best[v]);
        }
    }
    let best = s.max(s.max(best[0], best[1]), s.max(best[2], best[3]));
    let largest = rest.iter().fold(s.reduce_max(best), |largest, &value| if value > largest { value } else { largest });
    let (vectors, rest) = values.as_chunks();
    for (at, vector) in vectors.iter().enumerate() {
        let equal = s.mask_bits(s.eq(s.load(vector), s.splat(largest)));
        if equal != 0 {
            return Some(at * LANES + equal.trailing_zeros() as usize);
        }
    }
    rest.iter().position(|&value| value == largest).map(|at| vectors.len() * LANES + at)
}

/// A number as one that is the larger, the sooner its value wins: zeros of either sign are equal, and of equals the first wins.
#[inline(always)]
fn key_of(values: &[f32], index: usize) -> u64 {
    u64::from(ordered(values[index])) << 32 | u64::from(!(index as u32))
}

/// A value that is a number as a whole number in the same order.
#[inline(always)]
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn index_of(key: u64) -> usize {
    !(key as u32) as usize
}

/// Keeps the k largest keys, the smallest of them last; or all, if there are no more.
fn keep(keys: &mut Vec<u64>, k: usize) {
    if keys.len() > k {
        keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
        keys.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::simd::{Isa, Kernel, dispatch};

    struct Search<'a>(&'a [f32], usize, &'a mut Winners);

    impl Kernel for Search<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<u32> {
            let mut winners = self.2.of_row(s, self.0, self.1).to_vec();
            winners.sort_unstable();
            winners
        }
    }

    /// By sorting: stable, so that of equals the first stays before.
    fn sorted(values: &[f32], k: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..values.len() as u32).filter(|&at| !values[at as usize].is_nan()).collect();
        order.sort_by(|&a, &b| values[b as usize].partial_cmp(&values[a as usize]).unwrap());
        order.truncate(k);
        order.sort_unstable();
        order
    }

    #[test]
    fn the_winners_are_those_of_a_sort_on_every_set() {
        let mut random = vec![0.0; if cfg!(miri) { 150 } else { 1000 }];
        Stream::new(3, "winners").uniform(-4.0, 4.0, &mut random);
        // Ties of all kinds, zeros of either sign, and what is no number.
        let rounded: Vec<f32> = random.iter().map(|value| value.round()).collect();
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::NAN];
        let odd: Vec<f32> =
            rounded.iter().enumerate().map(|(at, &v)| if at % 3 == 0 { odd[at / 3 % 6] } else { v }).collect();
        let mut numbers_last = vec![f32::NAN; random.len()];
        numbers_last[100..].copy_from_slice(&random[100..]);
        let mut ascending = random.clone();
        ascending.sort_by(f32::total_cmp);
        let descending: Vec<f32> = ascending.iter().rev().copied().collect();
        let low = vec![f32::NEG_INFINITY; random.len()];
        let (equal, none) = (vec![1.0; random.len()], vec![f32::NAN; random.len()]);
        for values in [random, rounded, odd, numbers_last, ascending, descending, low, equal, none] {
            for len in [0, 1, 15, 16, 17, 63, 64, 65, 130, 131, 513, values.len()] {
                let len = len.min(values.len());
                for k in [1, 2, 3, 31, 33, 64, 100, len / 2, len, len + 1] {
                    let values = &values[..len];
                    let want = sorted(values, k.max(1));
                    for isa in Isa::available() {
                        let mut winners = Winners::default();
                        let got = dispatch(isa, Search(values, k.max(1), &mut winners));
                        assert_eq!(got, want, "{isa}: {k} of {values:?}");
                        // What the row before has left does not matter.
                        assert_eq!(dispatch(isa, Search(values, k.max(1), &mut winners)), want);
                    }
                }
            }
        }
    }
}
