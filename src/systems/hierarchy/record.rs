//! What a run of the reproduction has measured so far, kept beside its network's state: what is measured of one topology cannot be had from
//! a later one.
//!
//! Two files cannot be replaced in one step. The record is written first, and what it says of a network later than the saved one is left out
//! when it is read: that network is trained and measured again, with the same bits. A record of an earlier network than the saved one lacks what
//! was measured since, and is refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::report::Measured;
use super::topology;
use crate::error::{Error, Result};
use crate::kernels::masked::ReceptiveField;
use crate::systems::replace::replace;
use crate::systems::settings;

/// The topologies measured so far, and the time it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Whether the topology is measured after every accepted move.
    every_move: bool,
    /// Seconds of the run, and those of them that training took.
    pub(super) seconds: f64,
    pub(super) learning: f64,
    /// Base trainings, and epochs of all, that the network had behind it.
    trainings: u64,
    epochs: u64,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Base trainings that the network had behind it.
    trainings: u64,
    measured: Measured,
}

impl Record {
    pub(super) fn new(every_move: bool) -> Self {
        Record { every_move, seconds: 0.0, learning: 0.0, trainings: 0, epochs: 0, steps: Vec::new() }
    }

    /// The record beside a network's state.
    fn path(state: &Path) -> PathBuf {
        state.with_extension("toml")
    }

    /// Saves record and network.
    pub(super) fn save(&mut self, network: &Network, state: &Path) -> Result<()> {
        (self.trainings, self.epochs) = (network.trainings, network.epochs);
        let path = Record::path(state);
        let text = toml::to_string(self).map_err(|error| {
            Error::format(path.display().to_string(), 0, "a record that TOML can hold", error.to_string())
        })?;
        replace(&path, text.as_bytes())?;
        crate::systems::Learner::save(network, state)
    }

    /// The longest record of a network, in bytes: a topology at the beginning, one for each meta-step, and the last anew.
    fn longest(network: &Network) -> u64 {
        /// A number: several times what one has that is measured. The smallest of `f32` has 50 digits.
        const NUMBER: u64 = 64;
        /// An area, with the names of its ends.
        const AREA: u64 = 128;
        /// What else is measured, with its names.
        const REST: u64 = 1024;
        let (units, cells) = (network.geometry.latents().len() as u64, network.geometry.map().len() as u64);
        let steps = network.config().meta.as_ref().map_or(0, |meta| meta.steps);
        let step = REST + units * (NUMBER + AREA * topology::MOST_AREAS) + cells * NUMBER;
        step.saturating_mul(steps.saturating_add(3))
    }

    /// Reads the record beside a network's state.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is none, longer than one of this network can be, of another network or of an
    /// earlier one,
    /// [`Error::Setting`] if it is of another choice of what is measured than this one.
    pub(super) fn load(&self, network: &Network, state: &Path) -> Result<Self> {
        let path = Record::path(state);
        let text = settings::text(&path, Record::longest(network))?;
        let wrong = |expected: &str, found: String| Error::format(path.display().to_string(), 0, expected, found);
        let mut read: Record =
            toml::from_str(&text).map_err(|error| wrong("what a run has measured", error.message().to_owned()))?;
        if read.every_move != self.every_move {
            let expected = format!("steps as in {}; move it away or use the same", path.display());
            return Err(Error::setting("measurements", expected, "others"));
        }
        let behind = [(read.trainings, network.trainings), (read.epochs, network.epochs)];
        if behind.iter().any(|(record, network)| record < network) {
            let Network { trainings, epochs, .. } = network;
            let expected = format!("a record of {trainings} trainings and {epochs} epochs, as {} has", state.display());
            return Err(wrong(&expected, format!("one of {} and {}", read.trainings, read.epochs)));
        }
        read.steps.retain(|step| step.trainings <= network.trainings);
        let (units, map) = (network.geometry.latents().len(), network.geometry.map());
        for Step { measured, .. } in &read.steps {
            let counts = [measured.entropies.len(), measured.fields.len(), measured.activity.len()];
            if counts != [units, units, map.len()] {
                let expected = format!("entropies and fields of {units} units, and a map of {} cells", map.len());
                return Err(wrong(&expected, format!("{counts:?}")));
            }
            for field in &measured.fields {
                let checked = ReceptiveField::check(map, field);
                checked.map_err(|error| wrong("receptive fields on the map", error.to_string()))?;
            }
        }
        Ok(read)
    }

    pub(super) fn push(&mut self, network: &Network, measured: Measured) {
        self.steps.push(Step { trainings: network.trainings, measured });
    }

    pub(super) fn pop(&mut self) {
        self.steps.pop();
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether the same was measured as another record says, whatever time it took.
    pub(super) fn says_as_much_as(&self, other: &Record) -> bool {
        self.steps == other.steps
    }

    /// Whether the topology that a network answers by is still to be measured, before it learns on: the first, and each that a move led to
    /// if each is asked for.
    pub(super) fn owes(&self, network: &Network) -> bool {
        network.best.is_some() && (self.steps.is_empty() || self.every_move && self.of_topology(network).is_none())
    }

    /// The last step, if it is of the topology that the network answers by.
    fn of_topology(&self, network: &Network) -> Option<&Step> {
        let bits = |entropies: &[f64]| entropies.iter().map(|entropy| entropy.to_bits()).collect::<Vec<_>>();
        self.steps.last().filter(|Step { measured, .. }| {
            let fields = network.fields().iter().map(ReceptiveField::rectangles);
            bits(&measured.entropies) == bits(network.entropies())
                && fields.eq(measured.fields.iter().map(Vec::as_slice))
        })
    }

    /// The last step, if it is of the weights too that the network answers by: candidates since may have left theirs.
    pub(super) fn of_network(&mut self, network: &Network, keeps_weights: bool) -> Option<&mut Measured> {
        let last = self.of_topology(network)?;
        if keeps_weights && last.trainings != network.trainings {
            return None;
        }
        self.steps.last_mut().map(|step| &mut step.measured)
    }

    pub(super) fn into_steps(self) -> Vec<Measured> {
        self.steps.into_iter().map(|step| step.measured).collect()
    }
}
