//! An output layer that learns on fixed hidden activities: the lifetime learning of both systems.
//!
//! Hidden activities of the training sample never change, so they are computed once. They lie in a random order, and a batch is a window of
//! it: no activity is ever copied. Each epoch visits all windows, in an order of its own; with batches of one image that is a full shuffle.

use std::ops::ControlFlow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::context::Context;
use crate::datasets::batches::per_class;
use crate::datasets::{Dataset, Scaling};
use crate::error::{Error, Result};
use crate::kernels::adam::{Adam, Step};
use crate::kernels::loss;
use crate::kernels::plasticity::{self, Reading};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::Stream;
use crate::systems::features::shaped;
use crate::systems::journal::{Journal, Phase};
use crate::systems::{Observer, Schedule, settings};

/// How an output layer learns. Every key has a default, which is the rule's ([`Learning::of`], in a lifetime [`Learning::of_lifetime`]), but for those of
/// a dopaminergic rule (`reading`, `loss`), which have to be given with it; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Keys")]
pub struct Learning {
    /// The rule.
    pub rule: Rule,
    /// How fast a link changes: eps1 of dopaminergic plasticity, e' of SignSGD, Adam's learning rate.
    pub rate: f64,
    /// How the rate develops.
    pub schedule: Schedule,
    /// Images of a batch.
    pub batch: usize,
    /// Passes over the training sample.
    pub epochs: u64,
}

/// The rule of an output layer; see [`kernels::plasticity`](crate::kernels::plasticity).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Links that fired change with the reward.
    Dopaminergic {
        /// How the rule is read.
        reading: Reading,
        /// eps0: the cross-entropy from which an answer counts as bad.
        loss: f64,
    },
    /// Against the sign of the gradient: equation 4.
    SignSgd,
    /// Stochastic gradient descent with the Adam optimiser: the paper's baseline.
    Adam,
}

impl Rule {
    /// The paper's dopaminergic rule: the reading that learns, eps0 = 0.75.
    pub const DOPAMINERGIC: Rule = Rule::Dopaminergic { reading: Reading::Signed, loss: 0.75 };
}

impl Default for Learning {
    /// That of the paper's dopaminergic rule.
    fn default() -> Self {
        Learning::of(Rule::DOPAMINERGIC)
    }
}

/// The keys that a configuration has.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    rule: Option<Rule>,
    rate: Option<f64>,
    schedule: Option<Schedule>,
    batch: Option<usize>,
    epochs: Option<u64>,
}

impl Keys {
    /// What is missing is as the rule has it.
    fn or(self, rule: Rule, of: fn(Rule) -> Learning) -> Learning {
        let rule = of(self.rule.unwrap_or(rule));
        Learning {
            rate: self.rate.unwrap_or(rule.rate),
            schedule: self.schedule.unwrap_or(rule.schedule),
            batch: self.batch.unwrap_or(rule.batch),
            epochs: self.epochs.unwrap_or(rule.epochs),
            rule: rule.rule,
        }
    }
}

impl From<Keys> for Learning {
    fn from(keys: Keys) -> Self {
        keys.or(Rule::DOPAMINERGIC, Learning::of)
    }
}

impl Learning {
    /// How a layer on random hidden units learns by this rule, for the paper's 500 epochs: dopaminergic plasticity with its eps1, image by image;
    /// SignSGD and Adam in batches of 50, at rates that fall linearly and were chosen on held-out images for 1000 hidden units.
    pub fn of(rule: Rule) -> Self {
        let (rate, schedule, batch) = match rule {
            Rule::Dopaminergic { .. } => (1.0, Schedule::Constant, 1),
            Rule::SignSgd => (3e-4, Schedule::Linear, 50),
            Rule::Adam => (1e-3, Schedule::Linear, 50),
        };
        Learning { rule, rate, schedule, batch, epochs: 500 }
    }

    /// How the output layer of an evolved network learns by this rule in its lifetime: as [`of`](Learning::of), but for ten epochs, and by SignSGD at the
    /// rate that was chosen there.
    pub fn of_lifetime(rule: Rule) -> Self {
        let of = Learning { epochs: 10, ..Learning::of(rule) };
        if rule == Rule::SignSgd { Learning { rate: 0.04, ..of } } else { of }
    }

    pub(super) fn read_of_lifetime<'de, D: Deserializer<'de>>(keys: D) -> std::result::Result<Self, D::Error> {
        Ok(Keys::deserialize(keys)?.or(Rule::SignSgd, Learning::of_lifetime))
    }

    pub(crate) fn validate(&self, prefix: &str) -> Result<()> {
        let key = |name: &str| format!("{prefix}.{name}");
        settings::positive(&key("rate"), self.rate)?;
        settings::within(&key("batch"), self.batch as u64, 1, 1 << 20)?;
        settings::within(&key("epochs"), self.epochs, 0, 1 << 20)?;
        match self.rule {
            Rule::Dopaminergic { loss, .. } => settings::not_negative(&key("rule.dopaminergic.loss"), loss),
            Rule::SignSgd | Rule::Adam => Ok(()),
        }
    }
}

/// The training images of a run: so many of each class, drawn by the seed, or all, in a random order.
pub(crate) fn sample(data: &Dataset, count: Option<usize>, seed: u64) -> Result<Dataset> {
    let mut indices =
        match count {
            Some(count) => per_class(data.labels(), data.classes(), count, Stream::new(seed, "evolution sample"))
                .map_err(|error| match error {
                    // By the name that the user knows.
                    Error::Setting { expected, found, .. } => Error::setting("images_per_class", expected, found),
                    other => other,
                })?,
            None => (0..data.len() as u32).collect(),
        };
    Stream::new(seed, "evolution sample order").shuffle(&mut indices);
    data.subset(&indices)
}

