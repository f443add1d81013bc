//! Images prepared for evaluation on a graph.

use super::graph::{BLOCK, Graph};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::matrix::MatRef;
use crate::parallel::for_each;
use crate::simd::{Kernel, LANES, Simd, dispatch};

/// Images and their labels, laid out for a [`Graph`]: 16 images a tile, pixel by pixel, and for each image which edges of each hidden unit
/// lead from a pixel that is not zero.
///
/// Memory: 4 bytes a pixel and a bit an edge of every image (2000 images, 784 pixels, 78,400 edges: 6 and 32 MB). Prepare them once and
/// keep them, as the generations go by; a mini-batch is prepared in the time of some dozen genotypes.
#[derive(Clone, Debug)]
pub struct Samples {
    graph: Graph,
    labels: Vec<u8>,
    /// \[tile\]\[input\]: the pixel of 16 images, zero behind the last.
    pixels: Vec<[f32; LANES]>,
    /// \[block of edges\]\[image\], images padded to whole tiles: a bit for each edge of the block.
    active: Vec<u64>,
}

impl Samples {
    /// Images \[images, inputs\] with a label each.
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
        let tiles = labels.len().div_ceil(LANES);
        let mut pixels = vec![[0.0; LANES]; tiles * graph.inputs()];
        for (tile, pixels) in pixels.chunks_mut(graph.inputs()).enumerate() {
            for image in tile * LANES..labels.len().min((tile + 1) * LANES) {
                for (to, &pixel) in pixels.iter_mut().zip(images.row(image)) {
                    to[image % LANES] = pixel;
                }
            }
        }
        let mut active = vec![0; graph.all_blocks() * tiles * LANES];
        let (isa, all) = (context.isa(), graph.all_blocks());
        let threads = context.threads().for_work(graph.edges().saturating_mul(labels.len()) / 8);
        let blocks = active.chunks_mut(tiles * LANES).zip(0..all);
        let inputs = graph.inputs();
        for_each(threads, blocks, |(words, block)| {
            for (words, pixels) in words.as_chunks_mut().0.iter_mut().zip(pixels.chunks_exact(inputs)) {
                dispatch(isa, Active { edges: graph.block(block), pixels, words });
            }
        });
        Ok(Samples { graph: graph.clone(), labels: labels.to_vec(), pixels, active })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.labels.len()
    }

    /// The class of each image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The graph they were prepared for.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Each pixel of a tile's 16 images.
    #[inline(always)]
    pub(super) fn tile(&self, tile: usize) -> &[[f32; LANES]] {
        let inputs = self.graph.inputs();
        &self.pixels[tile * inputs..(tile + 1) * inputs]
    }

    /// Which edges of a block are active for each image of a tile.
    #[inline(always)]
    pub(super) fn active(&self, block: usize, tile: usize) -> &[u64; LANES] {
        let tiles = self.labels.len().div_ceil(LANES);
        &self.active.as_chunks().0[block * tiles + tile]
    }
}

/// Which of a block's edges are active for each of 16 images: comparisons along images, transposed bit by bit.
struct Active<'a> {
    edges: &'a [u16],
    pixels: &'a [[f32; LANES]],
    words: &'a mut [u64; LANES],
}

impl Kernel for Active<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut images = [0u32; BLOCK];
        for (images, &input) in images.iter_mut().zip(self.edges) {
            let zero = s.mask_bits(s.eq(s.load(&self.pixels[usize::from(input)]), s.zero()));
            *images = u32::from(!zero);
        }
        *self.words = [0; LANES];
        for (part, images) in images.as_chunks().0.iter().enumerate() {
            let images = s.load_u32(images);
            for image in 0..LANES {
                let bit = s.and(images, s.splat_u32(1 << image));
                let edges = s.mask_bits(s.lt(s.zero(), s.from_i32(bit)));
                self.words[image] |= u64::from(edges) << (part * LANES);
            }
        }
    }
}
