//! The feature map, and where receptive fields lie on it.

use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::masked::{Map, ReceptiveField, Rectangle};
use crate::random::{Stream, below};
use crate::systems::settings;

/// A rectangle `[row, row_end, col, col_end]`, half-open, as configurations write it.
pub type Area = [usize; 4];

/// The rectangle of an area. Its own emptiness is for those to refuse who know what it is for.
pub(crate) fn rectangle([row, row_end, col, col_end]: Area) -> Rectangle {
    Rectangle::new(row..row_end, col..col_end)
}

pub(crate) fn area(rectangle: &Rectangle) -> Area {
    [rectangle.rows.start, rectangle.rows.end, rectangle.cols.start, rectangle.cols.end]
}

/// Where the receptive fields lie, or begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "neither one of a1, a2, a3, ar1, ar2, ar3, random nor a list, for each unit, of areas \
                 [row, row_end, col, col_end]"
)]
pub enum Topology {
    /// One of the paper's, for three units.
    #[serde(untagged)]
    Named(Named),
    /// Every unit sees this list of areas, whose cells are numbered in this order.
    #[serde(untagged)]
    Given(Vec<Vec<Area>>),
}

impl Default for Topology {
    fn default() -> Self {
        Topology::Named(Named::A3)
    }
}

/// A topology with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Named {
    /// Flat: every unit sees the image.
    A1,
    /// Columnar: each unit sees the one before.
    A2,
    /// Pyramidal: two units see half of the image each, the third sees those two.
    A3,
    /// The first of the paper's random ones.
    Ar1,
    /// The second.
    Ar2,
    /// The third.
    Ar3,
    /// Every unit at a place of its own: upright or lying with equal probability, then at any place for that, all equally likely; for any
    /// number of units.
    Random,
}

impl std::fmt::Display for Named {
    /// Its [`name`](Named::name).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Named {
    /// Those with fixed places, in the order of the paper's table 1.
    pub const FIXED: [Named; 6] = [Named::A1, Named::A2, Named::A3, Named::Ar1, Named::Ar2, Named::Ar3];

    /// Its name in the paper.
    pub fn name(self) -> &'static str {
        match self {
            Named::A1 => "A1",
            Named::A2 => "A2",
            Named::A3 => "A3",
            Named::Ar1 => "AR1",
            Named::Ar2 => "AR2",
            Named::Ar3 => "AR3",
            Named::Random => "random",
        }
    }

    /// Its areas on the map for images of side 20. Where the paper's two squares of a unit are the same one, it stands
    /// twice.
    fn areas(self) -> Option<[Vec<Area>; 3]> {
        let first = [0, 10, 20, 30];
        let second = [10, 20, 20, 30];
        Some(match self {
            Named::A1 => [vec![[0, 20, 0, 10]], vec![[0, 10, 0, 20]], vec![[0, 20, 10, 20]]],
            Named::A2 => [vec![[0, 20, 5, 15]], vec![first, first], vec![second, second]],
            Named::A3 => [vec![[0, 20, 0, 10]], vec![[0, 20, 10, 20]], vec![[0, 20, 20, 30]]],
            Named::Ar1 => [vec![[4, 14, 0, 20]], vec![[0, 10, 16, 36]], vec![[5, 15, 16, 36]]],
            Named::Ar2 => [vec![[0, 20, 13, 23]], vec![[0, 10, 2, 22]], vec![[0, 20, 13, 23]]],
            Named::Ar3 => [vec![[4, 14, 8, 28]], vec![[0, 10, 16, 36]], vec![[0, 20, 14, 24]]],
            Named::Random => return None,
        })
    }
}

/// A checked feature map: the image at row 0, column 0, and an area for each unit's latents, none overlapping another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    map: Map,
    image: Rectangle,
    latents: Vec<Rectangle>,
}

/// Areas a unit may see: the papers' see two.
pub(super) const MOST_AREAS: u64 = 16;

/// Cells a map may have: far above any use, far below any overflow.
const MOST_CELLS: usize = 1 << 20;

