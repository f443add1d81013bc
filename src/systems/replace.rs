//! Files that are replaced in one step: a temporary file in the same directory, flushed to the disk, then renamed over the name asked for, then
//! the directory flushed.
//!
//! Each writer has a temporary file of its own, `.NAME.NUMBER.tmp`, and holds a lock on it. What a killed process leaves is not locked, and goes
//! when the next one saves to the same name.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

const SUFFIX: &str = ".tmp";

/// Finds out whether a checkpoint can be saved under this name, and removes what killed processes left of theirs.
///
/// # Errors
/// [`Error::Io`] if no file can be created in that directory, [`Error::Setting`] if the path does not end with a name.
pub fn prepare(path: &Path) -> Result<()> {
    let (_file, temporary) = temporary(path)?;
    fs::remove_file(&temporary).map_err(|error| Error::io("remove", &temporary, error))
}

/// Replaces a file in one step.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let (mut file, temporary) = temporary(path)?;
    // Opened before anything is replaced. Not every system can open a directory, and not every user may list one that he may write to.
    #[cfg(unix)]
    let directory = File::open(directory_of(path)).ok();
    let result = (|| {
        file.write_all(bytes).map_err(|error| Error::io("write", &temporary, error))?;
        file.sync_all().map_err(|error| Error::io("flush", &temporary, error))?;
        fs::rename(&temporary, path).map_err(|error| Error::io("rename", path, error))
    })();
    if result.is_err() {
        // The first failure is the one to report; a temporary that cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    // The rename itself must survive a power cut.
    #[cfg(unix)]
    if let Some(directory) = directory {
        directory.sync_all().map_err(|error| Error::io("flush", directory_of(path), error))?;
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file beside `path`, locked, and its name. Those of the same kind that nobody holds a lock on are removed.
fn temporary(path: &Path) -> Result<(File, PathBuf)> {
    let name = path.file_name().ok_or_else(|| Error::setting("checkpoint", "the name of a file", path.display()))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let directory = directory_of(path);
    clean(directory, &prefix);
    // Numbers are taken until one is free: processes of two machines, or of two containers, may have one process number.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = prefix.clone();
        name.push(format!("{}-{}{SUFFIX}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = directory.join(name);
        let file = match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            created => created.map_err(|error| Error::io("create", &temporary, error))?,
        };
        // Where there are no locks, nobody cleans up either.
        let _ = file.lock();
        // Another process may have found the file in the moment before it was locked, and removed it.
        if temporary.exists() {
            return Ok((file, temporary));
        }
    }
}

/// Removes files of this beginning that nobody holds a lock on. What cannot be removed is left: it harms nothing.
fn clean(directory: &Path, prefix: &OsStr) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (name, prefix) = (entry.file_name(), prefix.as_encoded_bytes());
        let number = name.as_encoded_bytes().strip_prefix(prefix).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        if !number.is_some_and(|number| number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')) {
            continue;
        }
        // Held until it is removed.
        if let Ok(file) = File::options().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
