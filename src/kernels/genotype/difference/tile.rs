//! What all genotypes share on a tile of 16 images, and the units that must be looked at for each.

use super::super::evaluate::CHUNK;
use super::super::samples::{Line, Samples};
use super::{Differences, Movers};
use crate::matrix::Matrix;
use crate::simd::{LANES, Simd};

/// Scratch memory for a tile, and what was found of it.
pub(super) struct Tile {
    /// \[unit\]\[tile of the chunk\]: modal pre-activations.
    base: Vec<[Line; CHUNK]>,
    /// \[mover\]: D or D' of a unit for the images of a tile.
    moves: Vec<Line>,
    /// \[class\], \[varying gene\]\[class\], for the images of a tile: constants, and what changes of output weights add to the slopes.
    constants: Vec<Line>,
    slopes: Vec<Line>,
    pub(super) images: [Image; LANES],
    /// Where each unit stands in an image's list, if it does.
    places: Vec<u32>,
}

/// What an image needs of each genotype.
pub(super) struct Image {
    /// \[class\], zero behind the last of whole vectors.
    pub(super) constants: Vec<f32>,
    /// \[varying gene, class\], zero behind the last class.
    pub(super) slopes: Matrix,
    /// Units that genes move, as they were found: doubtful ones, those whose `t` changes of output weights need, and the others.
    found: [Vec<Unit>; 3],
    /// The first two of them, each sorted by how many genes move a unit: loops of the same length follow each other.
    pub(super) units: Vec<Unit>,
    pub(super) doubtful: usize,
    pub(super) moves: Moves,
    /// Changes of output weights that count, class by class, with room for all; and where each class's end.
    pub(super) products: Vec<Product>,
    pub(super) product_ends: Vec<u32>,
}

impl Tile {
    pub(super) fn new(differences: &Differences) -> Self {
        let (genes, stride) = (differences.genes, differences.output.cols());
        let image = || Image {
            constants: vec![0.0; stride],
            slopes: Matrix::zeros(genes, stride),
            found: Default::default(),
            units: Vec::new(),
            doubtful: 0,
            moves: Moves::default(),
            products: vec![Product { place: 0, gene: 0, change: 0.0 }; differences.by_class.len()],
            product_ends: Vec::new(),
        };
        Tile {
            base: vec![[NOTHING; CHUNK]; differences.movers.len()],
            moves: Vec::new(),
            constants: vec![NOTHING; stride],
            slopes: vec![NOTHING; genes * stride],
            images: std::array::from_fn(|_| image()),
            places: Vec::new(),
        }
    }
}

/// Zero for each image of a tile.
const NOTHING: Line = Line([0.0; LANES]);

/// A unit of an image: what `t` begins with, and which moves follow.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) unit: u32,
    first: u32,
    count: u32,
    pub(super) base: f32,
}

/// A change of an output weight, for the unit at this place.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) place: u32,
    pub(super) gene: u32,
    pub(super) change: f32,
}

/// Moves of units that are not zero, one unit after the other. There is room behind the last for a vector.
#[derive(Default)]
pub(super) struct Moves {
    len: usize,
    genes: Vec<u32>,
    sizes: Vec<f32>,
}

impl Moves {
    /// Appends the lanes that are not zero.
    #[inline(always)]
    fn push<S: Simd>(&mut self, s: S, genes: S::U32, sizes: S::F32) {
        if self.genes.len() < self.len + LANES {
            let room = 2 * self.len + LANES;
            self.genes.resize(room, 0);
            self.sizes.resize(room, 0.0);
        }
        let bits = !s.mask_bits(s.eq(sizes, s.zero()));
        let (genes, sizes) = (s.compress(bits, s.from_bits(genes)), s.compress(bits, sizes));
        s.store_u32(s.to_bits(genes), self.genes[self.len..].first_chunk_mut().expect("room"));
        s.store(sizes, self.sizes[self.len..].first_chunk_mut().expect("room"));
        self.len += bits.count_ones() as usize;
    }

    /// The genes that move a unit, and how far each.
    #[inline(always)]
    pub(super) fn of(&self, unit: &Unit) -> impl Iterator<Item = (u32, f32)> {
        let range = unit.first as usize..(unit.first + unit.count) as usize;
        self.genes[range.clone()].iter().copied().zip(self.sizes[range].iter().copied())
    }
}

/// The modal genotype's pre-activations for a chunk of samples.
#[inline(always)]
pub(super) fn look_at_chunk<S: Simd>(
    s: S,
    differences: &Differences,
    samples: &Samples,
    chunk: usize,
    work: &mut Tile,
) {
    let (graph, first, last) = (samples.graph(), chunk * CHUNK, samples.tiles() - 1);
    // A chunk that is not full computes its last tile again.
    let pixels: [_; CHUNK] = std::array::from_fn(|t| samples.tile(last.min(first + t)));
    for (unit, out) in work.base.iter_mut().enumerate() {
        let mut sums = [s.zero(); CHUNK];
        let weights = &differences.edges[graph.pattern().range(unit)];
        for (&input, &weight) in graph.pattern().row(unit).iter().zip(weights) {
            let weight = s.splat(weight);
            for t in 0..CHUNK {
                sums[t] = s.mul_add(weight, s.load(&pixels[t][input as usize].0), sums[t]);
            }
        }
        for t in 0..CHUNK {
            s.store(sums[t], &mut out[t].0);
        }
    }
}

