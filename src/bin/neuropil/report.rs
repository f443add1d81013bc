//! What a reproduction says: a table for the terminal, a report in Markdown, results in JSON.

use comfy_table::{CellAlignment, Table, presets};
use neuropil::Isa;
use neuropil::systems::Outcome;

use crate::failure::Failure;
use crate::figures::Figure;
use crate::progress::duration;

/// Under what circumstances the results came about.
pub(crate) struct Circumstances {
    /// What the paper is about.
    pub(crate) title: &'static str,
    pub(crate) departures: &'static [&'static str],
    pub(crate) quick: bool,
    pub(crate) interrupted: bool,
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

fn cells(outcome: &Outcome) -> [String; 5] {
    let spread = if outcome.runs.len() > 1 { format!(" ± {:.2}", outcome.spread) } else { String::new() };
    [
        outcome.experiment.clone(),
        outcome.quantity.clone(),
        outcome.paper.map_or("-".to_owned(), |paper| format!("{paper:.2}")),
        format!("{:.2}{spread}", outcome.ours),
        outcome.paper.map_or(String::new(), |paper| format!("{:+.2}", outcome.ours - paper)),
    ]
}

/// A table for the terminal.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for outcome in outcomes {
        table.add_row(cells(outcome));
    }
    for column in 2..HEADER.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `results.json`: a list of outcomes.
pub(crate) fn json(outcomes: &[Outcome]) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(outcomes);
    text.map(|text| text + "\n").map_err(|error| Failure::Message(format!("cannot write the results as JSON: {error}")))
}

/// Whether more is better in this quantity.
fn is_accuracy(outcome: &Outcome) -> bool {
    outcome.quantity.contains("accuracy")
}

/// `report.md`.
pub(crate) fn markdown(about: &Circumstances, outcomes: &[Outcome], figures: &[Figure], suffix: &str) -> String {
    let mut text = format!("# {}: the paper's figures and ours\n\n", about.title);
    if about.interrupted {
        text += "**Interrupted**: only what was finished is here.\n\n";
    }
    text += &format!("- images: {}\n", about.images);
    text += &format!("- runs of each experiment: {}, seeds from {}\n", about.runs, about.seed);
    let cpu = about.cpu.as_ref().map_or(String::new(), |cpu| format!(" on {cpu}"));
    let threads = if about.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", about.threads) };
    text += &format!("- {} in all, {} with {threads}{cpu}\n", duration(about.seconds), about.isa);
    text += &format!("- neuropil {}\n\n", env!("CARGO_PKG_VERSION"));
    text += "Accuracies are on the test images, after the last step of a schedule fixed beforehand. ";
    text += if about.runs > 1 {
        "Ours is the mean over the runs ± the sample standard deviation.\n\n"
    } else {
        "Ours is one run.\n\n"
    };
    if about.quick {
        text += "This is the quick reproduction: the networks saw 2000 training images and are measured on 1000, where the \
                 paper's saw 60,000 and were measured on 10,000. The paper's figures are printed for orientation; what can be \
                 compared is how the rows stand to each other.\n\n";
    }

    text += &format!("| {} | time |\n|---|---|---:|---:|---:|---:|\n", HEADER.join(" | "));
    for outcome in outcomes {
        text += &format!("| {} | {} |\n", cells(outcome).join(" | "), duration(outcome.seconds));
    }
    text += "\n## Where ours falls short\n\n";
    let mut short = Vec::new();
    for outcome in outcomes {
        let Some(paper) = outcome.paper else { continue };
        let difference = outcome.ours - paper;
        if is_accuracy(outcome) && difference < 0.0 {
            short.push(format!("- {}: {:.2} below the paper's {paper:.2} %", outcome.experiment, -difference));
        } else if !is_accuracy(outcome) && difference.abs() > 5.0 {
            let name = &outcome.quantity;
            short.push(format!("- {}: {name}: {difference:+.1} from the paper's {paper:.0}", outcome.experiment));
        }
    }
    let compared = outcomes.iter().filter(|outcome| outcome.paper.is_some()).count();
    text += &match (short.is_empty(), compared) {
        (_, 0) => "The paper has no figure for what was run.\n".to_owned(),
        (true, _) => "Nowhere: every accuracy is at least the paper's.\n".to_owned(),
        (false, _) => short.join("\n") + "\n",
    };
    text += &against_regression(outcomes);
    if about.runs > 1 {
        text += "\n## Seed by seed\n\n";
        for outcome in outcomes {
            let runs: Vec<String> = outcome.runs.iter().map(|value| format!("{value:.2}")).collect();
            text += &format!("- {}: {}: {}\n", outcome.experiment, outcome.quantity, runs.join(", "));
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

/// Which networks beat a linear classifier of the same images, if one was trained.
fn against_regression(outcomes: &[Outcome]) -> String {
    let accuracies = || outcomes.iter().filter(|outcome| is_accuracy(outcome));
    let Some(regression) = accuracies().find(|outcome| outcome.experiment.contains("softmax regression")) else {
        return String::new();
    };
    let others = || accuracies().filter(|outcome| outcome.experiment != regression.experiment);
    let below: Vec<String> = others()
        .filter(|outcome| outcome.ours <= regression.ours)
        .map(|outcome| format!("- {}: {:.2} below it", outcome.experiment, regression.ours - outcome.ours))
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
    use neuropil::systems::Better;

    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let accuracy = |experiment: &str, paper, runs| {
            Outcome::new("hebbian", experiment, "test accuracy, %", Better::More, paper, runs, 1.0)
        };
        vec![
            accuracy("MNIST: softmax regression on pixels", None, vec![90.0]),
            accuracy("MNIST: a good rule", Some(95.0), vec![96.0, 98.0]),
            accuracy("MNIST: a bad rule", Some(95.0), vec![80.0]),
            Outcome::new(
                "hebbian",
                "MNIST: a bad rule",
                "zero hidden weights, %",
                Better::Nearer,
                Some(90.0),
                vec![40.0],
                1.0,
            ),
        ]
    }

    fn about() -> Circumstances {
        Circumstances {
            title: "A rule",
            departures: &["It departs."],
            quick: false,
            interrupted: false,
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
    fn the_report_says_where_ours_falls_short() {
        let text = markdown(&about(), &outcomes(), &[], "");
        assert!(text.contains("| MNIST: a good rule | test accuracy, % | 95.00 | 97.00 ± 1.41 | +2.00 |"), "{text}");
        assert!(text.contains("a bad rule: 15.00 below the paper's 95.00 %"), "{text}");
        assert!(text.contains("zero hidden weights, %: -50.0 from the paper's 90"), "{text}");
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
    fn results_have_the_promised_keys() {
        let results: serde_json::Value = serde_json::from_str(&json(&outcomes()).unwrap()).unwrap();
        for key in ["system", "experiment", "quantity", "paper", "ours", "spread", "runs", "seconds"] {
            assert!(results[1].get(key).is_some(), "{key}");
        }
        assert_eq!(results[0]["paper"], serde_json::Value::Null);
    }
}
