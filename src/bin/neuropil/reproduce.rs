//! `neuropil reproduce`: the papers' experiments, their figures beside ours.

mod beside;
pub(crate) mod curves;
mod evolution;
mod hebbian;
mod hierarchy;
mod organism;

use std::borrow::Cow;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};
use neuropil::datasets::{self, Set, Split};
use neuropil::systems::Outcome;
use neuropil::systems::experiment::{Ending, Scale};
use neuropil::{Context, Error};

use self::beside::{suffix, suffixed};
use crate::failure::Failure;
use crate::figures::Figure;
use crate::progress::{duration, note};
use crate::report::{self, Circumstances};
use crate::source::{LARGEST_SEED, Machine, folder_as_typed, seed};
use crate::{info, interrupt, output};

/// A learning system of the papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// Hebbian learning with weight perturbation: table 1, figures 2 to 4
    Hebbian,
    /// The self-organising hierarchy: tables 1 and 2, figures 5 and 6
    Hierarchy,
    /// Organisms of self-replicators: figures 2 to 12
    Organism,
    /// Neural net evolution and dopaminergic networks: tables 1 and 2, figures 1 and 2
    Evolution,
}

impl System {
    const ALL: [System; 4] = [System::Hebbian, System::Hierarchy, System::Organism, System::Evolution];

    fn name(self) -> &'static str {
        match self {
            System::Hebbian => "hebbian",
            System::Hierarchy => "hierarchy",
            System::Organism => "organism",
            System::Evolution => "evolution",
        }
    }

    /// What is less in its quick reproduction than in the paper's experiments, with those that look at images or without.
    fn quick(self, images: bool) -> Option<&'static str> {
        Some(match self {
            // Addition is trained as in full.
            System::Organism if !images => return None,
            System::Evolution if !images => "the linear target evolves for 100,000 generations, in full for a million",
            System::Hebbian | System::Hierarchy => {
                "the networks saw 2000 training images and are measured on 1000, where the paper's saw 60,000 and were \
                 measured on 10,000"
            }
            System::Organism => {
                "the networks that classify saw 2000 training images and are measured on 1000, where the paper's saw 60,000 \
                 and were measured on 10,000. Addition needs no images: it is trained as in full"
            }
            System::Evolution => {
                "the networks saw 200 training images a class, as the paper's did, but are smaller, are trained for less \
                 long and are measured on 1000 images, where the paper's were measured on 10,000"
            }
        })
    }

    /// Whether its paper has figures for these images.
    fn knows(self, set: ImageSet) -> bool {
        set == ImageSet::Mnist || matches!(self, System::Hebbian | System::Hierarchy)
    }

    /// Short names of its experiments.
    fn experiments(self, quick: bool, set: ImageSet) -> Vec<&'static str> {
        match self {
            System::Hebbian => hebbian::names(hebbian::images(quick, set)).collect(),
            System::Hierarchy => hierarchy::names().collect(),
            System::Organism => organism::names().collect(),
            System::Evolution => evolution::names().collect(),
        }
    }
}

/// Images to train on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageSet {
    /// MNIST
    #[default]
    Mnist,
    /// CIFAR-10: hebbian and hierarchy alone
    Cifar10,
}

/// The short names of all experiments, for the help.
fn only_help() -> String {
    let mut text = "Only these experiments, by their short names, separated by commas:\n".to_owned();
    for system in System::ALL {
        text += &format!("\n{}: {}", system.name(), system.experiments(false, ImageSet::Mnist).join(", "));
    }
    let [quick, colour] = [(true, ImageSet::Mnist), (false, ImageSet::Cifar10)]
        .map(|(quick, set)| System::Hebbian.experiments(quick, set).join(", "));
    text + &format!("\n\nWith --quick hebbian has {quick} alone; of CIFAR-10 it has {colour}.")
}

