//! `neuropil data`: fetches data sets, says what a file is, cuts small sets out of full ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use neuropil::Error;
use neuropil::datasets::{self, Dataset, Set, Split, batches, cifar, gz, idx, storage};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::fetch;
use crate::output::{create_directory, json, print, same, write_file};
use crate::progress::note;

/// The most bytes a list of digests may have: some seven hundred lines.
const LONGEST_DIGESTS: u64 = 1 << 16;

/// `neuropil data`.
#[derive(Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Download a data set, resuming what an earlier run began, and check its SHA-256
    Fetch(FetchArgs),
    /// Say what files are: format, dimensions, images of each class, SHA-256
    Info {
        /// IDX or CIFAR-10 files, plain or gzip-compressed
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print a JSON array with an object a file
        #[arg(long)]
        json: bool,
    },
    /// Cut a small set out of MNIST: the first images of each digit, in file order
    Subset {
        /// The folder of the full set [default: where `data fetch` puts it]
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// Training images of each digit
        #[arg(long, value_name = "N")]
        train: NonZeroUsize,
        /// Test images of each digit
        #[arg(long, value_name = "N")]
        test: NonZeroUsize,
        /// The folder of the small set
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

/// `neuropil data fetch`.
#[derive(Args)]
pub(crate) struct FetchArgs {
    /// The data set
    #[arg(value_enum)]
    set: Fetchable,
    /// The data folder; the set gets a folder of its own in it [default: $NEUROPIL_DATA, else the user's cache]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// A URL under which the archives lie, instead of the public mirrors; several are tried in turn. Asked for are, for
    /// mnist, train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
    /// t10k-labels-idx1-ubyte.gz; for cifar10, cifar-10-binary.tar.gz
    #[arg(long = "mirror", value_name = "URL", value_parser = fetch::mirror)]
    mirrors: Vec<String>,
    /// A list as sha256sum writes it, of the files as they are unpacked (train-images-idx3-ubyte, ...), to check against
    /// instead of the set's own digests: for sets in the same form (Fashion-MNIST, say)
    #[arg(long, value_name = "FILE", requires = "mirrors", requires = "into")]
    digests: Option<PathBuf>,
    /// Give up on a mirror that sends nothing for so long
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// The sets that can be fetched, by the name a user types.
#[derive(Clone, Copy, ValueEnum)]
enum Fetchable {
    /// 70,000 handwritten digits, 12 MB to download
    Mnist,
    /// 60,000 colour images in ten classes, 170 MB to download
    Cifar10,
}

/// Does what the arguments say.
pub(crate) fn run(arguments: &DataArgs) -> Result<(), Failure> {
    match &arguments.command {
        Command::Fetch(arguments) => run_fetch(arguments),
        Command::Info { files, json } => info(files, *json),
        Command::Subset { from, train, test, into } => subset(from.as_deref(), train.get(), test.get(), into),
    }
}

fn run_fetch(arguments: &FetchArgs) -> Result<(), Failure> {
    let set = match arguments.set {
        Fetchable::Mnist => Set::Mnist,
        Fetchable::Cifar10 => Set::Cifar10,
    };
    let data = arguments.into.clone().or_else(datasets::data_folder).ok_or_else(|| {
        Failure::Message("no folder to put the data in: give --into DIR or set NEUROPIL_DATA".to_owned())
    })?;
    let digests = arguments.digests.as_deref().map(read_digests).transpose()?;
    let folder = data.join(set.folder());
    fetch::fetch(
        set,
        &folder,
        &arguments.mirrors,
        digests.as_ref(),
        std::time::Duration::from_secs(arguments.timeout),
    )?;
    print(&format!("{}: {set} complete and verified\n", folder.display()))
}

/// File names and digests, as `sha256sum` writes them.
fn read_digests(path: &Path) -> Result<fetch::Digests, Failure> {
    let (file, length) = storage::open_regular(path)?;
    if length > LONGEST_DIGESTS {
        let expected = format!("a list of digests of at most {LONGEST_DIGESTS} bytes");
        return Err(Error::format(path.display().to_string(), LONGEST_DIGESTS, expected, format!("{length}")).into());
    }
    let mut text = String::new();
    file.take(length).read_to_string(&mut text).map_err(|e| Error::io("read", path, e))?;
    let mut digests = fetch::Digests::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry =
            line.split_once([' ', '\t']).map(|(digest, name)| (digest, name.trim_start_matches([' ', '\t', '*'])));
        let entry = entry.filter(|(digest, name)| {
            digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && !name.is_empty()
        });
        let Some((digest, name)) = entry else {
            let message =
                format!("{}, line {}: expected 64 hexadecimal digits and a file name", path.display(), number + 1);
            return Err(Failure::Message(message));
        };
        digests.insert(name.to_owned(), digest.to_ascii_lowercase());
    }
    Ok(digests)
}

/// What `data info` says of a file.
#[derive(Serialize)]
struct Description {
    file: String,
    format: String,
    /// Of the contents, decompressed.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed_bytes: Option<u64>,
    /// Labels and how many there are of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Counts>,
    sha256: String,
    /// The set and file whose digest this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_as: Option<String>,
}

impl Description {
    /// Reads the file once, piece by piece: a copy that nobody else can cut off, and no more memory for a large file than for a small one.
    fn of(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let (open, length) = storage::open_regular(path)?;
        let mut reader = BufReader::with_capacity(1 << 16, open.take(length));
        let failed = |error| Error::io("read", path, error);
        let mut seen = Survey::default();
        let compressed = gz::is_gzip(reader.fill_buf().map_err(failed)?);
        if compressed {
            gz::for_each_piece(reader, length, storage::LARGEST_FILE, &file, |piece| seen.add(piece))?;
        } else {
            loop {
                let piece = reader.fill_buf().map_err(failed)?;
                if piece.is_empty() {
                    break;
                }
                seen.add(piece);
                let count = piece.len();
                reader.consume(count);
            }
        }
        let (format, classes) = seen.recognise(&file)?;
        let sha256 = hexadecimal(&seen.hash.finalize());
        let known_as = fetch::known(&sha256).map(|(set, name)| format!("{name} of {set}"));
        let compressed_bytes = compressed.then_some(length);
        Ok(Description { file, format, bytes: seen.bytes, compressed_bytes, classes, sha256, known_as })
    }

    fn text(&self) -> String {
        let packing = self.compressed_bytes.map(|bytes| format!(", gzip-compressed in {bytes} bytes"));
        let mut text =
            format!("{}: {}\n  bytes    {}{}\n", self.file, self.format, self.bytes, packing.unwrap_or_default());
        if let Some(classes) = &self.classes {
            let counts: Vec<_> = classes.iter().map(|(class, count)| format!("{class}: {count}")).collect();
            text.push_str(&format!("  classes  {}\n", counts.join(", ")));
        }
        let known = self.known_as.as_ref().map(|known| format!(" ({known})")).unwrap_or_default();
        text.push_str(&format!("  SHA-256  {}{known}\n", self.sha256));
        text
    }
}

/// Where an IDX file of one dimension has its values.
const LABELS: usize = 8;

/// What is known of contents once they have gone by.
#[derive(Default)]
struct Survey {
    /// The beginning, as far as a header can be long.
    head: Vec<u8>,
    bytes: u64,
    hash: Sha256,
    /// How many there are of each value, taken as IDX labels.
    labels: Counts,
    /// How many there are of each label, taken as CIFAR-10 records, and the first that is none.
    records: Counts,
    wrong: Option<(u64, u8)>,
}

type Counts = BTreeMap<u8, u64>;

impl Survey {
    fn add(&mut self, piece: &[u8]) {
        let room = idx::LONGEST_HEADER - self.head.len();
        self.head.extend(piece.iter().take(room));
        self.hash.update(piece);
        // How much of the piece lies before byte `at`.
        let before = |at: u64| usize::try_from(at.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        if self.head.starts_with(&[0, 0, 0x08, 1]) {
            count(&mut self.labels, piece.iter().skip(before(LABELS as u64)));
        }
        let record = cifar::RECORD as u64;
        let begins = self.bytes.next_multiple_of(record);
        let labels = || piece.iter().skip(before(begins)).step_by(cifar::RECORD);
        let classes = cifar::CLASSES.len();
        if let (None, Some(at)) = (self.wrong, labels().position(|&label| usize::from(label) >= classes)) {
            self.wrong = labels().nth(at).map(|&label| (begins + at as u64 * record, label));
        }
        count(&mut self.records, labels());
        self.bytes += piece.len() as u64;
    }

    /// The format of a file and how many it has of each label, if it has any.
    fn recognise(&self, origin: &str) -> Result<(String, Option<Counts>), Error> {
        let looks_like_idx = matches!(*self.head, [0, 0, 0x08..=0x0E, 1..=4, ..]);
        let record = cifar::RECORD as u64;
        let records = self.bytes / record;
        match idx::Header::parse(&self.head, origin) {
            // A header that is sound says what the file is, even one that was cut off to a length that suits another format.
            Ok(header) => {
                idx::Header::of_length(&self.head, self.bytes, origin)?;
                let is_labels = header.value_type() == idx::Type::U8 && header.dimensions().len() == 1;
                let kind = if is_labels { " (labels)" } else { "" };
                Ok((format!("{header}{kind}"), is_labels.then(|| self.labels.clone())))
            }
            // Records may begin with any bytes, so their length decides.
            Err(_) if records > 0 && self.bytes.is_multiple_of(record) => {
                if let Some((at, label)) = self.wrong {
                    let expected = format!("a label below {}", cifar::CLASSES.len());
                    return Err(Error::format(origin, at, expected, label.to_string()));
                }
                let format = format!("CIFAR-10 binary, {records} records of a label and 3 x 32 x 32 bytes");
                Ok((format, Some(self.records.clone())))
            }
            Err(error) if looks_like_idx => Err(error),
            Err(_) => {
                let expected = format!("an IDX file, or CIFAR-10 records of {record} bytes");
                let found = format!("{} bytes that begin with {}", self.bytes, beginning(&self.head));
                Err(Error::format(origin, 0, expected, found))
            }
        }
    }
}

fn count<'a>(counts: &mut Counts, values: impl Iterator<Item = &'a u8>) {
    let mut found = [0u64; 256];
    values.for_each(|&value| found[usize::from(value)] += 1);
    for (value, &more) in (0..=u8::MAX).zip(&found).filter(|(_, more)| **more > 0) {
        *counts.entry(value).or_insert(0) += more;
    }
}

/// Describes every file that can be described; those that cannot are reported too, and fail the command in the end.
fn info(files: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let (mut failed, mut described) = (0, Vec::new());
    for file in files {
        match Description::of(file) {
            Ok(description) if as_json => described.push(description),
            Ok(description) => print(&description.text())?,
            Err(failure) if files.len() == 1 => {
                if as_json {
                    json(&serde_json::json!([]))?;
                }
                return Err(failure);
            }
            Err(failure) => {
                note(&failure.to_string());
                failed += 1;
            }
        }
    }
    if as_json {
        json(&serde_json::json!(described))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Message(format!("{failed} of {} files are not as they should be", files.len()))),
    }
}