/// What all genotypes share on the images of a tile, the `at`-th of its chunk, and the units that must be looked at for each. Whether all of
/// it is finite.
#[inline(always)]
pub(super) fn look_at_tile<S: Simd>(
    s: S,
    differences: &Differences,
    samples: &Samples,
    tile: usize,
    at: usize,
    work: &mut Tile,
) -> bool {
    let (graph, pixels) = (samples.graph(), samples.tile(tile));
    let (stride, zero, one) = (differences.output.cols(), s.zero(), s.splat(1.0));
    let (mut finite, infinity) = (u16::MAX, s.splat(f32::INFINITY));
    work.constants.fill(NOTHING);
    work.slopes.fill(NOTHING);
    for image in &mut work.images {
        image.found.iter_mut().for_each(Vec::clear);
        image.moves.len = 0;
    }
    for unit in 0..graph.hidden() {
        let Movers { count, first_block } = differences.movers[unit];
        let (count, first_block) = (count as usize, first_block as usize);
        let first_change = &differences.first_change[first_block * LANES..=first_block * LANES + count];
        work.moves.clear();
        work.moves.resize(count.next_multiple_of(LANES), NOTHING);
        let base = s.load(&work.base[unit][at].0);
        let (mut low, mut high, mut movers) = (base, base, zero);
        for (range, out) in first_change.windows(2).zip(&mut work.moves) {
            let mut sum = zero;
            for &(input, change) in &differences.changes[range[0] as usize..range[1] as usize] {
                sum = s.mul_add(s.splat(change), s.load(&pixels[usize::from(input)].0), sum);
            }
            low = s.add(low, s.min(sum, zero));
            high = s.add(high, s.max(sum, zero));
            movers = s.add(movers, s.select(s.eq(sum, zero), zero, one));
            s.store(sum, &mut out.0);
        }
        finite &= s.mask_bits(s.lt(s.abs(low), infinity)) & s.mask_bits(s.lt(s.abs(high), infinity));
        let heard = !s.mask_bits(s.le(high, zero));
        let active = heard & s.mask_bits(s.le(zero, low));
        let straight = active | heard & s.mask_bits(s.le(movers, one));
        let doubtful = heard & !straight;
        let weights = &differences.output.row(unit)[..graph.classes()];
        let outputs = differences.outputs_of(unit);
        let mut moving = 0;
        if straight != 0 {
            let start = s.max(base, zero);
            let of_straight = s.select(s.mask_from_bits(straight), start, zero);
            for (sum, &weight) in work.constants.iter_mut().zip(weights) {
                s.store(s.mul_add(s.splat(weight), of_straight, s.load(&sum.0)), &mut sum.0);
            }
            for change in outputs {
                let sum = &mut work.slopes[change.gene as usize * stride + change.class as usize].0;
                s.store(s.mul_add(s.splat(change.change), of_straight, s.load(sum)), sum);
            }
            let (straight, doubtful) = (s.mask_from_bits(straight), s.mask_from_bits(doubtful));
            let active = s.mask_from_bits(active);
            for Line(own) in &mut work.moves[..count] {
                let all = s.load(own);
                // One gene moves it, past zero perhaps.
                let past = s.sub(s.max(s.add(base, all), zero), start);
                let past = s.select(s.eq(all, zero), zero, past);
                let size = s.select(straight, s.select(active, all, past), zero);
                moving |= !s.mask_bits(s.eq(size, zero));
                s.store(s.select(doubtful, all, size), own);
            }
        }
        let listed = doubtful | moving;
        if listed == 0 {
            continue;
        }
        list_unit(s, differences, unit, base, listed, doubtful, work);
    }
    for (at, sums) in work.constants.as_chunks().0.iter().enumerate() {
        let rows = by_image(s, sums);
        for (image, row) in work.images.iter_mut().zip(rows) {
            s.store(row, &mut image.constants.as_chunks_mut().0[at]);
        }
    }
    for (at, sums) in work.slopes.as_chunks().0.iter().enumerate() {
        let rows = by_image(s, sums);
        for (image, row) in work.images.iter_mut().zip(rows) {
            s.store(row, &mut image.slopes.as_mut_slice().as_chunks_mut().0[at]);
        }
    }
    for image in &mut work.images {
        add_slopes(s, differences, image);
        // Only now: a sum that was not finite before has not become so.
        finite &= finite_lanes(s, &image.constants) & finite_lanes(s, image.slopes.as_slice());
        list_image(differences, image, &mut work.places);
    }
    finite == u16::MAX
}

