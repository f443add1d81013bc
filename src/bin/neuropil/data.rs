//! `neuropil data`: fetches data sets, says what a file is, cuts small sets out of full ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use neuropil::Error;
use neuropil::datasets::{self, Dataset, Set, Split, batches, cifar, gz, idx, storage};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::fetch;
use crate::output::{create_directory, json, print, write_file};

/// The most a compressed file may hold when it is looked at.
const LARGEST_CONTENTS: usize = 1 << 30;

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
        train: usize,
        /// Test images of each digit
        #[arg(long, value_name = "N")]
        test: usize,
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
    /// A URL under which the archives lie, instead of the public mirrors; several are tried in turn
    #[arg(long = "mirror", value_name = "URL", value_parser = fetch::mirror)]
    mirrors: Vec<String>,
    /// A list as sha256sum writes it, to check against instead of the set's own digests: for sets in the same form
    /// (Fashion-MNIST, say)
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
        Command::Info { files, json: false } => files.iter().try_for_each(|file| print(&Description::of(file)?.text())),
        Command::Info { files, json: true } => {
            let descriptions = files.iter().map(|file| Description::of(file)).collect::<Result<Vec<_>, _>>()?;
            json(&serde_json::json!(descriptions))
        }
        Command::Subset { from, train, test, into } => subset(from.as_deref(), *train, *test, into),
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
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
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
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed_bytes: Option<usize>,
    /// Labels and how many there are of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<BTreeMap<u8, usize>>,
    sha256: String,
    /// The set and file whose digest this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_as: Option<String>,
}

impl Description {
    fn of(path: &Path) -> Result<Self, Failure> {
        let bytes = storage::Bytes::open(path)?;
        let file = path.display().to_string();
        let compressed = gz::is_gzip(&bytes);
        let contents = match compressed {
            true => gz::decompress(&bytes, LARGEST_CONTENTS, &file)?.into(),
            false => bytes.clone(),
        };
        let (format, labels) = recognise(&contents, &file)?;
        let classes = labels.map(|labels| {
            labels.iter().fold(BTreeMap::new(), |mut counts, &label| {
                *counts.entry(label).or_insert(0) += 1;
                counts
            })
        });
        let sha256 = hexadecimal(&Sha256::digest(&*contents));
        let known_as = fetch::known(&sha256).map(|(set, name)| format!("{name} of {set}"));
        let compressed_bytes = compressed.then_some(bytes.len());
        Ok(Description { file, format, bytes: contents.len(), compressed_bytes, classes, sha256, known_as })
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

/// The format of a file and its labels, if it has any.
fn recognise(contents: &storage::Bytes, origin: &str) -> Result<(String, Option<Vec<u8>>), Error> {
    let looks_like_idx = matches!(**contents, [0, 0, 0x08..=0x0E, 1..=4, ..]);
    let records = contents.len() / cifar::RECORD;
    let whole_records = records > 0 && contents.len().is_multiple_of(cifar::RECORD);
    match idx::Header::of_file(contents, origin) {
        Ok(header) => {
            let is_labels = header.value_type() == idx::Type::U8 && header.dimensions().len() == 1;
            let kind = if is_labels { " (labels)" } else { "" };
            Ok((format!("{header}{kind}"), is_labels.then(|| contents[header.values()].to_vec())))
        }
        // Records may begin with any bytes, so their length decides.
        Err(_) if whole_records => {
            cifar::records(contents, origin)?;
            let labels = contents.iter().copied().step_by(cifar::RECORD).collect();
            Ok((format!("CIFAR-10 binary, {records} records of a label and 3 x 32 x 32 bytes"), Some(labels)))
        }
        Err(error) if looks_like_idx => Err(error),
        Err(_) => {
            let expected = format!("an IDX file, or CIFAR-10 records of {} bytes", cifar::RECORD);
            let beginning: Vec<_> = contents.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let found = format!("{} bytes that begin with [{}]", contents.len(), beginning.join(" "));
            Err(Error::format(origin, 0, expected, found))
        }
    }
}

fn subset(from: Option<&Path>, train: usize, test: usize, into: &Path) -> Result<(), Failure> {
    let full = datasets::open(Set::Mnist, from)?;
    let choose = |set: &Dataset, n| -> Result<Dataset, Error> {
        let mut indices = batches::first_per_class(set.labels(), set.classes(), n)?;
        indices.sort_unstable();
        set.subset(&indices)
    };
    let small = Split { train: choose(&full.train, train)?, test: choose(&full.test, test)? };
    create_directory(into)?;
    let [train_images, train_labels, test_images, test_labels] = datasets::MNIST_FILES;
    for (set, images, labels) in [(&small.train, train_images, train_labels), (&small.test, test_images, test_labels)] {
        let pixels: Vec<u8> = (0..set.len()).flat_map(|index| set.image(index)).copied().collect();
        write_file(&into.join(images), &idx::encode(&[set.len(), set.rows(), set.cols()], &pixels)?)?;
        write_file(&into.join(labels), &idx::encode(&[set.len()], set.labels())?)?;
    }
    print(&format!("{}: {} training and {} test images\n", into.display(), small.train.len(), small.test.len()))
}

/// `cee9...`.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
