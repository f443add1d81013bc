//! How a population came along: its learning curve, and how its alleles became fixed.

use crate::error::Result;
use crate::kernels::genotype::AlleleFrequencies;
use crate::systems::checkpoint::Reader;
use crate::systems::checkpoint::Writer;

/// A point of the curve of a population.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Generations so far.
    pub generation: u64,
    /// Mean reward delta of the genotypes since the point before.
    pub reward: f64,
    /// Mean share of images that they classified correctly since then, 0 to 1.
    pub correct: f64,
    /// Share of the genes whose allele frequency is within 0.01 of 0 or 1.
    pub fixed: f64,
    /// Share of the monitor's images that the expected weights W p classify correctly, if there was a monitor.
    pub expected: Option<f64>,
    /// The same of the rounded genotype.
    pub rounded: Option<f64>,
}

/// How far allele frequencies are from 0 or 1: figure 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    /// Generations so far.
    pub generation: u64,
    /// Share of the genes that are further than d from 0 and from 1, for d = 0, 0.01, ..., 0.5.
    pub beyond: Vec<f64>,
}

/// Values of a point in a checkpoint.
const POINT: usize = 6;

/// Distances d of [`Distances`].
const DISTANCES: usize = 51;

impl Distances {
    pub(super) fn of(generation: u64, frequencies: &AlleleFrequencies) -> Self {
        let beyond = (0..DISTANCES).map(|step| 1.0 - frequencies.fixed(step as f64 * 0.01)).collect();
        Distances { generation, beyond }
    }

    /// Generations at which they are noted: none, then 1, 3, 10, 30, ...
    pub(super) fn due(generation: u64) -> bool {
        let mut power = generation;
        while power >= 10 && power.is_multiple_of(10) {
            power /= 10;
        }
        matches!(power, 0 | 1 | 3)
    }
}

pub(super) fn write(writer: &mut Writer, points: &[Point], distances: &[Distances]) {
    let optional = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let values =
        |p: &Point| [p.generation as f64, p.reward, p.correct, p.fixed, optional(p.expected), optional(p.rounded)];
    let values: Vec<f64> = points.iter().flat_map(values).collect();
    writer.doubles("counts", &[2], &[points.len() as f64, distances.len() as f64]);
    writer.doubles("points", &[points.len(), POINT], &values);
    let values = distances.iter().flat_map(|d| std::iter::once(d.generation as f64).chain(d.beyond.iter().copied()));
    writer.doubles("distances", &[distances.len(), DISTANCES + 1], &values.collect::<Vec<f64>>());
}

pub(super) fn read(reader: &mut Reader) -> Result<(Vec<Point>, Vec<Distances>)> {
    let counts = reader.doubles("counts", &[2])?;
    let optional = |value: f64| (!value.is_nan()).then_some(value);
    let values = reader.doubles("points", &[counts[0] as usize, POINT])?;
    let point = |&[generation, reward, correct, fixed, expected, rounded]: &[f64; POINT]| {
        let (expected, rounded) = (optional(expected), optional(rounded));
        Point { generation: generation as u64, reward, correct, fixed, expected, rounded }
    };
    let points = values.as_chunks().0.iter().map(point).collect();
    let values = reader.doubles("distances", &[counts[1] as usize, DISTANCES + 1])?;
    let distances = |row: &[f64]| Distances { generation: row[0] as u64, beyond: row[1..].to_vec() };
    Ok((points, values.chunks(DISTANCES + 1).map(distances).collect()))
}
