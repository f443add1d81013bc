//! What is done to an image before it is learnt: crops, padding, mirroring, grey, other sizes.
//!
//! Images are planar, `[channels, rows, columns]`. Functions that only move values work on any type; they write to a
//! slice of the caller's and panic, with both numbers, if its length is not the result's.

use super::Shape;
use crate::random::{Stream, below};

#[track_caller]
fn check<T>(what: &str, values: &[T], shape: Shape) {
    assert_eq!(values.len(), shape.pixels(), "{what} of shape {shape}: expected its pixels, found another length");
}

/// Copies the window of `rows` x `cols` whose upper left corner is at (`top`, `left`) of the image; where the window lies
/// outside the image it holds `fill`.
///
/// With a corner at negative coordinates this is zero-padding and cropping in one step.
///
/// ```
/// use neuropil::datasets::{Shape, transforms::window};
/// let mut out = [0; 4];
/// window(&[1, 2, 3, 4], Shape::new(1, 2, 2)?, -1, 0, 2, 2, 0, &mut out);
/// assert_eq!(out, [0, 0, 1, 2]);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Panics
/// If `image` or `out` has another length than its shape says.
#[track_caller]
pub fn window<T: Copy>(
    image: &[T],
    shape: Shape,
    top: isize,
    left: isize,
    rows: usize,
    cols: usize,
    fill: T,
    out: &mut [T],
) {
    check("an image", image, shape);
    assert_eq!(out.len(), shape.channels() * rows * cols, "a window of {rows} x {cols}: wrong length");
    if out.is_empty() {
        return;
    }
    // The columns of the window that lie inside the image: [inside_start, inside_end).
    let inside = |from: isize, len: usize, limit: usize| {
        let start = from.saturating_neg().clamp(0, len as isize);
        let end = (limit as isize).saturating_sub(from).clamp(start, len as isize);
        (start as usize, end as usize)
    };
    let (start, end) = inside(left, cols, shape.cols());
    for (line, out) in out.chunks_exact_mut(cols).enumerate() {
        let (channel, row) = (line / rows, (line % rows) as isize);
        out.fill(fill);
        let row = top.saturating_add(row);
        if (0..shape.rows() as isize).contains(&row) && start < end {
            let from = (channel * shape.rows() + row as usize) * shape.cols() + (left + start as isize) as usize;
            out[start..end].copy_from_slice(&image[from..from + end - start]);
        }
    }
}

/// Copies the central `rows` x `cols` of an image. Of an odd margin the smaller half goes above and to the left.
///
/// # Panics
/// If the crop is larger than the image, or `image` or `out` has another length than its shape says.
#[track_caller]
pub fn centre_crop<T: Copy + Default>(image: &[T], shape: Shape, rows: usize, cols: usize, out: &mut [T]) {
    assert!(rows <= shape.rows() && cols <= shape.cols(), "a crop of {rows} x {cols} from an image of shape {shape}");
    let (top, left) = ((shape.rows() - rows) / 2, (shape.cols() - cols) / 2);
    window(image, shape, top as isize, left as isize, rows, cols, T::default(), out);
}

/// Mirrors an image from left to right, in place.
///
/// # Panics
/// If `image` has another length than its shape says.
#[track_caller]
pub fn flip_horizontal<T>(image: &mut [T], shape: Shape) {
    check("an image", image, shape);
    image.chunks_exact_mut(shape.cols()).for_each(<[T]>::reverse);
}

/// Makes a grey image of a red, a green and a blue plane: the luma of ITU-R BT.601, `0.299 R + 0.587 G + 0.114 B`.
///
/// In integers with 16 fractional bits, rounded to nearest, which is what Pillow and torchvision give.
///
/// # Panics
/// If `image` is not three times as long as `out`.
#[track_caller]
pub fn grayscale(image: &[u8], out: &mut [u8]) {
    assert_eq!(image.len(), 3 * out.len(), "three planes for a grey one of {}", out.len());
    let (red, rest) = image.split_at(out.len());
    let (green, blue) = rest.split_at(out.len());
    for (((out, &r), &g), &b) in out.iter_mut().zip(red).zip(green).zip(blue) {
        let luma = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000;
        *out = (luma >> 16) as u8;
    }
}

