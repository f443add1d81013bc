//! The reproduction of the organism networks.

mod tables;

use std::borrow::Cow;

use neuropil::kernels::particle::Class;
use neuropil::systems::experiment::Scale;
use neuropil::systems::organism::experiment::{self, AdditionRun, ImageRun, Options, ROWS, Report};
use neuropil::systems::organism::{Between, Census, Config, Robustness, addition};
use neuropil::{Context, Matrix};

use super::curves::of_runs;
use super::{Arguments, NO_IMAGES, Reproduction};
use crate::failure::Failure;
use crate::figures::{self, Banded, Figure, Kernels, Plot, Series};
use crate::progress::Monitor;

pub(super) const TITLE: &str = "Organism networks of self-replicators";

/// Names of all experiments.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().copied()
}

/// Trains and measures.
pub(super) fn run(context: &mut Context, arguments: &Arguments, only: &[String]) -> Result<Reproduction, Failure> {
    let (scale, data, images) = arguments.digits(only, ROWS[0])?;
    let options = Options { scale, runs: arguments.runs as usize, seed: arguments.seed, only: only.to_vec() };
    let told = images.map(|name| Arguments::told(name, &data, "to train")).transpose()?;
    let mut monitor = Monitor::new();
    let report = experiment::reproduce(context, &data, &options, &mut |name, seed, progress| {
        monitor.observe(&format!("{name} seed {seed}"), progress)
    })?;
    drop(monitor);
    Ok(Reproduction {
        title: TITLE,
        images: told.filter(|_| !report.images.is_empty()).unwrap_or_else(|| NO_IMAGES.to_owned()),
        outcomes: report.outcomes(),
        figures: draw(&report),
        files: files(&report, arguments, scale),
        departures: experiment::DEPARTURES,
        finished: report.additions.len() + report.images.len(),
        ending: report.ending,
    })
}

/// The numbers behind the figures, and what organisms that classify are trained by with the first seed, as `neuropil train` takes it.
fn files(report: &Report, arguments: &Arguments, scale: Scale) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut files = tables::tables(report);
    for between in [Between::Gelu, Between::Linear] {
        if let Some(run) = report.images.iter().find(|run| run.between == between) {
            let config = Config { activation: between, ..experiment::config(scale, run.seed) };
            let text = format!("# {}\n{}", arguments.train("organism"), config.to_toml());
            files.push((super::configuration_file(name(between)), text.into_bytes()));
        }
    }
    files
}

/// The experiment that trains organisms with this between their layers.
fn name(between: Between) -> &'static str {
    match between {
        Between::Gelu => ROWS[1],
        Between::Linear => ROWS[2],
    }
}

/// A class's share of the particles, in per cent.
fn share(census: &Census, class: Class) -> f64 {
    100.0 * census.count(class) as f64 / census.counts.iter().sum::<usize>().max(1) as f64
}

/// A point an epoch, or whatever else is numbered from 0.
fn numbered(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    values.enumerate().map(|(at, value)| (at as f64, value)).collect()
}

/// The share of each class that occurs, by epoch; `runs` hold a census an epoch.
fn shares(runs: &[Vec<Census>]) -> Vec<Banded> {
    let occurs = |class: &Class| runs.iter().flatten().any(|census| census.count(*class) > 0);
    let of = |class: Class| {
        let runs: Vec<_> = runs.iter().map(|run| numbered(run.iter().map(|census| share(census, class)))).collect();
        Banded::over(class.name(), &runs)
    };
    Class::ALL.into_iter().filter(occurs).map(of).collect()
}

/// Mean steps over the self-replicators of each run that has some.
fn survival(runs: &[&Vec<Robustness>]) -> Vec<Banded> {
    let mean = |steps: &[u32]| steps.iter().sum::<u32>() as f64 / steps.len() as f64;
    let of = |name: &str, steps: fn(&Robustness) -> &[u32]| {
        let some = runs.iter().filter(|levels| levels.iter().all(|level| !level.fixpoint.is_empty()));
        let runs: Vec<_> =
            some.map(|levels| levels.iter().map(|level| (level.noise, mean(steps(level)))).collect()).collect();
        Banded::over(name, &runs)
    };
    vec![of("a fixpoint", |level| &level.fixpoint), of("not diverged (200 at most)", |level| &level.diverged)]
}

