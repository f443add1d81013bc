//! What the command writes: standard output that may close early, and files that are never half written.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use neuropil::Error;
pub(crate) use neuropil::systems::replace::replace as write_file;

use crate::failure::Failure;

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
