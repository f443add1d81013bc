//! Labelled images: MNIST and its relatives (IDX), CIFAR-10 (binary), a small set inside the crate; batches of them.
//!
//! Pixels stay the bytes of their file, mapped into memory where that can be done safely ([`storage`]); what is copied to
//! `f32` is one batch at a time, by [`Dataset::gather`]. Everything from outside is checked once, when it is opened: after
//! that a [`Dataset`] cannot have a label without its class or an image without its label.
//!
//! ```
//! use neuropil::datasets::{Scaling, batches::{Batches, Order}, embedded};
//! use neuropil::{Context, Matrix, random::Stream};
//!
//! let train = embedded().train; // 200 MNIST images of each digit; `open` finds the full sets
//! let mut context = Context::new()?;
//! let mut batches = Batches::new(train.labels(), train.classes(), None, 50, Order::ClassBalanced, Stream::new(1, "batches"))?;
//! let (mut x, mut labels) = (Matrix::zeros(50, train.pixels()), Vec::new());
//! for step in 0..3 {
//!     let indices = batches.indices(step);
//!     train.gather(&mut context, indices, Scaling::UNIT, x.view_mut())?;
//!     train.gather_labels(indices, &mut labels)?;
//! }
//! assert!(x.as_slice().iter().all(|v| (0.0..=1.0).contains(v)) && labels.len() == 50);
//! # Ok::<(), neuropil::Error>(())
//! ```

pub mod batches;
pub mod cifar;
pub mod gz;
pub mod idx;
mod sets;
pub mod storage;
pub mod transforms;

use std::fmt;
use std::path::Path;

#[cfg(all(test, feature = "systems"))]
pub(crate) use self::sets::few_embedded;
pub use self::sets::{MNIST_FILES, Set, Split, cifar10, data_folder, embedded, locate, mnist, open};
use self::storage::Bytes;
use self::transforms::Augmentation;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernels::pixels::to_f32;
use crate::matrix::{MatMut, Matrix};
use crate::parallel::{Threads, for_each_with};
use crate::random::Stream;

/// Channels, rows and columns of an image; none of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    channels: usize,
    rows: usize,
    cols: usize,
}

impl Shape {
    /// A shape of 1 or 3 channels with sides of 1 to [`idx::LARGEST_SIDE`].
    ///
    /// # Errors
    /// [`Error::Setting`] for any other.
    pub fn new(channels: usize, rows: usize, cols: usize) -> Result<Self> {
        let side = |value| (1..=idx::LARGEST_SIDE).contains(&value);
        if !matches!(channels, 1 | 3) || !side(rows) || !side(cols) {
            let expected = format!("1 or 3 channels with sides of 1 to {}", idx::LARGEST_SIDE);
            return Err(Error::setting("image shape", expected, format!("{channels} x {rows} x {cols}")));
        }
        Ok(Shape { channels, rows, cols })
    }

    /// Colour planes.
    pub fn channels(self) -> usize {
        self.channels
    }

    /// Height.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Width.
    pub fn cols(self) -> usize {
        self.cols
    }

    /// Values of an image.
    pub fn pixels(self) -> usize {
        self.channels * self.rows * self.cols
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} x {}", self.channels, self.rows, self.cols)
    }
}

/// What becomes of a byte: `scale * byte + offset`, fused (rounded once).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// The factor.
    pub scale: f32,
    /// What is added.
    pub offset: f32,
}

impl Scaling {
    /// 0 to 255 becomes 0 to 1.
    pub const UNIT: Scaling = Scaling { scale: 1.0 / 255.0, offset: 0.0 };

    /// 0 to 255 becomes -1 to 1, in other words `(x - 0.5) / 0.5` of the unit scaling; 255 is rounded to 1.0000001.
    pub const SIGNED: Scaling = Scaling { scale: 2.0 / 255.0, offset: -1.0 };

    /// The unit scaling, less a mean, divided by a standard deviation.
    pub fn standardised(mean: f32, deviation: f32) -> Self {
        Scaling { scale: 1.0 / (255.0 * deviation), offset: -mean / deviation }
    }
}

impl Default for Scaling {
    fn default() -> Self {
        Scaling::UNIT
    }
}

/// A run of images at equal distances in one file.
#[derive(Clone, Debug)]
struct Part {
    bytes: Bytes,
    /// Where the first image begins, and how far from it the next.
    first: usize,
    stride: usize,
    /// Number in the dataset of this part's first image.
    start: usize,
}

