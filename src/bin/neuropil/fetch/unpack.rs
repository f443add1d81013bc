//! Archives that are whole become verified files, and only then take their places.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use neuropil::Error;
use neuropil::systems::replace::Replacement;
use sha2::{Digest, Sha256};

use super::{Archive, Target, Trouble, say};
use crate::data::hexadecimal;

/// Unpacks a whole archive into verified files, and only if all are right puts them in their places.
pub(super) fn unpack(archive: &Archive<'_>, folder: &Path, part: &mut File, path: &Path) -> Result<(), Trouble> {
    part.sync_data().map_err(|e| Error::io("write", path, e))?;
    part.seek(SeekFrom::Start(0)).map_err(|e| Error::io("read", path, e))?;
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, part));
    let mut done: Vec<(Replacement, PathBuf)> = Vec::new();
    if archive.tar {
        let beside = Rc::new(Cell::new(Some(BESIDE)));
        let mut tar = tar::Archive::new(Frugal { inner: decoder, left: Rc::clone(&beside) });
        for entry in tar.entries().map_err(|e| damaged(&e))? {
            let mut entry = entry.map_err(|e| damaged(&e))?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            // Only the last part of a name counts, and only to choose among our own: no archive says where files go.
            let name = entry.path().map_err(|e| damaged(&e))?.file_name().map(|name| name.to_os_string());
            let wanted = archive.targets.iter().find(|(target, _)| name.as_deref() == Some(target.name.as_ref()));
            let Some((target, sha256)) = wanted else { continue };
            let place = folder.join(target.name);
            if done.iter().all(|(_, path)| *path != place) {
                let left = beside.replace(None);
                let extracted = extract(&mut entry, target, sha256, &place)?;
                beside.set(left);
                done.push((extracted, place));
            }
        }
        let missing =
            archive.targets.iter().find(|(target, _)| done.iter().all(|(_, path)| !path.ends_with(target.name)));
        if let Some((target, _)) = missing {
            return Err(Trouble::Contents(format!("{} is not in the archive", target.name)));
        }
    } else {
        for (target, sha256) in &archive.targets {
            let place = folder.join(target.name);
            done.push((extract(&mut decoder, target, sha256, &place)?, place));
        }
    }
    for (file, place) in done {
        file.finish()?;
        say(&format!("{}: verified", place.display()));
    }
    Ok(())
}

/// Tables, texts and padding of an archive beside the files themselves are small.
pub(super) const BESIDE: u64 = 1 << 20;

/// What reads an archive only so far. The `tar` crate takes names and attributes into memory, however long they are said to be.
struct Frugal<R> {
    inner: R,
    /// Bytes that may still be read; any number while it is one of the wanted files.
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Frugal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(left) = self.left.get() {
            let left = left.checked_sub(count as u64);
            self.left.set(Some(left.unwrap_or(0)));
            if left.is_none() {
                return Err(io::Error::other(format!("more than {BESIDE} bytes beside its files")));
            }
        }
        Ok(count)
    }
}

/// A compressed stream that ends early asks for more of it; any other fault is final.
fn damaged(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Trouble::Mirror("the archive is cut off".to_owned()),
        _ => Trouble::Contents(format!("the archive is damaged: {error}")),
    }
}

/// Copies one file out of an archive to a temporary one beside its place, and checks its size and SHA-256.
fn extract(from: &mut impl Read, target: &Target, sha256: &str, place: &Path) -> Result<Replacement, Trouble> {
    let mut file = Replacement::new(place)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    // One byte above the size is read, and shows that there are more; reading to the end checks gzip's own sum.
    let mut from = from.take(target.bytes + 1);
    let mut size = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged(&error)),
        };
        hasher.update(&buffer[..count]);
        file.write(&buffer[..count])?;
        size += count as u64;
    }
    if size > target.bytes {
        return Err(Trouble::Contents(format!("{} has more than its {} bytes", target.name, target.bytes)));
    }
    let found = hexadecimal(&hasher.finalize());
    if found != sha256 {
        let text = format!("{} has SHA-256 {found} ({size} bytes), expected {sha256}", target.name);
        return Err(Trouble::Contents(text));
    }
    Ok(file)
}