/// Arguments of `neuropil reproduce`.
#[derive(Clone, Args)]
pub(crate) struct Arguments {
    /// The system; all of them if left out
    system: Option<System>,
    /// Train on the 2000 digits inside the program instead of all of MNIST
    #[arg(long, conflicts_with_all = ["data", "set"])]
    quick: bool,
    /// The images
    #[arg(long, value_enum, default_value_t)]
    set: ImageSet,
    /// The folder of the images' files [default: the data folder, see `neuropil info`]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Runs of each experiment, each with its own seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The first run's seed, 0 to 2^63 - 1; each further run has the next
    #[arg(long, value_name = "S", default_value_t = 0, allow_negative_numbers = true, value_parser = seed)]
    seed: u64,
    #[command(flatten)]
    machine: Machine,
    /// Where the report, the results and the figures go, in a folder for each system if there are several [default:
    /// reproduction/SYSTEM, with --quick reproduction/quick/SYSTEM, of CIFAR-10 reproduction/cifar10/SYSTEM]. All but the
    /// organism's networks save themselves there too (unless --quick), in `states`; the same command goes on from them.
    /// Beside a report of more experiments or runs, of other images or seeds, another goes as `report-some.md`
    /// (`report-some-2.md` beside that), its files likewise
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where all that the system leaves goes.
    #[arg(skip)]
    folder: PathBuf,
    /// Only these experiments, by their short names (--help lists them), separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = trimmed, long_help = only_help())]
    only: Vec<String>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// The images, and their name.
    fn images(&self) -> Result<(Split, &'static str), Failure> {
        let (set, name) = match self.set {
            _ if self.quick => return Ok((datasets::embedded(), "the MNIST digits inside the program")),
            ImageSet::Mnist => (Set::Mnist, MNIST),
            ImageSet::Cifar10 => (Set::Cifar10, CIFAR10),
        };
        let data = datasets::open(set, self.data.as_deref())?;
        if let Some(other) = not_whole(name, &data) {
            note(&other);
        }
        Ok((data, name))
    }

    /// The digits of a paper that has figures for no other images: how much is trained, the images, and their name, which is none where they need
    /// not be there: if the one experiment of `only` is that which looks at none.
    fn digits(&self, only: &[String], blind: &str) -> Result<(Scale, Split, Option<&'static str>), Failure> {
        let scale = if self.quick { Scale::Quick } else { Scale::Full };
        if !only.is_empty() && only.iter().all(|name| name == blind) {
            return Ok((scale, datasets::embedded(), None));
        }
        let (data, name) = self.images()?;
        Ok((scale, data, Some(name)))
    }

    /// What a report says of the images: the same words for the same images alone.
    fn told(name: &str, data: &Split, to_train: &str) -> Result<String, Failure> {
        let Split { train, test } = data;
        [train, test].iter().try_for_each(|images| images.check_intact())?;
        let digests = format!("digests {:016x}, {:016x}", train.digest(), test.digest());
        let warning = not_whole(name, data).map_or(String::new(), |other| format!(". **{other}**"));
        Ok(format!("{name}: {} {to_train}, {} to test ({digests}){warning}", train.len(), test.len()))
    }

    /// The command that trains one network as these experiments do, by a file that this stands in.
    fn train(&self, kind: &str) -> String {
        let set = match self.set {
            _ if self.quick => "embedded",
            ImageSet::Mnist => "mnist",
            ImageSet::Cifar10 => "cifar10",
        };
        format!("neuropil train {kind} --config THIS --set {set}{}", folder_as_typed(self.data.as_deref()))
    }

    /// Where what is trained saves itself, and goes on from; the quick form does not.
    fn states(&self) -> Result<Option<PathBuf>, Failure> {
        if self.quick {
            return Ok(None);
        }
        let states = self.folder.join(STATES);
        output::create_directory(&states)?;
        Ok(Some(states))
    }
}