/// The first corners of the latents' tiles, in tiles (10 x 10 for images of 20 x 20).
const TILES: [(usize, usize); 7] = [(0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (1, 4), (0, 5)];

/// `n` of the map for images of side 20, on the map for images of this side.
fn scaled(n: usize, side: usize) -> usize {
    n * side / 20
}

impl Geometry {
    /// The paper's map: K of 1 to 7 tiles of half the image's side beside the image, in pairs.
    pub(crate) fn of_paper(side: usize, units: usize) -> Result<Self> {
        if !(1..=TILES.len()).contains(&units) {
            return Err(Error::setting("units", format!("1 to {}, or a map of your own", TILES.len()), units));
        }
        let tile = side / 2;
        let latents =
            TILES[..units].iter().map(|(row, col)| [row * tile, (row + 1) * tile, col * tile, (col + 1) * tile]);
        let latents: Vec<Area> = latents.collect();
        let cols = latents.iter().map(|[.., end]| *end).max().unwrap_or(0);
        Geometry::new(side, cols.max(2 * side), side, units, &latents)
    }

    pub(crate) fn new(rows: usize, cols: usize, side: usize, units: usize, latents: &[Area]) -> Result<Self> {
        let map = Map { rows, cols };
        if rows == 0 || cols == 0 || rows.checked_mul(cols).is_none_or(|cells| cells > MOST_CELLS) {
            return Err(Error::setting("map", format!("1 to {MOST_CELLS} cells"), format!("{rows} x {cols}")));
        }
        let image = Rectangle::new(0..side, 0..side);
        if side > rows || side > cols {
            let expected = format!("a map that holds the image of {side} x {side}");
            return Err(Error::setting("map", expected, format!("{rows} x {cols}")));
        }
        if units == 0 {
            return Err(Error::setting("units", "at least 1", units));
        }
        if latents.len() != units {
            return Err(Error::setting("map.latents", format!("an area for each of {units} units"), latents.len()));
        }
        let size = |area: &Rectangle| (area.rows.len(), area.cols.len());
        let latents: Vec<Rectangle> = latents.iter().map(|&area| rectangle(area)).collect();
        for (index, area) in latents.iter().enumerate() {
            let name = format!("map.latents[{index}]");
            let inside = area.rows.end <= rows && area.cols.end <= cols;
            if area.rows.is_empty() || area.cols.is_empty() || !inside {
                return Err(Error::setting(name, format!("an area within the map of {rows} x {cols}"), text(area)));
            }
            if size(area) != size(&latents[0]) {
                return Err(Error::setting(name, "an area as large as the first", text(area)));
            }
            let overlaps = |other: &Rectangle| {
                let common =
                    |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| a.start < b.end && b.start < a.end;
                common(&area.rows, &other.rows) && common(&area.cols, &other.cols)
            };
            if let Some(other) = std::iter::once(&image).chain(&latents[..index]).find(|other| overlaps(other)) {
                return Err(Error::setting(name, format!("an area without a cell of {}", text(other)), text(area)));
            }
        }
        Ok(Geometry { map, image, latents })
    }

    /// The map.
    pub fn map(&self) -> Map {
        self.map
    }

    /// Where the image lies.
    pub fn image(&self) -> &Rectangle {
        &self.image
    }

    /// Where each unit writes its latents, row by row.
    pub fn latents(&self) -> &[Rectangle] {
        &self.latents
    }

    /// Latents of a unit.
    pub fn hidden(&self) -> usize {
        self.latents[0].rows.len() * self.latents[0].cols.len()
    }
}

impl Geometry {
    /// As configurations write it.
    fn text(&self) -> String {
        let latents: Vec<Area> = self.latents.iter().map(area).collect();
        format!("{} with latents {latents:?}", self.map)
    }
}

/// A rectangle as configurations write it.
fn text(rectangle: &Rectangle) -> String {
    format!("{:?}", area(rectangle))
}

/// The receptive fields of a topology; random ones of this seed.
pub(crate) fn fields(topology: &Topology, geometry: &Geometry, seed: u64) -> Result<Vec<ReceptiveField>> {
    let rectangles = rectangles(topology, geometry, seed)?;
    rectangles.iter().map(|rectangles| ReceptiveField::new(geometry.map, rectangles)).collect()
}

/// The rectangles of each unit's field, checked.
pub(crate) fn rectangles(topology: &Topology, geometry: &Geometry, seed: u64) -> Result<Vec<Vec<Rectangle>>> {
    let units = geometry.latents.len();
    let areas: Vec<Vec<Area>> = match topology {
        Topology::Given(areas) => areas.clone(),
        Topology::Named(Named::Random) => {
            let stream = Stream::new(seed, "topology");
            let places = (0..units as u64).map(|unit| random_place(geometry, stream.item(unit)));
            places.map(|place| place.map(|place| vec![area(&place)])).collect::<Result<_>>()?
        }
        Topology::Named(named) => {
            let areas = named.areas().expect("the random topology was handled");
            if areas.len() != units {
                return Err(Error::setting(
                    format!("topology {}", named.name()),
                    format!("{} units", areas.len()),
                    units,
                ));
            }
            let side = geometry.image.rows.len();
            let papers = Geometry::of_paper(side, units)?;
            if *geometry != papers {
                let expected = format!("the papers' one for topology {}, {}", named.name(), papers.text());
                return Err(Error::setting("map", expected, geometry.text()));
            }
            areas.iter().map(|areas| areas.iter().map(|area| area.map(|n| scaled(n, side))).collect()).collect()
        }
    };
    if areas.len() != units {
        return Err(Error::setting("topology", format!("areas for {units} units"), areas.len()));
    }
    areas
        .iter()
        .enumerate()
        .map(|(unit, areas)| {
            let rectangles: Vec<Rectangle> = areas.iter().map(|&area| rectangle(area)).collect();
            settings::within(&format!("topology of unit {unit} (areas)"), areas.len() as u64, 1, MOST_AREAS)?;
            ReceptiveField::check(geometry.map, &rectangles).map_err(|error| match error {
                Error::Setting { expected, found, .. } => {
                    Error::setting(format!("topology of unit {unit}"), expected, found)
                }
                other => other,
            })?;
            Ok(rectangles)
        })
        .collect()
}

/// The side of the squares that random places are made of.
fn square(geometry: &Geometry) -> usize {
    (geometry.image.rows.len() / 2).max(1)
}

/// Cells of a random place.
pub(super) fn random_inputs(geometry: &Geometry) -> usize {
    2 * square(geometry).pow(2)
}

/// Whether rectangles have the sizes of those of a unit of the configured topology, which shifts leave as they are, or, if the
/// field may be put at random places, that of one of them.
pub(super) fn same_sizes(
    geometry: &Geometry,
    rectangles: &[Rectangle],
    configured: &[Rectangle],
    random: bool,
) -> bool {
    let n = square(geometry);
    let size = |rectangle: &Rectangle| (rectangle.rows.len(), rectangle.cols.len());
    let same = rectangles.iter().map(size).eq(configured.iter().map(size));
    same || random && matches!(rectangles, [one] if [(2 * n, n), (n, 2 * n)].contains(&size(one)))
}

/// A field of two squares of half the image's side, side by side or one above the other, anywhere on the map.
pub(crate) fn random_place(geometry: &Geometry, stream: Stream) -> Result<Rectangle> {
    let Map { rows, cols } = geometry.map;
    let n = square(geometry);
    let mut generator = stream.generator();
    let upright = generator.next_u64() & 1 == 1;
    let (height, width) = if upright { (2 * n, n) } else { (n, 2 * n) };
    if height > rows || width > cols {
        let expected = format!("a map that holds fields of {} x {n} and {n} x {0}", 2 * n);
        return Err(Error::setting("map", expected, format!("{rows} x {cols}")));
    }
    let row = below(&mut generator, (rows - height + 1) as u64) as usize;
    let col = below(&mut generator, (cols - width + 1) as u64) as usize;
    Ok(Rectangle::new(row..row + height, col..col + width))
}

/// The field shifted by -1, 0 or 1 in both directions. At an edge the shift goes inward; an axis that the field spans
/// does not move.
pub(crate) fn shifted(field: &ReceptiveField, [down, right]: [isize; 2]) -> ReceptiveField {
    let map = field.map();
    // All rectangles of a unit move together.
    let bounds = field.rectangles().iter().fold([map.rows, 0, map.cols, 0], |[top, bottom, left, end], r| {
        [top.min(r.rows.start), bottom.max(r.rows.end), left.min(r.cols.start), end.max(r.cols.end)]
    });
    let clamp = |shift: isize, start: usize, end: usize, limit: usize| match (start == 0, end == limit) {
        (true, true) => 0,
        (true, false) => shift.abs(),
        (false, true) => -shift.abs(),
        (false, false) => shift,
    };
    let down = clamp(down, bounds[0], bounds[1], map.rows);
    let right = clamp(right, bounds[2], bounds[3], map.cols);
    let add = |n: usize, shift: isize| n.checked_add_signed(shift).expect("a shift away from the edge");
    let rectangles: Vec<Rectangle> = field
        .rectangles()
        .iter()
        .map(|r| {
            Rectangle::new(
                add(r.rows.start, down)..add(r.rows.end, down),
                add(r.cols.start, right)..add(r.cols.end, right),
            )
        })
        .collect();
    ReceptiveField::new(map, &rectangles).expect("a shift that stays on the map")
}

/// The places one shift away, each once, the field's own left out.
pub(crate) fn neighbours(field: &ReceptiveField) -> Vec<ReceptiveField> {
    let mut places: Vec<ReceptiveField> = Vec::new();
    for down in -1..=1 {
        for right in -1..=1 {
            let place = shifted(field, [down, right]);
            if place != *field && !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}
