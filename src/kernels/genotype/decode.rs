//! Weights of many links, in the order of how many genes they have: legal always.
//!
//! ```text
//! for each block of 256 links
//!   for each one, or three, of them, the shortest lists first                                          (1)
//!     for each gene of the link, and its value
//!       sums += value where the genotype's allele is 1            lanes are genotypes, their bits a mask
//!     write the sums                                              past the caches where there are many (2)
//! ```
//! 1. A list's end is mispredicted where the next is of another length, and costs as much as its additions: in this order 0.5 to 0.7 of the time.
//!    A block is small, so that what is written stays near.
//! 2. 64 genotypes fill whole cache lines: 0.7 once more.

use std::ops::Range;

use super::population::{GROUP, Population};
use super::weights::WeightGeneration;
use crate::context::Context;
use crate::kernels::masked::{Chain, Lists, PAST_CACHES, Pattern, SparseMatrix, chains};
use crate::matrix::MatMut;
use crate::parallel::for_each;
use crate::simd::{FENCES_BEFORE_READING, Kernel, LANES, Simd, dispatch};

/// Links of an item of parallel work, and of those that are put in order.
const LINKS: usize = 256;
/// Links whose weights are made while the place of one comes nearer.
const AHEAD: usize = 8;
/// Links side by side, where so few chains of additions would wait for themselves.
pub(super) const SIDE: usize = 3;
/// Vectors of a group of genotypes.
pub(super) const VECTORS: usize = GROUP / LANES;

/// The rows of a sparse matrix, those of each [`LINKS`] in the order of their lengths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByLength {
    rows: Vec<u32>,
    /// Its rows in that order.
    matrix: SparseMatrix,
}

impl ByLength {
    pub(super) fn new(matrix: &SparseMatrix) -> Self {
        let pattern = matrix.pattern();
        let mut rows: Vec<u32> = (0..pattern.rows() as u32).collect();
        for block in rows.chunks_mut(LINKS) {
            block.sort_by_key(|&row| pattern.range(row as usize).len());
        }
        let mut offsets = vec![0];
        let (mut indices, mut values) = (Vec::with_capacity(pattern.entries()), Vec::with_capacity(pattern.entries()));
        for &row in &rows {
            indices.extend_from_slice(pattern.row(row as usize));
            values.extend_from_slice(&matrix.values()[pattern.range(row as usize)]);
            offsets.push(indices.len() as u32);
        }
        let pattern = Pattern::new(pattern.rows(), pattern.cols(), offsets, indices).expect("rows of a pattern");
        ByLength { rows, matrix: SparseMatrix::new(pattern, values).expect("a value for every entry") }
    }
}

/// Weights of genotypes: `out[link, k] = sum_i W[link, i] x_k(i)` for the genotypes of this range, out \[links, genotypes\].
///
/// A link is a row, as it is in W; [`evaluate_weights`](super::evaluate_weights) and [`forward`](super::forward) want a genotype a row:
/// `out.transposed()`.
///
/// A sum runs over the genes of the link in order, an addition for each whose allele is 1: |out - exact| <= 1.01 (n - 1) 2^-24 sum |W|
/// over those n. Neither instruction set nor threads, nor the range, show in the bits. No weight is NaN or infinite, as W has no such entries, nor
/// links whose entries could have such a sum.
/// Cost: an addition for each entry of W and 16 genotypes, 8 bytes read for each entry, and 4 written for each weight.
///
/// ```
/// use neuropil::kernels::genotype::{AlleleFrequencies, Graph, Population, Samples, WeightGeneration, decode, evaluate, evaluate_weights};
/// use neuropil::{Context, Matrix, random::Stream};
/// let mut context = Context::new()?;
/// let graph = Graph::random(4, 20, 2, 0.5, Stream::new(0, "graph"))?;
/// let w = WeightGeneration::random(graph.links(), 50, 0.1, Stream::new(0, "weights"))?;
/// let p = AlleleFrequencies::uniform(50, Stream::new(0, "frequencies"))?;
/// let population = Population::sample(&mut context, &p, Stream::new(0, "population"), 0..10)?;
/// let mut weights = Matrix::zeros(w.links(), 10);
/// decode(&mut context, &w, &population, 0..10, weights.view_mut());
///
/// let images = Matrix::from_slice(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2, 4)?;
/// let samples = Samples::new(&mut context, &graph, images.view(), &[0, 1])?;
/// let outcome = evaluate_weights(&mut context, &samples, weights.transposed().view())?;
/// assert_eq!(outcome, evaluate(&mut context, &w, &samples, &population));
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the range does not start at a multiple of 64 or ends behind the population, or shapes disagree.
#[track_caller]
pub fn decode(
    context: &mut Context,
    w: &WeightGeneration,
    population: &Population,
    genotypes: Range<usize>,
    out: MatMut<'_>,
) {
    assert!(
        w.genes() == population.genes() && (out.rows(), out.cols()) == (w.links(), genotypes.len()),
        "decode: w is {} x {}, genotypes {genotypes:?} of {} genes, out is {} x {}",
        w.links(),
        w.genes(),
        population.genes(),
        out.rows(),
        out.cols()
    );
    assert!(
        genotypes.start.is_multiple_of(GROUP)
            && genotypes.start <= genotypes.end
            && genotypes.end <= population.genotypes(),
        "decode: genotypes {genotypes:?} of {}: a range from a multiple of {GROUP}",
        population.genotypes()
    );
    let (isa, first) = (context.isa(), genotypes.start / GROUP);
    let threads = context.threads().for_work([w.entries(), genotypes.len()]);
    let ByLength { rows, matrix } = w.by_length();
    // Whole cache lines, or they are better collected in the caches.
    let past_caches = out.rows().saturating_mul(out.cols()) >= PAST_CACHES && out.stride().is_multiple_of(LANES);
    let lists = matrix.by_row();
    for_each(threads, out.row_blocks(LINKS).zip(rows.chunks(LINKS)).enumerate(), |(block, (mut out, links))| {
        for group in 0..genotypes.len().div_ceil(GROUP) {
            let (words, out) = (population.group(first + group), out.reborrow());
            let (first_list, first) = (block * LINKS, group * GROUP);
            dispatch(isa, Decode { lists, first_list, links, words, out, first, past_caches });
        }
    });
}