/// What a system's experiments came to.
struct Reproduction {
    title: &'static str,
    images: String,
    outcomes: Vec<Outcome>,
    /// Or why they could not be drawn: what the hours were for is written all the same.
    figures: Result<Vec<Figure>, Failure>,
    /// Files beside the figures: name, within a folder or not, and contents.
    files: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// Where the training departs from the paper.
    departures: &'static [&'static str],
    /// Trainings finished.
    finished: usize,
    ending: Ending,
}

/// Names of the papers' images.
const MNIST: &str = "MNIST";
const CIFAR10: &str = "CIFAR-10";

/// What is said of images that are not as many as the papers' set of this name has.
fn not_whole(name: &str, data: &Split) -> Option<String> {
    let whole = match name {
        MNIST => [60_000, 10_000],
        CIFAR10 => [50_000, 10_000],
        _ => return None,
    };
    let found = [data.train.len(), data.test.len()];
    let counts = |[train, test]: [usize; 2]| format!("{train} + {test} images");
    (found != whole).then(|| {
        format!(
            "{} are not the whole of {name}, {}: figures of them are not those of the paper's setting",
            counts(found),
            counts(whole)
        )
    })
}

/// What a report says of the images if its experiments look at none.
pub(crate) const NO_IMAGES: &str = "none";

/// The folder of what was trained, within that of a system's report.
const STATES: &str = "states";

/// A name, without the space that people put behind commas.
fn trimmed(name: &str) -> Result<String, std::convert::Infallible> {
    Ok(name.trim().to_owned())
}

/// Trains, measures, and writes report, results and figures. What was finished is printed, however it ends.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut context = arguments.machine.context()?;
    let systems = systems(arguments)?;
    if arguments.seed > LARGEST_SEED - u64::from(arguments.runs - 1) {
        let found = format!("{}, {} runs", arguments.seed, arguments.runs);
        return Err(Failure::Usage(format!(
            "--seed: expected at most {LARGEST_SEED} for the last of the runs, found {found}"
        )));
    }
    // Each with a folder of its own, but for one that was given to it alone.
    let own = |system: System| {
        let folder = match &arguments.out {
            Some(folder) if systems.len() == 1 => folder.clone(),
            Some(folder) => folder.join(system.name()),
            None if arguments.quick => Path::new("reproduction/quick").join(system.name()),
            None if arguments.set == ImageSet::Cifar10 => Path::new("reproduction/cifar10").join(system.name()),
            None => Path::new("reproduction").join(system.name()),
        };
        Arguments { folder, ..arguments.clone() }
    };
    // Found out before training, not after.
    for (system, _) in &systems {
        let folder = own(*system).folder;
        output::create_directory(&folder)?;
        ["report.md", "results.json"].iter().try_for_each(|name| output::prepare(&folder.join(name)))?;
    }
    interrupt::listen()?;
    let mut outcomes = Vec::new();
    let mut end = Ok(());
    for (system, only) in &systems {
        end = reproduce(&mut context, *system, &own(*system), only, &mut outcomes);
        if end.is_err() {
            break;
        }
    }
    if outcomes.is_empty() && !matches!(end, Ok(()) | Err(Failure::Interrupted(_))) {
        return end;
    }
    let printed = output::print(&if arguments.json { report::json(&outcomes)? } else { report::table(&outcomes) });
    end.and(printed)
}

