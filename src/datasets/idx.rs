//! IDX, the format of MNIST and its relatives: a type, dimensions, then the values, everything big-endian.
//!
//! ```text
//! offset  bytes  meaning
//! 0       2      zero
//! 2       1      type of the values: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64
//! 3       1      number of dimensions D, here 1 to 4
//! 4       4 D    the dimensions, u32
//! 4 + 4D         the values, last dimension fastest; nothing behind them
//! ```
//! The description is the one at the end of <http://yann.lecun.com/exdb/mnist/>. The parser looks at a byte slice, makes
//! no allocation that depends on it and accepts a file only if its length is exactly what its header promises.

use std::fmt;
use std::ops::Range;

use super::Shape;
use super::storage::{Bytes, LARGEST_FILE};
use crate::error::{Error, Result};

/// The most dimensions a file may have: images, channels, rows, columns.
pub const MOST_DIMENSIONS: usize = 4;

/// The longest header, in bytes.
pub const LONGEST_HEADER: usize = 4 + 4 * MOST_DIMENSIONS;

/// The largest height and width of an image.
pub const LARGEST_SIDE: usize = 4096;

/// The type of the values of an IDX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// Unsigned bytes, code 08: images and labels.
    U8,
    /// Signed bytes, code 09.
    I8,
    /// 16-bit integers, code 0B.
    I16,
    /// 32-bit integers, code 0C.
    I32,
    /// 32-bit floating point, code 0D.
    F32,
    /// 64-bit floating point, code 0E.
    F64,
}

impl Type {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Type::U8,
            0x09 => Type::I8,
            0x0B => Type::I16,
            0x0C => Type::I32,
            0x0D => Type::F32,
            0x0E => Type::F64,
            _ => return None,
        })
    }

    /// Bytes a value takes.
    pub fn size(self) -> usize {
        match self {
            Type::U8 | Type::I8 => 1,
            Type::I16 => 2,
            Type::I32 | Type::F32 => 4,
            Type::F64 => 8,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::U8 => "unsigned bytes",
            Type::I8 => "signed bytes",
            Type::I16 => "16-bit integers",
            Type::I32 => "32-bit integers",
            Type::F32 => "32-bit floating-point numbers",
            Type::F64 => "64-bit floating-point numbers",
        })
    }
}

/// What the beginning of an IDX file promises. Its length fits `usize` and is at most [`LARGEST_FILE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    value_type: Type,
    dimensions: [usize; MOST_DIMENSIONS],
    count: usize,
    length: usize,
}

impl Header {
    /// The type of the values.
    pub fn value_type(&self) -> Type {
        self.value_type
    }

    /// The dimensions, outermost first.
    pub fn dimensions(&self) -> &[usize] {
        &self.dimensions[..self.count]
    }

    /// The bytes of the header itself.
    pub fn header_length(&self) -> usize {
        4 + 4 * self.count
    }

    /// The bytes of the whole file.
    pub fn file_length(&self) -> usize {
        self.length
    }

    /// Where in the file the values lie.
    pub fn values(&self) -> Range<usize> {
        self.header_length()..self.length
    }

    /// Parses the beginning of a file, of which `prefix` holds at least the header. `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Format`] if the prefix is not an IDX header, ends before the header does, or promises more than
    /// [`LARGEST_FILE`] bytes.
    pub fn parse(prefix: &[u8], origin: &str) -> Result<Self> {
        let ends = |wanted: &str| Error::format(origin, prefix.len() as u64, wanted, "the end of the file");
        let byte = |offset: usize, wanted: &str| prefix.get(offset).copied().ok_or_else(|| ends(wanted));
        for offset in 0..2 {
            let zero = byte(offset, "an IDX file, which begins with two zero bytes")?;
            if zero != 0 {
                let expected = "an IDX file, which begins with two zero bytes";
                return Err(Error::format(origin, offset as u64, expected, format!("{zero:#04x}")));
            }
        }
        let code = byte(2, "the type of an IDX file")?;
        let value_type = Type::from_code(code).ok_or_else(|| {
            let expected = "the type of an IDX file: 0x08, 0x09, 0x0b, 0x0c, 0x0d or 0x0e";
            Error::format(origin, 2, expected, format!("{code:#04x}"))
        })?;
        let count = usize::from(byte(3, "the number of dimensions")?);
        if !(1..=MOST_DIMENSIONS).contains(&count) {
            return Err(Error::format(origin, 3, format!("1 to {MOST_DIMENSIONS} dimensions"), count.to_string()));
        }
        let mut dimensions = [0; MOST_DIMENSIONS];
        // In u64 the header's length and one dimension cannot overflow; every product is checked.
        let mut length = Some(value_type.size() as u64);
        for (index, dimension) in dimensions[..count].iter_mut().enumerate() {
            let start = 4 + 4 * index;
            let four = prefix.get(start..start + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
            let value = u32::from_be_bytes(four.ok_or_else(|| ends("four bytes for each dimension"))?);
            length = length.and_then(|length| length.checked_mul(u64::from(value)));
            *dimension = usize::try_from(value)
                .map_err(|_| Error::format(origin, start as u64, "a length", value.to_string()))?;
        }
        let length = length
            .and_then(|values| values.checked_add(4 + 4 * count as u64))
            .filter(|&length| length <= LARGEST_FILE)
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| {
                let expected = format!("dimensions of a file of at most {LARGEST_FILE} bytes");
                Error::format(origin, 4, expected, describe(&dimensions[..count]))
            })?;
        Ok(Header { value_type, dimensions, count, length })
    }

