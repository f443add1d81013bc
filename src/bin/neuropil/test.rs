//! `neuropil test`: how a saved network classifies images, those it learned from or others.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use neuropil::datasets::Dataset;
use neuropil::systems::checkpoint;
use serde_json::json;

use crate::failure::Failure;
use crate::output;
use crate::progress::note;
use crate::source::{Machine, Source};
use crate::train::at_odds;

/// Which images of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The test images
    #[default]
    Test,
    /// The training images
    Train,
}

/// Arguments of `neuropil test`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The saved state of a network of any system
    state: PathBuf,
    /// Which images of the set
    #[arg(long, value_enum, default_value_t)]
    on: Part,
    /// Where the class of each image goes: tab-separated index, label and class, which is empty for an answer that is no number
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    machine: Machine,
}

/// Classifies, and prints the accuracy and which classes were taken for which.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    output::apart(("--predictions", arguments.predictions.as_deref()), &[("STATE", Some(&arguments.state))])?;
    arguments.predictions.as_deref().map_or(Ok(()), output::prepare)?;
    let mut context = arguments.machine.context()?;
    let learner = checkpoint::load(&arguments.state)?;
    let (name, data) = arguments.source.open()?;
    let (part, images) = match arguments.on {
        Part::Test => ("test", &data.test),
        Part::Train => ("training", &data.train),
    };
    if !learner.finished() {
        note("its training is not finished");
    }
    let wrong = |error| at_odds(&arguments.state, name, error);
    let accuracy = output::percent(learner.accuracy(&mut context, images).map_err(wrong)?);
    // A population that learned fewer classes is measured on those.
    let known: Vec<u32> =
        (0..images.len() as u32).filter(|&at| usize::from(images.labels()[at as usize]) < learner.classes()).collect();
    let left_out = images.len() - known.len();
    let images = &images.subset(&known)?;
    if left_out > 0 {
        note(&format!("{left_out} images of classes that it did not learn are left out"));
    }
    let classes = learner.classify(&mut context, images).map_err(wrong)?;
    if let Some(path) = &arguments.predictions {
        output::write_file(path, predictions(images, &classes).as_bytes())?;
    }
    let confusion = confusion(images, learner.classes(), &classes);
    if arguments.json {
        return output::json(&json!({
            "system": learner.kind(),
            "images": name,
            "part": part,
            "count": images.len(),
            "accuracy_percent": accuracy,
            "confusion": confusion,
        }));
    }
    let head = format!("{} on {name}: {} {part} images\naccuracy: {accuracy:.2} %\n", learner.kind(), images.len());
    output::print(&format!("{head}\n{}", table(&confusion)))
}

/// The class of each image beside its label.
fn predictions(images: &Dataset, classes: &[Option<u8>]) -> String {
    let mut text = "image\tlabel\tclass\n".to_owned();
    for (at, (label, class)) in images.labels().iter().zip(classes).enumerate() {
        text += &format!("{at}\t{label}\t{}\n", class.map_or(String::new(), |class| class.to_string()));
    }
    text
}

/// How many images of each label (rows) were taken for each class (columns); the last column is of answers that are no number.
fn confusion(images: &Dataset, outputs: usize, classes: &[Option<u8>]) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; outputs + 1]; images.classes()];
    for (&label, class) in images.labels().iter().zip(classes) {
        counts[usize::from(label)][class.map_or(outputs, usize::from)] += 1;
    }
    counts
}

/// Labels that occur, with the share of each that was right.
fn table(confusion: &[Vec<usize>]) -> String {
    let outputs = confusion.first().map_or(0, |row| row.len() - 1);
    let unanswered = confusion.iter().any(|row| row[outputs] > 0);
    let mut table = Table::new();
    let mut header = vec!["label".to_owned()];
    header.extend((0..outputs).map(|class| format!("as {class}")));
    header.extend(unanswered.then(|| "no answer".to_owned()));
    header.push("right, %".to_owned());
    let columns = header.len();
    table.set_header(header);
    for (label, row) in confusion.iter().enumerate() {
        let all: usize = row.iter().sum();
        if all == 0 {
            continue;
        }
        let mut cells = vec![label.to_string()];
        cells.extend(row[..outputs].iter().map(usize::to_string));
        cells.extend(unanswered.then(|| row[outputs].to_string()));
        let right = if label < outputs { row[label] } else { 0 };
        cells.push(format!("{:.2}", 100.0 * right as f64 / all as f64));
        table.add_row(cells);
    }
    output::table(table, 0..columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_counted_where_it_was_taken_to_be() {
        let split = neuropil::datasets::embedded();
        let images = split.test.subset(&[0, 1, 2]).unwrap();
        let labels: Vec<usize> = images.labels().iter().map(|&label| label.into()).collect();
        let wrong = (labels[1] + 1) % 10;
        let classes = [Some(labels[0] as u8), Some(wrong as u8), None];
        let counts = confusion(&images, 10, &classes);
        assert_eq!(counts.iter().flatten().sum::<usize>(), 3);
        assert_eq!((counts[labels[1]][wrong], counts[labels[2]][10]), (1, 1));
        assert!(counts[labels[0]][labels[0]] >= 1);
        let text = predictions(&images, &classes);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2..], [format!("1\t{}\t{wrong}", labels[1]), format!("2\t{}\t", labels[2])]);

        let printed = table(&[vec![3, 1, 0], vec![0, 0, 0], vec![1, 0, 1]]);
        let cells: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[0], ["label", "as", "0", "as", "1", "no", "answer", "right,", "%"]);
        // A label without images is left out; one that the network has no output for is never right.
        assert_eq!(cells[1..], [["0", "3", "1", "0", "75.00"], ["2", "1", "0", "1", "0.00"]]);
    }
}
