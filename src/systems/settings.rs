//! What all configurations share: TOML both ways, range checks whose errors name key, range and value.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::datasets::storage::open_regular;
use crate::datasets::{Dataset, Shape};
use crate::error::{Error, Result};

/// Gives a configuration its TOML form. The type has `validate`.
macro_rules! toml_form {
    ($config:ty) => {
        impl $config {
            /// Reads and checks a configuration; `origin` names the text in errors.
            ///
            /// # Errors
            /// [`Error::Format`](crate::Error::Format) for text that is not TOML, unknown keys and wrong types, with byte and
            /// line; [`Error::Setting`](crate::Error::Setting) for values out of range or at odds with each other, whose name
            /// begins with the origin.
            pub fn from_toml(text: &str, origin: &str) -> $crate::error::Result<Self> {
                Self::from_toml_within(text, origin, $crate::systems::LONGEST_CONFIG)
                    .map_err(|error| $crate::systems::settings::of(origin, error))
            }

            /// The same for a text of at most this many bytes, with the settings' own names.
            pub(crate) fn from_toml_within(text: &str, origin: &str, most: usize) -> $crate::error::Result<Self> {
                let config: Self = $crate::systems::settings::parse(text, origin, most)?;
                config.validate()?;
                Ok(config)
            }

            /// Writes the configuration, with every key; [`from_toml`](Self::from_toml) reads it back, if it is no longer than a configuration may be
            /// ([`LONGEST_CONFIG`]($crate::systems::LONGEST_CONFIG)).
            pub fn to_toml(&self) -> String {
                // Numbers, strings, lists and tables are all a configuration holds, and TOML has each of them.
                toml::to_string(self).expect("configurations are representable as TOML")
            }
        }
    };
}
pub(crate) use toml_form;

/// The longest text of a configuration, in bytes: several times what any needs.
pub const LONGEST_CONFIG: usize = 6 << 10;

/// Points, braces and lines that begin with a bracket, of which each may begin a table: several times what any configuration has.
const MOST_TABLES: usize = 256;

/// Checks that reading a TOML text takes less than a mebibyte: up to a hundred bytes a character, and more than a thousand for a table.
pub(crate) fn readable(text: &str, most: usize) -> std::result::Result<(), String> {
    if text.len() > most {
        return Err(format!("{} bytes, more than {most}", text.len()));
    }
    // Lines that begin so are comments, or text within a string: no tables either way.
    let lines = || text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    let brackets = lines().filter(|line| line.starts_with('[')).count();
    let tables = brackets + lines().flat_map(str::bytes).filter(|byte| matches!(byte, b'.' | b'{')).count();
    if tables > MOST_TABLES { Err(format!("{tables} points and tables, more than {MOST_TABLES}")) } else { Ok(()) }
}

/// The text of a regular file of at most so many bytes.
///
/// # Errors
/// [`Error::Io`] if it cannot be read or is no text, [`Error::Format`] if it is longer.
pub(crate) fn text(path: &Path, most: u64) -> Result<String> {
    let (file, len) = open_regular(path)?;
    if len > most {
        let expected = format!("at most {most} bytes");
        return Err(Error::format(path.display().to_string(), 0, expected, format!("{len} bytes")));
    }
    let mut text = String::new();
    // One that grows meanwhile is read up to there.
    file.take(len).read_to_string(&mut text).map_err(|error| Error::io("read", path, error))?;
    Ok(text)
}

/// Reads a configuration; unknown keys and wrong types are errors at their byte.
pub(crate) fn parse<C: DeserializeOwned>(text: &str, origin: &str, most: usize) -> Result<C> {
    readable(text, most).map_err(|found| Error::format(origin, 0, "a configuration", found))?;
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let line = text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
        // The line itself names the key, which the message often does not.
        let content: String = text.lines().nth(line - 1).unwrap_or_default().trim().chars().take(100).collect();
        let place = format!("on line {line}, '{content}'");
        // What is said of a choice among names is what was expected, and not what was found.
        if let Some(names) = error.message().strip_prefix("neither one of ") {
            let value = error.span().and_then(|span| text.get(span)?.lines().next()).unwrap_or_default();
            let value: String = value.chars().take(100).collect();
            let expected = format!("one of {}", names.replacen(" nor ", ", or ", 1));
            return Error::format(origin, offset as u64, expected, format!("{value} {place}"));
        }
        Error::format(origin, offset as u64, "a configuration", format!("{} {place}", plain(error.message())))
    })
}

/// What a message means to those who do not know how configurations are read.
fn plain(message: &str) -> String {
    /// What serde and toml say of choices that hold values, and of numbers.
    const SAID: [(&str, &str); 9] = [
        ("wanted exactly 1 element, found 0 elements", "an empty table where one key is expected, the choice"),
        ("wanted exactly 1 element, more than 1 element", "a table of several keys where one is expected, the choice"),
        ("unit variant, expected newtype variant", "a name alone, expected a table of the name and its value"),
        ("unit variant, expected struct variant", "a name alone, expected a table of the name and a table of its keys"),
        ("expected u64", "expected an integer of 0 or more"),
        ("expected usize", "expected an integer of 0 or more"),
        ("expected u32", "expected an integer from 0 to 4294967295"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
    ];
    let message = SAID.iter().fold(message.to_owned(), |message, (said, meant)| message.replace(said, meant));
    // What follows is the name of a type.
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message,
    }
}

/// Checks that a configuration is that of a network, but for what was made equal.
pub(crate) fn same<C: PartialEq>(but: &C, config: &C) -> Result<()> {
    if but == config {
        return Ok(());
    }
    Err(Error::setting("configuration", "that of the network, but for the length of its last phase", "another one"))
}