/// Labelled images of one shape, immutable.
///
/// Images are bytes, `[channels, rows, columns]` each, where their file has them; a clone shares them.
#[derive(Clone)]
pub struct Dataset {
    parts: Vec<Part>,
    labels: Vec<u8>,
    shape: Shape,
    classes: usize,
}

impl Dataset {
    /// A dataset of bytes in memory: image after image, and a label below `classes` for each.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many pixels as labels ask for, [`Error::Setting`] if there is no image or
    /// `classes` is not 1 to 256, [`Error::Format`] for a label that is not below `classes`.
    ///
    /// ```
    /// use neuropil::datasets::{Dataset, Shape};
    /// let set = Dataset::new(vec![0, 50, 100, 150, 200, 250], vec![1, 0], Shape::new(1, 1, 3)?, 2)?;
    /// assert_eq!((set.len(), set.image(1), set.labels()), (2, &[150, 200, 250][..], &[1, 0][..]));
    /// # Ok::<(), neuropil::Error>(())
    /// ```
    pub fn new(images: impl Into<Bytes>, labels: Vec<u8>, shape: Shape, classes: usize) -> Result<Self> {
        let bytes = images.into();
        check_classes(classes)?;
        if labels.is_empty() || u32::try_from(labels.len()).is_err() {
            return Err(Error::setting("images", "1 to 4294967295", labels.len()));
        }
        let expected = labels.len().saturating_mul(shape.pixels());
        if bytes.len() != expected {
            return Err(Error::Length { what: "pixels of the images", expected, found: bytes.len() });
        }
        check_labels(&labels, classes, "labels", 0, 1)?;
        let part = Part { bytes, first: 0, stride: shape.pixels(), start: 0 };
        Ok(Dataset { parts: vec![part], labels, shape, classes })
    }

    /// A dataset of an IDX file of images and one of labels, each plain or gzip-compressed. Of compressed files the headers come first: the contents
    /// take memory only where these are of images and as many labels.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be opened; [`Error::Format`] if one is not a whole IDX file of images, or labels
    /// below `classes`, or if they do not hold equally many; [`Error::Setting`] if `classes` is not 1 to 256.
    pub fn from_idx(images: &Path, labels: &Path, classes: usize) -> Result<Self> {
        check_classes(classes)?;
        let (image_bytes, label_bytes) = (Bytes::open(images)?, Bytes::open(labels)?);
        let (images, labels) = (images.display().to_string(), labels.display().to_string());
        let (count, _) = idx::images_of(&idx_header(&image_bytes, &images)?, &images)?;
        check_label_count(idx::labels_of(&idx_header(&label_bytes, &labels)?, &labels)?, count, &images, &labels)?;
        let (image_bytes, label_bytes) = (unpacked_idx(image_bytes, &images)?, unpacked_idx(label_bytes, &labels)?);
        Dataset::from_idx_bytes(image_bytes, &images, label_bytes, &labels, classes)
    }

    /// The same from bytes, which are not compressed ([`gz::decompress_idx`] decompresses); the origins name them in errors.
    ///
    /// # Errors
    /// As [`Dataset::from_idx`], but for files that cannot be opened.
    pub fn from_idx_bytes(
        images: impl Into<Bytes>,
        images_origin: &str,
        labels: impl Into<Bytes>,
        labels_origin: &str,
        classes: usize,
    ) -> Result<Self> {
        check_classes(classes)?;
        let images = idx::images(&images.into(), images_origin)?;
        let labels = idx::labels(&labels.into(), classes, labels_origin)?;
        check_label_count(labels.len(), images.count(), images_origin, labels_origin)?;
        Dataset::new(images.pixels().clone(), labels.to_vec(), images.shape(), classes)
    }

    /// A dataset of CIFAR-10 records from any number of files, one after the other. A file may be compressed by gzip if it holds no more than 10,000
    /// records, as each of the set's does.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be opened, [`Error::Format`] if it is not made of [records](cifar::records),
    /// [`Error::Setting`] if no file is named.
    pub fn from_cifar10(files: &[impl AsRef<Path>]) -> Result<Self> {
        Dataset::of_records(files, |bytes, origin| cifar::records(bytes, origin).map(|_| ()))
    }