/// Does one system, and adds what came out.
fn reproduce(
    context: &mut Context,
    system: System,
    arguments: &Arguments,
    only: &[String],
    outcomes: &mut Vec<Outcome>,
) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let (began, clock) = (Instant::now(), SystemTime::now());
    let mut reproduction = match system {
        System::Hebbian => hebbian::run(context, arguments, only)?,
        System::Hierarchy => hierarchy::run(context, arguments, only)?,
        System::Organism => organism::run(context, arguments, only)?,
        System::Evolution => evolution::run(context, arguments, only)?,
    };
    let seconds = began.elapsed().as_secs_f64();
    let written = write(folder, arguments, system, context, &reproduction, seconds);
    outcomes.extend(reproduction.outcomes);
    let suffix = match (written, reproduction.ending) {
        // What ended the training is what matters, and may be why nothing could be written.
        (Err(unwritten), Ending::Failed(error)) => {
            note(&unwritten.to_string());
            return Err(error.into());
        }
        (written, ending) => {
            reproduction.ending = ending;
            written?
        }
    };
    let mut rest = match reproduction.finished {
        0 => "no training was finished".to_owned(),
        1 => format!("1 training was finished: {}/report{suffix}.md", folder.display()),
        finished => format!("{finished} trainings were finished: {}/report{suffix}.md", folder.display()),
    };
    let states = folder.join(STATES);
    let damaged = match &reproduction.ending {
        Ending::Failed(Error::Format { origin, .. }) => {
            Some(origin.clone()).filter(|origin| Path::new(origin).starts_with(&states))
        }
        _ => None,
    };
    if let Some(state) = damaged {
        rest += &format!("; move {state} away, and the same command trains it again");
    } else if !arguments.quick && has_newer(&states, clock) {
        rest += &format!("; what was trained is saved in {}, and the same command goes on there", states.display());
    }
    match reproduction.ending {
        Ending::Whole => drop(reproduction.figures?),
        Ending::Interrupted => return Err(Failure::Interrupted(rest)),
        Ending::Failed(error) => {
            note(&rest);
            return Err(error.into());
        }
    }
    let beside = if suffix.is_empty() { "" } else { " beside the other results that are there" };
    let (folder, time) = (folder.display(), duration(seconds));
    note(&format!("report{suffix}.md, results{suffix}.json and figures are in {folder}{beside}; {time}"));
    Ok(())
}

/// Whether a folder has states that were saved since then: others may have left theirs there too.
fn has_newer(folder: &Path, since: SystemTime) -> bool {
    // Clocks of file systems tick in steps.
    let since = since - Duration::from_secs(1);
    let saved = |entry: DirEntry| -> Option<bool> {
        Some(entry.path().extension()? == "safetensors" && entry.metadata().ok()?.modified().ok()? >= since)
    };
    std::fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| saved(entry).unwrap_or(false)))
}

/// The systems to run, each with the experiments asked for (none: all).
fn systems(arguments: &Arguments) -> Result<Vec<(System, Vec<String>)>, Failure> {
    if let Some(system) = arguments.system.filter(|system| !system.knows(arguments.set)) {
        let name = system.name();
        return Err(Failure::Usage(format!("{name}: its paper has figures for MNIST alone: leave out --set")));
    }
    let among: Vec<System> = System::ALL
        .into_iter()
        .filter(|system| arguments.system.is_none_or(|asked| asked == *system))
        // Images that a paper has no figures for leave its system out, unless it was asked for.
        .filter(|system| arguments.system.is_some() || system.knows(arguments.set))
        .collect();
    let known: Vec<&str> = among.iter().flat_map(|system| system.experiments(arguments.quick, arguments.set)).collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Failure::Usage(format!("--only: expected some of {}, found {unknown}", known.join(", "))));
    }
    let mut systems = Vec::new();
    for system in among {
        let own = system.experiments(arguments.quick, arguments.set);
        let only: Vec<String> = arguments.only.iter().filter(|name| own.contains(&name.as_str())).cloned().collect();
        if arguments.only.is_empty() || !only.is_empty() {
            systems.push((system, only));
        }
    }
    Ok(systems)
}

