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
}

impl Failure {
    /// The exit code of a command that ends so.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => write!(f, "error: {error}"),
            Failure::Message(message) => write!(f, "error: {message}"),
        }
    }
}

impl From<neuropil::Error> for Failure {
    fn from(error: neuropil::Error) -> Self {
        Failure::Library(error)
    }
}