    fn of_records(files: &[impl AsRef<Path>], check: impl Fn(&[u8], &str) -> Result<()>) -> Result<Self> {
        let (mut parts, mut labels) = (Vec::new(), Vec::new());
        for path in files {
            let path = path.as_ref();
            let (mut bytes, origin) = (Bytes::open(path)?, path.display().to_string());
            if gz::is_gzip(&bytes) {
                bytes = gz::decompress(&bytes, cifar::RECORD * cifar::RECORDS_PER_FILE, &origin)?.into();
            }
            check(&bytes, &origin)?;
            let start = labels.len();
            labels.extend(bytes.iter().step_by(cifar::RECORD));
            // A process that ignores locks may have changed them between the check and the copy.
            check_labels(&labels[start..], cifar::CLASSES.len(), &format!("{origin}, its labels"), 0, 1)?;
            parts.push(Part { bytes, first: 1, stride: cifar::RECORD, start });
        }
        if labels.is_empty() || u32::try_from(labels.len()).is_err() {
            return Err(Error::setting("images", "1 to 4294967295", labels.len()));
        }
        let shape = Shape { channels: cifar::CHANNELS, rows: cifar::SIDE, cols: cifar::SIDE };
        Ok(Dataset { parts, labels, shape, classes: cifar::CLASSES.len() })
    }

    /// Number of images; at least one.
    #[allow(clippy::len_without_is_empty)] // A dataset is never empty.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Channels, rows and columns.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Values of an image: channels times rows times columns.
    pub fn pixels(&self) -> usize {
        self.shape.pixels()
    }

    /// Height of the images.
    pub fn rows(&self) -> usize {
        self.shape.rows
    }

    /// Width of the images.
    pub fn cols(&self) -> usize {
        self.shape.cols
    }

    /// Colour planes of the images: 1 or 3.
    pub fn channels(&self) -> usize {
        self.shape.channels
    }

