//! The sets this crate knows: which files they are, where they lie, and how to open them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::storage::Bytes;
use super::{Dataset, cifar};
use crate::error::{Error, Result};

/// A training set and a test set of the same shape and classes.
#[derive(Clone, Debug)]
pub struct Split {
    /// What is learnt from.
    pub train: Dataset,
    /// What the learnt is measured on.
    pub test: Dataset,
}

/// The file names of an IDX set: images and labels to train with, images and labels to test with.
pub const MNIST_FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// MNIST, or a set in its form (Fashion-MNIST, Kuzushiji-MNIST): a folder of [`MNIST_FILES`], each plain, or with `.gz`.
///
/// # Errors
/// [`Error::Io`] if a file cannot be opened, [`Error::Format`] if its contents are wrong in any way or the test images
/// have another shape than the training images.
pub fn mnist(folder: &Path) -> Result<Split> {
    let [train_images, train_labels, test_images, test_labels] = MNIST_FILES.map(|name| plain_or_gz(folder, name));
    let train = Dataset::from_idx(&train_images, &train_labels, 10)?;
    let test = Dataset::from_idx(&test_images, &test_labels, 10)?;
    if train.shape() != test.shape() {
        let expected = format!("images of {}, as in {}", train.shape(), train_images.display());
        return Err(Error::format(test_images.display().to_string(), 8, expected, test.shape().to_string()));
    }
    Ok(Split { train, test })
}

/// The file, or the compressed one if only that is there.
fn plain_or_gz(folder: &Path, name: &str) -> PathBuf {
    let (plain, gz) = (folder.join(name), folder.join(format!("{name}.gz")));
    if !plain.exists() && gz.exists() { gz } else { plain }
}

/// CIFAR-10 in its binary version: a folder of [`cifar::TRAIN_FILES`] and [`cifar::TEST_FILE`], each plain, or with `.gz`.
///
/// # Errors
/// [`Error::Io`] if a file cannot be opened, [`Error::Format`] if one does not hold 10,000 sound records.
pub fn cifar10(folder: &Path) -> Result<Split> {
    let train = Dataset::of_records(&cifar::TRAIN_FILES.map(|name| plain_or_gz(folder, name)), cifar::batch)?;
    let test = Dataset::of_records(&[plain_or_gz(folder, cifar::TEST_FILE)], cifar::batch)?;
    Ok(Split { train, test })
}

/// The small MNIST inside the crate: the first 200 training and the first 100 test images of each digit, in file order.
///
/// # Panics
/// Never: the files are those of the crate, which its tests have read.
pub fn embedded() -> Split {
    macro_rules! part {
        ($images:literal, $labels:literal) => {{
            let images = Bytes::from_static(include_bytes!(concat!("../../data/", $images)));
            let labels = Bytes::from_static(include_bytes!(concat!("../../data/", $labels)));
            Dataset::from_idx_bytes(images, $images, labels, $labels, 10).expect("the crate's own files are whole")
        }};
    }
    Split {
        train: part!("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        test: part!("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    }
}

/// The embedded set with so many images of each digit to learn from: the first.
#[cfg(all(test, feature = "systems"))]
pub(crate) fn few_embedded(n: usize) -> Split {
    let Split { train, test } = embedded();
    let few = super::batches::first_per_class(train.labels(), train.classes(), n).expect("digits that exist");
    Split { train: train.subset(&few).expect("images that exist"), test }
}

/// The sets this crate can find, open and fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Set {
    /// 60,000 + 10,000 grey handwritten digits of 28 x 28.
    Mnist,
    /// 50,000 + 10,000 colour images of 32 x 32 in ten classes.
    Cifar10,
}

impl Set {
    /// All of them.
    pub const ALL: &'static [Set] = &[Set::Mnist, Set::Cifar10];

