//! Random streams by (seed, purpose, item): hashed, so that neighbouring seeds and items share nothing.
//!
//! A [`Stream`] is a name for an endless sequence of random numbers, not a generator with a position. Asking it for its
//! [`item`](Stream::item) number 5 gives the same stream on every thread, machine and run, whatever was drawn before: this is what
//! lets work be split, and interrupted, without changing a bit.
//!
//! A purpose is its bytes, item after item: item 115 of "noise" is "noises", and has its numbers. Two purposes under one seed share nothing if
//! neither begins with the other; and if one does, as long as items are never taken of items of the shorter as many times as the longer has
//! bytes more: "order" may stand beside "order of tests", whose nine further bytes are items nine deep, but not beside "orders" if any item of
//! it is used.
//!
//! ```
//! use neuropil::random::Stream;
//! let shuffles = Stream::new(42, "shuffle");
//! let mut order: Vec<u32> = (0..10).collect();
//! shuffles.item(3).shuffle(&mut order); // the order of epoch 3, now and always
//! assert_ne!(order, (0..10).collect::<Vec<_>>());
//! assert_eq!(shuffles.item(115), Stream::new(42, "shuffles")); // the code of "s"
//! ```

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A named sequence of random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(u64, u64);

/// The finaliser of SplitMix64 (Stafford's mix 13): every input bit moves every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream of this purpose under this seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        purpose.bytes().fold(Stream(0, GOLDEN).item(seed), |stream, byte| stream.item(u64::from(byte)))
    }

    /// The stream's item of this number: a stream of its own.
    #[must_use]
    pub fn item(self, number: u64) -> Self {
        let a = mix(self.0 ^ mix(number.wrapping_add(GOLDEN)));
        Stream(a, mix(self.1.wrapping_add(a).wrapping_add(GOLDEN)))
    }

    /// A generator at the stream's beginning.
    pub fn generator(self) -> Pcg64Mcg {
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&self.0.to_le_bytes());
        seed[8..].copy_from_slice(&self.1.to_le_bytes());
        Pcg64Mcg::from_seed(seed)
    }

    /// Puts a slice into random order (Fisher and Yates).
    pub fn shuffle<T>(self, values: &mut [T]) {
        let mut generator = self.generator();
        for last in (1..values.len()).rev() {
            values.swap(last, below(&mut generator, last as u64 + 1) as usize);
        }
    }

    /// Fills a slice with uniform numbers from `[low, high)`, 24 random bits each; with `low` if both ends are that.
    ///
    /// # Panics
    /// If `low` is above `high`, or one of them or their distance is not finite.
    #[track_caller]
    pub fn uniform(self, low: f32, high: f32, out: &mut [f32]) {
        assert!(low <= high && (high - low).is_finite(), "uniform numbers from {low} to {high}");
        let mut generator = self.generator();
        for value in out {
            let unit = (generator.next_u64() >> 40) as f32 * (1.0 / (1u32 << 24) as f32);
            *value = low + (high - low) * unit;
            if *value >= high && high > low {
                // Rounded up to what is not of the interval.
                *value = high.next_down();
            }
        }
    }
}

/// A number below `bound`, all equally likely (Lemire's multiplication with rejection).
///
/// # Panics
/// If `bound` is zero.
#[track_caller]
pub fn below(generator: &mut impl Rng, bound: u64) -> u64 {
    assert!(bound > 0, "a number below zero");
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let wide = u128::from(generator.next_u64()) * u128::from(bound);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_item_and_repeat_exactly() {
        let first = |stream: Stream| stream.generator().next_u64();
        let mut seen = std::collections::HashSet::new();
        for seed in 0..20 {
            for purpose in ["a", "b", "ab", ""] {
                let stream = Stream::new(seed, purpose);
                assert!(seen.insert(first(stream)));
                for item in 0..20 {
                    assert!(seen.insert(first(stream.item(item))));
                }
            }
        }
        assert_eq!(first(Stream::new(7, "x").item(3)), first(Stream::new(7, "x").item(3)));
    }

    #[test]
    fn purposes_that_begin_alike_meet_only_as_deep_as_they_differ() {
        let (short, long) = (Stream::new(5, "order"), Stream::new(5, "order of tests"));
        let mut seen = std::collections::HashSet::new();
        let mut level = vec![short];
        for byte in " of tests".bytes() {
            assert!(level.iter().all(|stream| *stream != long && seen.insert((stream.0, stream.1))));
            // Both what leads there and what does not.
            level = level.iter().flat_map(|stream| [0, u64::from(byte)].map(|item| stream.item(item))).collect();
        }
        assert_eq!(level.iter().filter(|stream| **stream == long).count(), 1);
    }

    #[test]
    fn bits_are_pinned() {
        // Saved experiments depend on these: a change here is a breaking change.
        assert_eq!(Stream::new(42, "shuffle").item(3).generator().next_u64(), 8_600_075_153_277_659_181);
    }

    #[test]
    fn shuffles_are_permutations_and_positions_are_uniform() {
        let mut counts = [[0u32; 6]; 6];
        for item in 0..6000 {
            let mut order = [0, 1, 2, 3, 4, 5];
            Stream::new(1, "test").item(item).shuffle(&mut order);
            for (position, &value) in order.iter().enumerate() {
                counts[value][position] += 1;
            }
        }
        // Chi-squared over 36 cells with 25 degrees of freedom: beyond 60 with probability 1e-4.
        let chi: f64 = counts.iter().flatten().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 60.0, "chi-squared {chi}");
    }

    #[test]
    fn bounds_that_divide_the_range_take_every_draw() {
        let stream = Stream::new(1, "below");
        // Numbers have equal shares of the draws: these share their leading bits, and none is to be rejected.
        for bits in [1, 2, 16, 63] {
            let (mut got, mut draws) = (stream.generator(), stream.generator());
            for _ in 0..100 {
                assert_eq!(below(&mut got, 1 << bits), draws.next_u64() >> (64 - bits));
            }
        }
    }

    #[test]
    fn uniform_stays_in_its_interval() {
        let mut values = [0.0; 10_000];
        Stream::new(3, "u").uniform(-2.0, 3.0, &mut values);
        assert!(values.iter().all(|&v| (-2.0..3.0).contains(&v)));
        let mean = values.iter().sum::<f32>() / 1e4;
        assert!((mean - 0.5).abs() < 0.06, "mean {mean}");
        // Few numbers lie between: a sixteenth of the draws would be rounded up to the end.
        Stream::new(3, "u").uniform(1.0, 1.0 + 8.0 * f32::EPSILON, &mut values);
        assert!(values.iter().all(|&v| (1.0..1.0 + 8.0 * f32::EPSILON).contains(&v)));
        Stream::new(3, "u").uniform(1.5, 1.5, &mut values);
        assert!(values.iter().all(|&v| v == 1.5));
    }
}
