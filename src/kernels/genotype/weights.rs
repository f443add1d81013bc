//! The weight generation matrix: how genes make weights.

use rand_core::Rng;

use super::frequencies::{AlleleFrequencies, check_genes};
use super::population::{GROUP, Population};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::masked::{Chain, Pattern, SparseMatrix, chains};
use crate::matrix::MatMut;
use crate::parallel::for_each;
use crate::random::Stream;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// The sparse matrix W \[links, genes\] that makes the weights W x of a genotype x. Its entries are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGeneration {
    matrix: SparseMatrix,
}

impl WeightGeneration {
    /// Each entry with probability `density`, independently, and then uniform on \[-1, 1), as the stream decides.
    ///
    /// Cost: some eight random words for every 64 pairs of a link and a gene, however low the density, and a number for each entry.
    ///
    /// # Errors
    /// [`Error::Setting`] if the density is not within 0 and 1, or there are 2^31 links, genes or entries; [`Error::Length`] for no genes.
    pub fn random(links: usize, genes: usize, density: f64, stream: Stream) -> Result<Self> {
        check_shape(links, genes)?;
        if !(0.0..=1.0).contains(&density) {
            return Err(Error::setting("density", "0 to 1", density));
        }
        let mut generator = stream.item(0).generator();
        let (mut offsets, mut indices) = (vec![0], Vec::new());
        for _ in 0..links {
            for first in (0..genes).step_by(64) {
                let mut bits = sixty_four(&mut generator, density);
                if genes - first < 64 {
                    bits &= (1 << (genes - first)) - 1;
                }
                while bits != 0 {
                    indices.push(first as u32 + bits.trailing_zeros());
                    bits &= bits - 1;
                }
            }
            if indices.len() >= 1 << 31 {
                return Err(Error::setting("weight generation matrix", "fewer than 2^31 entries", indices.len()));
            }
            offsets.push(indices.len() as u32);
        }
        let mut values = vec![0.0; indices.len()];
        // Up to 2^31 numbers of at most 1: their sum is finite.
        stream.item(1).uniform(-1.0, 1.0, &mut values);
        Ok(WeightGeneration { matrix: SparseMatrix::new(Pattern::new(links, genes, offsets, indices)?, values)? })
    }

    /// These entries (link, gene, value), in any order.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the entry, if one lies outside the matrix, stands twice, or is not finite; or naming the link, if its entries
    /// are so large that a genotype's weight may not be finite, or for 2^31 links or genes. [`Error::Length`] for no genes.
    pub fn from_triples(links: usize, genes: usize, triples: &[(u32, u32, f32)]) -> Result<Self> {
        check_shape(links, genes)?;
        for (at, &(link, gene, value)) in triples.iter().enumerate() {
            if link as usize >= links || gene as usize >= genes {
                let expected = format!("a link below {links} and a gene below {genes}");
                return Err(Error::setting(format!("entry {at}"), expected, format!("link {link}, gene {gene}")));
            }
            if !value.is_finite() {
                return Err(Error::setting(format!("entry {at}"), "a finite value", value));
            }
        }
        let mut order: Vec<usize> = (0..triples.len()).collect();
        order.sort_by_key(|&at| (triples[at].0, triples[at].1));
        let mut offsets = vec![0u32; links + 1];
        for (place, &at) in order.iter().enumerate() {
            let (link, gene, _) = triples[at];
            if place > 0 && (triples[order[place - 1]].0, triples[order[place - 1]].1) == (link, gene) {
                let expected = format!("one entry for link {link} and gene {gene}");
                return Err(Error::setting(format!("entry {at}"), expected, "a second"));
            }
            offsets[link as usize + 1] += 1;
        }
        for link in 0..links {
            offsets[link + 1] += offsets[link];
        }
        let indices = order.iter().map(|&at| triples[at].1).collect();
        let values: Vec<f32> = order.iter().map(|&at| triples[at].2).collect();
        for link in 0..links {
            let all: f64 =
                values[offsets[link] as usize..offsets[link + 1] as usize].iter().map(|w| f64::from(w.abs())).sum();
            if all > 0.5 * f64::from(f32::MAX) {
                return Err(Error::setting(format!("entries of link {link}"), "a sum within the range of f32", all));
            }
        }
        Ok(WeightGeneration { matrix: SparseMatrix::new(Pattern::new(links, genes, offsets, indices)?, values)? })
    }