    /// The name a user types.
    pub fn name(self) -> &'static str {
        match self {
            Set::Mnist => "mnist",
            Set::Cifar10 => "cifar10",
        }
    }

    /// The folder the set has within the data folder.
    pub fn folder(self) -> &'static str {
        match self {
            Set::Mnist => "mnist",
            Set::Cifar10 => "cifar-10-batches-bin",
        }
    }

    /// The set's files.
    pub fn files(self) -> Vec<&'static str> {
        match self {
            Set::Mnist => MNIST_FILES.to_vec(),
            Set::Cifar10 => cifar::TRAIN_FILES.into_iter().chain([cifar::TEST_FILE]).collect(),
        }
    }

    /// Those of the set's files that are not in this folder, whatever the others hold.
    fn missing_in(self, folder: &Path) -> Vec<&'static str> {
        self.files().into_iter().filter(|name| !plain_or_gz(folder, name).exists()).collect()
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Set {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Set::ALL.iter().copied().find(|set| set.name() == name).ok_or_else(|| {
            let names: Vec<_> = Set::ALL.iter().map(|set| set.name()).collect();
            Error::setting("dataset", names.join(" or "), name)
        })
    }
}

/// The data folder: `$NEUROPIL_DATA`, else `neuropil` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`, on
/// Windows `%LOCALAPPDATA%`); `None` where none of these is set.
pub fn data_folder() -> Option<PathBuf> {
    data_folder_of(|name| std::env::var_os(name).map(PathBuf::from))
}

pub(super) fn data_folder_of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // A variable that is empty counts as none.
    let variable = |name| variable(name).filter(|path| !path.as_os_str().is_empty());
    let cache = || {
        // The XDG specification has relative paths ignored.
        let xdg = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let local = || if cfg!(windows) { variable("LOCALAPPDATA") } else { None };
        xdg.or_else(local).or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    variable("NEUROPIL_DATA").or_else(|| cache().map(|cache| cache.join("neuropil")))
}

/// The folder of a set's files: the one given or its subfolder of the set's [name](Set::folder), else that of the
/// [data folder](data_folder).
///
/// # Errors
/// [`Error::Missing`], which says where the files were looked for and how they are fetched.
pub fn locate(set: Set, given: Option<&Path>) -> Result<PathBuf> {
    locate_in(set, given, data_folder().as_deref())
}

pub(super) fn locate_in(set: Set, given: Option<&Path>, default: Option<&Path>) -> Result<PathBuf> {
    let searched = match given {
        Some(given) => vec![given.to_owned(), given.join(set.folder())],
        None => default.iter().map(|folder| folder.join(set.folder())).collect(),
    };
    let missing: Vec<_> = searched.iter().map(|folder| set.missing_in(folder)).collect();
    if let Some(at) = missing.iter().position(Vec::is_empty) {
        return Ok(searched[at].clone());
    }
    let remedy = match given {
        _ if let Some(file) = given.or(default).filter(|path| path.is_file()) => {
            format!("a folder is expected, and {} is a file", file.display())
        }
        Some(given) => format!("`neuropil data fetch {set} --into {}` downloads them", given.display()),
        None if searched.is_empty() => "set NEUROPIL_DATA to the folder that holds them".to_owned(),
        None => format!("`neuropil data fetch {set}` downloads them, NEUROPIL_DATA names another folder"),
    };
    // Where only some are missing, these.
    let all = set.files().len();
    let what = match missing.iter().zip(&searched).find(|(missing, _)| missing.len() < all) {
        Some((missing, folder)) => {
            format!("{} of {set}, beside the others in {},", missing.join(", "), folder.display())
        }
        None => format!("the files of {set} ({}, ...)", set.files()[0]),
    };
    Err(Error::Missing { what, searched, remedy })
}

/// Finds a set as [`locate`] does and opens it.
///
/// # Errors
/// [`Error::Missing`] if it is not found; otherwise as [`mnist`] and [`cifar10`].
pub fn open(set: Set, given: Option<&Path>) -> Result<Split> {
    let folder = locate(set, given)?;
    match set {
        Set::Mnist => mnist(&folder),
        Set::Cifar10 => cifar10(&folder),
    }
}
