//! What the command writes: standard output that may close early, and files that are never half written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use neuropil::Error;

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

/// Prints a value as indented JSON.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&format!("{value:#}"))
}

/// Replaces a file in one step: whoever looks finds the old contents or the new, even after a crash.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let mut file = temporary_beside(path)?;
    file.write_all(contents).map_err(|e| Error::io("write", path, e))?;
    publish(file, path)
}

/// A temporary file in the folder of `path`, so that it can be renamed to it.
pub(crate) fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // As any new file has them; temporary files are otherwise their owner's secret.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.prefix(".neuropil-").tempfile_in(folder).map_err(|e| Error::io("create a file in", folder, e))
}

/// Makes a finished temporary file the file at `path`, durably.
pub(crate) fn publish(file: tempfile::NamedTempFile, path: &Path) -> Result<(), Error> {
    file.as_file().sync_all().map_err(|e| Error::io("write", path, e))?;
    file.persist(path).map_err(|e| Error::io("rename a file to", path, e.error))?;
    // The rename itself is durable once the folder is; only Unix can be asked for that.
    if cfg!(unix) {
        let folder = folder_of(path);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("write", folder, e))?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory and its parents, where they are missing.
pub(crate) fn create_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Error::io("create", path, error).into())
}
