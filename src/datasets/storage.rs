//! File contents in memory: mapped when large, read when small; the one place outside [`simd`](crate::simd) with `unsafe`.
//!
//! # Files that change while mapped
//! A memory map is a window on the file, not a copy. If another process cuts the file off, touching a page beyond its
//! new end kills this process with `SIGBUS`; if it writes, values change under the reader. No portable call prevents
//! either, so the risk is narrowed from four sides:
//!
//! 1. A file is mapped only while this process holds a **shared lock** on it (`flock` and its kin). Programs that lock
//!    what they write, ours included, cannot touch it then; and `neuropil data fetch` never writes in place, it
//!    renames finished files, which leaves an open map on the old file whole.
//! 2. Where such a lock cannot be had (some network file systems, some platforms), the file is **read**, not mapped.
//! 3. Files below [`MAP_FROM`] bytes are read too, without asking for a lock: a map would gain nothing.
//! 4. [`Bytes::check_intact`] compares the open file's length with the map's. [`Dataset::gather`](super::Dataset::gather)
//!    calls it before every batch (a third of a microsecond), so that a file cut off between batches is an
//!    [`Error::Format`] and not a signal.
//!
//! What remains: a program that ignores locks and truncates the file between that look and the last byte used. For a batch
//! that is microseconds. Whatever goes over a whole file looks once, at its beginning, and the window is as long as it takes:
//! checking labels and decompressing when a set is opened, [`to_matrix`](super::Dataset::to_matrix),
//! [`subset`](super::Dataset::subset), the transforms of whole sets, the digest that a training begins with, the images that a hierarchy prepares,
//! and loading a checkpoint. Who cannot exclude that reads
//! the file with [`Bytes::read`], and has a copy that nobody else can reach.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Files of at least this many bytes are mapped, smaller ones read.
pub const MAP_FROM: u64 = 1 << 20;

/// The largest file that is opened: 16 GiB, a hundred times the largest of the sets this crate knows.
pub const LARGEST_FILE: u64 = 16 << 30;

enum Source {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Mapped { map: memmap2::Mmap, file: File, path: PathBuf },
}

/// Immutable bytes: a memory map, an owned copy or a static. Cloning and [slicing](Bytes::slice) share them.
#[derive(Clone)]
pub struct Bytes {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Bytes {
    fn new(source: Source) -> Self {
        let mut bytes = Bytes { source: Arc::new(source), range: 0..0 };
        bytes.range = 0..bytes.whole().len();
        bytes
    }

    fn whole(&self) -> &[u8] {
        match &*self.source {
            Source::Static(bytes) => bytes,
            Source::Owned(bytes) => bytes,
            Source::Mapped { map, .. } => map,
        }
    }

    /// Bytes of the program itself.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Bytes::new(Source::Static(bytes))
    }

