//! Where a training run stands: its counters and its learning curve.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{CurvePoint, Observer, Progress, Schedule, settings};
use crate::error::{Error, Result};

/// A stretch of training steps of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) steps: u64,
    /// Steps from one point of the learning curve to the next.
    pub(crate) interval: u64,
}

impl Phase {
    /// Whole passes over the training set, with a point of the curve after each.
    pub(crate) fn epochs(name: impl Into<String>, epochs: u64, batches: usize) -> Self {
        Phase { name: name.into(), steps: epochs * batches as u64, interval: batches as u64 }
    }
}

/// Counters and curve: with the weights and moments, the whole state of a learner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Journal {
    /// Steps done, over all phases.
    pub(crate) step: u64,
    /// Images of the training set; 0 until training began.
    pub(crate) samples: u64,
    /// [`Dataset::digest`](crate::datasets::Dataset::digest) of the training set.
    pub(crate) digest: u64,
    /// Set once every phase is done.
    pub(crate) finished: bool,
    pub(crate) curve: Vec<CurvePoint>,
    /// Sum and number of the losses since the last point of the curve.
    pub(crate) losses: (f64, u64),
}

/// In `impl Learner` of a network with a `config` and a `journal`, in a module with its `KIND`: what is asked of these alone.
macro_rules! answers {
    () => {
        fn kind(&self) -> &'static str {
            KIND
        }

        fn finished(&self) -> bool {
            self.journal.finished
        }

        fn curve(&self) -> &[$crate::systems::CurvePoint] {
            &self.journal.curve
        }

        fn config_toml(&self) -> String {
            self.config.to_toml()
        }
    };
}
pub(crate) use answers;

impl Journal {
    /// Notes the training set, by its images and its digest: a run must keep to it once it has taken a step.
    pub(crate) fn begin(&mut self, samples: usize, digest: u64) -> Result<()> {
        if self.step != 0 && self.samples != samples as u64 {
            let expected = format!("{} training images, as before the interruption", self.samples);
            return Err(Error::setting("training set", expected, samples));
        }
        if self.step != 0 && self.digest != digest {
            return Err(Error::setting("training set", "the images of before the interruption", "others, as many"));
        }
        (self.samples, self.digest) = (samples as u64, digest);
        Ok(())
    }

    /// Goes on to a longer last phase, if steps that were taken would have been the same in it.
    ///
    /// `length` is the phase's, by its key: before, and now.
    pub(crate) fn extend(&mut self, length: (&str, u64, u64), schedules: &[Schedule]) -> Result<()> {
        let (key, before, now) = length;
        settings::within(key, now, before, u64::MAX)?;
        if now > before && schedules.iter().any(|schedule| *schedule != Schedule::Constant) {
            let expected = "constant rates, as others fall by how much there was to train";
            return Err(Error::setting("schedule", expected, "linear"));
        }
        self.finished &= now == before;
        Ok(())
    }

    /// Goes back to the end of the phases whose names begin like this.
    pub(crate) fn restart(&mut self, prefix: &str) {
        self.curve.retain(|point| point.phase.starts_with(prefix));
        // A phase's last point lies at its last step.
        let mut ends: Vec<(&str, u64)> = Vec::new();
        for point in &self.curve {
            match ends.last_mut() {
                Some((name, end)) if **name == *point.phase => *end = point.step,
                _ => ends.push((&point.phase, point.step)),
            }
        }
        self.step = ends.iter().fold(0u64, |sum, (_, end)| sum.saturating_add(*end)).min(self.step);
        (self.finished, self.losses) = (false, (0.0, 0));
    }

    /// The phase the next step belongs to, and the steps already done in it.
    pub(crate) fn locate(&self, phases: &[Phase]) -> Option<(usize, u64)> {
        let mut step = self.step;
        for (index, phase) in phases.iter().enumerate() {
            if step < phase.steps {
                return Some((index, step));
            }
            step -= phase.steps;
        }
        None
    }

    /// Whether the step after which `done` steps of the phase are done ends with a point of the curve.
    pub(crate) fn marks(phase: &Phase, done: u64) -> bool {
        done == phase.steps || done.is_multiple_of(phase.interval.max(1))
    }

    /// Counts a step, extends the curve where it is due, and tells the observer.
    ///
    /// # Errors
    /// Why the accuracy could not be had: the step that was taken counts all the same, and is not taken again.
    pub(crate) fn record(
        &mut self,
        phase: &Phase,
        done: u64,
        loss: Option<f64>,
        accuracy: Result<Option<f64>>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let (accuracy, failed) = match accuracy {
            Ok(accuracy) => (accuracy, None),
            Err(error) => (None, Some(error)),
        };
        let flow = self.count(phase, done, (loss, accuracy), true, observer);
        failed.map_or(Ok(flow), Err)
    }

    /// The same where only what ends with a point of the curve is kept, and the rest undone if the observer says `Break`.
    /// Accuracies are always to be had there.
    pub(crate) fn record_of_epoch(
        &mut self,
        phase: &Phase,
        done: u64,
        loss: Option<f64>,
        accuracy: Option<f64>,
        observer: &mut Observer<'_>,
    ) -> ControlFlow<()> {
        self.count(phase, done, (loss, accuracy), Journal::marks(phase, done), observer)
    }

    fn count(
        &mut self,
        phase: &Phase,
        done: u64,
        (loss, accuracy): (Option<f64>, Option<f64>),
        whole: bool,
        observer: &mut Observer<'_>,
    ) -> ControlFlow<()> {
        self.step += 1;
        if let Some(loss) = loss {
            self.losses = (self.losses.0 + loss, self.losses.1 + 1);
        }
        if Journal::marks(phase, done) {
            self.mark(phase, done, accuracy);
        }
        observer(&Progress { phase: &phase.name, step: done, steps: phase.steps, loss, accuracy, whole })
    }

    /// Adds a point to the curve: the mean of the losses since the one before.
    pub(crate) fn mark(&mut self, phase: &Phase, done: u64, accuracy: Option<f64>) {
        let (sum, count) = std::mem::take(&mut self.losses);
        let loss = (count > 0).then(|| sum / count as f64);
        let name = self.curve.last().map(|last| &last.phase).filter(|name| ***name == *phase.name);
        let name = name.map_or_else(|| phase.name.as_str().into(), Arc::clone);
        self.curve.push(CurvePoint { phase: name, step: done, loss, accuracy });
    }
}
