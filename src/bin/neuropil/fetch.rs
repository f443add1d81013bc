//! Downloads data sets: mirrors in turn, resumed, bounded, verified, and put in place whole.
//!
//! An archive is first collected in `.NAME.part` beside its files, under an exclusive lock. A connection that breaks, or a
//! program that is killed, leaves that file, and the next attempt asks for the rest of it by a range request; where a
//! server sends whole files alone, as much is passed over. Nothing a server says is believed: what arrives is bounded by
//! what the archive can sensibly take, and only files whose SHA-256 is right are renamed to their place. A partial file
//! that turns out wrong is thrown away, and the next mirror tried.

mod download;
mod unpack;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use neuropil::Error;
use neuropil::datasets::{Set, storage};
use sha2::{Digest, Sha256};

use download::{Arrived, download};
use unpack::{BESIDE, unpack};

use crate::data::hexadecimal;
use crate::failure::Failure;
use crate::output::create_directory;

/// SHA-256 by file name.
pub(crate) type Digests = BTreeMap<String, String>;

/// A file of a set, as it lies on the disk in the end.
struct Target {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

const MNIST: [Target; 4] = [
    Target {
        name: "train-images-idx3-ubyte",
        bytes: 47_040_016,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    Target {
        name: "train-labels-idx1-ubyte",
        bytes: 60_008,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    Target {
        name: "t10k-images-idx3-ubyte",
        bytes: 7_840_016,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    Target {
        name: "t10k-labels-idx1-ubyte",
        bytes: 10_008,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

const CIFAR10: [Target; 6] = [
    Target {
        name: "data_batch_1.bin",
        bytes: 30_730_000,
        sha256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    },
    Target {
        name: "data_batch_2.bin",
        bytes: 30_730_000,
        sha256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    },
    Target {
        name: "data_batch_3.bin",
        bytes: 30_730_000,
        sha256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    },
    Target {
        name: "data_batch_4.bin",
        bytes: 30_730_000,
        sha256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    },
    Target {
        name: "data_batch_5.bin",
        bytes: 30_730_000,
        sha256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    Target {
        name: "test_batch.bin",
        bytes: 30_730_000,
        sha256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
];

/// The mirrors of a set and the files it consists of.
fn source(set: Set) -> (&'static [&'static str], &'static [Target]) {
    match set {
        Set::Mnist => (
            &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
            &MNIST,
        ),
        Set::Cifar10 => (
            &[
                "https://www.cs.toronto.edu/~kriz",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
            ],
            &CIFAR10,
        ),
        other => unreachable!("the command line offers no set {other}"),
    }
}

/// The file of a set that has this digest.
pub(crate) fn known(sha256: &str) -> Option<(Set, &'static str)> {
    let mut sets = Set::ALL.iter().copied();
    sets.find_map(|set| Some((set, source(set).1.iter().find(|target| target.sha256 == sha256)?.name)))
}

/// Checks a mirror's URL.
pub(crate) fn mirror(url: &str) -> Result<String, String> {
    let parsed: ureq::http::Uri = url.parse().map_err(|e| format!("not a URL: {e}"))?;
    match (parsed.scheme_str(), parsed.host()) {
        (Some("http" | "https"), Some(_)) if parsed.query().is_none() => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err("expected http://HOST/PATH or https://HOST/PATH".to_owned()),
    }
}

/// Something to download, and the files inside.
struct Archive<'a> {
    name: String,
    tar: bool,
    targets: Vec<(&'a Target, String)>,
}

impl Archive<'_> {
    /// The most bytes it may have: as many as its files, which it compresses, and room for headers.
    fn limit(&self) -> u64 {
        self.targets.iter().map(|(target, _)| target.bytes).sum::<u64>() + BESIDE
    }
}

/// Why an attempt came to nothing.
enum Trouble {
    /// The mirror does not answer, refuses, or breaks off: what has arrived is good for another attempt.
    Mirror(String),
    /// What has arrived is wrong.
    Contents(String),
    /// This machine fails: no mirror can help.
    Here(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Here(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Mirror(text) | Trouble::Contents(text) => f.write_str(text),
            Trouble::Here(error) => error.fmt(f),
        }
    }
}

/// Attempts at one mirror: each but the first must be earned by new bytes.
const ATTEMPTS: usize = 20;

/// Puts the files of a set into a folder; those that are there and right stay.
pub(crate) fn fetch(
    set: Set,
    folder: &Path,
    mirrors: &[String],
    digests: Option<&Digests>,
    timeout: Duration,
) -> Result<(), Failure> {
    create_directory(folder)?;
    let (public, targets) = source(set);
    let mirrors: Vec<&str> = match mirrors {
        [] => public.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    };
    // The public mirrors are to be reached, redirections included, by HTTPS; whoever names a mirror knows its scheme.
    let agent = agent(timeout, mirrors == public);
    let mut wanted = Vec::new();
    for target in targets {
        let sha256 = match digests {
            None => target.sha256.to_owned(),
            Some(digests) => digests
                .get(target.name)
                .cloned()
                .ok_or_else(|| Failure::Message(format!("--digests: no digest of {}", target.name)))?,
        };
        wanted.push((target, sha256));
    }
    let archives = match set {
        Set::Cifar10 => vec![Archive { name: "cifar-10-binary.tar.gz".to_owned(), tar: true, targets: wanted }],
        _ => wanted
            .into_iter()
            .map(|wanted| Archive { name: format!("{}.gz", wanted.0.name), tar: false, targets: vec![wanted] })
            .collect(),
    };
    archives.iter().try_for_each(|archive| fetch_archive(&agent, archive, folder, &mirrors))
}

fn agent(timeout: Duration, https_only: bool) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .https_only(https_only)
        .http_status_as_error(false)
        .user_agent(concat!("neuropil/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .timeout_per_write(Some(timeout));
    config.build().into()
}

/// A line for the user, on standard error.
fn say(text: &str) {
    // If standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

fn fetch_archive(agent: &ureq::Agent, archive: &Archive<'_>, folder: &Path, mirrors: &[&str]) -> Result<(), Failure> {
    let path = folder.join(format!(".{}.part", archive.name));
    let mut said = Vec::new();
    if !path.exists() && all_present(archive, folder, &mut said)? {
        return Ok(());
    }
    let mut part = open_part(&path)?;
    // Looked at once more, now that nobody else fetches it: another process may just have finished. Or there is what an earlier download left,
    // killed when it had unpacked, or overtaken by files from elsewhere.
    if all_present(archive, folder, &mut said)? {
        return Ok(remove_part(part, &path)?);
    }
    let mut troubles = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}/{}", archive.name);
        match fetch_from(agent, &url, archive, folder, &mut part, &path) {
            Ok(()) => return Ok(remove_part(part, &path)?),
            Err(Trouble::Here(error)) => return Err(error.into()),
            Err(trouble) => {
                // Of one alone the error that follows says it.
                if mirrors.len() > 1 {
                    say(&format!("{url}: {trouble}"));
                }
                troubles.push(format!("\n  {url}: {trouble}"));
            }
        }
    }
    let kept = length(&part, &path)?;
    let advice = match kept {
        0 => {
            // Nothing worth keeping; that it stays is no failure.
            let _ = remove_part(part, &path);
            "nothing usable has arrived".to_owned()
        }
        kept => format!("{kept} bytes of it are kept, and the same command resumes there"),
    };
    Err(Failure::Message(format!("could not fetch {}: {advice}{}", archive.name, troubles.concat())))
}

/// Opens and locks the partial file.
fn open_part(path: &Path) -> Result<File, Failure> {
    loop {
        let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let part = open.map_err(|e| Error::io("open", path, e))?;
        match part.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::Message(format!("{}: another process is fetching it", path.display())));
            }
            // Without locks two processes at once can only spoil each other's partial file, which its digest shows.
            Err(TryLockError::Error(_)) => {}
        }
        // The one who had the lock until now may have removed the file that was opened here.
        if is_at(&part, path)? {
            return Ok(part);
        }
    }
}

/// Whether this is the file that the path leads to.
fn is_at(part: &File, path: &Path) -> Result<bool, Error> {
    let there = match fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let held = part.metadata().map_err(|e| Error::io("open", path, e))?;
        Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = (part, there);
        Ok(true)
    }
}

/// Removes the partial file before its lock goes, so that whoever gets that finds out; one that is gone already is no failure.
fn remove_part(part: File, path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    };
    drop(part);
    removed
}

/// Whether every file of an archive is in place and right. Tells the user of each, except what was said before.
fn all_present(archive: &Archive<'_>, folder: &Path, said: &mut Vec<String>) -> Result<bool, Error> {
    let mut all = true;
    let mut tell = |text: String| {
        if !said.contains(&text) {
            say(&text);
            said.push(text);
        }
    };
    for (target, sha256) in &archive.targets {
        let path = folder.join(target.name);
        match storage::open_regular(&path) {
            Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => all = false,
            Err(error) => return Err(error),
            Ok((file, _)) => {
                let found = sha256_of(file).map_err(|e| Error::io("read", &path, e))?;
                match found == *sha256 {
                    true => tell(format!("{}: already there, verified", path.display())),
                    false => {
                        tell(format!("{}: there, but its SHA-256 is wrong; it will be replaced", path.display()));
                        all = false;
                    }
                }
            }
        }
    }
    Ok(all)
}

fn sha256_of(file: File) -> io::Result<String> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut hasher = Sha256::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hexadecimal(&hasher.finalize()));
        }
        hasher.update(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
}

