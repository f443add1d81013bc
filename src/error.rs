//! The one error type: what was expected, what was found, and where.

use std::path::PathBuf;

/// Shorthand for results with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can be wrong with what comes from outside: files, settings, sizes, the CPU.
///
/// Disagreeing shapes between values that were already built are a caller's mistake and panic instead.
///
/// What is displayed is the whole message, the system's answer in [`Error::Io`] included. There is therefore no
/// [`source`](std::error::Error::source), which reports of whole chains would say once more; the answer is the field `cause`.
///
/// ```
/// use neuropil::Error;
/// use std::error::Error as _;
/// let error = Error::io("open", "some/file", std::io::ErrorKind::NotFound.into());
/// assert_eq!(error.to_string(), "some/file: cannot open: entity not found");
/// assert!(error.source().is_none());
/// assert!(matches!(error, Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("{path}: cannot {action}: {cause}", path = path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `create`, `rename`.
        action: &'static str,
        /// The file concerned.
        path: PathBuf,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// Bytes that are not what their format promises.
    #[error("{origin}, byte {offset}: expected {expected}, found {found}")]
    Format {
        /// The file, or a name for bytes in memory.
        origin: String,
        /// Where in it.
        offset: u64,
        /// What the format asks for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A setting outside its range, unknown, or at odds with another.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name, as the user writes it.
        name: String,
        /// Its range.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A buffer whose length does not fit the shape it is given.
    #[error("{what}: expected {expected} values, found {found}")]
    Length {
        /// Which buffer.
        what: &'static str,
        /// Values the shape asks for.
        expected: usize,
        /// Values it holds.
        found: usize,
    },
    /// Files that are not where they were looked for.
    #[error("{what} not found{places}; {remedy}", places = places(searched))]
    Missing {
        /// The files.
        what: String,
        /// The folders that were searched, in order.
        searched: Vec<PathBuf>,
        /// What can be done about it.
        remedy: String,
    },
    /// An instruction set this CPU, or this build, does not have.
    #[error("instruction set '{wanted}' is not available: {reason}; this CPU has {available}")]
    InstructionSet {
        /// The set asked for.
        wanted: String,
        /// Why it cannot be had.
        reason: String,
        /// The sets that can.
        available: String,
    },
}

/// ` in A or B`.
fn places(searched: &[PathBuf]) -> String {
    let names: Vec<_> = searched.iter().map(|path| path.display().to_string()).collect();
    if names.is_empty() { String::new() } else { format!(" in {}", names.join(" or ")) }
}

impl Error {
    /// A file-system failure, with the path it concerns.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, cause: std::io::Error) -> Self {
        Error::Io { action, path: path.into(), cause }
    }

    /// Malformed bytes at `offset` of `origin`.
    pub fn format(
        origin: impl Into<String>,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Error::Format { origin: origin.into(), offset, expected: expected.into(), found: found.into() }
    }

    /// A setting outside its range.
    pub fn setting(name: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Error::Setting { name: name.into(), expected: expected.into(), found: found.to_string() }
    }
}
