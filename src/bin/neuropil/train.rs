//! `neuropil train`: one network, from a configuration file to a saved state, or from a saved state onwards.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::{ControlFlow, Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::{ArgGroup, Args, ValueEnum};
use neuropil::kernels::masked::Rectangle;
use neuropil::systems::baselines::{backprop, krotov_hopfield, softmax};
use neuropil::systems::evolution::dopaminergic;
use neuropil::systems::hebbian::experiment::SEEN;
use neuropil::systems::{LONGEST_CONFIG, Learner, Progress, checkpoint, evolution, hebbian, hierarchy, organism};
use neuropil::{Context, Error};
use serde_json::json;

use crate::failure::Failure;
use crate::output::percent;
use crate::progress::{Monitor, duration, note};
use crate::reproduce::curves::CURVE;
use crate::source::{Machine, Source, quoted, seed};
use crate::{defaults, interrupt, output};

/// A kind of network.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum System {
    /// Hebbian hidden layers, output by weight perturbation or backpropagation
    Hebbian,
    /// Autoencoder units on a feature map, whose receptive fields may move
    Hierarchy,
    /// Layers of particles, networks that stand for a weight and reproduce themselves
    Organism,
    /// A population whose weights are functions of its genes
    Evolution,
    /// Random hidden units, output by dopaminergic plasticity, SignSGD or Adam
    Dopaminergic,
    /// Krotov and Hopfield's hidden layer, softmax output
    KrotovHopfield,
    /// A multilayer perceptron trained by backpropagation
    Backprop,
    /// Softmax regression: no hidden layer
    Softmax,
}

impl System {
    /// The name that checkpoints carry.
    fn kind(self) -> &'static str {
        match self {
            System::Hebbian => "hebbian",
            System::Hierarchy => "hierarchy",
            System::Organism => "organism",
            System::Evolution => "evolution",
            System::Dopaminergic => "dopaminergic",
            System::KrotovHopfield => "krotov-hopfield",
            System::Backprop => "backprop",
            System::Softmax => "softmax",
        }
    }

    /// An untrained network of the configuration in `text`.
    pub(crate) fn create(self, text: &str, origin: &str, inputs: usize, classes: usize) -> neuropil::Result<Trained> {
        Ok(Trained::Other(match self {
            System::Hierarchy => {
                let config = hierarchy::Config::from_toml(text, origin)?;
                return Ok(Trained::Hierarchy(Box::new(hierarchy::Network::new(config, inputs, classes)?)));
            }
            System::Evolution => {
                let config = evolution::Config::from_toml(text, origin)?;
                return Ok(Trained::Evolution(Box::new(evolution::Network::new(config, inputs, classes)?)));
            }
            System::Hebbian => {
                Box::new(hebbian::Network::new(hebbian::Config::from_toml(text, origin)?, inputs, classes)?)
            }
            System::Organism => {
                Box::new(organism::Network::new(organism::Config::from_toml(text, origin)?, inputs, classes)?)
            }
            System::Dopaminergic => {
                Box::new(dopaminergic::Network::new(dopaminergic::Config::from_toml(text, origin)?, inputs, classes)?)
            }
            System::KrotovHopfield => Box::new(krotov_hopfield::Network::new(
                krotov_hopfield::Config::from_toml(text, origin)?,
                inputs,
                classes,
            )?),
            System::Backprop => {
                Box::new(backprop::Network::new(backprop::Config::from_toml(text, origin)?, inputs, classes)?)
            }
            System::Softmax => {
                Box::new(softmax::Network::new(softmax::Config::from_toml(text, origin)?, inputs, classes)?)
            }
        }))
    }
}

/// A network; those of which more is told than of others as what they are.
pub(crate) enum Trained {
    Hierarchy(Box<hierarchy::Network>),
    Evolution(Box<evolution::Network>),
    Other(Box<dyn Learner>),
}

impl Deref for Trained {
    type Target = dyn Learner;

    fn deref(&self) -> &Self::Target {
        match self {
            Trained::Hierarchy(network) => &**network,
            Trained::Evolution(network) => &**network,
            Trained::Other(learner) => &**learner,
        }
    }
}

impl DerefMut for Trained {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Trained::Hierarchy(network) => &mut **network,
            Trained::Evolution(network) => &mut **network,
            Trained::Other(learner) => &mut **learner,
        }
    }
}

