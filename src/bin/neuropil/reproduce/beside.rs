//! Which names are free: what a run writes goes beside a more complete run's files, not over them, nor over what is somebody else's.

use std::io::{ErrorKind, Read};
use std::path::Path;

use neuropil::Error;
use neuropil::datasets::storage;
use neuropil::systems::Outcome;

use super::{NO_IMAGES, Reproduction};
use crate::report::{self, Circumstances};

/// What names of files have before their extension: what an unfinished run has, or one of fewer experiments or runs, of other images or other
/// seeds, goes beside the results of a finished one, not over them; nor over those of another such run, of which there may be any number.
pub(super) fn suffix(folder: &Path, reproduction: &Reproduction, about: &Circumstances) -> String {
    let covered = |suffix: &str| {
        let file = |name| folder.join(name);
        !has_more(&file(format!("results{suffix}.json")), &reproduction.outcomes)
            && !is_of_others(&file(format!("report{suffix}.md")), about)
    };
    let kind = if !reproduction.ending.is_whole() {
        "-partial"
    } else if covered("") {
        return String::new();
    } else {
        "-some"
    };
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|suffix| covered(suffix)).expect("a number that is not taken")
}

/// Whether a report is of other images or seeds, which results do not tell, or is no report and not empty.
fn is_of_others(report: &Path, about: &Circumstances) -> bool {
    let Some(text) = written_before(report) else { return true };
    if text.trim().is_empty() {
        return false;
    }
    let lines = [report::images(about), report::seeds(about)];
    lines.into_iter().any(|(start, rest)| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.is_none_or(|found| found != NO_IMAGES && !found.ends_with(&rest))
    })
}

/// The text of a file that an earlier run may have written, empty if there is none. None if it cannot be such a file: something else of
/// that name is not to be lost.
fn written_before(file: &Path) -> Option<String> {
    const LONGEST: u64 = 1 << 20;
    match storage::open_regular(file) {
        Ok((open, length)) if length <= LONGEST => {
            let mut text = String::new();
            open.take(length).read_to_string(&mut text).ok().map(|_| text)
        }
        Err(Error::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => Some(String::new()),
        _ => None,
    }
}

/// Whether a file of results tells of an experiment that these do not, or of more runs of one.
fn has_more(file: &Path, outcomes: &[Outcome]) -> bool {
    let Some(text) = written_before(file) else { return true };
    // Something else of that name is no results either, unless it is empty.
    let Ok(former) = serde_json::from_str::<Vec<Former>>(&text) else { return !text.trim().is_empty() };
    former.iter().any(|former| {
        let same = |outcome: &&Outcome| outcome.experiment == former.experiment && outcome.quantity == former.quantity;
        outcomes.iter().find(same).is_none_or(|outcome| outcome.runs.len() < former.runs.len())
    })
}

/// What is compared of a result that was written before.
#[derive(serde::Deserialize)]
struct Former {
    experiment: String,
    quantity: String,
    /// None is no number: JSON has no word for it.
    runs: Vec<Option<f64>>,
}

/// A file's name with this before its extension.
pub(super) fn suffixed(name: &str, suffix: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}{suffix}.{extension}"),
        None => format!("{name}{suffix}"),
    }
}
