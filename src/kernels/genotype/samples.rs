//! Images prepared for evaluation on a graph.

use std::fmt;

use super::evaluate::CHUNK;
use super::graph::{BLOCK, Graph};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::matrix::MatRef;
use crate::parallel::for_each;
use crate::shown::shown;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// A number for each image of a tile: one line of a cache, not parts of two.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [f32; LANES]);

/// Images and their labels, laid out for a [`Graph`]: 16 images a tile, pixel by pixel, and for every 4 and every 16 images which edges of
/// each hidden unit lead from a pixel that is not zero in one of them.
///
/// Memory: 4 bytes a pixel, and for each edge a bit for 4 images and one for 16, in blocks of 128 edges of a unit (2000 images, 784 pixels, 1000
/// units of some 78 edges: 6 and 10 MB). Prepare them once and
/// keep them, as the generations go by; a mini-batch is prepared in the time of some dozen genotypes.
#[derive(Clone)]
pub struct Samples {
    graph: Graph,
    /// Similar images stand together, here and in the tiles.
    labels: Vec<u8>,
    /// \[tile\]\[input\]: the pixel of 16 images, zero behind the last.
    pixels: Vec<Line>,
    /// \[chunk\]\[block of edges\]\[quad of the chunk\]: a bit for each edge of the block that is active for any of four images.
    active: Vec<u128>,
    /// \[chunk\]\[block of edges\]\[tile of the chunk\]: the same for its four quads.
    active_in_tile: Vec<u128>,
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("Samples");
        printed.field("graph", &self.graph).field("labels", &shown(&self.labels)).finish_non_exhaustive()
    }
}

impl Samples {
    /// Images \[images, inputs\] with a label each: a byte, so at most 256 classes.
    ///
    /// Cost: on the calling thread three readings of the images, and a comparison of each with all that are left of its 2048, a bit a pixel; and a
    /// comparison for each edge and 16 images, which the threads share.
    ///
    /// # Errors
    /// [`Error::Length`] if there are no images, not as many labels, or images of another width than the graph has inputs; [`Error::Setting`],
    /// naming the image, for a label that is no class, or a pixel that is NaN or infinite.
    pub fn new(context: &mut Context, graph: &Graph, images: MatRef<'_>, labels: &[u8]) -> Result<Self> {
        if images.rows() == 0 {
            return Err(Error::Length { what: "images to evaluate", expected: 1, found: 0 });
        }
        if images.cols() != graph.inputs() {
            return Err(Error::Length { what: "pixels of an image", expected: graph.inputs(), found: images.cols() });
        }
        if labels.len() != images.rows() {
            return Err(Error::Length { what: "labels of images", expected: images.rows(), found: labels.len() });
        }
        if let Some(at) = labels.iter().position(|&label| usize::from(label) >= graph.classes()) {
            let expected = format!("a class below {}", graph.classes());
            return Err(Error::setting(format!("label of image {at}"), expected, labels[at]));
        }
        for (at, image) in images.iter_rows().enumerate() {
            if let Some(pixel) = image.iter().position(|pixel| !pixel.is_finite()) {
                return Err(Error::setting(format!("pixel {pixel} of image {at}"), "a finite value", image[pixel]));
            }
        }
        let order = similar_together(images);
        let labels: Vec<u8> = order.iter().map(|&image| labels[image as usize]).collect();
        let tiles = labels.len().div_ceil(LANES);
        let mut pixels = vec![Line([0.0; LANES]); tiles * graph.inputs()];
        for (tile, pixels) in pixels.chunks_mut(graph.inputs()).enumerate() {
            for at in tile * LANES..labels.len().min((tile + 1) * LANES) {
                for (to, &pixel) in pixels.iter_mut().zip(images.row(order[at] as usize)) {
                    to.0[at % LANES] = pixel;
                }
            }
        }
        let (isa, all, inputs) = (context.isa(), graph.all_blocks(), graph.inputs());
        let mut active = vec![0; labels.len().div_ceil(CHUNK * LANES) * all * QUADS];
        let threads = context.threads().for_work([graph.edges().saturating_mul(labels.len()) / 8]);
        let chunks = active.chunks_mut((all * QUADS).max(1)).zip(pixels.chunks(CHUNK * inputs));
        for_each(threads, chunks, |(words, pixels)| {
            for (block, words) in words.chunks_mut(QUADS).enumerate() {
                for (words, pixels) in words.as_chunks_mut().0.iter_mut().zip(pixels.chunks_exact(inputs)) {
                    dispatch(isa, Active { edges: graph.block(block), pixels, words });
                }
            }
        });
        let active_in_tile =
            active.chunks(LANES / QUAD).map(|quads| quads.iter().fold(0, |all, own| all | own)).collect();
        Ok(Samples { graph: graph.clone(), labels, pixels, active, active_in_tile })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.labels.len()
    }