fn subset(from: Option<&Path>, train: usize, test: usize, into: &Path) -> Result<(), Failure> {
    let source = datasets::locate(Set::Mnist, from)?;
    if same(&source, into) {
        return Err(Failure::Message(format!("{}: --into is the folder of the full set", into.display())));
    }
    let existing =
        datasets::MNIST_FILES.into_iter().flat_map(|name| [into.join(name), into.join(format!("{name}.gz"))]);
    if let Some(existing) = existing.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        let message = "is there already: give --into a folder without a set, or remove it";
        return Err(Failure::Message(format!("{} {message}", existing.display())));
    }
    let full = datasets::mnist(&source)?;
    let choose = |option, set: &Dataset, n| -> Result<Dataset, Error> {
        let chosen = batches::first_per_class(set.labels(), set.classes(), n).map_err(|error| match error {
            Error::Setting { name, expected, found } => {
                Error::setting(format!("{option}, {name} in {}", source.display()), expected, found)
            }
            other => other,
        });
        let mut indices = chosen?;
        indices.sort_unstable();
        set.subset(&indices)
    };
    let small = Split { train: choose("--train", &full.train, train)?, test: choose("--test", &full.test, test)? };
    create_directory(into)?;
    let [train_images, train_labels, test_images, test_labels] = datasets::MNIST_FILES;
    for (set, images, labels) in [(&small.train, train_images, train_labels), (&small.test, test_images, test_labels)] {
        let pixels: Vec<u8> = (0..set.len()).flat_map(|index| set.image(index)).copied().collect();
        let shape = match set.channels() {
            1 => vec![set.len(), set.rows(), set.cols()],
            channels => vec![set.len(), channels, set.rows(), set.cols()],
        };
        write_file(&into.join(images), &idx::encode(&shape, &pixels)?)?;
        write_file(&into.join(labels), &idx::encode(&[set.len()], set.labels())?)?;
    }
    print(&format!("{}: {} training and {} test images\n", into.display(), small.train.len(), small.test.len()))
}

/// The first bytes of something unknown: `[3c 68 74 6d 6c 3e 50 6c]`.
pub(crate) fn beginning(bytes: &[u8]) -> String {
    let first: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("[{}]", first.join(" "))
}

/// `cee9...`.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