    /// Number of classes; labels are below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The label of each image.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    /// The pixels of an image. For images in a mapped file, [`check_intact`](Dataset::check_intact) first.
    ///
    /// # Panics
    /// If there is no image of that number.
    #[inline]
    #[track_caller]
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(index < self.len(), "image {index} of a dataset of {}", self.len());
        let part = match &*self.parts {
            [part] => part,
            parts => &parts[parts.partition_point(|part| part.start <= index) - 1],
        };
        let from = part.first + (index - part.start) * part.stride;
        &part.bytes[from..from + self.pixels()]
    }

    /// A number that tells this set from others: of all pixels and labels in order, however they are stored. It is no protection against those who
    /// mean harm. For images in a mapped file, [`check_intact`](Dataset::check_intact) first.
    ///
    /// Cost: one reading.
    pub fn digest(&self) -> u64 {
        // FNV-1a, eight bytes at a time; the rotation takes what a multiplication moves up back to where the next one begins.
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bytes: &[u8]| {
            let (words, rest) = bytes.as_chunks::<8>();
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            for word in words.iter().chain([&last]) {
                digest = (digest ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
            }
        };
        add(&self.labels);
        (0..self.len()).for_each(|index| add(self.image(index)));
        digest
    }

    /// The same of files that were seen to be whole.
    #[cfg(feature = "systems")]
    pub(crate) fn intact_digest(&self) -> Result<u64> {
        self.check_intact()?;
        Ok(self.digest())
    }

    /// Checks that no mapped file became shorter since it was opened: see [`storage`].
    ///
    /// # Errors
    /// [`Error::Format`] naming the file that did.
    pub fn check_intact(&self) -> Result<()> {
        self.parts.iter().try_for_each(|part| part.bytes.check_intact())
    }

    /// Copies the chosen images to rows of `out` as `scaling.scale * byte + scaling.offset`, on the context's threads.
    ///
    /// Deterministic; `out` is `[indices.len(), pixels]` and every value of it is written. An image may be chosen more than
    /// once. Cost: one fused multiply-add, one byte read and four written for each value, and one system call for each
    /// mapped file (the check that it is still whole).
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no image of a chosen number, [`Error::Format`] if a mapped file was cut off.
    ///
    /// # Panics
    /// If `out` has another shape.
    #[track_caller]
    pub fn gather(&self, context: &mut Context, indices: &[u32], scaling: Scaling, out: MatMut<'_>) -> Result<()> {
        self.check_out(indices, &out);
        self.check_indices(indices)?;
        self.convert(context, indices, scaling, out, |_, index, _| Pixels::Image(self.image(index)))
    }

    /// The same with each image changed at random; row `r` as `stream.item(r)` says, so the same stream gives the same
    /// batch on any number of threads. Pass a stream per step: `stream.item(step)`.
    ///
    /// # Errors
    /// As [`gather`](Dataset::gather).
    ///
    /// # Panics
    /// If `out` has another shape.
    #[track_caller]
    pub fn gather_augmented(
        &self,
        context: &mut Context,
        indices: &[u32],
        augmentation: &Augmentation,
        stream: Stream,
        scaling: Scaling,
        out: MatMut<'_>,
    ) -> Result<()> {
        self.check_out(indices, &out);
        self.check_indices(indices)?;
        self.convert(context, indices, scaling, out, |row, index, buffer| {
            buffer.resize(self.pixels(), 0);
            augmentation.apply(self.image(index), self.shape, stream.item(row as u64), buffer);
            Pixels::Buffer
        })
    }

    /// All images as one matrix `[len, pixels]`, for sets small enough.
    ///
    /// # Errors
    /// [`Error::Format`] if a mapped file was cut off.
    pub fn to_matrix(&self, context: &mut Context, scaling: Scaling) -> Result<Matrix> {
        let indices: Vec<u32> = (0..self.len() as u32).collect();
        let mut matrix = Matrix::zeros(self.len(), self.pixels());
        self.gather(context, &indices, scaling, matrix.view_mut())?;
        Ok(matrix)
    }

    /// The labels of the chosen images.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no image of a chosen number.
    pub fn gather_labels(&self, indices: &[u32], out: &mut Vec<u8>) -> Result<()> {
        self.check_indices(indices)?;
        out.clear();
        out.extend(indices.iter().map(|&index| self.labels[index as usize]));
        Ok(())
    }

    #[track_caller]
    fn check_out(&self, indices: &[u32], out: &MatMut<'_>) {
        let (found, expected) = ((out.rows(), out.cols()), (indices.len(), self.pixels()));
        assert_eq!(found, expected, "{} images of {} pixels into another shape", expected.0, expected.1);
    }

    fn check_indices(&self, indices: &[u32]) -> Result<()> {
        match indices.iter().position(|&index| index as usize >= self.len()) {
            None => Ok(()),
            Some(at) => {
                let expected = format!("an image below {}", self.len());
                Err(Error::setting(format!("indices[{at}]"), expected, indices[at]))
            }
        }
    }

    fn convert<'a>(
        &'a self,
        context: &mut Context,
        indices: &[u32],
        scaling: Scaling,
        out: MatMut<'_>,
        source: impl Fn(usize, usize, &mut Vec<u8>) -> Pixels<'a> + Sync,
    ) -> Result<()> {
        /// Images of one item of work: some 25 microseconds, enough to be worth taking off a queue.
        const BLOCK: usize = 64;
        self.check_intact()?;
        // Moving a value costs about what four multiply-adds do.
        let threads = context.threads().for_work([4, indices.len(), self.pixels()]);
        let workspace = || (context.clone().with_threads(Threads::ONE), Vec::new());
        let workspaces = std::iter::repeat_with(workspace).take(threads.get());
        let blocks = out.row_blocks(BLOCK).zip(indices.chunks(BLOCK)).enumerate();
        for_each_with(threads, workspaces, blocks, |(context, buffer), (block, (mut out, indices))| {
            for (row, &index) in indices.iter().enumerate() {
                let pixels = match source(block * BLOCK + row, index as usize, buffer) {
                    Pixels::Image(pixels) => pixels,
                    Pixels::Buffer => buffer,
                };
                to_f32(context, pixels, scaling.scale, scaling.offset, out.row_mut(row));
            }
        });
        Ok(())
    }

    /// The chosen images, in that order, as a dataset of their own with its own memory.
    ///
    /// # Errors
    /// [`Error::Setting`] if none is chosen or there is no image of a chosen number, [`Error::Format`] if a mapped file
    /// was cut off.
    pub fn subset(&self, indices: &[u32]) -> Result<Dataset> {
        self.check_indices(indices)?;
        self.check_intact()?;
        let images: Vec<u8> = indices.iter().flat_map(|&index| self.image(index as usize)).copied().collect();
        let labels = indices.iter().map(|&index| self.labels[index as usize]).collect();
        Dataset::new(images, labels, self.shape, self.classes)
    }

    /// The same images made anew by `change`, which gets each and writes one of shape `shape`.
    fn map(&self, shape: Shape, mut change: impl FnMut(&[u8], &mut [u8])) -> Result<Dataset> {
        self.check_intact()?;
        let len = self.len().checked_mul(shape.pixels()).filter(|&len| len as u64 <= storage::LARGEST_FILE);
        let len = len.ok_or_else(|| {
            let expected = format!("at most {} bytes of images", storage::LARGEST_FILE);
            Error::setting("image shape", expected, format!("{} of {shape}", self.len()))
        })?;
        let mut images = vec![0; len];
        for (index, out) in images.chunks_exact_mut(shape.pixels()).enumerate() {
            change(self.image(index), out);
        }
        Dataset::new(images, self.labels.clone(), shape, self.classes)
    }

    /// The images cut to their central `rows` x `cols`, as [`transforms::centre_crop`] does.
    ///
    /// # Errors
    /// [`Error::Setting`] if that is empty or larger than the images, [`Error::Format`] if a mapped file was cut off.
    pub fn centre_crop(&self, rows: usize, cols: usize) -> Result<Dataset> {
        let shape = Shape::new(self.channels(), rows, cols)?;
        if rows > self.rows() || cols > self.cols() {
            let expected = format!("at most the image, {} x {}", self.rows(), self.cols());
            return Err(Error::setting("centre crop", expected, format!("{rows} x {cols}")));
        }
        self.map(shape, |image, out| transforms::centre_crop(image, self.shape, rows, cols, out))
    }

    /// The images in grey, as [`transforms::grayscale`] makes them; a copy if they are grey already.
    ///
    /// # Errors
    /// [`Error::Format`] if a mapped file was cut off.
    pub fn grayscale(&self) -> Result<Dataset> {
        let shape = Shape { channels: 1, ..self.shape };
        self.map(shape, |image, out| match self.channels() {
            3 => transforms::grayscale(image, out),
            _ => out.copy_from_slice(image),
        })
    }

    /// The images in another size, as [`transforms::resize_bilinear`] does, rounded to whole bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] if that is no image, [`Error::Format`] if a mapped file was cut off.
    pub fn resized(&self, rows: usize, cols: usize) -> Result<Dataset> {
        let shape = Shape::new(self.channels(), rows, cols)?;
        let (mut before, mut after) = (vec![0.0; self.pixels()], vec![0.0; shape.pixels()]);
        self.map(shape, |image, out| {
            before.iter_mut().zip(image).for_each(|(value, &byte)| *value = f32::from(byte));
            transforms::resize_bilinear(&before, self.shape, rows, cols, &mut after);
            out.iter_mut().zip(&after).for_each(|(byte, value)| *byte = value.round() as u8);
        })
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images of {} in {} classes", self.len(), self.shape, self.classes)
    }
}