/// Downloads from one mirror until the archive is whole, verifies and unpacks it.
fn fetch_from(
    agent: &ureq::Agent,
    url: &str,
    archive: &Archive<'_>,
    folder: &Path,
    part: &mut File,
    path: &Path,
) -> Result<(), Trouble> {
    // Bytes of an earlier run or another mirror may be to blame when the sum is wrong: then this mirror is asked once
    // more for the whole.
    let mut clean = length(part, path)? == 0;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = length(part, path)?;
        let outcome = match download(agent, url, archive, part, path) {
            Ok(Arrived::Some) => unpack(archive, folder, part, path),
            // Cut off with nothing to follow is wrong.
            Ok(Arrived::NothingMore) => unpack(archive, folder, part, path).map_err(|trouble| match trouble {
                Trouble::Mirror(text) => Trouble::Contents(text),
                other => other,
            }),
            Err(trouble) => Err(trouble),
        };
        let after = length(part, path)?;
        match outcome {
            Err(Trouble::Contents(text)) => {
                truncate(part, path)?;
                if clean {
                    return Err(Trouble::Contents(text));
                }
                say(&format!("{}: {text}; starting again", archive.name));
                clean = true;
            }
            Err(Trouble::Mirror(text)) if after > before && attempt < ATTEMPTS => {
                say(&format!("{}: {text}; resuming at byte {after}", archive.name));
            }
            done => return done,
        }
    }
}

fn length(part: &File, path: &Path) -> Result<u64, Error> {
    Ok(part.metadata().map_err(|e| Error::io("ask the length of", path, e))?.len())
}

fn truncate(part: &File, path: &Path) -> Result<(), Error> {
    part.set_len(0).map_err(|e| Error::io("truncate", path, e))
}
