//! Receptive fields that moved for good, as many as there may be.

use super::topology;
use crate::kernels::masked::{Map, ReceptiveField, Rectangle};

/// A receptive field that moved for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The meta-step, from 0.
    pub step: u64,
    /// The unit, from 0.
    pub unit: usize,
    /// Where its field now lies.
    pub field: ReceptiveField,
    /// What the move had to raise, in the best topology before it and in the one it led to: the unit's entropy in bits, or the
    /// median of all; before it the unit's highest, with [`Criterion::UnitBest`](super::Criterion::UnitBest).
    pub entropy: [f64; 2],
}

/// Moves as a checkpoint holds them, which may be a great many: reading them takes no more memory than they do in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moves {
    /// Step, unit, entropies, and the number of areas of the field.
    pub(super) made: Vec<f64>,
    /// The areas of all fields.
    pub(super) areas: Vec<f64>,
}

/// Numbers of a move.
pub(super) const MOVE: usize = 5;

impl Moves {
    pub(super) fn push(&mut self, made: &Move) {
        let ([before, after], rectangles) = (made.entropy, made.field.rectangles());
        self.made.extend([made.step as f64, made.unit as f64, before, after, rectangles.len() as f64]);
        self.areas.extend(rectangles.iter().flat_map(topology::area).map(|n| n as f64));
    }

    pub(super) fn iter(&self, map: Map) -> impl ExactSizeIterator<Item = Move> + '_ {
        let mut rest = self.areas.as_chunks::<4>().0;
        self.made.as_chunks::<MOVE>().0.iter().map(move |&[step, unit, before, after, own]| {
            let (field, others) = rest.split_at(own as usize);
            rest = others;
            let rectangles: Vec<Rectangle> =
                field.iter().map(|area| topology::rectangle(area.map(|n| n as usize))).collect();
            let field =
                ReceptiveField::new(map, &rectangles).expect("a field that was made, or checked when it was read");
            Move { step: step as u64, unit: unit as usize, field, entropy: [before, after] }
        })
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.made.len() / MOVE
    }
}