    /// Number of links.
    pub fn links(&self) -> usize {
        self.matrix.rows()
    }

    /// Number of genes.
    pub fn genes(&self) -> usize {
        self.matrix.cols()
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.matrix.values().len()
    }

    /// The genes of a link, in order, and their values.
    ///
    /// # Panics
    /// If there is no such link.
    #[track_caller]
    pub fn link(&self, link: usize) -> (&[u32], &[f32]) {
        let range = self.matrix.pattern().range(link);
        (&self.matrix.pattern().indices()[range.clone()], &self.matrix.values()[range])
    }

    /// The same as a sparse matrix.
    pub fn matrix(&self) -> &SparseMatrix {
        &self.matrix
    }
}

fn check_shape(links: usize, genes: usize) -> Result<()> {
    check_genes("genes of a weight generation matrix", genes)?;
    if links >= 1 << 31 {
        return Err(Error::setting("links of a weight generation matrix", "fewer than 2^31", links));
    }
    Ok(())
}

/// 64 bits, each set with this probability (to 32 bits): random bits are compared with those of the probability, the highest first, until
/// all are decided, after some eight words.
fn sixty_four(generator: &mut impl Rng, probability: f64) -> u64 {
    let limit = (probability * 4_294_967_296.0).round() as u64;
    if limit >> 32 != 0 {
        return u64::MAX;
    }
    let (mut below, mut undecided, mut rest) = (0, u64::MAX, (limit as u32).reverse_bits());
    while rest != 0 && undecided != 0 {
        let draw = generator.next_u64();
        if rest & 1 == 1 {
            below |= undecided & !draw;
            undecided &= draw;
        } else {
            undecided &= !draw;
        }
        rest >>= 1;
    }
    below
}

/// Links of an item of parallel work.
const LINKS: usize = 1024;
/// Links whose weights are made while the place of one comes nearer.
const AHEAD: usize = 8;

/// Weights of genotypes: `out[link, k] = sum_i W[link, i] x_k(i)` for the genotypes of this range, out \[links, genotypes\].
///
/// A link is a row, as it is in W; [`evaluate_weights`](super::evaluate_weights) and [`forward`](super::forward) want a genotype a row:
/// `out.transposed()`.
///
/// A sum runs over the genes of the link in order, an addition for each whose allele is 1: |out - exact| <= (n - 1) 2^-24 / (1 - ...) sum |W|
/// over those n. Neither instruction set nor threads, nor the range, show in the bits.
/// Cost: an addition for each entry of W and 16 genotypes.
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
    genotypes: std::ops::Range<usize>,
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
        genotypes.start.is_multiple_of(GROUP) && genotypes.end <= population.genotypes(),
        "decode: genotypes {genotypes:?} of {}: a range from a multiple of {GROUP}",
        population.genotypes()
    );
    let (isa, first) = (context.isa(), genotypes.start / GROUP);
    let threads = context.threads().for_work(w.entries().saturating_mul(genotypes.len()));
    for_each(threads, out.row_blocks(LINKS).enumerate(), |(block, mut out)| {
        for group in 0..genotypes.len().div_ceil(GROUP) {
            let words = population.group(first + group);
            dispatch(isa, Decode { w, words, link: block * LINKS, out: out.reborrow(), first: group * GROUP });
        }
    });
}