struct Decode<'a> {
    lists: Lists<'a>,
    /// That of the first link.
    first_list: usize,
    /// Whose lists they are.
    links: &'a [u32],
    words: &'a [u64],
    /// Of the block of links.
    out: MatMut<'a>,
    /// The column of the group's first genotype.
    first: usize,
    past_caches: bool,
}

impl Kernel for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (self.out.cols() - self.first).div_ceil(LANES) {
            1 => self.part_of_group::<S, 1>(s),
            2 => self.part_of_group::<S, 2>(s),
            _ => self.group(s),
        }
    }
}

impl Decode<'_> {
    #[inline(always)]
    fn group<S: Simd>(mut self, s: S) {
        let width = (self.out.cols() - self.first).min(GROUP);
        let chain = Genotypes::<S, VECTORS> { s, words: self.words, first: 0 };
        for (at, &link) in self.links.iter().enumerate() {
            if let Some(&next) = self.links.get(at + AHEAD).filter(|_| !self.past_caches) {
                let next = &self.row(next)[..width];
                // A loop that unrolls: an iterator's steps cost all that is won.
                for v in 0..VECTORS {
                    if let Some(value) = next.get(v * LANES) {
                        s.prefetch(value);
                    }
                }
            }
            let [sums] = chains(chain, self.lists, self.first_list + at, [[s.zero(); VECTORS]]);
            let past_caches = self.past_caches;
            let out = &mut self.row(link)[..width];
            // In place where they fill all vectors: through a copy 64 values cost a call.
            if let Some(lanes) = out.as_chunks_mut::<LANES>().0.first_chunk_mut::<VECTORS>() {
                for v in 0..VECTORS {
                    if past_caches {
                        s.store_past_caches(sums[v], &mut lanes[v], FENCES_BEFORE_READING);
                    } else {
                        s.store(sums[v], &mut lanes[v]);
                    }
                }
            } else {
                write(s, sums, out);
            }
        }
        if self.past_caches {
            s.fence();
        }
    }

    /// Up to `V` vectors of genotypes.
    #[inline(always)]
    fn part_of_group<S: Simd, const V: usize>(mut self, s: S) {
        let chain = Genotypes::<S, V> { s, words: self.words, first: 0 };
        let mut list = self.first_list;
        let (groups, rest) = self.links.as_chunks::<SIDE>();
        for links in groups {
            let sums = chains::<_, SIDE>(chain, self.lists, list, [[s.zero(); V]; SIDE]);
            for at in 0..SIDE {
                write(s, sums[at], self.row(links[at]));
            }
            list += SIDE;
        }
        for &link in rest {
            let [sums] = chains(chain, self.lists, list, [[s.zero(); V]]);
            write(s, sums, self.row(link));
            list += 1;
        }
    }

    /// Where the weights of a link go, from the group's first genotype on.
    #[inline(always)]
    fn row(&mut self, link: u32) -> &mut [f32] {
        &mut self.out.row_mut(link as usize - self.first_list)[self.first..]
    }
}

/// As many of the sums as there is room for.
#[inline(always)]
fn write<S: Simd, const V: usize>(s: S, sums: [S::F32; V], out: &mut [f32]) {
    let mut out = out.chunks_mut(LANES);
    for v in 0..V {
        if let Some(out) = out.next() {
            s.store_partial(sums[v], out);
        }
    }
}

/// The weights of genotypes in `V` vectors, given a word of their group for each gene.
#[derive(Clone, Copy)]
pub(super) struct Genotypes<'a, S, const V: usize> {
    pub(super) s: S,
    pub(super) words: &'a [u64],
    /// The group's lane that is their first.
    pub(super) first: usize,
}

impl<S: Simd, const V: usize> Chain for Genotypes<'_, S, V> {
    type Sums = [S::F32; V];

    #[inline(always)]
    fn add(self, mut sums: [S::F32; V], gene: u32, value: f32) -> [S::F32; V] {
        let (s, word) = (self.s, &self.words[gene as usize]);
        let value = s.splat(value);
        for v in 0..V {
            sums[v] = s.select(s.mask_from_word(word, self.first + v * LANES), s.add(sums[v], value), sums[v]);
        }
        sums
    }
}