fn plot<'a>(title: &'a str, x: &'a str, y: &'a str, caption: &'a str, logarithmic: [bool; 2]) -> Plot<'a> {
    Plot { title, x, y, caption, logarithmic }
}

fn draw(report: &Report) -> Result<Vec<Figure>, Failure> {
    let mut drawn = additions(&report.additions)?;
    for between in [Between::Gelu, Between::Linear] {
        let runs: Vec<&ImageRun> = report.images.iter().filter(|run| run.between == between).collect();
        drawn.extend(images(&runs, between)?);
    }
    drawn.push(dropped(report)?);
    Ok(drawn.into_iter().flatten().collect())
}

fn additions(runs: &[AdditionRun]) -> Result<Vec<Option<Figure>>, Failure> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let whose = of_runs(runs.iter().map(|run| run.seed));
    let text = format!("Figure 2 of the paper: what the 18 particles are, by epoch. {whose}");
    let censuses: Vec<Vec<Census>> =
        runs.iter().map(|run| run.epochs.iter().map(|epoch| epoch.census).collect()).collect();
    let plot_of = plot("Addition: classes of particles", "epoch", "particles, %", &text, [false, false]);
    let classes = figures::bands("addition-classes", &plot_of, &[], shares(&censuses))?;

    let text = format!("Figure 3: errors of self-replication and of the task. {whose}");
    let of = |name: &str, value: fn(&addition::Epoch) -> f64| {
        Banded::over(name, &runs.iter().map(|run| numbered(run.epochs.iter().map(value))).collect::<Vec<_>>())
    };
    let losses = vec![
        of("self-replication, mean squared", |epoch| epoch.census.loss),
        of("addition, mean squared, training", |epoch| epoch.train),
        of("addition, mean squared, test", |epoch| epoch.test),
        of("addition, mean absolute, test", |epoch| epoch.absolute),
    ];
    let plot_of = plot("Addition: losses", "epoch", "error", &text, [false, true]);
    let losses = figures::bands("addition-losses", &plot_of, &[], losses)?;

    let text = format!(
        "Figure 4: steps of self-application that self-replicators survive, by the noise on their weights. {whose}"
    );
    let levels: Vec<_> = runs.iter().map(|run| &run.robustness).collect();
    let plot_of = plot("Addition: robustness", "standard deviation of the noise", "steps", &text, [true, false]);
    let robustness = figures::bands("addition-robustness", &plot_of, &[], survival(&levels))?;

    let text = format!(
        "Figure 5: what the organism, and a plain network of the weights that its particles stand for, are off the sums of the test \
         pairs, and how far apart they are, each from the least to the largest. {whose}"
    );
    let of = |name: &str, value: fn(&[f64; 2]) -> f64| {
        let runs: Vec<_> = runs.iter().map(|run| ascending(run.resubstitution.errors.iter().map(value))).collect();
        Banded::over(name, &runs)
    };
    let errors = vec![
        of("the organism", |[organism, _]| 1e7 * organism.abs()),
        of("the plain network", |[_, plain]| 1e7 * plain.abs()),
        of("between them", |[organism, plain]| 1e7 * (organism - plain).abs()),
    ];
    let plot_of = plot("Addition: re-substitution", "test pairs, %", "absolute error, 1e-7", &text, [false, false]);
    let errors = figures::bands("addition-resubstitution", &plot_of, &[], errors)?;
    Ok(vec![classes, losses, robustness, errors])
}

/// Values in ascending order over their ranks in per cent.
fn ascending(values: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let rank = 100.0 / values.len() as f64;
    values.into_iter().enumerate().map(|(at, value)| ((at as f64 + 0.5) * rank, value)).collect()
}

/// Figure 8: a mark a run.
fn dropped(report: &Report) -> Result<Option<Figure>, Failure> {
    const NAMES: [&str; 4] =
        ["whole", "without self-replicators", "as many of the smallest pruned", "without the others"];
    let of = |(between, name, shift): (Between, &str, f64)| {
        let runs = report.images.iter().filter(|run| run.between == between);
        let points = runs.flat_map(|run| numbered(run.accuracy.into_iter()));
        Series { name: name.to_owned(), points: points.map(|(at, accuracy)| (at + shift, accuracy)).collect() }
    };
    let series = [(Between::Gelu, "GELU", -0.04), (Between::Linear, "linear", 0.04)].map(of);
    let text = "Figure 8: test accuracy of the whole, without self-replicators, with as many of the smallest weights pruned (L1), and \
                without the particles that are neither self-replicating nor zero. A mark for each run.";
    let plot_of = plot("Images: particles dropped", "what was dropped", "test accuracy, %", text, [false, false]);
    figures::marks("images-dropped", &plot_of, &NAMES, &series)
}

