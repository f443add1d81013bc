//! Files that are replaced in one step: a temporary file in the same directory, flushed to the disk, then renamed over the name asked for, then
//! the directory flushed.
//!
//! Each writer has a temporary file of its own, `.NAME.NUMBER.tmp`, and holds a lock on it. What a killed process leaves is not locked, and goes
//! when the next one writes to the same name. A symbolic link stays, and the file it leads to is replaced, by one of the same permissions; what is
//! there and no regular file (a directory, a pipe, a device) is refused.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

const SUFFIX: &str = ".tmp";

/// Finds out whether a file can be written under this name, and removes what killed processes left of theirs.
///
/// # Errors
/// [`Error::Io`] if no file can be created in that directory or what is there is no regular file, [`Error::Setting`] if the path does not end
/// with a name.
pub fn prepare(path: &Path) -> Result<()> {
    Replacement::new(path).map(drop)
}

/// Replaces a file in one step: whoever looks finds the old contents or the new, even after a crash.
///
/// # Errors
/// As [`prepare`], and [`Error::Io`] if the file cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut replacement = Replacement::new(path)?;
    replacement.write(bytes)?;
    replacement.finish()
}

/// Writes a file in one step under a name that nothing has: of several who do so at once, one succeeds. Where files have one name only (FAT, some
/// network file systems), it takes two: a process that is killed between them leaves an empty file of that name.
///
/// # Errors
/// As [`replace`], and [`Error::Io`] of [`ErrorKind::AlreadyExists`](io::ErrorKind::AlreadyExists) if something has that name.
pub fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut replacement = Replacement::new(path)?;
    replacement.write(bytes)?;
    replacement.finish_new()
}

/// A file that is being written, and takes its place once it is finished. Dropped before that, it leaves no trace.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    /// None once it has been renamed.
    temporary: Option<PathBuf>,
    /// Where it is renamed to: `path`, or the file that a symbolic link of this name leads to.
    place: PathBuf,
    /// As it was asked for, which is what errors name.
    path: PathBuf,
}

impl Replacement {
    /// An empty file beside the one of this name.
    ///
    /// # Errors
    /// As [`prepare`].
    pub fn new(path: &Path) -> Result<Self> {
        let place = place(path)?;
        let (file, temporary) = temporary(path, &place)?;
        Ok(Replacement { file, temporary: Some(temporary), place, path: path.to_owned() })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io("write", &self.path, error))
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails; the file of that name is then as it was. Where the action is `flush` on the directory, the new file is
    /// there, but a power cut may still bring back the old one.
    pub fn finish(self) -> Result<()> {
        self.put(|temporary, place| fs::rename(temporary, place))
    }

    /// The same, but where nothing is yet.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and as [`create`].
    pub fn finish_new(self) -> Result<()> {
        self.put(|temporary, place| match fs::hard_link(temporary, place) {
            Ok(()) => {
                // It has its name: another one that stays changes nothing.
                let _ = fs::remove_file(temporary);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Where a file has one name only, an empty one takes it first.
            Err(_) => File::create_new(place).and_then(|_| {
                fs::rename(temporary, place).inspect_err(|_| {
                    let _ = fs::remove_file(place);
                })
            }),
        })
    }

    fn put(mut self, rename: impl FnOnce(&Path, &Path) -> io::Result<()>) -> Result<()> {
        // Opened before anything is replaced. Not every system can open a directory, and not every user may list one that he may write to.
        #[cfg(unix)]
        let directory = File::open(directory_of(&self.place)).ok();
        self.file.sync_all().map_err(|error| Error::io("flush", &self.path, error))?;
        if let Some(temporary) = &self.temporary {
            // Whom a file was kept from does not get its successor.
            #[cfg(unix)]
            if let Ok(old) = fs::metadata(&self.place) {
                self.file
                    .set_permissions(old.permissions())
                    .map_err(|error| Error::io("set the permissions of", &self.path, error))?;
            }
            rename(temporary, &self.place).map_err(|error| Error::io("rename a file to", &self.path, error))?;
        }
        self.temporary = None;
        // The rename itself must survive a power cut.
        #[cfg(unix)]
        if let Some(directory) = directory {
            directory.sync_all().map_err(|error| Error::io("flush", directory_of(&self.place), error))?;
        }
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The first failure is the one to report; a temporary that cannot be removed either changes nothing.
            let _ = fs::remove_file(temporary);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where a file of this name lies, or would: at the end of the symbolic links, if there are any.
///
/// # Errors
/// As [`prepare`], of what can be said before anything is written.
pub fn place(path: &Path) -> Result<PathBuf> {
    // `a/` and `a/.` have the name `a` too, but no file is written under them.
    let named = |name: &OsStr| path.as_os_str().as_encoded_bytes().ends_with(name.as_encoded_bytes());
    if !path.file_name().is_some_and(named) {
        return Err(Error::setting("path", "the name of a file at its end", path.display()));
    }
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&place) {
            Ok(target) => place = directory_of(&place).join(target),
            Err(_) => break,
        }
    }
    let refused = |kind, why: &str| Err(Error::io("replace", path, io::Error::new(kind, why.to_owned())));
    // Of the path itself: links in `/proc` lead to pipes too, whose names no path has.
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(place),
        Err(error) => Err(Error::io("replace", path, error)),
        Ok(found) if found.is_file() => Ok(place),
        Ok(found) if found.is_dir() => refused(io::ErrorKind::IsADirectory, "it is a directory, not a file"),
        Ok(_) => refused(io::ErrorKind::InvalidInput, "it is not a regular file"),
    }
}

