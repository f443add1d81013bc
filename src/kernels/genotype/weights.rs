//! The weight generation matrix: how genes make weights.

use std::fmt;

use rand_core::Rng;

use super::decode::ByLength;
use super::frequencies::{AlleleFrequencies, check_genes};
use crate::error::{Error, Result};
use crate::kernels::masked::{Pattern, SparseMatrix};
use crate::random::Stream;

/// The sparse matrix W \[links, genes\] that makes the weights W x of a genotype x. Its entries are finite.
///
/// Memory: 16 bytes an entry, half of it a copy in the order in which [`decode`](super::decode()) reads it.
#[derive(Clone, PartialEq)]
pub struct WeightGeneration {
    matrix: SparseMatrix,
    by_length: ByLength,
}

impl fmt::Debug for WeightGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightGeneration").field("matrix", &self.matrix).finish_non_exhaustive()
    }
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
        Ok(Self::new(SparseMatrix::new(Pattern::new(links, genes, offsets, indices)?, values)?))
    }

    /// These entries (link, gene, value), in any order.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the entry, if one lies outside the matrix, stands twice, or is not finite; or naming the link, if its entries
    /// are so large that a genotype's weight may not be finite, or for 2^31 links, genes or entries. [`Error::Length`] for no genes.
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
        Ok(Self::new(SparseMatrix::new(Pattern::new(links, genes, offsets, indices)?, values)?))
    }

    fn new(matrix: SparseMatrix) -> Self {
        WeightGeneration { by_length: ByLength::new(&matrix), matrix }
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
        assert!(link < self.links(), "weights of genotypes: link {link} of {}", self.links());
        let range = self.matrix.pattern().range(link);
        (&self.matrix.pattern().indices()[range.clone()], &self.matrix.values()[range])
    }

    /// The same as a sparse matrix.
    pub fn matrix(&self) -> &SparseMatrix {
        &self.matrix
    }

    /// The same, links in another order.
    pub(super) fn by_length(&self) -> &ByLength {
        &self.by_length
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