/// Figures 6, 7 and 9 to 12, of the organisms with this between their layers.
fn images(runs: &[&ImageRun], between: Between) -> Result<Vec<Option<Figure>>, Failure> {
    let Some(first) = runs.first() else { return Ok(Vec::new()) };
    let (kind, named): (_, fn([&'static str; 2]) -> &'static str) = match between {
        Between::Gelu => ("GELU", |[gelu, _]| gelu),
        Between::Linear => ("linear", |[_, linear]| linear),
    };
    let title = |what: &str| format!("Images, {kind}: {what}");
    let whose = of_runs(runs.iter().map(|run| run.seed));
    let text = format!("Figure 9, {kind}: what the {} particles are, by epoch. {whose}", first.particles.len());
    let censuses: Vec<Vec<Census>> =
        runs.iter().map(|run| run.epochs.iter().map(|epoch| epoch.census).collect()).collect();
    let of = title("classes of particles");
    let plot_of = plot(&of, "epoch", "particles, %", &text, [false, false]);
    let name = named(["images-classes", "images-linear-classes"]);
    let classes = figures::bands(name, &plot_of, &[], shares(&censuses))?;

    let text = format!(
        "Figure 6, {kind}: losses of self-replication (mean squared) and of the task (cross-entropy), and the share of test images \
         classified wrongly. {whose}"
    );
    let of = |name: &str, value: fn(&neuropil::systems::organism::Epoch) -> f64| {
        Banded::over(name, &runs.iter().map(|run| numbered(run.epochs.iter().map(value))).collect::<Vec<_>>())
    };
    let losses = vec![
        of("self-replication", |epoch| epoch.census.loss),
        of("classification", |epoch| epoch.loss),
        of("test images wrong", |epoch| 1.0 - epoch.accuracy),
    ];
    let of = title("losses");
    let plot_of = plot(&of, "epoch", "loss", &text, [false, true]);
    let losses = figures::bands(named(["images-losses", "images-linear-losses"]), &plot_of, &[], losses)?;

    let text = format!(
        "Figure 7, {kind}: steps of self-application that self-replicators survive, by the noise on their weights. {whose}"
    );
    let levels: Vec<_> = runs.iter().map(|run| &run.robustness).collect();
    let of = title("robustness");
    let plot_of = plot(&of, "standard deviation of the noise", "steps", &text, [true, false]);
    let name = named(["images-robustness", "images-linear-robustness"]);
    let robustness = figures::bands(name, &plot_of, &[], survival(&levels))?;

    let text =
        format!("Figure 11, {kind}: where the particles of each class are: their share of each layer's. {whose}");
    let of = title("connectivity");
    let plot_of = plot(&of, "layer", "particles, %", &text, [false, false]);
    let name = named(["images-connectivity", "images-linear-connectivity"]);
    let connectivity = figures::bands(name, &plot_of, &["from pixels", "between cells", "to outputs"], layers(runs))?;

    let drawn = vec![classes, losses, robustness, connectivity, heat(runs, kind, named)?];
    Ok(drawn.into_iter().chain(trajectories(first, kind, named)?).collect())
}

/// Of each layer's particles the share of each class that occurs, in per cent.
fn layers(runs: &[&ImageRun]) -> Vec<Banded> {
    let count = |at: usize| {
        let share = |layer: &[usize; 4]| 100.0 * layer[at] as f64 / layer.iter().sum::<usize>() as f64;
        let of = |run: &&ImageRun| numbered(run.connectivity.iter().map(share));
        runs.iter().map(of).collect::<Vec<_>>()
    };
    let classes = Class::ALL.into_iter().enumerate().map(|(at, class)| (class, count(at)));
    let occurring = classes.filter(|(_, runs)| runs.iter().flatten().any(|point| point.1 > 0.0));
    occurring.map(|(class, runs)| Banded::over(class.name(), &runs)).collect()
}

/// Figure 10: means over the runs.
fn heat(
    runs: &[&ImageRun],
    kind: &str,
    named: fn([&'static str; 2]) -> &'static str,
) -> Result<Option<Figure>, Failure> {
    let pixels = runs[0].pixels.cols();
    let side = pixels.isqrt();
    let mean = |row: usize, at: usize| runs.iter().map(|run| run.pixels[(row, at)]).sum::<f32>() / runs.len() as f32;
    let names = ["self-replicators", "sum of their weights", "mean of test images"];
    let panel = |(row, name): (usize, &str)| Kernels {
        name: name.to_owned(),
        weights: Matrix::from_fn(1, pixels, |_, at| mean(row, at)),
        channels: 1,
        rows: side,
        cols: side,
    };
    let panels: Vec<Kernels> = names.into_iter().enumerate().map(panel).collect();
    let runs = match runs {
        [run] => format!("the run of seed {}", run.seed),
        _ => format!("means of {} runs", runs.len()),
    };
    let caption = format!(
        "Figure 10, {kind}: per pixel, how many of its particles reproduce themselves, the sum of the weights that these stand for, and \
         the mean of the test images; {runs}, each picture scaled by its largest magnitude, in colours as strong as the square root of that (negative sums \
         are blue)."
    );
    let name = named(["images-pixels", "images-linear-pixels"]);
    Ok(figures::weight_kernels(&panels)?.map(|heat| Figure { name, caption, ..heat }))
}

/// Figure 12, a and b: a line a particle.
fn trajectories(
    run: &ImageRun,
    kind: &str,
    named: fn([&'static str; 2]) -> &'static str,
) -> Result<[Option<Figure>; 2], Failure> {
    let group = |class: Class, name: &'static str, part: &str, of: &str| {
        let paths = run.trajectories.paths.iter().filter(|path| path.class == class);
        let paths: Vec<Series> =
            paths.map(|path| Series { name: String::new(), points: path.points.clone() }).collect();
        let [first, second] = run.trajectories.variance.map(|share| 100.0 * share);
        let text = format!(
            "Figure 12{part}, {kind}: weights of {} {of} among the last layer's {} particles during training, every fifth epoch, along two \
             principal components of them all, which have {first:.1} and {second:.1} % of the variance. The run of seed {}.",
            paths.len(),
            run.trajectories.paths.len(),
            run.seed
        );
        let title = format!("Images, {kind}: trajectories of {of}");
        let plot_of = plot(&title, "first component", "second component", &text, [false, false]);
        figures::lines(name, &plot_of, &paths)
    };
    Ok([
        group(
            Class::SelfReplicating,
            named(["images-trajectories-own", "images-linear-trajectories-own"]),
            "a",
            "self-replicators",
        )?,
        group(Class::Other, named(["images-trajectories-others", "images-linear-trajectories-others"]), "b", "others")?,
    ])
}

#[cfg(test)]
mod tests {
    use neuropil::systems::experiment::Ending;
    use neuropil::systems::organism::experiment::{Particle, Trajectories, Trajectory};
    use neuropil::systems::organism::{Epoch, Resubstitution};

    use super::*;

    fn census(own: usize) -> Census {
        Census { counts: [0, 0, own, 4 - own], loss: 1e-6 }
    }

    fn levels(steps: u32) -> Vec<Robustness> {
        let level = |at: i32| Robustness { noise: 10f64.powi(-at), fixpoint: vec![0, steps], diverged: vec![200, 200] };
        (0..10).map(level).collect()
    }

    fn particles() -> Vec<Particle> {
        let particle = |class| Particle { layer: 0, input: 1, cell: 2, class, weight: -0.5, deviation: 2.5e-6 };
        vec![particle(Class::SelfReplicating), particle(Class::Other)]
    }

    fn addition(seed: u64) -> AdditionRun {
        let epoch = |own| addition::Epoch { census: census(own), train: 0.5, test: 0.25, absolute: 0.125 };
        AdditionRun {
            seed,
            epochs: vec![epoch(0), epoch(4)],
            resubstitution: Resubstitution { outputs: 0.0, error: 0.0, errors: vec![[1e-6, -2e-6], [-3e-6, 4e-6]] },
            robustness: levels(3),
            particles: particles(),
            seconds: 0.0,
        }
    }

    fn image(between: Between, seed: u64) -> ImageRun {
        let epoch = |own| Epoch { census: census(own), loss: 2.0, accuracy: 0.5 };
        let path = |class, particle| Trajectory { particle, class, points: vec![(0.0, 0.0), (1.0, 2.0)] };
        ImageRun {
            seed,
            between,
            epochs: vec![epoch(0), epoch(1), epoch(2)],
            accuracy: [90.0, 89.9, 80.0, 10.0],
            particles: particles(),
            connectivity: vec![[0, 0, 1, 1], [0, 0, 0, 3], [0, 0, 1, 2]],
            pixels: Matrix::from_fn(3, 4, |row, at| (row * 4 + at) as f32),
            robustness: levels(1),
            trajectories: Trajectories {
                variance: [0.75, 0.125],
                paths: vec![path(Class::SelfReplicating, 3), path(Class::Other, 0), path(Class::Other, 1)],
            },
            seconds: 0.0,
        }
    }

    #[test]
    fn every_run_and_both_activations_have_figures_and_tables() {
        let images = [(Between::Gelu, 0), (Between::Gelu, 1), (Between::Linear, 0)];
        let report = Report {
            additions: vec![addition(0), addition(1)],
            images: images.map(|(between, seed)| image(between, seed)).to_vec(),
            ending: Ending::Whole,
        };
        let figures = draw(&report).unwrap();
        for number in 2..=12 {
            let of = format!("Figure {number}");
            let drawn = figures.iter().filter(|figure| {
                figure.caption.strip_prefix(&of).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            // Addition's and figure 8 once, the images' once for each activation, figure 12 in two parts.
            let expected = match number {
                2..=5 | 8 => 1,
                12 => 4,
                _ => 2,
            };
            assert_eq!(drawn.count(), expected, "figure {number}");
        }
        let named = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap();
        assert!(named("images-classes").caption.contains("Means of 2 runs"));
        assert!(named("images-linear-classes").caption.contains("The run of seed 0"));
        assert!(
            named("images-linear-trajectories-others").caption.contains("2 others among the last layer's 3 particles")
        );
        assert!(named("images-trajectories-own").caption.contains("75.0 and 12.5 % of the variance"));
        assert!(named("images-dropped").svg.contains("without self-replicators"));

        let tables = tables::tables(&report);
        let lines = |name: &str| {
            let (_, contents) = tables.iter().find(|(of, _)| of == name).unwrap();
            let lines: Vec<String> = std::str::from_utf8(contents).unwrap().lines().map(str::to_owned).collect();
            let columns = lines[0].split('\t').count();
            assert!(lines.iter().all(|line| line.split('\t').count() == columns), "{name}: {lines:?}");
            lines
        };
        let epochs = lines("epochs.tsv");
        assert_eq!(epochs.len(), 1 + 2 * 2 + 3 * 3);
        assert_eq!(epochs[2], "addition\t0\t1\t0.0000\t0.0000\t100.0000\t0.0000\t1e-6\t5e-1\t2.5e-1\t1.25e-1\t");
        assert_eq!(epochs[13], "images-linear\t0\t2\t0.0000\t0.0000\t50.0000\t50.0000\t1e-6\t2e0\t\t\t50.0000");
        assert_eq!(lines("robustness.tsv").len(), 1 + 5 * 10);
        assert_eq!(
            lines("robustness.tsv")[6],
            "addition\t0\t1e-5\t2\t1.5000\t1.5000\t0\t3\t200.0000\t0.0000\t200\t200"
        );
        assert_eq!(lines("particles.tsv")[1], "addition\t0\t0\t0\t1\t2\tself-replicating\t-5e-1\t2.5e-6");
        assert_eq!(lines("particles.tsv").len(), 1 + 5 * 2);
        assert_eq!(lines("resubstitution.tsv")[4], "addition\t1\t1\t-3e-6\t4e-6");
        assert_eq!(lines("dropped.tsv")[3], "images-linear\t0\t90.0000\t89.9000\t80.0000\t10.0000");
        assert_eq!(lines("pixels.tsv")[2], "images\t0\t0\t1\t1\t5e0\t9e0");
        assert_eq!(lines("trajectories.tsv")[2], "images\t0\t3\tself-replicating\t5\t1e0\t2e0");
        assert_eq!(lines("components.tsv")[3], "images-linear\t0\t0.750000\t0.125000");
        let none = Report { additions: Vec::new(), images: Vec::new(), ending: Ending::Interrupted };
        assert!(tables::tables(&none).is_empty() && draw(&none).unwrap().is_empty());
    }
}