    /// The class of each image, in the order in which the tiles hold them.
    pub(super) fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The graph they were prepared for.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Number of tiles.
    pub(super) fn tiles(&self) -> usize {
        self.labels.len().div_ceil(LANES)
    }

    /// Which edges of a block are active for any image of a tile.
    #[inline(always)]
    pub(super) fn active_in_tile(&self, block: usize, tile: usize) -> u128 {
        self.active_in_tile[(tile / CHUNK * self.graph.all_blocks() + block) * CHUNK + tile % CHUNK]
    }

    /// Each pixel of a tile's 16 images.
    #[inline(always)]
    pub(super) fn tile(&self, tile: usize) -> &[Line] {
        let inputs = self.graph.inputs();
        &self.pixels[tile * inputs..(tile + 1) * inputs]
    }

    /// Which edges of a block are active for each quad of a tile.
    #[inline(always)]
    pub(super) fn active(&self, block: usize, tile: usize) -> &[u128; LANES / QUAD] {
        &self.active.as_chunks().0[(tile / CHUNK * self.graph.all_blocks() + block) * CHUNK + tile % CHUNK]
    }
}

/// Images of a quad: neighbours, which share what an edge costs.
pub(super) const QUAD: usize = 4;
/// Quads of a chunk.
const QUADS: usize = CHUNK * LANES / QUAD;
/// Images among which the next in line is looked for: the search is quadratic.
const NEAREST: usize = 2048;

/// An order of the images in which each is followed by that left whose pixels differ least in where they are zero.
fn similar_together(images: MatRef<'_>) -> Vec<u32> {
    let words = images.cols().div_ceil(64);
    let mut order = Vec::with_capacity(images.rows());
    for first in (0..images.rows()).step_by(NEAREST) {
        let count = NEAREST.min(images.rows() - first);
        let mut bits = vec![0u64; count * words];
        for (bits, image) in bits.chunks_mut(words).zip((first..first + count).map(|image| images.row(image))) {
            for (word, pixels) in bits.iter_mut().zip(image.chunks(64)) {
                *word = pixels.iter().rev().fold(0, |word, &pixel| word << 1 | u64::from(pixel != 0.0));
            }
        }
        // Those left, with their bits side by side.
        let mut left: Vec<u32> = (first as u32..(first + count) as u32).collect();
        let ones = |bits: &[u64]| bits.iter().map(|word| word.count_ones()).sum::<u32>();
        let mut nearest = (0..count).min_by_key(|&at| ones(&bits[at * words..][..words])).unwrap_or(0);
        loop {
            order.push(left[nearest]);
            let own = bits[nearest * words..][..words].to_vec();
            // The last takes the place of the one that leaves.
            let last = left.len() - 1;
            left.swap_remove(nearest);
            bits.copy_within(last * words.., nearest * words);
            bits.truncate(last * words);
            if left.is_empty() {
                break;
            }
            let mut best = u32::MAX;
            for (at, bits) in bits.chunks_exact(words).enumerate() {
                let apart = bits.iter().zip(&own).map(|(a, b)| (a ^ b).count_ones()).sum();
                if apart < best {
                    (best, nearest) = (apart, at);
                }
            }
        }
    }
    order
}

/// Which of a block's edges are active for each quad of a tile: comparisons along images, transposed bit by bit.
struct Active<'a> {
    edges: &'a [u16],
    pixels: &'a [Line],
    words: &'a mut [u128; LANES / QUAD],
}

impl Kernel for Active<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut images = [0u32; BLOCK];
        for (images, &input) in images.iter_mut().zip(self.edges) {
            let zero = s.mask_bits(s.eq(s.load(&self.pixels[usize::from(input)].0), s.zero()));
            *images = u32::from(!zero);
        }
        *self.words = [0; LANES / QUAD];
        for (part, images) in images.as_chunks().0.iter().enumerate() {
            let images = s.load_u32(images);
            for quad in 0..LANES / QUAD {
                let bits = s.and(images, s.splat_u32(((1 << QUAD) - 1) << (QUAD * quad)));
                let edges = s.mask_bits(s.lt(s.zero(), s.from_i32(bits)));
                self.words[quad] |= u128::from(edges) << (part * LANES);
            }
        }
    }
}