fn write(
    folder: &Path,
    arguments: &Arguments,
    system: System,
    context: &Context,
    reproduction: &Reproduction,
    seconds: f64,
) -> Result<String, Failure> {
    if reproduction.finished == 0 {
        return Ok(String::new());
    }
    let circumstances = Circumstances {
        title: reproduction.title,
        departures: reproduction.departures,
        quick: system.quick(reproduction.images != NO_IMAGES).filter(|_| arguments.quick),
        unfinished: match &reproduction.ending {
            Ending::Whole => None,
            Ending::Interrupted => Some("Interrupted".to_owned()),
            Ending::Failed(error) => Some(format!("Ended by an error ({error})")),
        },
        images: reproduction.images.clone(),
        cpu: info::cpu_model(),
        isa: context.isa(),
        threads: context.threads().get(),
        runs: arguments.runs,
        seed: arguments.seed,
        seconds,
    };
    let suffix = suffix(folder, reproduction, &circumstances);
    // First what the hours were for: a disk may be full before the last figure.
    let json = report::json(&reproduction.outcomes)?;
    output::write_file(&folder.join(format!("results{suffix}.json")), json.as_bytes())?;
    let figures = reproduction.figures.as_deref().unwrap_or_default();
    let mut text = report::markdown(&circumstances, &reproduction.outcomes, figures, &suffix);
    // Captions name files as they are in a finished run.
    for (name, _) in &reproduction.files {
        text = text.replace(&**name, &suffixed(name, &suffix));
    }
    output::write_file(&folder.join(format!("report{suffix}.md")), text.as_bytes())?;
    for (name, contents) in &reproduction.files {
        let path = folder.join(suffixed(name, &suffix));
        path.parent().map_or(Ok(()), output::create_directory)?;
        output::write_file(&path, contents)?;
    }
    for figure in figures {
        let path = |extension| folder.join(format!("{}{suffix}.{extension}", figure.name));
        output::write_file(&path("svg"), figure.svg.as_bytes())?;
        output::write_file(&path("png"), &figure.png)?;
    }
    Ok(suffix)
}

