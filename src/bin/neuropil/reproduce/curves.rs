//! Learning curves, and tables beside the figures.

use std::borrow::Cow;
use std::collections::BTreeSet;

use neuropil::systems::CurvePoint;

/// Whose lines a figure shows, by their seeds.
pub(super) fn of_runs(seeds: impl Iterator<Item = u64>) -> String {
    let seeds: BTreeSet<u64> = seeds.collect();
    match seeds.first() {
        Some(seed) if seeds.len() == 1 => format!("The run of seed {seed}."),
        _ => format!("Means of {} runs, in bands from their least to their largest.", seeds.len()),
    }
}

/// Test accuracies, in per cent, of the last phase that has any.
pub(super) fn accuracies(curve: &[CurvePoint]) -> Vec<(f64, f64)> {
    let measured = || curve.iter().filter_map(|point| Some((point, point.accuracy?)));
    let Some((last, _)) = measured().next_back() else { return Vec::new() };
    let of_it = measured().filter(|(point, _)| point.phase == last.phase);
    of_it.map(|(point, accuracy)| (point.step as f64, 100.0 * accuracy)).collect()
}

/// Columns of a table of learning curves.
pub(crate) const CURVE: &str = "phase\tstep\tloss\ttest accuracy, %\n";

/// The lines of a learning curve in such a table, behind this. Points of hidden layers, which have neither loss nor accuracy, are left out.
pub(super) fn curve_lines(start: &str, curve: &[CurvePoint]) -> String {
    let optional = |value: Option<f64>, digits| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    let points = curve.iter().filter(|point| point.loss.is_some() || point.accuracy.is_some());
    let line = |point: &CurvePoint| {
        let (loss, accuracy) = (optional(point.loss, 6), optional(point.accuracy.map(|share| 100.0 * share), 2));
        format!("{start}\t{}\t{}\t{loss}\t{accuracy}\n", point.phase, point.step)
    };
    points.map(line).collect()
}

/// Tables as files; one without a line below its head is none.
pub(super) fn tables(
    all: impl IntoIterator<Item = (&'static str, String)>,
) -> impl Iterator<Item = (Cow<'static, str>, Vec<u8>)> {
    let written = all.into_iter().filter(|(_, text)| text.lines().nth(1).is_some());
    written.map(|(name, text)| (name.into(), text.into_bytes()))
}