/// Along one axis: for each of `to` outputs the two inputs it lies between and the weight of the second.
fn taps(from: usize, to: usize) -> impl Fn(usize) -> (usize, usize, f32) {
    let scale = from as f64 / to as f64;
    move |index| {
        let place = ((index as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
        let low = place as usize;
        (low, (low + 1).min(from - 1), (place - low as f64) as f32)
    }
}

/// What lies between two values, at this share of the way from the first.
fn between(a: f32, b: f32, share: f32) -> f32 {
    let way = b - a;
    if share == 0.0 {
        a
    } else if way.is_finite() {
        way.mul_add(share, a)
    } else if share == 1.0 {
        b
    } else {
        // An infinity less itself would be NaN, and the way between finite ones may overflow; their shares do not.
        a * (1.0 - share) + b * share
    }
}

/// Resizes an image by bilinear interpolation between the centres of pixels.
///
/// Output pixel `i` of `n` lies at `(i + 1/2) N / n - 1/2` of `N` inputs, clamped to the image: `align_corners = false`,
/// and no low-pass filter when shrinking (`antialias = false`), in the words of PyTorch's `interpolate`. Sizes that stay
/// return the same bits. A NaN or Inf reaches the outputs it has a share in: an Inf makes them infinite, or NaN where both infinities have one.
/// Finite pixels give finite ones, however far apart they are.
///
/// # Panics
/// If `image` or `out` has another length than its shape says.
#[track_caller]
pub fn resize_bilinear(image: &[f32], shape: Shape, rows: usize, cols: usize, out: &mut [f32]) {
    check("an image", image, shape);
    assert_eq!(out.len(), shape.channels() * rows * cols, "an image resized to {rows} x {cols}: wrong length");
    let (vertical, horizontal) = (taps(shape.rows(), rows), taps(shape.cols(), cols));
    let mut out = out.iter_mut();
    for plane in image.chunks_exact(shape.rows() * shape.cols()) {
        for row in 0..rows {
            let (upper, lower, down) = vertical(row);
            let (upper, lower) = (&plane[upper * shape.cols()..], &plane[lower * shape.cols()..]);
            for (col, out) in (0..cols).zip(&mut out) {
                let (left, right, across) = horizontal(col);
                let above = between(upper[left], upper[right], across);
                let below = between(lower[left], lower[right], across);
                *out = between(above, below, down);
            }
        }
    }
}

/// Random changes to training images: zero-padding followed by a random crop of the original size, and mirroring.
///
/// The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Pixels of zeros around the image before the crop: the crop moves by up to this many in each direction.
    pub pad: usize,
    /// Mirror every second image, at random, from left to right.
    pub flip: bool,
}

impl Augmentation {
    /// CIFAR-10's usual one: four pixels of padding, and mirroring.
    pub const CIFAR10: Augmentation = Augmentation { pad: 4, flip: true };

    /// Writes the image as this stream changes it. The same stream gives the same image.
    ///
    /// # Panics
    /// If `image` or `out` has another length than the shape says.
    #[track_caller]
    pub fn apply(&self, image: &[u8], shape: Shape, stream: Stream, out: &mut [u8]) {
        let mut generator = stream.generator();
        let mut shift = || below(&mut generator, 2 * self.pad as u64 + 1) as isize - self.pad as isize;
        let (top, left) = (shift(), shift());
        window(image, shape, top, left, shape.rows(), shape.cols(), 0, out);
        if self.flip && below(&mut generator, 2) == 1 {
            flip_horizontal(out, shape);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(channels: usize, rows: usize, cols: usize) -> Shape {
        Shape::new(channels, rows, cols).unwrap()
    }

    #[test]
    fn centre_crops_take_the_centre_of_every_plane() {
        let image: Vec<u8> = (0..3 * 4 * 5).collect();
        let mut out = [0; 18];
        centre_crop(&image, shape(3, 4, 5), 2, 3, &mut out);
        assert_eq!(out, [6, 7, 8, 11, 12, 13, 26, 27, 28, 31, 32, 33, 46, 47, 48, 51, 52, 53]);
        let mut odd = [0; 2];
        centre_crop(&[1, 2, 3, 4, 5, 6], shape(1, 3, 2), 2, 1, &mut odd);
        assert_eq!(odd, [1, 3]);
        let mut middle = [0; 1];
        centre_crop(&[1, 2, 3, 4, 5, 6], shape(1, 6, 1), 1, 1, &mut middle);
        assert_eq!(middle, [3]);
    }

    #[test]
    #[should_panic(expected = "an image of shape 1 x 2 x 3: expected its pixels, found another length")]
    fn an_image_of_another_length_names_its_shape() {
        flip_horizontal(&mut [0u8; 7], shape(1, 2, 3));
    }

    #[test]
    #[should_panic(expected = "a crop of 3 x 2 from an image of shape 1 x 2 x 2")]
    fn a_crop_larger_than_the_image_names_both() {
        centre_crop(&[0u8; 4], shape(1, 2, 2), 3, 2, &mut [0; 6]);
    }

    #[test]
    fn mirroring_reverses_rows_and_twice_is_nothing() {
        let mut image: Vec<u8> = (0..12).collect();
        flip_horizontal(&mut image, shape(1, 4, 3));
        assert_eq!(image, [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9]);
        flip_horizontal(&mut image, shape(1, 4, 3));
        assert_eq!(image, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn grey_is_pillows() {
        // Image.fromarray(..).convert("L") of Pillow 13: white, black, the primaries, and some in between.
        let planes = [
            [255, 0, 255, 0, 0, 1, 12, 200, 127],
            [255, 0, 0, 255, 0, 1, 34, 100, 128],
            [255, 0, 0, 0, 255, 1, 56, 50, 129],
        ];
        let mut grey = [0; 9];
        grayscale(&planes.concat(), &mut grey);
        assert_eq!(grey, [255, 0, 76, 150, 29, 1, 30, 124, 128]);
        // Rounded to nearest everywhere.
        for (r, g, b) in (0..=255).step_by(3).flat_map(|r| (0..=255).step_by(5).map(move |g| (r, g, (r * 7 + g) as u8)))
        {
            let mut grey = [0];
            grayscale(&[r as u8, g as u8, b], &mut grey);
            let luma = (19595.0 * f64::from(r) + 38470.0 * f64::from(g) + 7471.0 * f64::from(b)) / 65536.0;
            assert_eq!(f64::from(grey[0]), luma.round(), "{r} {g} {b}");
        }
    }

    #[test]
    fn resizing_is_pytorchs() {
        // torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False, antialias=False)
        let image: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let mut half = [0.0; 4];
        resize_bilinear(&image, shape(1, 4, 4), 2, 2, &mut half);
        assert_eq!(half, [2.5, 4.5, 10.5, 12.5]);
        let mut larger = [0.0; 16];
        resize_bilinear(&[1.0, 2.0, 3.0, 4.0], shape(1, 2, 2), 4, 4, &mut larger);
        let expected = [1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0];
        assert_eq!(larger, expected);
        let mut three = [0.0; 3];
        resize_bilinear(&[0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0], shape(1, 1, 7), 1, 3, &mut three);
        // At 2/3, 3 and 16/3: the filter of an antialiased resize would reach further.
        for (got, expected) in three.iter().zip([2.0 / 3.0, 9.0, 25.0 + 11.0 / 3.0]) {
            assert!((got - expected).abs() < 1e-5, "{three:?}");
        }
        // Beyond the centre of the last pixel there is no other to interpolate with.
        let mut end = [0.0; 4];
        resize_bilinear(&[1.0, f32::INFINITY], shape(1, 1, 2), 1, 4, &mut end);
        assert_eq!(end, [1.0, f32::INFINITY, f32::INFINITY, f32::INFINITY]);
    }

    #[test]
    fn infinite_pixels_and_those_far_apart_are_interpolated_from_both_sides_alike() {
        const INF: f32 = f32::INFINITY;
        let wide = |pixels: [f32; 2]| {
            let (mut out, mut turned) = ([0.0; 4], [0.0; 4]);
            resize_bilinear(&pixels, shape(1, 1, 2), 1, 4, &mut out);
            resize_bilinear(&pixels, shape(1, 2, 1), 4, 1, &mut turned);
            assert_eq!(out.map(f32::to_bits), turned.map(f32::to_bits), "rows are as columns");
            out
        };
        for [a, b] in [[INF, 1.0], [-INF, 1.0], [INF, INF], [INF, 3e38], [-3e38, 3e38], [f32::MIN, f32::MAX]] {
            let (out, mut mirrored) = (wide([a, b]), wide([b, a]));
            mirrored.reverse();
            assert_eq!(out, mirrored, "{a} to {b}");
        }
        assert_eq!(wide([INF, 1.0]), [INF, INF, INF, 1.0]);
        assert_eq!(wide([INF, INF]), [INF; 4]);
        let far = 1.5 * 2f32.powi(127);
        assert_eq!(wide([-far, far]), [-far, -0.5 * far, 0.5 * far, far]);
        assert!(wide([f32::MIN, f32::MAX]).iter().all(|v| v.is_finite()));
        let both = wide([-INF, INF]);
        assert!(both[0] == -INF && both[1].is_nan() && both[2].is_nan() && both[3] == INF, "{both:?}");
        let nan = wide([f32::NAN, 1.0]);
        assert!(nan[..3].iter().all(|v| v.is_nan()) && nan[3] == 1.0, "{nan:?}");
    }

    #[test]
    fn augmentation_moves_by_the_padding_at_most_in_all_directions_and_mirrors_half() {
        // One lit pixel in the middle of 9 x 9; the left neighbour tells mirrored images apart.
        let mut image = [0u8; 81];
        (image[4 * 9 + 4], image[4 * 9 + 3]) = (200, 100);
        let (mut seen, mut mirrored) = ([[0; 5]; 5], 0);
        for item in 0..5000 {
            let mut out = [0; 81];
            Augmentation { pad: 2, flip: true }.apply(&image, shape(1, 9, 9), Stream::new(1, "t").item(item), &mut out);
            let at = out.iter().position(|&v| v == 200).unwrap();
            let flipped = out[at + 1] == 100;
            mirrored += usize::from(flipped);
            let col = if flipped { 8 - at % 9 } else { at % 9 };
            seen[at / 9 - 2][col - 2] += 1;
        }
        // 200 each with a standard deviation of 14; 2500 with one of 35.
        assert!(seen.iter().flatten().all(|&n| (130..270).contains(&n)), "{seen:?}");
        assert!((2300..2700).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn augmentations_are_pinned() {
        // Saved experiments depend on these: a change here is a breaking change.
        let image: Vec<u8> = (1..=9).collect();
        let changed = |item| {
            let mut out = [0; 9];
            Augmentation { pad: 1, flip: true }.apply(&image, shape(1, 3, 3), Stream::new(1, "t").item(item), &mut out);
            out
        };
        let moved = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 0, 0, 3, 2, 0, 6, 5], [2, 3, 0, 5, 6, 0, 8, 9, 0]];
        assert_eq!([0, 1, 2].map(changed), moved);
    }

    #[test]
    fn no_augmentation_is_the_image() {
        let image: Vec<u8> = (0..36).collect();
        let mut out = [9; 36];
        Augmentation::default().apply(&image, shape(3, 3, 4), Stream::new(1, "t"), &mut out);
        assert_eq!(out, *image);
    }

    proptest! {
        /// Against the obvious: every output pixel looked up by itself.
        #[test]
        fn windows_show_what_is_there(
            channels in prop::sample::select(vec![1usize, 3]), rows in 1usize..6, cols in 1usize..6,
            height in 0usize..9, width in 0usize..9, top in -9isize..9, left in -9isize..9,
        ) {
            let shape = shape(channels, rows, cols);
            let image: Vec<u32> = (1..=shape.pixels() as u32).collect();
            let mut out = vec![99; channels * height * width];
            window(&image, shape, top, left, height, width, 0, &mut out);
            for (at, &found) in out.iter().enumerate() {
                let (channel, row, col) = (at / (height * width), at / width % height, at % width);
                let (row, col) = (top + row as isize, left + col as isize);
                let inside = (0..rows as isize).contains(&row) && (0..cols as isize).contains(&col);
                let expected = if inside { image[(channel * rows + row as usize) * cols + col as usize] } else { 0 };
                prop_assert_eq!(found, expected);
            }
        }

        /// Bilinear interpolation is a weighted mean, exact on constants, and leaves a size that stays alone.
        #[test]
        fn resizing_stays_between_the_extremes(
            rows in 1usize..8, cols in 1usize..8, height in 1usize..12, width in 1usize..12, seed: u64,
        ) {
            let mut image = vec![0.0; rows * cols];
            Stream::new(seed, "image").uniform(-1.0, 1.0, &mut image);
            let mut out = vec![f32::NAN; height * width];
            resize_bilinear(&image, shape(1, rows, cols), height, width, &mut out);
            let extremes = |values: &[f32]| values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let ((low, high), (least, most)) = (extremes(&image), extremes(&out));
            prop_assert!(low - 1e-6 <= least && most <= high + 1e-6);
            let mut same = vec![f32::NAN; rows * cols];
            resize_bilinear(&image, shape(1, rows, cols), rows, cols, &mut same);
            prop_assert_eq!(same, image);
            resize_bilinear(&vec![0.3; rows * cols], shape(1, rows, cols), height, width, &mut out);
            prop_assert!(out.iter().all(|&v| v == 0.3));
        }
    }
}