/// Arguments of `neuropil train`.
#[derive(Args)]
#[command(
    group(ArgGroup::new("beginning").args(["config", "resume", "print_config"]).required(true)),
    group(ArgGroup::new("file").args(["save", "resume"]).multiple(true)),
    after_help = "Every key of a configuration is documented at the type Config of its system, in the library's\n\
                  documentation (cargo doc --open --features systems): neuropil::systems::hebbian::Config,\n\
                  baselines::softmax::Config and so on. --print-config shows the keys, their defaults and what else they may be."
)]
pub(crate) struct Arguments {
    /// The network
    system: System,
    /// Its configuration, a TOML file; an empty file means all defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The seed, in place of the configuration's: 0 to 2^63 - 1
    #[arg(long, value_name = "S", conflicts_with_all = ["resume", "print_config"], allow_negative_numbers = true, value_parser = seed)]
    seed: Option<u64>,
    /// Where to save the trained state, or the state at Ctrl-C [default: the FILE of --resume]
    #[arg(long, value_name = "FILE", conflicts_with = "print_config")]
    save: Option<PathBuf>,
    /// Save the state every so many minutes too (0.5 is half of one), so that a power cut costs no more
    #[arg(long, value_name = "MINUTES", default_value = "5", value_parser = minutes, requires = "file")]
    save_every: Duration,
    /// Continue from a saved state, with the configuration in it
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Print the configuration that an empty file stands for, and train nothing
    #[arg(long)]
    print_config: bool,
    /// Where the learning curve goes, when training is finished: tab-separated phase, step, loss and test accuracy
    #[arg(long, value_name = "FILE", conflicts_with = "print_config")]
    curve: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long, conflicts_with = "print_config")]
    json: bool,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    machine: Machine,
}

/// Trains, prints the accuracies and saves.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.print_config {
        return output::print(&defaults::text(arguments.system)?);
    }
    let [save, resumed] = [&arguments.save, &arguments.resume].map(Option::as_deref);
    let configured = ("--config", arguments.config.as_deref());
    output::apart(("--curve", arguments.curve.as_deref()), &[("--save", save), ("--resume", resumed), configured])?;
    // Before it is read: what is there in the end is to be the same.
    let read = resumed.and_then(Identity::of);
    let mut context = arguments.machine.context()?;
    let (name, data) = arguments.source.open()?;
    let mut learner = match (&arguments.resume, &arguments.config) {
        (Some(path), _) => resume(arguments.system, path)?,
        (None, Some(path)) => {
            let text = configuration(path).map_err(|error| Error::io("read", path, error))?;
            let origin = path.display().to_string();
            let create = |text: &str| {
                let made = arguments.system.create(text, &origin, data.train.pixels(), data.train.classes());
                made.map_err(|error| at_odds(path, name, error))
            };
            // What is wrong with the file is said of the file, before another seed is written into its text.
            let made = create(&text)?;
            arguments.seed.map_or(Ok(made), |seed| create(&with_seed(&text, seed)))?
        }
        (None, None) => {
            return Err(Failure::Usage("--config, --resume or --print-config says what to train".to_owned()));
        }
    };
    if let Some(path) = arguments.save.as_deref().filter(|path| is_another(path, arguments.resume.as_deref())) {
        let message =
            "is there already: --resume goes on with a state; give --save another name, or move the file away";
        return Err(Failure::Message(format!("{} {message}", path.display())));
    }
    // What is finished is only measured: its file stays as it is, unless another is asked for.
    let save = arguments.save.as_ref().or(arguments.resume.as_ref().filter(|_| !learner.finished()));
    // Found out before training, not after.
    save.iter().chain(&arguments.curve.as_ref()).try_for_each(|path| output::prepare(path))?;
    if save.is_some() && !checkpoint::has_room(&*learner) {
        let config = arguments.config.as_ref().map_or(String::new(), |path| format!("{}: ", path.display()));
        let expected =
            format!("at most {LONGEST_CONFIG} bytes of configuration in a saved state, where every key is written out");
        let found = learner.config_toml().len();
        return Err(Failure::Message(format!(
            "{config}expected {expected}, found {found}; without --save it can be trained"
        )));
    }
    if save.is_none() && !learner.finished() {
        note("nothing will be saved: there is no --save");
    }
    interrupt::listen()?;

    let began = Instant::now();
    let (mut monitor, label) = (Monitor::new(), learner.kind());
    let pause = arguments.save_every;
    let mut saved = save.map(|path| Saved::new(path, read.filter(|_| !is_another(path, resumed))));
    loop {
        // A pause saves, and training goes on with the same bits. It is counted from the first step, as what comes before may take longer.
        let mut part = None;
        let observer = &mut |progress: &Progress<'_>| {
            let part: &Instant = part.get_or_insert_with(Instant::now);
            let due = save.is_some() && part.elapsed() >= pause && progress.whole;
            if due { ControlFlow::Break(()) } else { monitor.observe(label, progress) }
        };
        let flow =
            learner.train(&mut context, &data.train, Some(&data.test), observer).map_err(|error| {
                match arguments.resume.as_ref().or(arguments.config.as_ref()) {
                    Some(path) => at_odds(path, name, error),
                    None => error.into(),
                }
            })?;
        let ends = flow == ControlFlow::Continue(()) || learner.finished() || interrupt::requested();
        if let Some(saved) = &mut saved {
            saved.save(&learner, ends);
        }
        if ends {
            break;
        }
    }
    drop(monitor);
    let saved = saved.map_or(Ok(None), Saved::end);
    if !learner.finished() {
        return Err(Failure::Interrupted(match saved? {
            Some(path) => {
                let (system, images) = (learner.kind(), arguments.source.as_typed());
                format!("state saved; continue with `neuropil train {system} --resume {}{images}`", quoted(&path))
            }
            None => "nothing was saved: there was no --save".to_owned(),
        }));
    }
    let told = report(&mut context, &learner, name, &data, began.elapsed().as_secs_f64(), arguments.json);
    let curve = arguments.curve.as_ref().map_or(Ok(()), |path| output::write_file(path, curve(&learner).as_bytes()));
    saved?;
    told?;
    curve?;
    let layers = (0..).map_while(|layer| learner.weights(layer));
    let finite = layers.flat_map(|weights| weights.iter_rows()).flatten().all(|weight| weight.is_finite());
    if !finite || learner.receptive_fields().as_slice().iter().any(|weight| !weight.is_finite()) {
        return Err(Failure::Message("training diverged: there are weights that are NaN or infinite".to_owned()));
    }
    let silent = (0..)
        .map_while(|layer| learner.weights(layer))
        .position(|weights| weights.rows() > 0 && weights.iter_rows().flatten().all(|weight| *weight == 0.0));
    if let Some(layer) = silent {
        let message = format!("training silenced hidden layer {}: all its weights are zero", layer + 1);
        return Err(Failure::Message(message));
    }
    // Weights of an output layer show in what it says.
    match learner.curve().last().and_then(|point| point.loss) {
        Some(loss) if !loss.is_finite() => Err(Failure::Message(format!("training diverged: the last loss is {loss}"))),
        _ => Ok(()),
    }
}