    /// Parses a whole file, which must be as long as its header says.
    ///
    /// # Errors
    /// [`Error::Format`] as [`Header::parse`], and if the file is shorter or longer than promised.
    pub fn of_file(bytes: &[u8], origin: &str) -> Result<Self> {
        Header::of_length(bytes, bytes.len() as u64, origin)
    }

    /// The same for a file of this length, of which `prefix` holds at least the header.
    ///
    /// # Errors
    /// As [`Header::of_file`].
    pub fn of_length(prefix: &[u8], found: u64, origin: &str) -> Result<Self> {
        let header = Header::parse(prefix, origin)?;
        let expected = header.length as u64;
        if found != expected {
            let shape = describe(header.dimensions());
            let wanted = format!("{expected} bytes for {shape} {}", header.value_type);
            let offset = found.min(expected);
            return Err(Error::format(origin, offset, wanted, format!("a file of {found} bytes")));
        }
        Ok(header)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IDX, {} {}", describe(self.dimensions()), self.value_type)
    }
}

/// `60000 x 28 x 28`.
fn describe(dimensions: &[usize]) -> String {
    dimensions.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// Images of one byte a value: `[images, rows, columns]`, or `[images, channels, rows, columns]`.
#[derive(Clone, Debug)]
pub struct Images {
    pixels: Bytes,
    count: usize,
    shape: Shape,
}

impl Images {
    /// All their bytes, image after image, where the file has them.
    pub fn pixels(&self) -> &Bytes {
        &self.pixels
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Channels, rows and columns.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// Sees an IDX file as images.
///
/// # Errors
/// [`Error::Format`] if it is not a whole IDX file of unsigned bytes with three or four dimensions, if it holds no image,
/// or images without pixels, with a side above [`LARGEST_SIDE`] or other than 1 or 3 channels.
///
/// ```
/// use neuropil::datasets::idx;
/// let file = idx::encode(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])?;
/// let images = idx::images(&file.into(), "example")?;
/// assert_eq!((images.count(), images.shape().cols(), &images.pixels()[3..]), (2, 3, &[4, 5, 6][..]));
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn images(file: &Bytes, origin: &str) -> Result<Images> {
    let header = Header::of_file(file, origin)?;
    let (count, shape) = images_of(&header, origin)?;
    Ok(Images { pixels: file.slice(header.values()), count, shape })
}

/// How many images a header promises, and of which shape.
pub(super) fn images_of(header: &Header, origin: &str) -> Result<(usize, Shape)> {
    require_u8(header, origin)?;
    let (count, channels, rows, cols) = match *header.dimensions() {
        [count, rows, cols] => (count, 1, rows, cols),
        [count, channels, rows, cols] => (count, channels, rows, cols),
        ref other => {
            let expected = "images: 3 dimensions, or 4 with channels";
            return Err(Error::format(origin, 3, expected, format!("{} dimensions", other.len())));
        }
    };
    check_count(count, "images", origin)?;
    let shape = Shape::new(channels, rows, cols).map_err(|_| {
        let expected = format!("images of 1 or 3 channels with sides of 1 to {LARGEST_SIDE}");
        Error::format(origin, 8, expected, describe(header.dimensions()))
    })?;
    Ok((count, shape))
}

/// Sees an IDX file as labels below `classes`.
///
/// # Errors
/// [`Error::Format`] if it is not a whole IDX file of unsigned bytes with one dimension, holds no label, or one that is
/// `classes` or more.
pub fn labels(file: &Bytes, classes: usize, origin: &str) -> Result<Bytes> {
    let header = Header::of_file(file, origin)?;
    labels_of(&header, origin)?;
    let labels = file.slice(header.values());
    super::check_labels(&labels, classes, origin, header.header_length(), 1)?;
    Ok(labels)
}

/// How many labels a header promises.
pub(super) fn labels_of(header: &Header, origin: &str) -> Result<usize> {
    require_u8(header, origin)?;
    let &[count] = header.dimensions() else {
        let found = format!("{} dimensions", header.dimensions().len());
        return Err(Error::format(origin, 3, "labels: 1 dimension", found));
    };
    check_count(count, "labels", origin)?;
    Ok(count)
}

fn require_u8(header: &Header, origin: &str) -> Result<()> {
    match header.value_type {
        Type::U8 => Ok(()),
        other => Err(Error::format(origin, 2, Type::U8.to_string(), other.to_string())),
    }
}

fn check_count(count: usize, what: &str, origin: &str) -> Result<()> {
    if count == 0 { Err(Error::format(origin, 4, format!("at least one of the {what}"), "none")) } else { Ok(()) }
}

/// Writes unsigned bytes as an IDX file.
///
/// # Errors
/// [`Error::Setting`] if there are no or more than [`MOST_DIMENSIONS`] dimensions or one exceeds 32 bits,
/// [`Error::Length`] if their product is not the number of values.
///
/// ```
/// use neuropil::datasets::idx;
/// let file = idx::encode(&[2, 3], &[1, 2, 3, 4, 5, 6])?;
/// let header = idx::Header::of_file(&file, "example")?;
/// assert_eq!(header.to_string(), "IDX, 2 x 3 unsigned bytes");
/// assert_eq!(&file[header.values()], &[1, 2, 3, 4, 5, 6]);
/// # Ok::<(), neuropil::Error>(())
/// ```
pub fn encode(dimensions: &[usize], values: &[u8]) -> Result<Vec<u8>> {
    if !(1..=MOST_DIMENSIONS).contains(&dimensions.len()) {
        return Err(Error::setting("dimensions", format!("1 to {MOST_DIMENSIONS}"), dimensions.len()));
    }
    let mut file = vec![0, 0, 0x08, dimensions.len() as u8];
    let mut expected = 1usize;
    for &dimension in dimensions {
        let short = u32::try_from(dimension).map_err(|_| Error::setting("dimension", "at most 32 bits", dimension))?;
        file.extend(short.to_be_bytes());
        expected = expected
            .checked_mul(dimension)
            .ok_or_else(|| Error::setting("dimensions", "a product that fits in memory", describe(dimensions)))?;
    }
    if values.len() != expected {
        return Err(Error::Length { what: "IDX values", expected, found: values.len() });
    }
    file.extend_from_slice(values);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIXELS: usize = 5 * 3 * 2;

    fn image_file() -> Vec<u8> {
        encode(&[5, 3, 2], &(0..PIXELS as u8).collect::<Vec<_>>()).unwrap()
    }

    fn label_file() -> Vec<u8> {
        encode(&[5], &[0, 9, 3, 4, 9]).unwrap()
    }

    fn images_error(file: Vec<u8>) -> String {
        images(&file.into(), "file").unwrap_err().to_string()
    }

    fn labels_error(file: Vec<u8>) -> String {
        labels(&file.into(), 10, "file").unwrap_err().to_string()
    }

    /// A header of these dimensions with nothing behind it.
    fn header(code: u8, dimensions: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, dimensions.len() as u8];
        dimensions.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes
    }

    #[test]
    fn images_and_labels_are_seen_where_they_lie() {
        let file = Bytes::from(image_file());
        let seen = images(&file, "file").unwrap();
        assert_eq!((seen.count(), seen.shape()), (5, Shape::new(1, 3, 2).unwrap()));
        assert_eq!(&**seen.pixels(), (0..30).collect::<Vec<u8>>());
        assert_eq!(seen.pixels().as_ptr(), file[16..].as_ptr());
        assert_eq!(&*labels(&label_file().into(), 10, "file").unwrap(), &[0, 9, 3, 4, 9]);
        let colour = encode(&[2, 3, 1, 4], &[0; 24]).unwrap();
        let seen = images(&colour.into(), "file").unwrap();
        assert_eq!((seen.count(), seen.shape()), (2, Shape::new(3, 1, 4).unwrap()));
    }

    #[test]
    fn a_file_truncated_at_any_length_is_refused() {
        for len in 0..image_file().len() {
            let error = images_error(image_file()[..len].to_vec());
            assert!(error.starts_with(&format!("file, byte {len}: expected ")), "{error}");
        }
        for len in 0..label_file().len() {
            labels_error(label_file()[..len].to_vec());
        }
    }

    #[test]
    fn a_file_too_long_is_refused() {
        let mut file = image_file();
        file.push(0);
        assert_eq!(
            images_error(file),
            "file, byte 46: expected 46 bytes for 5 x 3 x 2 unsigned bytes, found a file of 47 bytes"
        );
    }

    #[test]
    fn every_other_value_of_every_header_byte_is_refused() {
        for offset in 0..16 {
            for change in 1..=255u8 {
                let mut file = image_file();
                file[offset] ^= change;
                images_error(file);
            }
        }
        for offset in 0..8 {
            for change in 1..=255u8 {
                let mut file = label_file();
                file[offset] ^= change;
                labels_error(file);
            }
        }
    }

    #[test]
    fn what_is_no_idx_file_is_refused() {
        let error = images_error(b"\x89PNG\r\n".to_vec());
        assert_eq!(error, "file, byte 0: expected an IDX file, which begins with two zero bytes, found 0x89");
    }

    #[test]
    fn files_of_every_type_are_as_long_as_their_values() {
        let types = [
            (0x08, 1, "unsigned bytes"),
            (0x09, 1, "signed bytes"),
            (0x0B, 2, "16-bit integers"),
            (0x0C, 4, "32-bit integers"),
            (0x0D, 4, "32-bit floating-point numbers"),
            (0x0E, 8, "64-bit floating-point numbers"),
        ];
        for (code, size, name) in types {
            let mut file = header(code, &[3, 2]);
            file.resize(12 + 6 * size, 0);
            let header = Header::of_file(&file, "file").unwrap();
            assert_eq!(header.to_string(), format!("IDX, 3 x 2 {name}"));
            assert_eq!((header.value_type().size(), header.dimensions()), (size, &[3, 2][..]));
            assert_eq!((header.header_length(), header.values()), (12, 12..file.len()));
        }
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let error = images_error(header(0x0A, &[1]));
        assert!(error.starts_with("file, byte 2: expected the type of an IDX file"), "{error}");
    }

    #[test]
    fn values_other_than_bytes_are_no_images_and_no_labels() {
        for (code, name) in [(0x09, "signed bytes"), (0x0B, "16-bit integers"), (0x0D, "32-bit floating-point numbers")]
        {
            let size = Type::from_code(code).unwrap().size();
            let mut file = header(code, &[5, 3, 2]);
            file.resize(16 + PIXELS * size, 0);
            assert_eq!(images_error(file), format!("file, byte 2: expected unsigned bytes, found {name}"));
            let mut file = header(code, &[5]);
            file.resize(8 + 5 * size, 0);
            assert_eq!(labels_error(file), format!("file, byte 2: expected unsigned bytes, found {name}"));
        }
    }

    #[test]
    fn no_dimension_and_too_many_are_refused() {
        for count in [0, 5, 255] {
            let error = images_error(vec![0, 0, 8, count]);
            assert_eq!(error, format!("file, byte 3: expected 1 to 4 dimensions, found {count}"));
        }
    }

    #[test]
    fn images_are_no_labels_and_labels_no_images() {
        assert_eq!(labels_error(image_file()), "file, byte 3: expected labels: 1 dimension, found 3 dimensions");
        let error = images_error(label_file());
        assert_eq!(error, "file, byte 3: expected images: 3 dimensions, or 4 with channels, found 1 dimensions");
    }

    #[test]
    fn dimensions_whose_product_overflows_are_refused() {
        for code in [0x08, 0x0E] {
            for dimensions in [&[u32::MAX; 4][..], &[u32::MAX; 3], &[u32::MAX; 2], &[1 << 31, 1 << 31, 4]] {
                let error = images_error(header(code, dimensions));
                assert!(error.contains("dimensions of a file of at most"), "{error}");
            }
        }
    }

    #[test]
    fn a_header_that_promises_gigabytes_allocates_nothing() {
        // The parser sees slices; the promise (8 GiB) only has to disagree with what is there.
        let error = images_error(header(0x08, &[1 << 13, 1 << 10, 1 << 10]));
        assert!(error.contains("found a file of 16 bytes"), "{error}");
    }

    #[test]
    fn empty_sets_and_impossible_images_are_refused() {
        assert!(images_error(header(0x08, &[0, 28, 28])).contains("expected at least one of the images, found none"));
        assert!(labels_error(header(0x08, &[0])).contains("expected at least one of the labels, found none"));
        for dimensions in [&[5, 0, 2][..], &[5, 3, 0], &[5, 2, 1, 1], &[5, 0, 1, 1], &[1, 1, 4097], &[1, 4097, 1]] {
            let mut file = header(0x08, dimensions);
            file.resize(file.len() + dimensions.iter().product::<u32>() as usize, 0);
            let error = images_error(file);
            assert!(error.contains("byte 8: expected images of 1 or 3 channels with sides of 1 to 4096"), "{error}");
        }
    }

    #[test]
    fn a_label_out_of_range_is_refused_with_its_place() {
        let file = encode(&[4], &[1, 9, 10, 255]).unwrap();
        assert_eq!(labels_error(file), "file, byte 10: expected a label below 10, found 10");
    }

    #[test]
    fn files_are_written_only_as_they_can_be_read() {
        assert!(encode(&[], &[]).is_err());
        assert!(encode(&[1; 5], &[0]).is_err());
        assert!(encode(&[2, 3], &[0; 5]).is_err());
        assert!(encode(&[usize::MAX, 2], &[]).is_err());
    }
}