    /// The file's contents: mapped if it has at least [`MAP_FROM`] bytes and can be locked, read otherwise.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, is not a regular file or is larger than [`LARGEST_FILE`]; and of one that would be
    /// mapped, if another process holds an exclusive lock on it, that is, is writing it. Smaller ones are read without asking.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, len) = open_regular(path)?;
        if len < MAP_FROM {
            return read(file, len, path);
        }
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let busy = io::Error::new(io::ErrorKind::WouldBlock, "another process is writing it");
                return Err(Error::io("lock", path, busy));
            }
            // No locks here, no map either: the first and second of the module's precautions.
            Err(TryLockError::Error(_)) => return read(file, len, path),
        }
        // Once more, now that nobody who respects locks can change it.
        let len = length(&file, path)?;
        let len = usize::try_from(len).map_err(|_| Error::io("map", path, io::ErrorKind::FileTooLarge.into()))?;
        // SAFETY: the map is read-only, and nothing in this process writes to the file. Other processes are kept off
        // by the shared lock, which `Source::Mapped` holds as long as the map; what a process that ignores locks can
        // still do, and how that is narrowed, is the module's documentation.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(&file) };
        let map = map.map_err(|e| Error::io("map", path, e))?;
        let bytes = Bytes::new(Source::Mapped { map, file, path: path.to_owned() });
        bytes.check_intact()?;
        Ok(bytes)
    }

    /// A private copy of the file's contents, which no other process can change.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, is not a regular file or is larger than [`LARGEST_FILE`].
    pub fn read(path: &Path) -> Result<Self> {
        let (file, len) = open_regular(path)?;
        read(file, len, path)
    }

    /// A part of these bytes, sharing their memory.
    ///
    /// # Panics
    /// If the range does not lie within them.
    #[must_use]
    #[track_caller]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "bytes {range:?} of {len}: out of range",
            len = self.len()
        );
        let start = self.range.start;
        Bytes { source: Arc::clone(&self.source), range: start + range.start..start + range.end }
    }

    /// Whether these bytes are a window on a file, rather than a copy.
    pub fn is_mapped(&self) -> bool {
        matches!(*self.source, Source::Mapped { .. })
    }

    /// Checks that a mapped file is still as long as its map: one system call; nothing for bytes that are not mapped.
    ///
    /// # Errors
    /// [`Error::Format`] if it became shorter, [`Error::Io`] if the system does not say.
    pub fn check_intact(&self) -> Result<()> {
        let Source::Mapped { map, file, path } = &*self.source else { return Ok(()) };
        let (len, now) = (map.len() as u64, length(file, path)?);
        if now < len {
            return Err(Error::format(
                path.display().to_string(),
                now,
                format!("{len} bytes, as when the file was opened"),
                "the end of the file: it was cut off while in use",
            ));
        }
        Ok(())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::new(Source::Owned(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.whole()[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &*self.source {
            Source::Static(_) => "static",
            Source::Owned(_) => "owned",
            Source::Mapped { .. } => "mapped",
        };
        write!(f, "{} {kind} bytes", self.len())
    }
}

/// Opens a regular file of bearable length, to be read piece by piece, and says how long it is.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened, is not a regular file or is larger than [`LARGEST_FILE`].
pub fn open_regular(path: &Path) -> Result<(File, u64)> {
    // Asking what it is comes first: opening a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "it is a folder" } else { "it is not a regular file" };
        return Err(Error::io("open", path, io::Error::new(io::ErrorKind::InvalidInput, kind)));
    }
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let len = length(&file, path)?;
    if len > LARGEST_FILE {
        let large = format!("it has {len} bytes, more than the {LARGEST_FILE} this library accepts");
        return Err(Error::io("open", path, io::Error::new(io::ErrorKind::FileTooLarge, large)));
    }
    Ok((file, len))
}

fn length(file: &File, path: &Path) -> Result<u64> {
    Ok(file.metadata().map_err(|e| Error::io("ask the length of", path, e))?.len())
}

/// Reads what is there, into memory of the length that the system named: no file is read that is longer, and one that grows meanwhile is
/// read up to there.
fn read(file: File, len: u64, path: &Path) -> Result<Bytes> {
    let mut bytes = Vec::new();
    let reserved = usize::try_from(len).is_ok_and(|len| bytes.try_reserve_exact(len).is_ok());
    if !reserved {
        return Err(Error::io("read", path, io::ErrorKind::OutOfMemory.into()));
    }
    file.take(len).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(len: u64) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap().set_len(len).unwrap();
        (folder, path)
    }

    #[test]
    fn large_files_are_mapped_small_and_empty_ones_read() {
        for (len, mapped) in [(0, false), (1, false), (MAP_FROM - 1, false), (MAP_FROM, true), (MAP_FROM + 1, true)] {
            let (_folder, path) = file_of(len);
            let bytes = Bytes::open(&path).unwrap();
            assert_eq!((bytes.len() as u64, bytes.is_mapped()), (len, mapped));
            assert!(!Bytes::read(&path).unwrap().is_mapped());
        }
    }

    #[test]
    fn a_file_cut_off_while_mapped_is_an_error_that_says_so() {
        let (_folder, path) = file_of(MAP_FROM + 5);
        let bytes = Bytes::open(&path).unwrap();
        bytes.check_intact().unwrap();
        let part = bytes.slice(3..7);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(MAP_FROM + 6).unwrap();
        part.check_intact().expect("a longer file does not harm the map");
        file.set_len(MAP_FROM + 4).unwrap();
        let error = part.check_intact().unwrap_err().to_string();
        assert!(error.contains("cut off while in use") && error.contains("1048580"), "{error}");
    }

    #[test]
    fn a_copy_outlives_its_file() {
        let (_folder, path) = file_of(MAP_FROM);
        let bytes = Bytes::read(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        bytes.check_intact().unwrap();
        assert!(bytes.iter().all(|&b| b == 0));
    }

    #[test]
    fn a_file_renamed_over_leaves_the_map_whole() {
        let (folder, path) = file_of(MAP_FROM);
        let bytes = Bytes::open(&path).unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "short").unwrap();
        std::fs::rename(&other, &path).unwrap();
        bytes.check_intact().unwrap();
        assert!(bytes.iter().all(|&b| b == 0));
    }

    #[test]
    fn a_file_someone_is_writing_is_refused_and_one_in_use_is_locked() {
        let (_folder, path) = file_of(MAP_FROM);
        let writer = File::options().write(true).open(&path).unwrap();
        writer.try_lock().unwrap();
        let error = Bytes::open(&path).unwrap_err().to_string();
        assert!(error.contains("another process is writing it"), "{error}");
        writer.unlock().unwrap();
        let first = Bytes::open(&path).unwrap();
        let _second = Bytes::open(&path).expect("readers share");
        assert!(matches!(writer.try_lock(), Err(TryLockError::WouldBlock)));
        drop((first, _second));
        writer.try_lock().expect("the lock goes with the map");
    }

    // Elsewhere a lock may keep readers off by itself.
    #[cfg(unix)]
    #[test]
    fn a_small_file_is_read_whatever_locks_there_are_and_not_locked() {
        let (_folder, path) = file_of(MAP_FROM - 1);
        let writer = File::options().write(true).open(&path).unwrap();
        writer.try_lock().unwrap();
        assert_eq!(Bytes::open(&path).unwrap().len() as u64, MAP_FROM - 1);
        writer.unlock().unwrap();
        let _read = Bytes::open(&path).unwrap();
        writer.try_lock().expect("a copy holds no lock");
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let (folder, path) = file_of(0);
        let error = Bytes::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
        let error = Bytes::open(&path.with_file_name("absent")).unwrap_err();
        assert!(matches!(&error, Error::Io { action: "open", .. }), "{error}");
        #[cfg(target_os = "linux")]
        {
            let error = Bytes::open(Path::new("/dev/zero")).unwrap_err().to_string();
            assert!(error.contains("not a regular file"), "{error}");
        }
    }

    #[test]
    fn a_file_of_absurd_length_is_refused_unread() {
        // Sparse: it occupies nothing.
        let (_folder, path) = file_of(LARGEST_FILE + 1);
        let error = Bytes::open(&path).unwrap_err().to_string();
        assert!(error.contains("17179869185 bytes"), "{error}");
        File::options().write(true).open(&path).unwrap().set_len(LARGEST_FILE).unwrap();
        assert_eq!(Bytes::open(&path).unwrap().len() as u64, LARGEST_FILE, "mapped, as no page of it is touched");
    }

    #[test]
    fn slices_of_slices_share_the_memory() {
        let bytes = Bytes::from((0..100).collect::<Vec<u8>>());
        let part = bytes.slice(10..50).slice(5..10);
        assert_eq!(&*part, &[15, 16, 17, 18, 19]);
        assert_eq!(part.as_ptr(), bytes[15..].as_ptr());
        assert!(bytes.slice(100..100).is_empty());
        assert_eq!(AsRef::<[u8]>::as_ref(&part), &[15, 16, 17, 18, 19]);
    }

    #[test]
    fn debug_output_is_where_the_bytes_are_and_not_the_bytes() {
        let (_folder, path) = file_of(MAP_FROM);
        assert_eq!(format!("{:?}", Bytes::from_static(b"abc")), "3 static bytes");
        assert_eq!(format!("{:?}", Bytes::from(vec![1, 2]).slice(0..1)), "1 owned bytes");
        assert_eq!(format!("{:?}", Bytes::open(&path).unwrap()), "1048576 mapped bytes");
    }

    #[test]
    #[should_panic(expected = "bytes 2..5 of 4: out of range")]
    fn a_slice_out_of_range_names_both() {
        let _ = Bytes::from_static(b"abcdef").slice(1..5).slice(2..5);
    }
}