/// Appends a unit to a list of each of these images.
#[inline(always)]
fn list_unit<S: Simd>(
    s: S,
    differences: &Differences,
    unit: usize,
    base: S::F32,
    images: u16,
    doubtful: u16,
    work: &mut Tile,
) {
    let firsts: [u32; LANES] = std::array::from_fn(|image| work.images[image].moves.len as u32);
    let first_block = differences.movers[unit].first_block as usize;
    for (genes, moves) in differences.mover_genes[first_block..].iter().zip(work.moves.as_chunks::<LANES>().0) {
        let (genes, mut rows) = (s.load_u32(genes), [s.zero(); LANES]);
        for at in 0..LANES {
            rows[at] = s.load(&moves[at].0);
        }
        let moves = s.transpose(rows);
        let mut left = images;
        while left != 0 {
            let image = left.trailing_zeros() as usize;
            left &= left - 1;
            work.images[image].moves.push(s, genes, moves[image]);
        }
    }
    let (bases, straight) = (s.lanes(base), 1 + usize::from(differences.outputs_of(unit).is_empty()));
    let mut left = images;
    while left != 0 {
        let image = left.trailing_zeros() as usize;
        left &= left - 1;
        let is_doubtful = doubtful >> image & 1 == 1;
        let (list, base) = if is_doubtful { (0, bases[image]) } else { (straight, 0.0) };
        let first = firsts[image];
        let image = &mut work.images[image];
        let count = image.moves.len as u32 - first;
        image.found[list].push(Unit { unit: unit as u32, first, count, base });
    }
}

/// Sixteen numbers of each image, from those of a tile.
#[inline(always)]
fn by_image<S: Simd>(s: S, of_tile: &[Line; LANES]) -> [S::F32; LANES] {
    let mut rows = [s.zero(); LANES];
    for at in 0..LANES {
        rows[at] = s.load(&of_tile[at].0);
    }
    s.transpose(rows)
}

/// The lanes in which all of these are finite.
#[inline(always)]
fn finite_lanes<S: Simd>(s: S, values: &[f32]) -> u16 {
    let (mut finite, infinity) = (u16::MAX, s.splat(f32::INFINITY));
    for row in values.as_chunks().0 {
        finite &= s.mask_bits(s.lt(s.abs(s.load(row)), infinity));
    }
    finite
}

/// Adds to an image's slopes what genes move units whose activity is a sum over them.
#[inline(always)]
fn add_slopes<S: Simd>(s: S, differences: &Differences, image: &mut Image) {
    let stride = differences.output.cols();
    let slopes = image.slopes.as_mut_slice().as_chunks_mut::<LANES>().0;
    for unit in image.found[1..].iter().flatten() {
        let weights = differences.output.row(unit.unit as usize).as_chunks::<LANES>().0;
        for (gene, size) in image.moves.of(unit) {
            let slopes = &mut slopes[gene as usize * (stride / LANES)..];
            for (sum, weights) in slopes.iter_mut().zip(weights) {
                s.store(s.mul_add(s.splat(size), s.load(weights), s.load(sum)), sum);
            }
        }
    }
}

/// Sorts what was found of an image, and lists the changes of output weights that count.
fn list_image(differences: &Differences, image: &mut Image, places: &mut Vec<u32>) {
    image.units.clear();
    for found in &image.found[..2] {
        by_count(found, &mut image.units);
    }
    image.doubtful = image.found[0].len();
    places.clear();
    places.resize(differences.movers.len(), u32::MAX);
    for (place, unit) in image.units.iter().enumerate() {
        places[unit.unit as usize] = place as u32;
    }
    image.product_ends.clear();
    let (mut start, mut count) = (0, 0);
    for &end in &differences.class_ends {
        for change in &differences.by_class[start..end as usize] {
            let place = places[change.unit as usize];
            // Written without a branch: nobody could foresee which count.
            image.products[count] = Product { place, gene: change.gene, change: change.change };
            count += usize::from(place != u32::MAX);
        }
        start = end as usize;
        image.product_ends.push(count as u32);
    }
}

/// Appends units by the number of their moves; those of the same number as they were.
fn by_count(units: &[Unit], to: &mut Vec<Unit>) {
    const MANY: usize = 64;
    let mut next = [0; MANY + 1];
    for unit in units {
        next[MANY.min(unit.count as usize)] += 1;
    }
    let mut sum = to.len();
    for next in &mut next {
        sum += std::mem::replace(next, sum);
    }
    to.resize(sum, Unit { unit: 0, first: 0, count: 0, base: 0.0 });
    for unit in units {
        let next = &mut next[MANY.min(unit.count as usize)];
        to[*next] = *unit;
        *next += 1;
    }
}
