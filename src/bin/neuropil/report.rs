//! What a reproduction says: a table for the terminal, a report in Markdown, results in JSON.

use comfy_table::Table;
use neuropil::Isa;
use neuropil::systems::{Better, Outcome};

use crate::failure::Failure;
use crate::figures::Figure;
use crate::output;
use crate::progress::duration;
use crate::reproduce::NO_IMAGES;

/// Under what circumstances the results came about.
pub(crate) struct Circumstances {
    /// What the paper is about.
    pub(crate) title: &'static str,
    pub(crate) departures: &'static [&'static str],
    /// What is less than in the paper, in the quick form.
    pub(crate) quick: Option<&'static str>,
    /// Why not all was trained, if so.
    pub(crate) unfinished: Option<String>,
    pub(crate) images: String,
    pub(crate) cpu: Option<String>,
    pub(crate) isa: Isa,
    pub(crate) threads: usize,
    pub(crate) runs: u32,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
}

/// Columns of both tables: what the paper has, what we have, and by how much ours is higher.
const HEADER: [&str; 5] = ["experiment", "quantity", "paper", "ours", "difference"];

/// From here on two decimals say something.
const TELLING: f64 = 0.0995;

/// A figure with two decimals, or more where they would say nothing.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 | TELLING.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ if value.is_nan() => format!("{value}"),
        _ => format!("{value:.1e}"),
    }
}

/// The spread beside a mean: with its two decimals, unless they would say nothing.
fn spread(outcome: &Outcome) -> String {
    match outcome.ours.abs() >= TELLING && outcome.spread >= 0.005 {
        true => format!("{:.2}", outcome.spread),
        false => number(outcome.spread),
    }
}

fn cells(outcome: &Outcome) -> [String; 5] {
    let spread = if outcome.runs.len() > 1 { format!(" ± {}", spread(outcome)) } else { String::new() };
    let signed = |difference: f64| format!("{}{}", if difference < 0.0 { "" } else { "+" }, number(difference));
    [
        outcome.experiment.clone(),
        outcome.quantity.clone(),
        outcome.paper.map_or("-".to_owned(), number),
        number(outcome.ours) + &spread,
        outcome.paper.map_or(String::new(), |paper| signed(outcome.ours - paper)),
    ]
}

/// A table for the terminal.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.set_header(HEADER);
    for outcome in outcomes {
        table.add_row(cells(outcome));
    }
    output::table(table, 2..HEADER.len())
}

/// `results.json`: a list of outcomes.
pub(crate) fn json(outcomes: &[Outcome]) -> Result<String, Failure> {
    let rounded = |outcome: &Outcome| {
        let mut outcome = outcome.clone();
        // Shares that were multiplied by 100; other quantities may be small.
        if outcome.quantity.ends_with('%') {
            let Outcome { ours, spread, runs, .. } = &mut outcome;
            [ours, spread].into_iter().chain(runs).for_each(|value| *value = output::decimals(*value));
        }
        outcome
    };
    let text = serde_json::to_string_pretty(&outcomes.iter().map(rounded).collect::<Vec<_>>());
    text.map(|text| text + "\n").map_err(|error| Failure::Message(format!("cannot write the results as JSON: {error}")))
}

/// How far from the paper's a figure of which neither more nor less is better may be: a share of the paper's.
const NEAR: f64 = 0.1;

/// A line for a figure that is not as good as the paper's. Figures that are alike in the decimals that the paper's is printed with are alike.
fn shortfall(outcome: &Outcome) -> Option<String> {
    let paper = outcome.paper?;
    let unit = match paper.abs() {
        0.0 | TELLING.. => 0.01,
        0.001.. => 0.001,
        small => 0.1 * 10f64.powf(small.log10().floor()),
    };
    let difference = unit * ((outcome.ours / unit).round() - (paper / unit).round());
    let short = match outcome.better {
        Better::More => difference < 0.0,
        Better::Less => difference > 0.0,
        Better::Nearer => difference.abs() > NEAR * paper.abs(),
    };
    // Not a number is never as good.
    let place = match () {
        () if !outcome.ours.is_finite() => "beside",
        () if !short => return None,
        () if difference < 0.0 => "below",
        () => "above",
    };
    let (Outcome { experiment, quantity, .. }, away) = (outcome, (outcome.ours - paper).abs());
    Some(format!("- {}: {}: {} {place} the paper's {}", cell(experiment), cell(quantity), number(away), number(paper)))
}

