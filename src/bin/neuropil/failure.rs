//! Why a command ends early, and with which exit code.

use std::fmt;
use std::process::ExitCode;

/// What stops a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library's error: it says what was expected, what was found and where.
    Library(neuropil::Error),
    /// Something only the command line knows of, with what to do about it.
    Message(String),
    /// Arguments that are each possible but not together, or not in this place.
    Usage(String),
    /// Ctrl-C: what was to be saved is saved. The text says where, or that nothing was.
    Interrupted(String),
}

impl Failure {
    /// 130, as shells report a process that Ctrl-C ended, 2 for arguments that cannot be, or 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Interrupted(_) => crate::interrupt::EXIT_CODE,
            Failure::Usage(_) => 2,
            Failure::Library(_) | Failure::Message(_) => 1,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => write!(f, "error: {error}"),
            Failure::Message(message) | Failure::Usage(message) => write!(f, "error: {message}"),
            Failure::Interrupted(message) => write!(f, "interrupted: {message}"),
        }
    }
}

impl From<neuropil::Error> for Failure {
    fn from(error: neuropil::Error) -> Self {
        Failure::Library(error)
    }
}
