//! Random bits in lanes: sixteen generators of xoshiro128++ side by side.
//!
//! Blackman & Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021. It needs only additions, shifts, rotations and exclusive
//! ors of 32 bits, so that it runs on every instruction set.

use rand_core::Rng;

use crate::random::Stream;
use crate::simd::{LANES, Simd};

/// Values drawn together, or whose masks are, two vectors of them.
pub(crate) const PAIR: usize = 2 * LANES;

/// Sixteen xoshiro128++ generators side by side.
#[derive(Clone, Copy)]
pub(crate) struct Generators<S: Simd> {
    simd: S,
    state: [S::U32; 4],
}

/// Sixteen states. All-zero ones, which would stay zero, have probability 2^-124.
pub(crate) fn seeds(stream: Stream) -> [[u32; LANES]; 4] {
    let mut generator = stream.generator();
    std::array::from_fn(|_| {
        let mut lanes = [0; LANES];
        for two in lanes.chunks_exact_mut(2) {
            let bits = generator.next_u64();
            (two[0], two[1]) = (bits as u32, (bits >> 32) as u32);
        }
        lanes
    })
}

impl<S: Simd> Generators<S> {
    /// What they run on.
    #[inline(always)]
    pub(crate) fn simd(&self) -> S {
        self.simd
    }

    #[inline(always)]
    pub(crate) fn seeded(simd: S, stream: Stream) -> Self {
        Self::from_states(simd, &seeds(stream))
    }

    #[inline(always)]
    fn from_states(simd: S, seeds: &[[u32; LANES]; 4]) -> Self {
        let state =
            [simd.load_u32(&seeds[0]), simd.load_u32(&seeds[1]), simd.load_u32(&seeds[2]), simd.load_u32(&seeds[3])];
        Generators { simd, state }
    }

    /// One step in every lane.
    #[inline(always)]
    pub(crate) fn bits(&mut self) -> S::U32 {
        let s = self.simd;
        let [a, b, c, d] = self.state;
        let result = s.add_u32(s.rotate_left::<7, 25>(s.add_u32(a, d)), a);
        let (c, d, t) = (s.xor(c, a), s.xor(d, b), s.shl::<9>(b));
        self.state = [s.xor(a, d), s.xor(b, c), s.xor(c, t), s.rotate_left::<11, 21>(d)];
        result
    }
}

/// xoshiro128++ as its authors print it: the next output, and the state moved on.
pub fn xoshiro128_plus_plus(s: &mut [u32; 4]) -> u32 {
    let result = s[0].wrapping_add(s[3]).rotate_left(7).wrapping_add(s[0]);
    let t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3].rotate_left(11);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::simd::{Kernel, dispatch};

    /// Ten steps of the lanes from given states.
    struct Steps([[u32; LANES]; 4]);

    impl Kernel for Steps {
        type Output = [[u32; LANES]; 10];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut generators = Generators::from_states(s, &self.0);
            std::array::from_fn(|_| {
                let mut lanes = [0; LANES];
                s.store_u32(generators.bits(), &mut lanes);
                lanes
            })
        }
    }

    #[test]
    fn every_lane_is_xoshiro128_plus_plus() {
        // The published outputs from the state 1, 2, 3, 4 (the authors' C code, also in the tests of rand_xoshiro).
        let published = [
            641,
            1_573_767,
            3_222_811_527,
            3_517_856_514,
            836_907_274,
            4_247_214_768,
            3_867_114_732,
            1_355_841_295,
            495_546_011,
            621_204_420,
        ];
        let states: [[u32; 4]; LANES] = std::array::from_fn(|lane| match lane {
            0 => [1, 2, 3, 4],
            _ => std::array::from_fn(|word| ((lane * 4 + word) as u32).wrapping_mul(0x9e37_79b9)),
        });
        let seeds = std::array::from_fn(|word| states.map(|state| state[word]));
        for isa in Isa::available() {
            let got = dispatch(isa, Steps(seeds));
            for (lane, state) in states.iter().enumerate() {
                let mut state = *state;
                for (step, row) in got.iter().enumerate() {
                    assert_eq!(row[lane], xoshiro128_plus_plus(&mut state), "{isa} lane {lane} step {step}");
                }
            }
            assert_eq!(got.map(|row| row[0]), published, "{isa}");
        }
    }
}
