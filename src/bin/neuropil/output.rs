//! What the command writes: standard output that may close early, and files that are never half written.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use neuropil::Error;
use neuropil::systems::replace::place;
pub(crate) use neuropil::systems::replace::replace as write_file;

use crate::failure::Failure;

/// Refuses to write a file over one that the same command reads or writes under another option.
pub(crate) fn apart(written: (&str, Option<&Path>), others: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    let (option, Some(path)) = written else { return Ok(()) };
    match others.iter().find(|(_, other)| other.is_some_and(|other| same(other, path))) {
        Some((other, _)) => Err(Failure::Usage(format!(
            "{option}: expected another file than that of {other}, found {}",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Whether two paths lead to one file or folder, or will.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    whole(one) == whole(other)
}

/// The one path of a file that is there or may come to be, links followed, to nothing too.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let place = place(path).unwrap_or_else(|_| path.to_owned());
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        place.file_name().map_or_else(|| place.clone(), |name| folder.join(name))
    })
}

/// Writes a text to standard output.
///
/// A reader that went away (`neuropil info | head -1`) is no failure: the rest is dropped, and the files and exit code of the
/// command do not depend on it. Any other refusal, a full disk say, is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Message(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// A table without lines, these columns to the right.
pub(crate) fn table(mut table: Table, right: impl IntoIterator<Item = usize>) -> String {
    table.load_style(presets::NOTHING);
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Prints a value as indented JSON.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Makes a directory and its parents, where they are missing.
pub(crate) fn create_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| {
        let there = path.ancestors().find(|above| above.symlink_metadata().is_ok());
        match there.filter(|there| !there.is_dir()) {
            Some(obstacle) => {
                let found = if obstacle.exists() { "a file" } else { "a symbolic link to nothing" };
                let reason = format!("expected a folder, found {found}");
                Error::io("create", obstacle, io::Error::new(error.kind(), reason)).into()
            }
            None => Error::io("create", path, error).into(),
        }
    })
}
