//! Images as they lie on the map: prepared once, kept as bytes.

use crate::context::Context;
use crate::datasets::transforms::{Augmentation, centre_crop, grayscale};
use crate::datasets::{Dataset, Scaling, Shape};
use crate::error::Result;
use crate::matrix::MatRef;
use crate::parallel::for_each;
use crate::random::Stream;
use crate::simd::LANES;
use crate::systems::settings;

use super::config::Images;

/// Images that a thread prepares at once.
const CHUNK: usize = 256;

/// Prepared images, a row of bytes each; rows are padded to whole vectors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prepared {
    kind: Images,
    shape: Shape,
    stride: usize,
    bytes: Vec<u8>,
    labels: Vec<u8>,
}

impl Prepared {
    /// Checks that images have the shape of this kind.
    pub(crate) fn check(kind: Images, data: &Dataset) -> Result<()> {
        settings::shaped(data, kind.shape()?, "hierarchy")
    }

    /// All images of a set.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if they have another shape than this kind, [`Error::Format`](crate::Error::Format) if a mapped
    /// file was cut off.
    pub(crate) fn new(context: &Context, kind: Images, data: &Dataset) -> Result<Self> {
        Prepared::check(kind, data)?;
        data.check_intact()?;
        let shape = data.shape();
        let mut prepared = Prepared::empty(kind, data.len(), data.labels().to_vec())?;
        let stride = prepared.stride;
        for_each(context.threads(), prepared.bytes.chunks_mut(CHUNK * stride).enumerate(), |(chunk, rows)| {
            for (row, out) in rows.chunks_mut(stride).enumerate() {
                prepare(kind, data.image(chunk * CHUNK + row), shape, out);
            }
        });
        Ok(prepared)
    }

    /// Images in [0, 1] that were bytes once.
    pub(crate) fn from_values(kind: Images, images: MatRef<'_>) -> Result<Self> {
        let shape = kind.shape()?;
        let mut prepared = Prepared::empty(kind, images.rows(), vec![0; images.rows()])?;
        let mut bytes = vec![0; shape.pixels()];
        for (values, out) in images.iter_rows().zip(prepared.bytes.chunks_mut(prepared.stride)) {
            for (byte, value) in bytes.iter_mut().zip(values) {
                *byte = (value * 255.0).round() as u8;
            }
            prepare(kind, &bytes, shape, out);
        }
        Ok(prepared)
    }

    fn empty(kind: Images, len: usize, labels: Vec<u8>) -> Result<Self> {
        let shape = Shape::new(1, kind.side(), kind.side())?;
        let stride = shape.pixels().next_multiple_of(LANES);
        Ok(Prepared { kind, shape, stride, bytes: vec![0; len * stride], labels })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Pixels of an image.
    pub(crate) fn pixels(&self) -> usize {
        self.shape.pixels()
    }

    /// Bytes from one image to the next: whole vectors.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// An image with its padding.
    #[inline]
    pub(crate) fn row(&self, index: u32) -> &[u8] {
        &self.bytes[index as usize * self.stride..][..self.stride]
    }

    /// What makes the map's values of the bytes.
    pub(crate) fn scaling(&self) -> Scaling {
        match self.kind {
            Images::Mnist => Scaling::UNIT,
            Images::Cifar10 => Scaling::SIGNED,
        }
    }

    /// Whether training images are changed at random.
    pub(crate) fn is_augmented(&self) -> bool {
        self.kind == Images::Cifar10
    }

    /// An image as this stream changes it.
    pub(crate) fn augment(&self, index: u32, stream: Stream, out: &mut [u8]) {
        let pixels = self.pixels();
        Augmentation::CIFAR10.apply(&self.row(index)[..pixels], self.shape, stream, &mut out[..pixels]);
    }
}

/// One image as it lies on the map. Grey is made first: crops and mirrors come to the same after it.
fn prepare(kind: Images, image: &[u8], shape: Shape, out: &mut [u8]) {
    let side = kind.side();
    let out = &mut out[..side * side];
    match kind {
        Images::Mnist => centre_crop(image, shape, side, side, out),
        Images::Cifar10 => grayscale(image, out),
    }
}
