//! Sums of lists: for each a chain of multiply-adds over its entries in order.

use super::lists::Lists;
use crate::simd::{LANES, Simd};

/// What entries are added to: the sums of so many samples, and where these samples' inputs lie.
pub(crate) trait Chain: Copy {
    /// A sum for each sample.
    type Sums: Copy;

    /// The sums with an entry: `weight` times the samples' values of input `index`.
    fn add(self, sums: Self::Sums, index: u32, weight: f32) -> Self::Sums;
}

/// Chains whose inputs lie one after the other.
pub(super) trait Runs: Chain {
    /// The same for inputs `start..start + len` alone, which are then the first and so on.
    fn run(self, start: usize, len: usize) -> Self;
}

/// What each output of a layer sums, however it is kept.
pub(super) trait Connections: Copy + Sync {
    fn inputs(self) -> usize;
    fn outputs(self) -> usize;
    /// The weights of all outputs.
    fn entries(self) -> usize;
    /// The sums of `N` outputs from `first` on, added to `sums`, side by side.
    fn sum<C: Runs, const N: usize>(self, chain: C, first: usize, sums: [C::Sums; N]) -> [C::Sums; N];
}

impl Connections for Lists<'_> {
    fn inputs(self) -> usize {
        self.inputs
    }
    fn outputs(self) -> usize {
        self.outputs
    }
    fn entries(self) -> usize {
        self.indices.len()
    }
    #[inline(always)]
    fn sum<C: Runs, const N: usize>(self, chain: C, first: usize, sums: [C::Sums; N]) -> [C::Sums; N] {
        chains(chain, self, first, sums)
    }
}

/// The sums of `N` lists from `first` on, added to `sums`. Side by side, as each multiply-add of a list waits for the one before it.
#[inline(always)]
pub(crate) fn chains<C: Chain, const N: usize>(
    chain: C,
    lists: Lists<'_>,
    first: usize,
    mut sums: [C::Sums; N],
) -> [C::Sums; N] {
    let (mut indices, mut weights, mut common) = ([&[][..]; N], [&[][..]; N], usize::MAX);
    for n in 0..N {
        let range = lists.offsets[first + n] as usize..lists.offsets[first + n + 1] as usize;
        (indices[n], weights[n]) = (&lists.indices[range.clone()], &lists.values[range]);
        common = common.min(indices[n].len());
    }
    // One length for all, known here: no bounds are checked in the loop.
    let (mut alike_indices, mut alike_weights) = ([&[][..]; N], [&[][..]; N]);
    for n in 0..N {
        (alike_indices[n], indices[n]) = indices[n].split_at(common);
        (alike_weights[n], weights[n]) = weights[n].split_at(common);
    }
    for at in 0..common {
        for n in 0..N {
            sums[n] = chain.add(sums[n], alike_indices[n][at], alike_weights[n][at]);
        }
    }
    for n in 0..N {
        for (&index, &weight) in indices[n].iter().zip(weights[n]) {
            sums[n] = chain.add(sums[n], index, weight);
        }
    }
    sums
}

/// Samples in `V` vectors; of each input their values, packed.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a, S, const V: usize> {
    pub(super) s: S,
    pub(super) inputs: &'a [[[f32; LANES]; V]],
}

impl<S: Simd, const V: usize> Chain for Panel<'_, S, V> {
    type Sums = [S::F32; V];

    #[inline(always)]
    fn add(self, mut sums: [S::F32; V], index: u32, weight: f32) -> [S::F32; V] {
        let (s, inputs) = (self.s, &self.inputs[index as usize]);
        let weight = s.splat(weight);
        for v in 0..V {
            sums[v] = s.mul_add(weight, s.load(&inputs[v]), sums[v]);
        }
        sums
    }
}

impl<S: Simd, const V: usize> Runs for Panel<'_, S, V> {
    #[inline(always)]
    fn run(self, start: usize, len: usize) -> Self {
        Panel { inputs: &self.inputs[start..][..len], ..self }
    }
}

/// So few samples that lanes of nothing would take the inputs out of the L1 cache; of each input their values, side by side.
#[derive(Clone, Copy)]
pub(super) struct Interleaved<'a, const B: usize> {
    pub(super) inputs: &'a [[f32; B]],
}

impl<const B: usize> Chain for Interleaved<'_, B> {
    type Sums = [f32; B];

    #[inline(always)]
    fn add(self, mut sums: [f32; B], index: u32, weight: f32) -> [f32; B] {
        let inputs = &self.inputs[index as usize];
        for b in 0..B {
            sums[b] = weight.mul_add(inputs[b], sums[b]);
        }
        sums
    }
}

impl<const B: usize> Runs for Interleaved<'_, B> {
    #[inline(always)]
    fn run(self, start: usize, len: usize) -> Self {
        Interleaved { inputs: &self.inputs[start..][..len] }
    }
}