/// Images as rows of values in 0 to 1.
pub(crate) fn values(context: &mut Context, data: &Dataset) -> Result<Matrix> {
    data.to_matrix(context, Scaling::UNIT)
}

/// The output layer: weights and, under Adam, their moments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    /// `[classes, hidden]`
    pub(crate) weights: Matrix,
    pub(crate) moments: Option<Adam>,
}

impl Output {
    /// Weights of zero: every class is as likely.
    pub(crate) fn new(learning: &Learning, classes: usize, hidden: usize) -> Self {
        Output::from_weights(learning, Matrix::zeros(classes, hidden))
    }

    pub(crate) fn from_weights(learning: &Learning, weights: Matrix) -> Self {
        let moments = (learning.rule == Rule::Adam).then(|| Adam::new(weights.rows() * weights.cols()));
        Output { weights, moments }
    }

    pub(crate) fn logits(&self, context: &mut Context, hidden: MatRef<'_>, logits: MatMut<'_>) {
        plasticity::logits(context, hidden, self.weights.view(), logits);
    }

    /// How many samples are answered rightly.
    pub(crate) fn count_right(&self, context: &mut Context, hidden: MatRef<'_>, labels: &[u8]) -> usize {
        let mut logits = Matrix::zeros(hidden.rows(), self.weights.rows());
        self.logits(context, hidden, logits.view_mut());
        loss::count_right(logits.view(), labels)
    }
}

/// What stays from step to step but is no state.
pub(crate) struct Workspace {
    difference: Matrix,
    logits: Matrix,
    losses: Vec<f32>,
    gradient: Matrix,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let [difference, logits, gradient] = std::array::from_fn(|_| Matrix::zeros(0, 0));
        Workspace { difference, logits, losses: Vec::new(), gradient }
    }
}

/// The phase of so many epochs over so many images, with a point of the curve every `interval` epochs.
pub(crate) fn phase(learning: &Learning, images: usize, interval: u64) -> Phase {
    let windows = images.div_ceil(learning.batch) as u64;
    Phase { name: "output".to_owned(), steps: learning.epochs * windows, interval: windows * interval.max(1) }
}

/// The fixed hidden activities, with their labels.
#[derive(Clone, Copy)]
pub(crate) struct Activities<'a> {
    pub(crate) hidden: MatRef<'a>,
    pub(crate) labels: &'a [u8],
}

/// Trains an output layer from `done` steps of the phase on.
pub(crate) struct Training<'a> {
    pub(crate) learning: &'a Learning,
    pub(crate) phase: &'a Phase,
    pub(crate) activities: Activities<'a>,
    /// The order of the windows.
    pub(crate) stream: Stream,
}

impl Training<'_> {
    pub(crate) fn run(
        &self,
        context: &mut Context,
        output: &mut Output,
        journal: &mut Journal,
        done: u64,
        mut monitor: impl FnMut(&mut Context, &Output) -> Result<Option<f64>>,
        observer: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let (images, batch) = (self.activities.labels.len(), self.learning.batch);
        let windows = images.div_ceil(batch) as u64;
        let mut space = Workspace::new();
        let (mut order, mut current) = (Vec::new(), None);
        for step in done..self.phase.steps {
            let epoch = step / windows;
            if current != Some(epoch) {
                order = (0..windows as u32).collect::<Vec<u32>>();
                self.stream.item(epoch).shuffle(&mut order);
                current = Some(epoch);
            }
            let first = order[(step % windows) as usize] as usize * batch;
            let range = first..(first + batch).min(images);
            let window = Activities {
                hidden: self.activities.hidden.rows_range(range.clone()),
                labels: &self.activities.labels[range],
            };
            let rate = self.learning.rate * self.learning.schedule.factor(step, self.phase.steps);
            let loss = change(context, self.learning.rule, output, &mut space, window, rate, step + 1);
            let accuracy = if Journal::marks(self.phase, step + 1) { monitor(context, output) } else { Ok(None) };
            if journal.record(self.phase, step + 1, Some(loss), accuracy, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// One step on a batch; returns the mean cross-entropy before it.
fn change(
    context: &mut Context,
    rule: Rule,
    output: &mut Output,
    space: &mut Workspace,
    Activities { hidden, labels }: Activities<'_>,
    rate: f64,
    number: u64,
) -> f64 {
    let (batch, classes) = (labels.len(), output.weights.rows());
    shaped(&mut space.logits, batch, classes);
    shaped(&mut space.difference, batch, classes);
    space.losses.resize(batch, 0.0);
    output.logits(context, hidden, space.logits.view_mut());
    let difference = Some(space.difference.view_mut());
    let mean = loss::softmax_cross_entropy(context, space.logits.view(), labels, Some(&mut space.losses), difference);
    let weights = output.weights.view_mut();
    match (rule, &mut output.moments) {
        (Rule::Dopaminergic { reading, loss }, _) => {
            plasticity::reward_signal(reading, loss as f32, &space.losses, space.difference.view_mut());
            plasticity::reward_modulated(context, hidden, space.difference.view(), weights, rate as f32);
        }
        (Rule::Adam, Some(moments)) => {
            shaped(&mut space.gradient, classes, hidden.cols());
            plasticity::gradient(context, hidden, space.difference.view(), space.gradient.view_mut());
            let step = Step { rate, number, scale: 1.0 / batch as f32, ..Step::default() };
            moments.update(context, &step, space.gradient.as_slice(), output.weights.as_mut_slice());
        }
        // An output of another rule has no moments; its gradient's sign is what is left.
        (Rule::SignSgd | Rule::Adam, _) => {
            plasticity::sign_descent(context, hidden, space.difference.view(), weights, rate as f32);
        }
    }
    mean
}
