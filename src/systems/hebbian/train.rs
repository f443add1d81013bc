//! The two ways to train a Hebbian network: layer by layer, and jointly (algorithm 1 of the paper).

use std::ops::ControlFlow;

use super::config::{Activation, Axis, Config, Inputs, Mode, Order, Output};
use super::network::{Head, Layers, Network, activate, learn};
use super::output::{Step, Workspace};
use crate::context::Context;
use crate::datasets::Dataset;
use crate::error::Result;
use crate::kernels::dense::{self, Write};
use crate::matrix::{MatMut, MatRef, Matrix};
use crate::random::{Stream, below};
use crate::systems::features::{self, Frozen, Keep, shaped};
use crate::systems::journal::{Journal, Phase};
use crate::systems::read_out::Training;
use crate::systems::{Observer, evaluate};

/// Points of the learning curve under weight perturbation, whose steps are too many for one an epoch.
const POINTS: u64 = 50;

struct Session<'a, 'o> {
    context: &'a mut Context,
    data: &'a Dataset,
    monitor: Option<&'a Dataset>,
    observer: &'a mut Observer<'o>,
}

pub(super) fn train(
    network: &mut Network,
    context: &mut Context,
    data: &Dataset,
    monitor: Option<&Dataset>,
    observer: &mut Observer<'_>,
) -> Result<ControlFlow<()>> {
    network.journal.begin(data.len(), data.intact_digest()?)?;
    let mut session = Session { context, data, monitor, observer };
    let flow = match network.config.mode {
        Mode::LayerWise => layer_wise(network, &mut session)?,
        Mode::Joint => joint(network, &mut session)?,
    };
    network.journal.finished = flow.is_continue();
    Ok(flow)
}

/// The phase of an output layer whose batches come `per_epoch` an epoch.
fn output_phase(name: &str, output: &Output, per_epoch: usize) -> Phase {
    match output {
        Output::Backpropagation(output) => Phase::epochs(name, output.epochs, per_epoch),
        Output::Perturbation(output) => {
            let interval = (per_epoch as u64).max(output.steps.div_ceil(POINTS));
            Phase { name: name.to_owned(), steps: output.steps, interval }
        }
    }
}

fn output_batches(data: &Dataset, config: &Config) -> Result<features::Batches> {
    let (batch, balanced) = match &config.output {
        Output::Backpropagation(output) => (output.batch, false),
        Output::Perturbation(output) => (output.batch, output.order == Order::ClassBalanced),
    };
    features::batches(data, batch, balanced, Stream::new(config.seed, "output batches"))
}

/// How the activities of frozen layers are kept. Where statistics are taken over a batch, an image's depend on the images beside it, and
/// can only be computed once.
fn keep(config: &Config, activations: &[Activation]) -> Keep {
    let over_images = |activation: &Activation| {
        matches!(activation, Activation::MagnitudeZscore { axis: Axis::Unit | Axis::Whole, .. })
    };
    let limit = config.feature_memory << 20;
    if activations.iter().any(over_images) { Keep::All(limit) } else { Keep::AtMost(limit) }
}

