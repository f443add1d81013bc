//! A group of genotypes on an image.

use super::super::population::GROUP;
use super::Differences;
use super::tile::Image;
use crate::matrix::Matrix;
use crate::simd::{LANES, Simd};

/// Vectors of a group of genotypes.
const V: usize = GROUP / LANES;
/// Classes whose sums stay in registers together.
const TEN: usize = 10;
/// A number for each genotype of a group: lines of a cache, not parts of them.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes([[f32; LANES]; V]);

/// Scratch memory for a group of genotypes on an image.
pub(super) struct Group {
    /// \[place\]: `t` of the image's units.
    values: Vec<Lanes>,
    /// \[vector\]\[class\]
    logits: Vec<[f32; LANES]>,
    classes: usize,
}

impl Group {
    pub(super) fn new(classes: usize) -> Self {
        Group { values: Vec::new(), logits: vec![[0.0; LANES]; V * classes], classes }
    }

    /// The logits of each vector of genotypes of a group on an image, class by class.
    #[inline(always)]
    pub(super) fn logits<S: Simd>(
        &mut self,
        s: S,
        differences: &Differences,
        image: &Image,
        flips: &[u64],
    ) -> std::slice::ChunksExact<'_, [f32; LANES]> {
        values_of(s, image, flips, &mut self.values);
        logits_of(s, differences, image, flips, &self.values, &mut self.logits);
        add_products(s, image, flips, &self.values, &mut self.logits);
        self.logits.chunks_exact(self.classes)
    }
}

/// `t` of an image's units for a group of genotypes.
#[inline(always)]
fn values_of<S: Simd>(s: S, image: &Image, flips: &[u64], values: &mut Vec<Lanes>) {
    if values.len() < image.units.len() {
        values.resize(image.units.len(), Lanes([[0.0; LANES]; V]));
    }
    for (place, (unit, out)) in image.units.iter().zip(values).enumerate() {
        let mut sums = [s.splat(unit.base); V];
        for (gene, size) in image.moves.of(unit) {
            let (size, word) = (s.splat(size), &flips[gene as usize]);
            for v in 0..V {
                sums[v] = s.select(s.mask_from_word(word, v * LANES), s.add(sums[v], size), sums[v]);
            }
        }
        for v in 0..V {
            // NaN stays: it is the second operand.
            let sum = if place < image.doubtful { s.max(s.zero(), sums[v]) } else { sums[v] };
            s.store(sum, &mut out.0[v]);
        }
    }
}

/// Logits of an image for a group of genotypes, but for the changes of output weights.
#[inline(always)]
fn logits_of<S: Simd>(
    s: S,
    differences: &Differences,
    image: &Image,
    flips: &[u64],
    values: &[Lanes],
    logits: &mut [[f32; LANES]],
) {
    let (classes, weights) = (differences.class_ends.len(), &differences.output);
    let mut class = 0;
    while class + TEN <= classes {
        if S::REGISTERS < 32 {
            for half in [class, class + TEN / 2] {
                add_classes::<S, 5, 1>(s, classes, half, weights, image, flips, values, logits);
            }
        } else {
            add_classes::<S, TEN, 2>(s, classes, class, weights, image, flips, values, logits);
        }
        class += TEN;
    }
    while class < classes {
        add_classes::<S, 1, V>(s, classes, class, weights, image, flips, values, logits);
        class += 1;
    }
}

/// Logits of `C` classes from `class`, the sums of `N` vectors of genotypes in registers at a time.
#[inline(always)]
fn add_classes<S: Simd, const C: usize, const N: usize>(
    s: S,
    classes: usize,
    class: usize,
    weights: &Matrix,
    image: &Image,
    flips: &[u64],
    values: &[Lanes],
    logits: &mut [[f32; LANES]],
) {
    const { assert!(V.is_multiple_of(N)) };
    for first in (0..V).step_by(N) {
        let mut sums = [[s.zero(); N]; C];
        for c in 0..C {
            sums[c] = [s.splat(image.constants[class + c]); N];
        }
        for (slopes, word) in image.slopes.as_slice().chunks_exact(weights.cols()).zip(flips) {
            let slopes: &[f32; C] = slopes[class..].first_chunk().expect("C classes");
            let mut masks = [s.mask_from_bits(0); N];
            for v in 0..N {
                masks[v] = s.mask_from_word(word, (first + v) * LANES);
            }
            for c in 0..C {
                let slope = s.splat(slopes[c]);
                for v in 0..N {
                    sums[c][v] = s.select(masks[v], s.add(sums[c][v], slope), sums[c][v]);
                }
            }
        }
        for (unit, values) in image.units[..image.doubtful].iter().zip(values) {
            let weights: &[f32; C] = weights.row(unit.unit as usize)[class..].first_chunk().expect("C classes");
            let values: &[[f32; LANES]; N] = values.0[first..].first_chunk().expect("N vectors");
            let mut vectors = [s.zero(); N];
            for v in 0..N {
                vectors[v] = s.load(&values[v]);
            }
            for c in 0..C {
                let weight = s.splat(weights[c]);
                for v in 0..N {
                    sums[c][v] = s.mul_add(weight, vectors[v], sums[c][v]);
                }
            }
        }
        for c in 0..C {
            for v in 0..N {
                s.store(sums[c][v], &mut logits[(first + v) * classes + class + c]);
            }
        }
    }
}

/// Adds the changes of output weights to the logits.
#[inline(always)]
fn add_products<S: Simd>(s: S, image: &Image, flips: &[u64], values: &[Lanes], logits: &mut [[f32; LANES]]) {
    let (classes, mut start) = (image.product_ends.len(), 0);
    for (class, &end) in image.product_ends.iter().enumerate() {
        let mut sums = [s.zero(); V];
        for v in 0..V {
            sums[v] = s.load(&logits[v * classes + class]);
        }
        for product in &image.products[start..end as usize] {
            let (values, word) = (&values[product.place as usize].0, &flips[product.gene as usize]);
            let change = s.splat(product.change);
            for v in 0..V {
                let sum = s.mul_add(change, s.load(&values[v]), sums[v]);
                sums[v] = s.select(s.mask_from_word(word, v * LANES), sum, sums[v]);
            }
        }
        start = end as usize;
        for v in 0..V {
            s.store(sums[v], &mut logits[v * classes + class]);
        }
    }
}