/// Where the pixels of a row are to be had.
enum Pixels<'a> {
    Image(&'a [u8]),
    Buffer,
}

/// Checks the labels at `bytes[0]`, `bytes[stride]`, ...; the first of them lies at `offset` of `origin`.
fn check_labels(bytes: &[u8], classes: usize, origin: &str, offset: usize, stride: usize) -> Result<()> {
    match bytes.iter().step_by(stride).position(|&label| usize::from(label) >= classes) {
        None => Ok(()),
        Some(at) => {
            let label = bytes[at * stride];
            let place = (offset + at * stride) as u64;
            Err(Error::format(origin, place, format!("a label below {classes}"), label.to_string()))
        }
    }
}

fn check_classes(classes: usize) -> Result<()> {
    if (1..=256).contains(&classes) { Ok(()) } else { Err(Error::setting("classes", "1 to 256", classes)) }
}

fn check_label_count(labels: usize, images: usize, images_origin: &str, labels_origin: &str) -> Result<()> {
    if labels != images {
        let expected = format!("{images} labels, one for each image of {images_origin}");
        return Err(Error::format(labels_origin, 4, expected, labels.to_string()));
    }
    Ok(())
}

/// What an IDX file is, whose contents are looked at only if they are not compressed, and then for their length alone.
fn idx_header(bytes: &Bytes, origin: &str) -> Result<idx::Header> {
    if gz::is_gzip(bytes) { gz::idx_header(bytes, origin) } else { idx::Header::of_file(bytes, origin) }
}

/// An IDX file, decompressed if need be.
fn unpacked_idx(bytes: Bytes, origin: &str) -> Result<Bytes> {
    if gz::is_gzip(&bytes) { Ok(gz::decompress_idx(&bytes, origin)?.into()) } else { Ok(bytes) }
}

#[cfg(test)]
pub(crate) mod tests;
