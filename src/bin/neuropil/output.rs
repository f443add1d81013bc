//! What the command writes: standard output that may close early, and files that are never half written.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use neuropil::Error;
use neuropil::systems::replace::{self, place};

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

/// Finds out, before any work is done, whether a file can be written under this name.
pub(crate) fn prepare(path: &Path) -> Result<(), Failure> {
    replaceable(path)?;
    Ok(replace::prepare(path)?)
}

/// Writes a file in one step.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replaceable(path)?;
    Ok(replace::replace(path, bytes)?)
}

/// Refuses the file behind an output of this process, which links in `/dev` and `/proc` lead to: it would go on writing to one that has lost its name.
fn replaceable(path: &Path) -> Result<(), Failure> {
    // What is no file is refused by those who would replace it.
    let Some(found) = path.metadata().ok().filter(Metadata::is_file) else { return Ok(()) };
    match own_output(&found) {
        Some(output) => {
            Err(Failure::Usage(format!("{}: expected another file than the one that {output} goes to", path.display())))
        }
        None => Ok(()),
    }
}

/// The output of this process that goes to this file.
#[cfg(unix)]
fn own_output(file: &Metadata) -> Option<&'static str> {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let (out, err) = (io::stdout(), io::stderr());
    let leads_there = |output: &dyn AsFd| {
        let held = output.as_fd().try_clone_to_owned().and_then(|held| fs::File::from(held).metadata());
        held.is_ok_and(|held| (held.dev(), held.ino()) == (file.dev(), file.ino()))
    };
    let outputs: [(&str, &dyn AsFd); 2] = [("standard output", &out), ("standard error", &err)];
    outputs.into_iter().find_map(|(name, output)| leads_there(output).then_some(name))
}

#[cfg(not(unix))]
fn own_output(_file: &Metadata) -> Option<&'static str> {
    None
}

/// Writes a text to standard output.
///
/// A reader that went away (`neuropil info | head -1`) is no failure: the rest is dropped, and the files and exit code of the
/// command do not depend on it. Any other refusal, a full disk say, is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    printed(io::stdout().write_all(text.as_bytes()))
}

/// The same of what others wrote there; `written` is how that went.
pub(crate) fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
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

/// A share in per cent, to nine decimals: 0.119 is 11.9 and not 11.899999999999999.
pub(crate) fn percent(share: f64) -> f64 {
    decimals(100.0 * share)
}

/// A number to nine decimals.
pub(crate) fn decimals(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    // So large that it has no decimals.
    if rounded.is_finite() { rounded } else { value }
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