/// Where a row's configuration stands beside the report.
fn configuration_file(row: &str) -> Cow<'static, str> {
    format!("configurations/{row}.toml").into()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use neuropil::systems::Better;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn figures_that_cannot_be_drawn_cost_no_results() {
        let folder = tempfile::tempdir().unwrap();
        let line = Line::parse_from(["neuropil", "--quick"]);
        let reproduction = Reproduction {
            title: "Test",
            images: "some".to_owned(),
            outcomes: vec![Outcome::new("test", "a", "b", Better::More, None, vec![1.0], 0.0)],
            figures: Err(Failure::Message("no ink".to_owned())),
            files: vec![("plain".into(), vec![1])],
            departures: &[],
            finished: 1,
            ending: Ending::Whole,
        };
        let context = Context::new().unwrap();
        write(folder.path(), &line.arguments, System::Hebbian, &context, &reproduction, 1.0).unwrap();
        for name in ["results.json", "report.md", "plain"] {
            assert!(folder.path().join(name).metadata().unwrap().len() > 0, "{name}");
        }
    }

    #[test]
    fn an_interrupted_or_smaller_run_writes_over_nothing_of_a_finished_one() {
        let folder = tempfile::tempdir().unwrap();
        let line = Line::parse_from(["neuropil", "--quick"]);
        let context = Context::new().unwrap();
        let outcome = |experiment, runs| Outcome::new("test", experiment, "b", Better::More, None, runs, 0.0);
        let of = |interrupted: bool, outcomes| Reproduction {
            title: "Test",
            images: "some".to_owned(),
            outcomes,
            figures: Ok(vec![Figure {
                name: "figure",
                caption: "See populations.tsv.".to_owned(),
                svg: interrupted.to_string(),
                png: interrupted.to_string().into_bytes(),
            }]),
            files: vec![("populations.tsv".into(), interrupted.to_string().into_bytes()), ("plain".into(), vec![1])],
            departures: &[],
            finished: 1,
            ending: if interrupted { Ending::Interrupted } else { Ending::Whole },
        };
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let both = || vec![outcome("a", vec![f64::NAN, 1.0]), outcome("c", vec![3.0, 4.0])];
        let write = |reproduction: &Reproduction| {
            write(folder.path(), &line.arguments, System::Hebbian, &context, reproduction, 1.0).unwrap()
        };
        let report = |suffix| std::fs::read_to_string(folder.path().join(format!("report{suffix}.md"))).unwrap();
        assert_eq!(write(&of(false, both())), "");
        assert!(report("").contains("See populations.tsv."));
        let finished = names();
        let contents =
            || finished.iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect::<Vec<_>>();
        let before = contents();
        assert_eq!(write(&of(true, both())), "-partial");
        assert_eq!(contents(), before);
        assert_eq!(names().len(), 2 * finished.len());
        assert!(names().contains(&"populations-partial.tsv".to_owned()));
        assert!(report("-partial").contains("See populations-partial.tsv."));
        assert!(report("-partial").contains("**Interrupted**"));
        // One experiment of two, one run of two; then what one of these holds already.
        let fewer = [
            ("-some", vec![outcome("c", vec![3.0, 4.0])]),
            ("-some-2", vec![outcome("a", vec![1.0, 2.0]), outcome("c", vec![3.0])]),
            ("-some-3", vec![outcome("a", vec![6.0])]),
            ("-some", vec![outcome("c", vec![3.0, 4.0])]),
        ];
        for (suffix, outcomes) in fewer {
            assert_eq!(write(&of(false, outcomes)), suffix);
            assert_eq!(contents(), before);
        }
        assert_eq!(write(&of(true, vec![outcome("a", vec![6.0])])), "-partial-2");
        assert_eq!(contents(), before);
        assert_eq!(names().len(), 6 * finished.len());
        let more = || [both(), vec![outcome("d", vec![5.0])]].concat();
        assert_eq!(write(&of(false, more())), "", "all that was there, and more");
        assert_ne!(contents(), before);
        // As much as there is, but of other images, or of another seed.
        let before = contents();
        assert_eq!(write(&Reproduction { images: "others".to_owned(), ..of(false, more()) }), "-some-4");
        let other_seed = Line::parse_from(["neuropil", "--quick", "--seed", "7"]).arguments;
        let of_seed = |arguments| {
            super::write(folder.path(), arguments, System::Hebbian, &context, &of(false, more()), 1.0).unwrap()
        };
        assert_eq!(of_seed(&other_seed), "-some-5");
        assert_eq!(contents(), before);
        assert_eq!(of_seed(&line.arguments), "");
        // What looks at no images is a part of what does, and not the other way round.
        let blind = tempfile::tempdir().unwrap();
        let write_of = |images: &str, outcomes| {
            let reproduction = Reproduction { images: images.to_owned(), ..of(false, outcomes) };
            super::write(blind.path(), &line.arguments, System::Hebbian, &context, &reproduction, 1.0).unwrap()
        };
        assert_eq!(write_of(NO_IMAGES, vec![outcome("a", vec![1.0])]), "");
        assert_eq!(write_of("some", both()), "");
        assert_eq!(write_of(NO_IMAGES, vec![outcome("a", vec![1.0])]), "-some");
        let results = folder.path().join("results.json");
        let long = [b'['].repeat(2 << 20);
        for foreign in [&b"somebody's own"[..], b"\xff\xfe", &long] {
            std::fs::write(&results, foreign).unwrap();
            assert_eq!(write(&of(false, more())), "-some");
            assert!(std::fs::read(&results).unwrap() == foreign);
        }
        std::fs::write(&results, "").unwrap();
        assert_eq!(write(&of(false, more())), "");
        let report = folder.path().join("report.md");
        for foreign in [&b"somebody's own"[..], b"\xff\xfe"] {
            std::fs::write(&report, foreign).unwrap();
            assert_eq!(write(&of(false, more())), "-some");
            assert_eq!(std::fs::read(&report).unwrap(), foreign);
        }
        std::fs::write(&report, "").unwrap();
        assert_eq!(write(&of(false, more())), "");
    }
}