/// An error that may come from a file and images that do not belong together: it names both.
pub(crate) fn at_odds(file: &Path, images: &str, error: Error) -> Failure {
    let (file, said) = (file.display().to_string(), error.to_string());
    match error {
        Error::Setting { .. } if !said.starts_with(&file) => {
            Failure::Message(format!("{file}, for {images} (--set or --data names others): {said}"))
        }
        error => error.into(),
    }
}

/// What tells a file from another that took its name, and from itself once it was written anew.
#[derive(Clone, Copy, PartialEq)]
struct Identity {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    place: (u64, u64),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        let found = path.metadata().ok()?;
        Some(Identity {
            modified: found.modified().ok(),
            length: found.len(),
            #[cfg(unix)]
            place: (found.dev(), found.ino()),
        })
    }
}

/// Where a state is saved again and again.
struct Saved<'a> {
    path: Cow<'a, Path>,
    /// The file that is ours to replace: the one that was resumed from, then the one that was saved.
    ours: Option<Identity>,
    failure: Option<Error>,
}

impl<'a> Saved<'a> {
    fn new(path: &'a Path, ours: Option<Identity>) -> Self {
        Saved { path: Cow::Borrowed(path), ours, failure: None }
    }

    /// Saves, beside what others have put there meanwhile. A failure costs no training: it is told of, and the next time may be better.
    fn save(&mut self, learner: &Trained, last: bool) {
        let saved = loop {
            let there = Identity::of(&self.path);
            if there.is_some() && there != self.ours {
                let beside = (2..).map(|number| {
                    let mut name = self.path.as_os_str().to_owned();
                    name.push(format!("-{number}"));
                    PathBuf::from(name)
                });
                let free =
                    beside.into_iter().find(|path| path.symlink_metadata().is_err()).expect("a number that is free");
                note(&format!("{} was made by another meanwhile: saving to {}", self.path.display(), free.display()));
                self.path = Cow::Owned(free);
            } else {
                match there.map_or_else(|| learner.save_new(&self.path), |_| learner.save(&self.path)) {
                    // Another was faster.
                    Err(Error::Io { cause, .. }) if there.is_none() && cause.kind() == io::ErrorKind::AlreadyExists => {
                    }
                    saved => break saved,
                }
            }
        };
        // One whose folder alone could not be flushed is in its place.
        let in_place = |error: &Error| matches!(error, Error::Io { action: "flush", path, .. } if **path != *self.path);
        if saved.as_ref().err().is_none_or(in_place) {
            self.ours = Identity::of(&self.path);
        }
        let before = std::mem::replace(&mut self.failure, saved.err());
        match &self.failure {
            // Once, until it goes well again.
            Some(error) if !last && before.is_none() => note(&format!("not saved: {error}; training goes on")),
            _ => (),
        }
    }