fn layer_wise(network: &mut Network, session: &mut Session<'_, '_>) -> Result<ControlFlow<()>> {
    let hidden = &network.config.hidden;
    let stream = Stream::new(network.config.seed, "hidden batches");
    let (count, schedule) = (network.layers.0.len(), (hidden.batch, hidden.epochs));
    let (mut layers, mut phases) =
        features::hidden_phases(session.data, count, schedule, hidden.class_balanced, stream)?;
    let mut output = output_batches(session.data, &network.config)?;
    phases.push(output_phase("output", &network.config.output, output.per_epoch()));
    while let Some((index, done)) = network.journal.locate(&phases) {
        let phase = &phases[index];
        let flow = match layers.get_mut(index) {
            Some(batches) => hidden_layer(network, session, phase, batches, index, done)?,
            None => output_layer(network, session, phase, &mut output, done)?,
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn hidden_layer(
    network: &mut Network,
    session: &mut Session<'_, '_>,
    phase: &Phase,
    batches: &mut features::Batches,
    index: usize,
    done: u64,
) -> Result<ControlFlow<()>> {
    let Network { config, journal, layers, .. } = network;
    let (below, rest) = layers.0.split_at_mut(index);
    let (below, weights) = (&*below, &mut rest[0]);
    let context = &mut *session.context;
    let activation = config.hidden.activation;
    let mut inputs = match below.last() {
        None => Frozen::pixels(session.data),
        Some(last) => {
            let forward = move |context: &mut Context, images: MatRef<'_>, out: MatMut<'_>| {
                Layers::forward(below, context, (activation, activation), images, out);
            };
            let keep = keep(config, &[activation]);
            Frozen::new(context, session.data, last.cols(), None, keep, Box::new(forward))?
        }
    };
    let mut z = Matrix::zeros(0, 0);
    for step in done..phase.steps {
        let (x, _) = inputs.batch(context, batches, step)?;
        shaped(&mut z, x.rows(), weights.cols());
        dense::matmul(context, x, weights.view(), z.view_mut(), Write::Replace);
        activate(context, activation, z.view_mut());
        let factor = config.hidden.schedule.factor(step, phase.steps);
        learn(context, config, index, factor, x, z.view(), weights);
        if journal.record(phase, step + 1, None, Ok(None), session.observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn output_layer(
    network: &mut Network,
    session: &mut Session<'_, '_>,
    phase: &Phase,
    batches: &mut features::Batches,
    done: u64,
) -> Result<ControlFlow<()>> {
    let activations = Network::activations(&network.config);
    let Network { config, journal, layers, output } = network;
    let (layers, width) = (&layers.0, layers.0.last().map_or(0, Matrix::cols));
    let Session { data, monitor, .. } = *session;
    let context = &mut *session.context;
    let forward = move |context: &mut Context, images: MatRef<'_>, out: MatMut<'_>| {
        Layers::forward(layers, context, activations, images, out);
    };
    let windows = match &config.output {
        Output::Perturbation(output) if output.order == Order::Windows => {
            let mut order = features::stratified(data, Stream::new(config.seed, "output order"));
            // The order is a ring, so that every image is in as many windows: its beginning stands behind its end once more.
            order.extend_from_within(..output.batch.min(data.len()) - 1);
            Some(order)
        }
        _ => None,
    };
    let keep = keep(config, &[activations.0, activations.1]);
    let mut features = Frozen::new(context, data, width, windows, keep, Box::new(forward))?;
    let (head, settings) = match (output, &config.output) {
        (Head::Backpropagation(read_out), Output::Backpropagation(config)) => {
            let mut training = Training { config, phase, batches, features: &mut features, monitor };
            return training.run(context, read_out, journal, done, session.observer);
        }
        (Head::Perturbation(head), Output::Perturbation(settings)) => (head, settings),
        _ => unreachable!("a network's output layer is the one its configuration names"),
    };
    if head.conditioning.is_none() && settings.inputs != Inputs::Plain {
        head.condition(settings.inputs, config.non_negative, &features.moments(context)?);
    }
    if let Some(conditioning) = &head.conditioning {
        features.condition(context, conditioning.clone());
    }
    let mut workspace = Workspace::new();
    let noise = Stream::new(config.seed, "output noise");
    let places = Stream::new(config.seed, "output windows");
    for step in done..phase.steps {
        let (z, labels) = match settings.order {
            Order::Windows => {
                let length = settings.batch.min(data.len());
                let start = below(&mut places.item(step).generator(), data.len() as u64) as usize;
                features.window(context, start, length)?
            }
            Order::Shuffled | Order::ClassBalanced => features.batch(context, batches, step)?,
        };
        let factor = settings.schedule.factor(step, phase.steps);
        let stream = noise.item(step);
        let non_negative = config.non_negative;
        let now = Step { config: settings, non_negative, factor, stream, number: step };
        let loss = head.step(context, &mut workspace, z, labels, &now);
        let accuracy = monitor.filter(|_| Journal::marks(phase, step + 1)).map(|monitor| {
            let read = |context: &mut Context, z: MatRef<'_>, logits: MatMut<'_>| head.logits(context, z, logits);
            features.accuracy(context, monitor, head.bias.len(), read)
        });
        if journal.record(phase, step + 1, Some(loss), accuracy.transpose(), session.observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Algorithm 1: every batch updates the output by rules (2) to (5), then every hidden layer by rule (1), all from the
/// activities of one forward pass.
fn joint(network: &mut Network, session: &mut Session<'_, '_>) -> Result<ControlFlow<()>> {
    let activations = Network::activations(&network.config);
    let Network { config, journal, layers, output } = network;
    let Session { data, monitor, .. } = *session;
    let context = &mut *session.context;
    let mut batches = output_batches(data, config)?;
    let phase = output_phase("joint", &config.output, batches.per_epoch());
    let Some((_, done)) = journal.locate(std::slice::from_ref(&phase)) else {
        return Ok(ControlFlow::Continue(()));
    };
    let mut images = Frozen::pixels(data);
    let mut activities: Vec<Matrix> = layers.0.iter().map(|_| Matrix::zeros(0, 0)).collect();
    let mut workspace = Workspace::new();
    let noise = Stream::new(config.seed, "output noise");
    for step in done..phase.steps {
        let (x, labels) = images.batch(context, &mut batches, step)?;
        for index in 0..layers.0.len() {
            let (below, rest) = activities.split_at_mut(index);
            let (input, w) = (below.last().map_or(x, Matrix::view), &layers.0[index]);
            shaped(&mut rest[0], x.rows(), w.cols());
            dense::matmul(context, input, w.view(), rest[0].view_mut(), Write::Replace);
            activate(context, activations.0, rest[0].view_mut());
        }
        let z = activities.last().map_or(x, Matrix::view);
        let loss = match (&mut *output, &config.output) {
            (Head::Backpropagation(read_out), Output::Backpropagation(config)) => {
                let rate = config.rate * config.schedule.factor(step, phase.steps);
                read_out.step(context, z, labels, rate, step + 1, config.non_negative)
            }
            (Head::Perturbation(head), Output::Perturbation(settings)) => {
                let factor = settings.schedule.factor(step, phase.steps);
                let (stream, non_negative) = (noise.item(step), config.non_negative);
                let now = Step { config: settings, non_negative, factor, stream, number: step };
                head.step(context, &mut workspace, z, labels, &now)
            }
            _ => unreachable!("a network's output layer is the one its configuration names"),
        };
        let factor = config.hidden.schedule.factor(step, phase.steps);
        for (index, weights) in layers.0.iter_mut().enumerate() {
            let input = if index == 0 { x } else { activities[index - 1].view() };
            learn(context, config, index, factor, input, activities[index].view(), weights);
        }
        let accuracy = monitor.filter(|_| Journal::marks(&phase, step + 1)).map(|monitor| {
            let classes = data.classes();
            evaluate(context, monitor, classes, |context, images, logits| {
                let width = layers.0.last().map_or(0, Matrix::cols);
                let mut z = Matrix::zeros(images.rows(), width);
                Layers::forward(&layers.0, context, activations, images, z.view_mut());
                output.logits(context, z.view(), logits);
            })
        });
        if journal.record(&phase, step + 1, Some(loss), accuracy.transpose(), session.observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