/// A new file beside `place`, locked, and its name. Those of the same kind that nobody holds a lock on are removed. Errors name `path`.
fn temporary(path: &Path, place: &Path) -> Result<(File, PathBuf)> {
    let name =
        place.file_name().ok_or_else(|| Error::setting("path", "the name of a file at its end", path.display()))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let directory = directory_of(place);
    clean(directory, &prefix);
    // Numbers are taken until one is free: processes of two machines, or of two containers, may have one process number.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let mut name = prefix.clone();
        name.push(format!("{}-{}{SUFFIX}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let temporary = directory.join(name);
        // Some file systems share locks with readers of the file alone.
        let file = match File::options().read(true).write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            created => created.map_err(|error| Error::io("create", path, error))?,
        };
        // Where there are no locks, nobody cleans up either. Shared: it is held while the file gets its name, where others open it to read.
        let _ = file.lock_shared();
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
        // A pipe of that name would wait for a reader.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    #[test]
    fn pipes_are_no_unfinished_files() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join(".file.123-4.tmp");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // To open it for writing would wait for a reader.
        replace(&folder.path().join("file"), b"new").unwrap();
        assert!(pipe.exists());
    }

    #[test]
    fn who_opens_a_file_that_is_being_replaced_finds_a_whole_one() {
        use crate::datasets::storage::{Bytes, MAP_FROM};
        use std::sync::atomic::AtomicBool;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // Mapped: whoever opens it asks for a lock.
        let contents = |of: u8| vec![of; MAP_FROM as usize];
        replace(&path, &contents(0)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for of in 1..40 {
                    replace(&path, &contents(of)).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            let mut opened = 0;
            while opened == 0 || !done.load(Ordering::Relaxed) {
                let bytes = Bytes::open(&path).unwrap();
                assert!(bytes.len() == MAP_FROM as usize && bytes.iter().all(|byte| *byte == bytes[0]));
                opened += 1;
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn what_takes_a_files_place_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"first").unwrap();
        for of in [0o600, 0o640, 0o664] {
            fs::set_permissions(&path, fs::Permissions::from_mode(of)).unwrap();
            replace(&path, b"next").unwrap();
            assert_eq!(mode(), of);
        }
    }

    #[test]
    fn unfinished_files_leave_nothing_and_those_of_killed_processes_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::write(folder.path().join(".file.123-4.tmp"), "of a killed process").unwrap();
        fs::write(folder.path().join(".file.123-x.tmp"), "of somebody else").unwrap();
        let mut first = Replacement::new(&path).unwrap();
        first.write(b"unfinished").unwrap();
        // The first is locked: the second leaves it alone.
        replace(&path, b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 3, "{:?}", names(folder.path()));
        drop(first);
        assert_eq!(names(folder.path()), [".file.123-x.tmp", "file"]);
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn of_many_who_create_one_file_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8u8)
                .map(|writer| {
                    scope.spawn({
                        let path = &path;
                        move || create(path, &[writer; 1000])
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [winner as u8; 1000]);
        for (writer, outcome) in outcomes.iter().enumerate().filter(|(writer, _)| *writer != winner) {
            let there = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            assert!(matches!(outcome, Err(Error::Io { cause, .. }) if there(cause)), "{writer}: {outcome:?}");
        }
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn names_that_no_file_can_have_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for end in ["state/", "state/.", "..", "state/.."] {
            let path = folder.path().join("no").join(end);
            let error = prepare(&path).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{end}: {error}");
            assert!(matches!(replace(&path, b"x"), Err(Error::Setting { .. })), "{end}");
        }
        assert!(prepare(Path::new("")).is_err());
        let error = prepare(&folder.path().join("no/state")).unwrap_err().to_string();
        assert!(error.contains("no/state: cannot create: "), "{error}");
        assert!(prepare(folder.path()).unwrap_err().to_string().contains("it is a directory"));
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_what_is_no_file_is_left() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        use std::os::unix::net::UnixListener;

        let folder = tempfile::tempdir().unwrap();
        let (path, deep) = (|name: &str| folder.path().join(name), folder.path().join("deep"));
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("file"), "old").unwrap();
        symlink("deep/link", path("first")).unwrap();
        symlink("file", deep.join("link")).unwrap();
        replace(&path("first"), b"new").unwrap();
        assert_eq!(fs::read(deep.join("file")).unwrap(), b"new");
        assert!(path("first").is_symlink() && deep.join("link").is_symlink());
        // A link to nothing: the file comes about where it leads.
        symlink("deep/other", path("dangling")).unwrap();
        replace(&path("dangling"), b"there").unwrap();
        assert_eq!(fs::read(deep.join("other")).unwrap(), b"there");
        // One that leads to itself.
        symlink("circle", path("circle")).unwrap();
        assert!(matches!(replace(&path("circle"), b"x"), Err(Error::Io { action: "replace", .. })));
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("socket", path("to-socket")).unwrap();
        for name in ["socket", "to-socket"] {
            let error = replace(&path(name), b"x").unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("it is not a regular file"), "{error}");
        }
        assert!(fs::metadata(path("socket")).unwrap().file_type().is_socket());
        assert_eq!(names(folder.path()).len(), 6, "{:?}", names(folder.path()));
    }
}