/// A setting of a text says which.
pub(crate) fn of(origin: &str, error: Error) -> Error {
    match error {
        Error::Setting { name, expected, found } => Error::setting(format!("{origin}, {name}"), expected, found),
        other => other,
    }
}

/// A number as it is written, but for those of hundreds of digits.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || (1e-16..1e16).contains(&value.abs()) { value.to_string() } else { format!("{value:e}") }
}

/// An integer within a range.
pub(crate) fn within(name: &str, value: u64, low: u64, high: u64) -> Result<()> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(Error::setting(name, format!("an integer from {low} to {high}"), value))
    }
}

/// A finite number above zero, as `f32` too: the kernels refuse others by a panic.
pub(crate) fn positive(name: &str, value: f64) -> Result<()> {
    if (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&value) {
        Ok(())
    } else {
        Err(Error::setting(name, "a finite number above 0, in the range of f32", number(value)))
    }
}

/// A finite number, zero or above, as `f32` too.
pub(crate) fn not_negative(name: &str, value: f64) -> Result<()> {
    if (0.0..=f64::from(f32::MAX)).contains(&value) {
        Ok(())
    } else {
        Err(Error::setting(name, "a finite number, 0 or above, in the range of f32", number(value)))
    }
}

/// Most weights of a network, and values of a batch: 4 GiB of them. A configuration may be a typing error, and memory that nobody has ends the process.
const MOST_WEIGHTS: u128 = 1 << 30;

/// Hidden layers, each of at least so many units.
pub(crate) fn layers(widths: &[usize], least: u64) -> Result<()> {
    within("layers (their number)", widths.len() as u64, 1, 64)?;
    let mut widths = widths.iter().enumerate();
    widths.try_for_each(|(index, &width)| within(&format!("layers[{index}]"), width as u64, least, 1 << 20))
}

/// Not too many of what there are so many of; `found` says how they come about.
fn held(name: &str, what: &str, count: u128, found: impl FnOnce() -> String) -> Result<()> {
    if count <= MOST_WEIGHTS {
        Ok(())
    } else {
        Err(Error::setting(name, format!("at most {MOST_WEIGHTS} {what}"), found()))
    }
}

/// Not too many weights between layers of these widths.
pub(crate) fn weights(name: &str, widths: &[usize]) -> Result<()> {
    let all: u128 = widths.windows(2).map(|pair| pair[0] as u128 * pair[1] as u128).sum();
    let widths = || widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    held(name, "weights in all", all, || format!("{all}: {}", widths()))
}

/// The widths of a network from inputs to classes, and the widest, if its weights are not too many.
pub(crate) fn chain(inputs: usize, layers: &[usize], classes: usize) -> Result<(Vec<usize>, usize)> {
    let widths = [&[inputs], layers, &[classes]].concat();
    weights("layers", &widths)?;
    let widest = widths.iter().copied().max().unwrap_or(1);
    Ok((widths, widest))
}

/// Not too many values of a batch: as many samples, each of this many.
pub(crate) fn batch(name: &str, samples: usize, values: usize) -> Result<()> {
    let all = samples as u128 * values as u128;
    held(name, "values of a batch", all, || format!("{samples} samples of {values}"))
}

/// Not too many values of this kind, by the same measure.
pub(crate) fn values(name: &str, what: &str, values: u128) -> Result<()> {
    held(name, what, values, || values.to_string())
}

/// Not too many activities that are kept: those of as many images, of so many units each.
pub(crate) fn activities(name: &str, images: usize, units: usize) -> Result<()> {
    let all = images as u128 * units as u128;
    held(name, "activities of the training images", all, || format!("{images} images of {units} units"))
}

/// TOML's integers end at 2^63 - 1.
pub(crate) fn seed(value: u64) -> Result<()> {
    within("seed", value, 0, i64::MAX as u64)
}

/// Checks that the images are as large as a network has inputs.
pub(crate) fn same_size(data: &Dataset, inputs: usize) -> Result<()> {
    match data.pixels() {
        pixels if pixels == inputs => Ok(()),
        pixels => Err(Error::setting("image size", format!("{inputs} values, as the network has inputs"), pixels)),
    }
}

/// Images of this size with these classes.
pub(crate) fn fits(data: &Dataset, inputs: usize, classes: usize) -> Result<()> {
    same_size(data, inputs)?;
    if data.classes() != classes {
        return Err(Error::setting("classes", format!("{classes}, as the network has outputs"), data.classes()));
    }
    Ok(())
}

/// The same of the images to learn from and of those to watch by, if there are any.
pub(crate) fn both_fit(data: &Dataset, monitor: Option<&Dataset>, inputs: usize, classes: usize) -> Result<()> {
    fits(data, inputs, classes)?;
    monitor.map_or(Ok(()), |monitor| fits(monitor, inputs, classes))
}

/// Images of this very shape: as many values may lie in other rows, or planes.
pub(crate) fn shaped(data: &Dataset, expected: Shape, whose: &str) -> Result<()> {
    if data.shape() == expected {
        Ok(())
    } else {
        Err(Error::setting("image size", format!("{expected}, as the {whose} was made for"), data.shape()))
    }
}

/// Inputs and classes a network can be made for.
pub(crate) fn shape(inputs: usize, classes: usize) -> Result<()> {
    within("inputs", inputs as u64, 1, 1 << 24)?;
    within("classes", classes as u64, 2, 256)
}

/// A number within a range.
pub(crate) fn between(name: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(Error::setting(name, format!("a number from {low} to {high}"), number(value)))
    }
}