    /// Where the state lies in the end.
    fn end(self) -> Result<Option<Cow<'a, Path>>, Error> {
        self.failure.map_or(Ok(Some(self.path)), Err)
    }
}

/// Whether a file is there that the state resumed from is not: it would be lost.
fn is_another(path: &Path, resumed: Option<&Path>) -> bool {
    path.is_file() && !resumed.is_some_and(|resumed| output::same(path, resumed))
}

/// The text of a file, as far as a configuration can be long: one byte more is refused by those who read it.
fn configuration(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_CONFIG as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LONGEST_CONFIG {
        // A character may have been cut in two; that it is too long is what matters.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

fn resume(system: System, path: &Path) -> Result<Trained, Failure> {
    let learner = checkpoint::load(path)?;
    if learner.kind() != system.kind() {
        return Err(Failure::Message(format!(
            "{}: this state is of a '{found}' network, not '{}': use `neuropil train {found} --resume {}`",
            path.display(),
            system.kind(),
            quoted(path),
            found = learner.kind(),
        )));
    }
    // Read again, now that it is known to be one.
    Ok(match system {
        System::Hierarchy => {
            drop(learner);
            Trained::Hierarchy(Box::new(hierarchy::Network::load(path)?))
        }
        System::Evolution => {
            drop(learner);
            Trained::Evolution(Box::new(evolution::Network::load(path)?))
        }
        _ => Trained::Other(learner),
    })
}

/// A configuration that was read already, with this seed: as it stands, but for a line.
fn with_seed(text: &str, seed: u64) -> String {
    let parsed = |text: &str| text.parse::<toml::Table>().ok();
    let mut wanted = parsed(text).expect("it was read as TOML");
    wanted.insert("seed".to_owned(), toml::Value::Integer(seed as i64));
    let is_seed =
        |line: &&str| line.trim_start().strip_prefix("seed").is_some_and(|rest| rest.trim_start().starts_with('='));
    let others: String = text.split_inclusive('\n').filter(|line| !is_seed(line)).collect();
    // What looks like the line may be part of something else.
    let tried = format!("seed = {seed}\n{others}");
    if parsed(&tried).as_ref() == Some(&wanted) { tried } else { wanted.to_string() }
}

/// A number of minutes, whole or not.
fn minutes(text: &str) -> Result<Duration, String> {
    let range = || "a number of minutes above 0, at most 100000".to_owned();
    let minutes: f64 = text.parse().map_err(|_| range())?;
    if minutes > 0.0 && minutes <= 100_000.0 { Ok(Duration::from_secs_f64(60.0 * minutes)) } else { Err(range()) }
}

fn report(
    context: &mut Context,
    learner: &Trained,
    name: &str,
    data: &neuropil::datasets::Split,
    seconds: f64,
    as_json: bool,
) -> Result<(), Failure> {
    let train = percent(learner.accuracy(context, &data.train)?);
    let test = percent(learner.accuracy(context, &data.test)?);
    // Looked at in more ways than one.
    let genotypes = match learner {
        Trained::Evolution(network) => Some(network.accuracies(context, &data.test)?),
        _ => None,
    };
    let (images, took) = ([data.train.len(), data.test.len()], duration(seconds));
    if as_json {
        let mut described = json!({
            "system": learner.kind(),
            "images": name,
            "training_images": images[0],
            "test_images": images[1],
            "seconds": seconds,
            "training_accuracy_percent": train,
            "test_accuracy_percent": test,
        });
        add_details(&mut described, learner);
        if let Some(found) = genotypes {
            described["test_accuracies_percent"] = json!({
                "sampled_genotypes": percent(found.sampled),
                "rounded_genotype": percent(found.rounded),
                "expected_weights": percent(found.expected),
                "after_lifetime": found.lifetime.map(percent),
            });
        }
        return output::json(&described);
    }
    let [training, tested] = images;
    let mut text = format!("{} on {name}: {training} training images, {tested} test images, {took}\n", learner.kind());
    text += &format!("accuracy: {train:.2} % training, {test:.2} % test\n");
    match learner {
        // Its weights are never exactly zero.
        Trained::Hierarchy(network) => text += &units(network),
        Trained::Other(learner) if learner.weights(0).is_some() => {
            text += &format!(
                "zero hidden weights: {:.1} %; of at most {SEEN} of the largest: {:.1} %\n",
                100.0 * learner.zero_share(),
                100.0 * learner.faint_share(SEEN as f32)
            );
        }
        Trained::Evolution(_) | Trained::Other(_) => (),
    }
    if let Some(found) = genotypes {
        let [sampled, rounded, expected] = [found.sampled, found.rounded, found.expected].map(percent);
        text += &format!("test accuracy of sampled genotypes, their mean: {sampled:.2} %\n");
        text += &format!("of the rounded genotype: {rounded:.2} %\nof the expected weights W p: {expected:.2} %\n");
        text += &found.lifetime.map_or(String::new(), |share| format!("after the lifetime: {:.2} %\n", percent(share)));
    }
    output::print(&text)
}

/// Adds what else a network is described by.
fn add_details(described: &mut serde_json::Value, learner: &Trained) {
    match learner {
        Trained::Hierarchy(network) => {
            let units = network.fields().iter().enumerate().map(|(unit, field)| {
                json!({ "entropy_bits": network.entropies().get(unit), "field": areas(field.rectangles()) })
            });
            let moves = network.moves().map(|made| {
                let [before, after] = made.entropy;
                let field = areas(made.field.rectangles());
                json!({ "meta_step": made.step, "unit": made.unit, "field": field, "entropy_bits": { "before": before, "after": after } })
            });
            described["units"] = units.collect();
            described["accepted_moves"] = moves.collect();
        }
        Trained::Other(learner) if learner.weights(0).is_some() => {
            described["zero_weights_percent"] = json!(percent(learner.zero_share()));
            described["faint_weights_percent"] = json!(percent(learner.faint_share(SEEN as f32)));
            described["faint_up_to_share_of_largest"] = json!(SEEN);
        }
        Trained::Evolution(_) | Trained::Other(_) => (),
    }
}

/// The learning curve as a table.
fn curve(learner: &Trained) -> String {
    let mut text = CURVE.to_owned();
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for point in learner.curve() {
        let accuracy = optional(point.accuracy.map(percent));
        text += &format!("{}\t{}\t{}\t{accuracy}\n", point.phase, point.step, optional(point.loss));
    }
    text
}

/// Moves that are told of, and epochs: the last, where there are more.
const TOLD: usize = 20;

/// What the units of a hierarchy see and how much they tell of it, and how their fields came there.
fn units(network: &hierarchy::Network) -> String {
    let (mut text, entropies) = (String::new(), network.entropies());
    for (unit, field) in network.fields().iter().enumerate() {
        let entropy = entropies.get(unit).map_or("untrained".to_owned(), |bits| format!("{bits:.3} bits"));
        text += &format!("unit {unit}: {entropy}, sees {}\n", areas(field.rectangles()));
    }
    let first: Vec<&[f64]> = network.entropy_history().take(network.config().base.epochs as usize).collect();
    for (epoch, entropies) in first.iter().enumerate().skip(first.len().saturating_sub(TOLD)) {
        let entropies: Vec<String> = entropies.iter().map(|bits| format!("{bits:.3}")).collect();
        text += &format!("epoch {} of the first training: {} bits\n", epoch + 1, entropies.join(", "));
    }
    if let Some(meta) = &network.config().meta {
        let moves = network.moves();
        let hidden = moves.len().saturating_sub(TOLD);
        text += &format!("accepted moves: {} in {} meta-steps", moves.len(), meta.steps);
        text += &if hidden > 0 { format!(", the last {TOLD}:\n") } else { "\n".to_owned() };
        for made in moves.skip(hidden) {
            let [before, after] = made.entropy;
            let to = areas(made.field.rectangles());
            text += &format!("step {}: unit {} to {to}, {before:.3} -> {after:.3} bits\n", made.step, made.unit);
        }
    }
    text
}

/// Areas of the feature map: rows, then columns.
fn areas(rectangles: &[Rectangle]) -> String {
    rectangles.iter().map(Rectangle::to_string).collect::<Vec<_>>().join(" and ")
}