/// A text within a table of Markdown, whose cells end at a bar.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The line of a report that tells of the images: how it begins, and the rest.
pub(crate) fn images(about: &Circumstances) -> (&'static str, String) {
    ("- images: ", about.images.clone())
}

/// The line that tells of the seeds: how it begins, and what follows the number of runs.
pub(crate) fn seeds(about: &Circumstances) -> (&'static str, String) {
    ("- runs of each experiment: ", format!(", seeds from {}", about.seed))
}

/// `report.md`.
pub(crate) fn markdown(about: &Circumstances, outcomes: &[Outcome], figures: &[Figure], suffix: &str) -> String {
    let mut text = format!("# {}: the paper's figures and ours\n\n", about.title);
    if let Some(reason) = &about.unfinished {
        text += &format!("**{reason}**: only what was finished is here.\n\n");
    }
    let ((images, which), (runs, first)) = (images(about), seeds(about));
    text += &format!("{images}{which}\n{runs}{}{first}\n", about.runs);
    let cpu = about.cpu.as_ref().map_or(String::new(), |cpu| format!(" on {cpu}"));
    let threads = if about.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", about.threads) };
    text += &format!("- {} in all, {} with {threads}{cpu}\n", duration(about.seconds), about.isa);
    text += &format!("- neuropil {}\n\n", env!("CARGO_PKG_VERSION"));
    if about.images != NO_IMAGES {
        text += "Accuracies are on the test images, after the last step of a schedule fixed beforehand. ";
    }
    text += "Times are from where a run began, or went on after an interruption (a hierarchy's from its beginning). ";
    text += if about.runs > 1 {
        "Ours is the mean over the runs ± the sample standard deviation, or a median ± half the range between the quartiles.\n\n"
    } else {
        "Ours is one run.\n\n"
    };
    if let Some(less) = about.quick {
        text += &format!(
            "This is the quick reproduction: {less}. The paper's figures are printed for orientation; what can be compared is \
             how the rows stand to each other.\n\n"
        );
    }

    text += &format!("| {} | time |\n|---|---|---:|---:|---:|---:|\n", HEADER.join(" | "));
    for outcome in outcomes {
        text +=
            &format!("| {} | {} |\n", cells(outcome).map(|text| cell(&text)).join(" | "), duration(outcome.seconds));
    }
    text += "\n## Where ours falls short\n\n";
    let short: Vec<String> = outcomes.iter().filter_map(shortfall).collect();
    let compared = outcomes.iter().filter(|outcome| outcome.paper.is_some()).count();
    text += &match (short.is_empty(), compared) {
        (_, 0) => "The paper has no figure for what was run.\n".to_owned(),
        (true, _) => "Nowhere: every figure is at least as good as the paper's, or near it where neither more nor less is better.\n".to_owned(),
        (false, _) => short.join("\n") + "\n",
    };
    text += &against_regression(outcomes);
    if about.runs > 1 {
        text += "\n## Seed by seed\n\n";
        for outcome in outcomes {
            let runs: Vec<String> = outcome.runs.iter().map(|&value| number(value)).collect();
            text += &format!("- {}: {}: {}\n", cell(&outcome.experiment), cell(&outcome.quantity), runs.join(", "));
        }
    }
    text += "\n## Where the training departs from the paper\n\n";
    for departure in about.departures {
        text += &format!("- {departure}\n");
    }
    for figure in figures {
        let name = format!("{}{suffix}", figure.name);
        text += &format!("\n![{}]({name}.png)\n\n{} ([SVG]({name}.svg))\n", figure.name, figure.caption);
    }
    text
}

