//! Arguments that several commands share: which images, on how many threads.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use neuropil::datasets::{self, Set, Split};
use neuropil::{Context, Threads};

use crate::failure::Failure;

/// A data set, by the name a user types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Images {
    /// The 2000 + 1000 MNIST digits inside the program
    Embedded,
    /// MNIST, 60,000 + 10,000 digits
    Mnist,
    /// CIFAR-10, 50,000 + 10,000 colour images
    Cifar10,
}

/// Where the images come from.
#[derive(Args)]
pub(crate) struct Source {
    /// The folder of the data set's files; without --set, the set is the one found there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The data set [default: embedded, or what --data holds]
    #[arg(long, value_enum)]
    set: Option<Images>,
}

impl Source {
    /// The arguments that lead to the same images, with a space before each.
    pub(crate) fn as_typed(&self) -> String {
        let set = self.set.as_ref().and_then(|set| set.to_possible_value());
        let set = set.map_or(String::new(), |set| format!(" --set {}", set.get_name()));
        set + &folder_as_typed(self.data.as_deref())
    }

    /// Opens the set; also gives its name.
    pub(crate) fn open(&self) -> Result<(&'static str, Split), Failure> {
        let folder = self.data.as_deref();
        let set = match self.set {
            Some(Images::Embedded) if folder.is_some() => {
                return Err(Failure::Usage("--set embedded is inside the program: leave out --data".to_owned()));
            }
            Some(Images::Embedded) => None,
            Some(Images::Mnist) => Some(Set::Mnist),
            Some(Images::Cifar10) => Some(Set::Cifar10),
            None if folder.is_none() => None,
            None => Some(found_in(folder)?),
        };
        Ok(match set {
            None => ("embedded digits", datasets::embedded()),
            Some(set) => (set.name(), datasets::open(set, folder)?),
        })
    }
}

/// The argument that leads to this folder, with a space before it.
pub(crate) fn folder_as_typed(folder: Option<&Path>) -> String {
    folder.map_or(String::new(), |folder| format!(" --data {}", quoted(folder)))
}

/// A path as a shell takes it. One that is no text, with its bytes as bash and zsh take them.
pub(crate) fn quoted(path: &Path) -> String {
    #[cfg(unix)]
    if path.to_str().is_none() {
        use std::os::unix::ffi::OsStrExt;
        let escaped = |&byte: &u8| match byte {
            b'\'' | b'\\' | 0..b' ' | 0x7f.. => format!("\\x{byte:02x}"),
            plain => char::from(plain).to_string(),
        };
        return format!("$'{}'", path.as_os_str().as_bytes().iter().map(escaped).collect::<String>());
    }
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:=@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The one set whose files lie there; where none does, what looking for MNIST says.
fn found_in(folder: Option<&Path>) -> Result<Set, Failure> {
    let [mnist, cifar10] = [Set::Mnist, Set::Cifar10].map(|set| datasets::locate(set, folder).is_ok());
    match (mnist, cifar10, folder) {
        (true, true, Some(folder)) => {
            let message = "has both MNIST and CIFAR-10: say which with --set mnist or --set cifar10";
            Err(Failure::Message(format!("{} {message}", folder.display())))
        }
        (false, true, _) => Ok(Set::Cifar10),
        _ => Ok(Set::Mnist),
    }
}

/// How the machine is used.
#[derive(Clone, Args)]
pub(crate) struct Machine {
    /// Threads [default: as many as the machine has]; the results do not depend on them
    #[arg(long, value_name = "T", value_parser = threads)]
    threads: Option<Threads>,
}

impl Machine {
    /// A context on these threads and the instruction set of `NEUROPIL_SIMD`, or the best.
    pub(crate) fn context(&self) -> Result<Context, Failure> {
        Ok(Context::new()?.with_threads(self.threads.unwrap_or_else(Threads::available)))
    }
}

fn threads(text: &str) -> Result<Threads, String> {
    let count = text.parse::<usize>().map_err(|_| "expected a number from 1 to 1024".to_owned())?;
    Threads::new(count).map_err(|error| error.to_string())
}

/// The largest seed that a configuration can have: TOML's integers end there.
pub(crate) const LARGEST_SEED: u64 = i64::MAX as u64;

/// A seed that a configuration can have.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    integer(text, LARGEST_SEED)
}

/// An integer from 0 up to this one.
pub(crate) fn integer(text: &str, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("expected an integer from 0 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_take_them_apart() {
        let quoted = |text: &str| super::quoted(Path::new(text));
        assert_eq!(quoted("/tmp/états/net-1_2.safetensors"), "/tmp/états/net-1_2.safetensors");
        assert_eq!(quoted("my state"), "'my state'");
        assert_eq!(quoted("it's; $HOME"), r"'it'\''s; $HOME'");
        assert_eq!(quoted("~/a"), "'~/a'");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_quoted_as_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(OsStr::from_bytes(b"/tmp/\xffa b'\\\xc3\xa4\n"));
        assert_eq!(quoted(path), r"$'/tmp/\xffa b\x27\x5c\xc3\xa4\x0a'");
    }
}