struct Decode<'a> {
    w: &'a WeightGeneration,
    words: &'a [u64],
    link: usize,
    out: MatMut<'a>,
    first: usize,
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
        for row in 0..self.out.rows() {
            if row + AHEAD < self.out.rows() {
                let next = &self.out.row(row + AHEAD)[self.first..self.first + width];
                // A loop that unrolls: an iterator's steps cost all that is won.
                for v in 0..VECTORS {
                    if let Some(value) = next.get(v * LANES) {
                        s.prefetch(value);
                    }
                }
            }
            let out = &mut self.out.row_mut(row)[self.first..self.first + width];
            // In place where they fill all vectors: through a copy 64 values cost a call.
            if let Some(lanes) = out.as_chunks_mut().0.first_chunk_mut::<VECTORS>() {
                weights_of_group(s, self.w, self.link + row, self.words, 0, lanes);
            } else {
                let mut lanes = [[0.0; LANES]; VECTORS];
                weights_of_group(s, self.w, self.link + row, self.words, 0, &mut lanes);
                out.copy_from_slice(&lanes.as_flattened()[..width]);
            }
        }
    }

    /// Up to `V` vectors of genotypes: so few chains of additions that several links' are side by side.
    #[inline(always)]
    fn part_of_group<S: Simd, const V: usize>(mut self, s: S) {
        const SIDE: usize = 3;
        let (rows, lists, chain) =
            (self.out.rows(), self.w.matrix.by_row(), Genotypes::<S, V> { s, words: self.words, first: 0 });
        let together = rows - rows % SIDE;
        for row in (0..together).step_by(SIDE) {
            let sums = chains::<_, SIDE>(chain, lists, self.link + row, [[s.zero(); V]; SIDE]);
            for at in 0..SIDE {
                self.write(s, row + at, sums[at]);
            }
        }
        for row in together..rows {
            let [sums] = chains(chain, lists, self.link + row, [[s.zero(); V]]);
            self.write(s, row, sums);
        }
    }

    #[inline(always)]
    fn write<S: Simd, const V: usize>(&mut self, s: S, row: usize, sums: [S::F32; V]) {
        let mut out = self.out.row_mut(row)[self.first..].chunks_mut(LANES);
        for v in 0..V {
            if let Some(out) = out.next() {
                s.store_partial(sums[v], out);
            }
        }
    }
}

/// The weights of genotypes in `V` vectors, given a word of their group for each gene.
#[derive(Clone, Copy)]
struct Genotypes<'a, S, const V: usize> {
    s: S,
    words: &'a [u64],
    /// The group's lane that is their first.
    first: usize,
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

/// Vectors of a group of genotypes.
const VECTORS: usize = GROUP / LANES;

/// The weights of a link for `V` vectors of a group's genotypes, from the lane `first` on, given a word of the group for each gene.
#[inline(always)]
pub(super) fn weights_of_group<S: Simd, const V: usize>(
    s: S,
    w: &WeightGeneration,
    link: usize,
    words: &[u64],
    first: usize,
    out: &mut [[f32; LANES]; V],
) {
    const { assert!(V <= VECTORS) };
    let (genes, values) = w.link(link);
    let mut sums = [s.zero(); V];
    let chain = Genotypes::<S, V> { s, words, first };
    for (&gene, &value) in genes.iter().zip(values) {
        sums = chain.add(sums, gene, value);
    }
    for v in 0..V {
        s.store(sums[v], &mut out[v]);
    }
}

/// The expected weights `W p`: `out[link] = sum_i W[link, i] p(i)`, summed in `f64` in the order of the genes and rounded once.
///
/// For out \[links\]. Error: `2^-24 |out| + 1.01 n 2^-53 sum |W p|` for the n genes of a link, underflow apart. All results are finite, as W and
/// p are. The same bits on every machine. Cost: a multiplication and an addition in `f64` for each entry of W, on the calling thread.
///
/// ```
/// use neuropil::kernels::genotype::{AlleleFrequencies, WeightGeneration, expected_weights};
/// let w = WeightGeneration::from_triples(2, 3, &[(0, 0, 2.0), (0, 2, -1.0), (1, 1, 4.0)])?;
/// let p = AlleleFrequencies::new(vec![1.0, 0.25, 0.5])?;
/// let mut weights = [0.0; 2];
/// expected_weights(&w, &p, &mut weights);
/// assert_eq!(weights, [1.5, 1.0]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If the shapes disagree.
#[track_caller]
pub fn expected_weights(w: &WeightGeneration, frequencies: &AlleleFrequencies, out: &mut [f32]) {
    assert!(
        w.genes() == frequencies.genes() && out.len() == w.links(),
        "expected_weights: w is {} x {}, {} frequencies, {} weights",
        w.links(),
        w.genes(),
        frequencies.genes(),
        out.len()
    );
    for (link, out) in out.iter_mut().enumerate() {
        let (genes, values) = w.link(link);
        let terms = genes.iter().zip(values).map(|(&gene, &w)| f64::from(w) * frequencies.values()[gene as usize]);
        // From zero: sums of the standard library begin at -0.
        *out = terms.fold(0.0, |sum, term| sum + term) as f32;
    }
}
