//! Maps, rectangles on them, and the receptive fields made of such rectangles, checked once.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result};

/// The shape of a two-dimensional map whose values lie row by row in the columns of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
}

impl Map {
    /// Its values: the columns of a matrix that holds a map a row.
    ///
    /// # Panics
    /// If they cannot be counted; no [`ReceptiveField`] lies on such a map.
    #[track_caller]
    pub fn len(&self) -> usize {
        // No closure: one would not know the caller's line.
        let Some(len) = self.rows.checked_mul(self.cols) else { panic!("a map of {self} values") };
        len
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 || self.cols == 0
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.rows, self.cols)
    }
}

/// A rectangle of a map, half-open: rows `rows.start` up to but without `rows.end`, and so for columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "systems", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Rectangle {
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns.
    pub cols: Range<usize>,
}

impl Rectangle {
    /// The rectangle of these rows and columns.
    pub fn new(rows: Range<usize>, cols: Range<usize>) -> Self {
        Rectangle { rows, cols }
    }
}

impl fmt::Display for Rectangle {
    /// `(0-20, 5-15)`: rows, then columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}-{}, {}-{})", self.rows.start, self.rows.end, self.cols.start, self.cols.end)
    }
}

/// Neighbouring columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The first.
    pub start: usize,
    /// How many: at least one.
    pub len: usize,
}

/// What a unit sees of a map: one or more rectangles, kept as runs of neighbouring columns.
///
/// Its values are numbered rectangle by rectangle, within a rectangle row by row. Where rectangles overlap, or one is given twice, a
/// column **counts every time**: [`gather`](super::gather) copies it as often, [`scatter_add`](super::scatter_add) adds to it as often, and
/// in a [`FieldLayer`](super::FieldLayer) it has as many weights, which act as their sum.
///
/// ```
/// use neuropil::kernels::masked::{Map, Rectangle, ReceptiveField};
/// let map = Map { rows: 20, cols: 40 };
/// let field = ReceptiveField::new(map, &[Rectangle::new(0..10, 20..30), Rectangle::new(4..14, 0..20)])?;
/// assert_eq!(field.len(), 300);
/// assert_eq!(field.columns().take(11).last(), Some(60)); // row 1, column 20
/// let outside = ReceptiveField::new(map, &[Rectangle::new(0..10, 35..45)]);
/// assert_eq!(outside.unwrap_err().to_string(), "receptive field: expected rectangles inside a map of 20 x 40, found (0-10, 35-45)");
/// # Ok::<(), neuropil::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceptiveField {
    map: Map,
    rectangles: Vec<Rectangle>,
    runs: Vec<Run>,
    len: usize,
}

/// Maps and fields larger than this are refused, which keeps every sum of lengths far from overflow.
const MAX_LEN: usize = 1 << 31;

impl ReceptiveField {
    /// The field of these rectangles.
    ///
    /// # Errors
    /// [`Error::Setting`] if the map has no values (or 2^31 and more), if there is no rectangle, or if one is empty or not inside the map.
    pub fn new(map: Map, rectangles: &[Rectangle]) -> Result<Self> {
        let len = Self::check(map, rectangles)?;
        let mut runs = Vec::<Run>::new();
        for Rectangle { rows, cols } in rectangles {
            for row in rows.clone() {
                let start = row * map.cols + cols.start;
                match runs.last_mut() {
                    // Full rows, or a rectangle that continues the one before: one run.
                    Some(last) if last.start + last.len == start => last.len += cols.len(),
                    _ => runs.push(Run { start, len: cols.len() }),
                }
            }
        }
        Ok(ReceptiveField { map, rectangles: rectangles.to_vec(), runs, len })
    }

    /// The values that the field of these rectangles has, without making it, which takes memory for each row of each.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn check(map: Map, rectangles: &[Rectangle]) -> Result<usize> {
        check_map(map)?;
        if rectangles.is_empty() {
            return Err(Error::setting("receptive field", "one rectangle or more", "none"));
        }
        let mut len = 0;
        for rectangle in rectangles {
            let Rectangle { rows, cols } = rectangle;
            if rows.start >= rows.end || cols.start >= cols.end {
                return Err(Error::setting("receptive field", "rectangles of one value or more", rectangle));
            }
            if rows.end > map.rows || cols.end > map.cols {
                let expected = format!("rectangles inside a map of {map}");
                return Err(Error::setting("receptive field", expected, rectangle));
            }
            len += rows.len() * cols.len();
            if len >= MAX_LEN {
                return Err(Error::setting("receptive field", "fewer than 2^31 values", len));
            }
        }
        Ok(len)
    }

    /// The map it lies on.
    pub fn map(&self) -> Map {
        self.map
    }

    /// Its rectangles, as given.
    pub fn rectangles(&self) -> &[Rectangle] {
        &self.rectangles
    }

    /// Its values, columns that are listed twice counted twice: at least one.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Its columns as runs, in the order of its values.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The column of the map of each value.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.iter().flat_map(|run| run.start..run.start + run.len)
    }
}

/// Refuses maps without values and maps too large to number their values.
pub(super) fn check_map(map: Map) -> Result<()> {
    if map.is_empty() {
        return Err(Error::setting("map", "one row and one column or more", map));
    }
    match map.rows.checked_mul(map.cols) {
        Some(len) if len < MAX_LEN => Ok(()),
        _ => Err(Error::setting("map", "fewer than 2^31 values", map)),
    }
}