/// Which networks beat a linear classifier of the same images, if one was trained. Only what is measured by the same quantity is compared:
/// networks that learned from few of the images have one of their own.
fn against_regression(outcomes: &[Outcome]) -> String {
    let Some(regression) = outcomes.iter().find(|outcome| outcome.experiment.contains("softmax regression")) else {
        return String::new();
    };
    let alike =
        |outcome: &&Outcome| outcome.quantity == regression.quantity && outcome.experiment != regression.experiment;
    let others = || outcomes.iter().filter(alike);
    let below: Vec<String> = others()
        .filter(|outcome| outcome.ours <= regression.ours)
        .map(|outcome| format!("- {}: {:.2} below it", cell(&outcome.experiment), regression.ours - outcome.ours))
        .collect();
    let mut text = format!(
        "\n## Beside softmax regression\n\nSoftmax regression on the same pixels reaches {:.2} %. {} of {} networks are above it",
        regression.ours,
        others().count() - below.len(),
        others().count()
    );
    text += if below.is_empty() { ".\n" } else { "; these are not:\n\n" };
    text + &below.join("\n") + if below.is_empty() { "" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(experiment: &str, quantity: &str, better: Better, paper: Option<f64>, runs: &[f64]) -> Outcome {
        Outcome::new("hebbian", experiment, quantity, better, paper, runs.to_vec(), 1.0)
    }

    fn outcomes() -> Vec<Outcome> {
        let accuracy =
            |experiment: &str, paper, runs: &[f64]| outcome(experiment, "test accuracy, %", Better::More, paper, runs);
        vec![
            accuracy("MNIST: softmax regression on pixels", None, &[90.0]),
            accuracy("MNIST: a good rule", Some(95.0), &[96.0, 98.0]),
            accuracy("MNIST: a bad rule", Some(95.0), &[80.0]),
            outcome("MNIST: a bad rule", "zero hidden weights, %", Better::Nearer, Some(90.0), &[40.0]),
        ]
    }

    fn about() -> Circumstances {
        Circumstances {
            title: "A rule",
            departures: &["It departs."],
            quick: None,
            unfinished: None,
            images: "MNIST".into(),
            cpu: None,
            isa: Isa::Scalar,
            threads: 2,
            runs: 1,
            seed: 0,
            seconds: 100.0,
        }
    }

    #[test]
    fn small_figures_have_the_digits_that_say_something() {
        let all = [96.604, 0.1, 0.0, 0.0371, -0.009, 1.2e-17, f64::NAN];
        assert_eq!(all.map(number), ["96.60", "0.10", "0.00", "0.037", "-0.009", "1.2e-17", "NaN"]);
        let p = Outcome::new("x", "e", "p", Better::Less, Some(0.009), vec![0.037], 0.0);
        assert_eq!(cells(&p)[2..], ["0.009", "0.037", "+0.028"]);
        assert_eq!(shortfall(&p).unwrap(), "- e: p: 0.028 above the paper's 0.009");
    }

    #[test]
    fn the_report_says_where_ours_falls_short() {
        let text = markdown(&about(), &outcomes(), &[], "");
        assert!(text.contains("| MNIST: a good rule | test accuracy, % | 95.00 | 97.00 ± 1.41 | +2.00 |"), "{text}");
        let tiny = outcome("small figures", "error", Better::Less, None, &[4e-13, 5e-13]);
        assert_eq!(cells(&tiny)[3], "4.5e-13 ± 7.1e-14");
        assert_eq!(cells(&outcome("close", "accuracy", Better::More, None, &[90.0, 90.1]))[3], "90.05 ± 0.07");
        assert_eq!(cells(&outcome("closest", "accuracy", Better::More, None, &[0.5, 0.501]))[3], "0.50 ± 7.1e-4");
        assert!(text.contains("a bad rule: test accuracy, %: 15.00 below the paper's 95.00\n"), "{text}");
        assert!(text.contains("zero hidden weights, %: 50.00 below the paper's 90.00\n"), "{text}");
        assert!(!text.contains("a good rule: "), "{text}");
        assert!(text.contains("1 of 2 networks are above it"), "{text}");
        assert!(text.contains("a bad rule: 10.00 below it"), "{text}");
    }

    #[test]
    fn the_report_says_so_where_nothing_falls_short() {
        let text = markdown(&about(), &outcomes()[..2], &[], "");
        assert!(text.contains("Nowhere: "), "{text}");
        let text = markdown(&about(), &outcomes()[..1], &[], "");
        assert!(text.contains("no figure for what was run"), "{text}");
    }

    #[test]
    fn networks_that_learned_from_few_images_are_not_compared_with_a_regression_on_all() {
        use neuropil::systems::hebbian::experiment::{Images, rows};
        let mut outcomes = outcomes();
        let few = "non-negative, 1 image a class: this rule (the paper's: 45 to 55)";
        assert!(rows(Images::Mnist).iter().any(|row| row.shots.is_some() && row.description == few));
        outcomes.push(outcome(few, "test accuracy from few images, %", Better::More, Some(45.0), &[41.0]));
        let text = markdown(&about(), &outcomes, &[], "");
        let beside = text.split("## Beside softmax regression").nth(1).unwrap();
        assert!(beside.contains("1 of 2 networks are above it") && !beside.contains("1 image a class"), "{text}");
        assert!(text.contains("test accuracy from few images, %: 4.00 below the paper's 45.00"), "{text}");
    }

    #[test]
    fn every_quantity_is_judged_by_what_is_better_in_it() {
        let short = |better, paper, ours| shortfall(&outcome("e", "q", better, Some(paper), &[ours])).is_some();
        // A name without the word accuracy, of which more is better.
        let line = shortfall(&outcome("evolution", "after SignSGD, %", Better::More, Some(86.3), &[86.2]));
        assert_eq!(line.unwrap(), "- evolution: after SignSGD, %: 0.10 below the paper's 86.30");
        assert!(!short(Better::More, 86.3, 86.4));
        assert!(short(Better::Less, -8.0, -7.5) && !short(Better::Less, -8.0, -9.0));
        assert!(
            short(Better::Nearer, 0.75, 0.84)
                && short(Better::Nearer, 25.0, 18.6)
                && !short(Better::Nearer, 25.0, 27.0)
        );
        // Alike in two decimals; in three; and below a hundredth.
        assert!(!short(Better::Less, 0.0, 1e-9) && !short(Better::Less, 0.009, 0.0094));
        assert!(short(Better::Less, 0.009, 0.0149) && short(Better::Less, 1e-5, 1.2e-5));
        assert!(short(Better::More, 50.0, f64::NAN) && short(Better::Less, 50.0, f64::NAN));
    }

    #[test]
    fn bars_do_not_end_cells() {
        let theory = [outcome("e", "least |W p - a| / |a|", Better::Less, Some(0.0), &[0.5])];
        let text = markdown(&about(), &theory, &[], "");
        assert!(text.contains(r"| e | least \|W p - a\| / \|a\| | 0.00 | 0.50 | +0.50 |"), "{text}");
        assert!(text.contains(r"- e: least \|W p - a\| / \|a\|: 0.50 above the paper's 0.00"), "{text}");
    }

    #[test]
    fn the_quick_report_says_what_is_less() {
        let text = markdown(&Circumstances { quick: Some("it is shorter"), ..about() }, &outcomes(), &[], "");
        assert!(text.contains("the quick reproduction: it is shorter. The paper's figures"), "{text}");
    }

    #[test]
    fn results_have_the_promised_keys() {
        let results: serde_json::Value = serde_json::from_str(&json(&outcomes()).unwrap()).unwrap();
        for key in ["system", "experiment", "quantity", "better", "paper", "ours", "spread", "runs", "seconds"] {
            assert!(results[1].get(key).is_some(), "{key}");
        }
        assert_eq!(results[0]["paper"], serde_json::Value::Null);
        let of = |quantity| outcome("e", quantity, Better::Nearer, None, &[100.0 * 0.119, 4e-13]);
        let text = json(&[of("zero hidden weights, %"), of("loss")]).unwrap();
        assert!(text.contains("11.9,\n") && text.contains("11.899999999999999,\n") && text.contains("4e-13"), "{text}");
    }

    #[test]
    fn a_report_of_no_images_does_not_talk_of_them() {
        let told = |images: &str| markdown(&Circumstances { images: images.to_owned(), ..about() }, &[], &[], "");
        assert!(told("MNIST").contains("Accuracies are on the test images"));
        assert!(!told(NO_IMAGES).contains("test images"));
    }
}
