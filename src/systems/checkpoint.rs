//! Checkpoints: the whole state of a learner as one safetensors file.
//!
//! Weights and optimiser moments are `F32` tensors, the learning curve and the running loss `F64` ones. What is not an
//! array stands as a small TOML document under the key `neuropil` of the file's metadata: version, kind, shapes,
//! counters, the configuration as the user wrote it, and a checksum over all of it and every tensor. Random numbers
//! need no state: they are named by (seed, purpose, step).
//!
//! [`Learner::save`] replaces the file in one step: whoever reads the name sees the old file or the new one, whole, whatever
//! becomes of the writer, and however many of them there are.
//!
//! Loading believes nothing: container, version, kind, configuration, names, types, shapes and checksum are checked, and
//! every tensor is seen to be there, with its shape, before memory is reserved for it: loading never holds more than twice
//! the file's size and a mebibyte. What a seed stands for (a graph, hidden weights that never change) is not in the file, and
//! is made when it is first used. Every way a file can be wrong is an
//! [`Error::Format`] that says what was expected, what was found, and where.
//!
//! # What is in one
//!
//! | of | tensors |
//! |---|---|
//! | all | `curve` \[points, 4\]: the phase's place in the header's list, step, loss, accuracy, NaN where there is none; `running_loss` \[2\] |
//! | `hebbian`, `backprop` | `hidden.0.weights` \[inputs, units\], and so on up |
//! | `krotov-hopfield` | the same, \[units, inputs\] |
//! | output layers by backpropagation | `output.weights` \[features, classes\], `output.bias`, `output.scale`: logits are scale x (features W) + bias |
//! | by weight perturbation | `output.weights`, `output.bias`, `output.reward_square`; `output.shift` and `output.gain` of features that are not taken as they are |
//! | by reward or SignSGD (`dopaminergic`) | `output.weights` \[classes, hidden\] |
//! | `evolution` | `frequencies` \[genes\]; after a lifetime `life.edges`, `life.output` \[classes, hidden\]; `points`, `distances`, `counts`, `running` |
//! | `hierarchy` | of each unit k of the topology that stands `current.k.encoder.weights`, `.bias`, `current.k.decoder...`, `current.k.field`; `read_out.best.0.weights` and so on |
//! | `organism` | `particles` \[particles, weights\], `task_velocity`, `self_velocity`, `epochs` |
//! | what Adam trains | beside each `NAME`, `NAME.first_moment` and `NAME.second_moment` |
//!
//! Other languages read them as any safetensors file, in Python by `safetensors.numpy.load_file(path)["hidden.0.weights"]`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::baselines::{backprop, krotov_hopfield, softmax};
use super::evolution::{self, dopaminergic};
use super::journal::Journal;
use super::read_out::ReadOut;
use super::{CurvePoint, LONGEST_CONFIG, Learner, hebbian, hierarchy, organism, settings};
use crate::datasets::storage::Bytes;
use crate::error::{Error, Result};
use crate::kernels::adam::Adam;
use crate::matrix::Matrix;

pub use super::replace::prepare;

/// The layout described here.
const VERSION: u32 = 1;

/// The longest list of tensors and metadata, in bytes: this, or a sixteenth of the file. Once read it takes some ten times as much memory.
const LONGEST_LIST: usize = 1 << 15;

/// The tensor that makes a file so long that its list of tensors may be as long as it is; of no meaning.
const ROOM: &str = "room";

/// What a header may have beside the configuration, in bytes.
const BESIDE_CONFIG: usize = 2 << 10;

/// The longest header, configuration and all, in bytes: this, or a hundredth of the file. It takes a hundred times as much memory.
const LONGEST_HEADER: usize = LONGEST_CONFIG + BESIDE_CONFIG;

/// The last step that a curve's numbers tell from its neighbours: 2^53.
const LAST_STEP: f64 = 9_007_199_254_740_992.0;

/// The metadata key.
const KEY: &str = "neuropil";

/// Loads a checkpoint of any kind of learner.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is not a checkpoint or damaged.
pub fn load(path: impl AsRef<Path>) -> Result<Box<dyn Learner>> {
    learner(Reader::open(path.as_ref())?)
}

/// The same from the bytes of a file; `origin` names them in errors. What is held beside them is at most twice as much, and a mebibyte.
///
/// # Errors
/// [`Error::Format`] if they are not a checkpoint or damaged.
pub fn parse(bytes: impl Into<Bytes>, origin: &str) -> Result<Box<dyn Learner>> {
    learner(Reader::new(bytes.into(), origin.to_owned())?)
}

/// Whether states have room for their configuration, which they hold with all keys and spaces, whatever this learner goes on to learn.
pub fn has_room(learner: &dyn Learner) -> bool {
    let config = learner.config_toml().len();
    let fits = |bytes: Vec<u8>| config + BESIDE_CONFIG <= longest_header(bytes.len());
    config <= LONGEST_CONFIG || learner.to_bytes().is_ok_and(fits)
}

fn learner(reader: Reader) -> Result<Box<dyn Learner>> {
    reader.all(|reader| -> Result<Box<dyn Learner>> {
        Ok(match reader.header.kind.as_str() {
            hebbian::KIND => Box::new(hebbian::Network::read(reader)?),
            hierarchy::KIND => Box::new(hierarchy::Network::read(reader)?),
            organism::KIND => Box::new(organism::Network::read(reader)?),
            krotov_hopfield::KIND => Box::new(krotov_hopfield::Network::read(reader)?),
            backprop::KIND => Box::new(backprop::Network::read(reader)?),
            evolution::KIND => Box::new(evolution::Network::read(reader)?),
            dopaminergic::KIND => Box::new(dopaminergic::Network::read(reader)?),
            softmax::KIND => Box::new(softmax::Network::read(reader)?),
            other => return Err(reader.wrong("a known kind of learner", format!("'{other}'"))),
        })
    })
}

/// The ways into a network of one kind. It has `read`.
macro_rules! readable {
    ($network:ty) => {
        impl $network {
            /// Continues from a checkpoint.
            ///
            /// # Errors
            /// As [`checkpoint::load`](crate::systems::checkpoint::load), and [`Error::Format`](crate::Error::Format) if it is of another kind of
            /// learner.
            pub fn load(path: impl AsRef<std::path::Path>) -> $crate::error::Result<Self> {
                $crate::systems::checkpoint::Reader::open(path.as_ref())?.all(Self::read)
            }

            /// The same from the bytes of a file, those of [`to_bytes`](crate::systems::Learner::to_bytes); `origin` names them in errors.
            ///
            /// # Errors
            /// As [`checkpoint::parse`](crate::systems::checkpoint::parse), and [`Error::Format`](crate::Error::Format) if they are of another
            /// kind of learner.
            pub fn parse(
                bytes: impl Into<$crate::datasets::storage::Bytes>,
                origin: &str,
            ) -> $crate::error::Result<Self> {
                $crate::systems::checkpoint::Reader::new(bytes.into(), origin.to_owned())?.all(Self::read)
            }
        }
    };
}
pub(crate) use readable;

/// What is not an array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    kind: String,
    inputs: usize,
    classes: usize,
    /// Images of the training set; 0 before training.
    samples: u64,
    /// [`Dataset::digest`](crate::datasets::Dataset::digest) of the training set, in hexadecimal.
    digest: String,
    step: u64,
    finished: bool,
    /// Names of the phases in the learning curve.
    phases: Vec<String>,
    /// FNV-1a over the header without this key, and every tensor's name, type, shape and bytes.
    checksum: String,
    config: String,
}

impl Header {
    fn text(&self) -> String {
        toml::to_string(self).expect("a header is representable as TOML")
    }

    fn sum<'a>(&self, tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], &'a [u8])>) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bytes: &[u8]| {
            for &byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        add(Header { checksum: String::new(), ..self.clone() }.text().as_bytes());
        for (name, dtype, shape, bytes) in tensors {
            add(format!("{name} {dtype:?} {shape:?} ").as_bytes());
            add(bytes);
        }
        format!("{hash:016x}")
    }
}

/// What stands in a learning curve for a value that is not there. A value that is no number has other bits.
const ABSENT: u64 = f64::NAN.to_bits();

fn written(value: Option<f64>) -> f64 {
    match value {
        None => f64::from_bits(ABSENT),
        Some(value) if value.is_nan() => f64::from_bits(ABSENT ^ 1 << 63),
        Some(value) => value,
    }
}

fn read_back(value: f64) -> Option<f64> {
    (value.to_bits() != ABSENT).then_some(value)
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Gathers a learner's state and writes it.
pub(crate) struct Writer {
    header: Header,
    /// In order of names.
    tensors: BTreeMap<String, Tensor>,
}

impl Writer {
    pub(crate) fn new(kind: &str, config: &str, inputs: usize, classes: usize, journal: &Journal) -> Self {
        let mut phases: Vec<String> = Vec::new();
        let mut points = Vec::with_capacity(journal.curve.len() * 4);
        for point in &journal.curve {
            let index = phases.iter().position(|name| **name == *point.phase).unwrap_or_else(|| {
                phases.push(point.phase.to_string());
                phases.len() - 1
            });
            points.extend([index as f64, point.step as f64, written(point.loss), written(point.accuracy)]);
        }
        let header = Header {
            version: VERSION,
            kind: kind.to_owned(),
            inputs,
            classes,
            samples: journal.samples,
            digest: format!("{:016x}", journal.digest),
            step: journal.step,
            finished: journal.finished,
            phases,
            checksum: String::new(),
            config: config.to_owned(),
        };
        let mut writer = Writer { header, tensors: Default::default() };
        writer.doubles("curve", &[journal.curve.len(), 4], &points);
        writer.doubles("running_loss", &[2], &[journal.losses.0, journal.losses.1 as f64]);
        writer
    }

    pub(crate) fn doubles(&mut self, name: &str, shape: &[usize], values: &[f64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), Tensor { dtype: Dtype::F64, shape: shape.to_vec(), bytes });
    }

    pub(crate) fn values(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.insert(name.to_owned(), Tensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes });
    }

    pub(crate) fn matrix(&mut self, name: &str, matrix: &Matrix) {
        self.values(name, &[matrix.rows(), matrix.cols()], matrix.as_slice());
    }

    pub(crate) fn adam(&mut self, name: &str, shape: &[usize], adam: &Adam) {
        self.values(&format!("{name}.first_moment"), shape, &adam.first);
        self.values(&format!("{name}.second_moment"), shape, &adam.second);
    }

    pub(crate) fn read_out(&mut self, name: &str, output: &ReadOut) {
        let shape = [output.weights.rows(), output.weights.cols()];
        self.matrix(&format!("{name}.weights"), &output.weights);
        self.values(&format!("{name}.bias"), &shape[1..], &output.bias);
        self.values(&format!("{name}.scale"), &[1], &[output.scale]);
        self.adam(&format!("{name}.weights"), &shape, &output.moments);
        self.adam(&format!("{name}.bias"), &shape[1..], &output.bias_moments);
    }

    /// The whole file.
    pub(crate) fn bytes(mut self) -> Result<Vec<u8>> {
        let bytes = self.serialised()?;
        if let Err(list) = check_list(&bytes) {
            // Many tensors of few values.
            let room = 4 * list.length as usize;
            self.values(ROOM, &[room], &vec![0.0; room]);
            return self.serialised();
        }
        Ok(bytes)
    }

    fn serialised(&mut self) -> Result<Vec<u8>> {
        let all = self.tensors.iter().map(|(name, t)| (name.as_str(), t.dtype, t.shape.as_slice(), t.bytes.as_slice()));
        self.header.checksum = self.header.sum(all);
        let text = self.header.text();
        let metadata = HashMap::from([(KEY.to_owned(), text.clone())]);
        let views = self.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            (name, view.expect("a tensor has as many values as its shape says"))
        });
        let wrong = |found: String| Error::format("state", 0, "a writable state", found);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| wrong(error.to_string()))?;
        let most = longest_header(bytes.len());
        settings::readable(&text, most).map_err(wrong)?;
        Ok(bytes)
    }
}

/// Checks that a file begins as safetensors files do, and is as long as it says; what cannot be told is left to those who read it.
fn check_whole(bytes: &[u8]) -> std::result::Result<(), String> {
    const LENGTH: usize = size_of::<u64>();
    if bytes.is_empty() {
        return Err("an empty file".to_owned());
    }
    if bytes.get(LENGTH) != Some(&b'{') {
        let beginning: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Err(format!("another format: {} bytes that begin with [{}]", bytes.len(), beginning.join(" ")));
    }
    let list = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let data = LENGTH as u64 + list.min(u64::MAX - LENGTH as u64);
    let cut_off = |least: &str, all: u64| format!("one that was cut off to {} bytes of {least}{all}", bytes.len());
    let Some(list) = usize::try_from(data).ok().and_then(|data| bytes.get(LENGTH..data)) else {
        return Err(cut_off("at least ", data));
    };
    // As the list writes it: `"data_offsets":[0,16]`.
    let ends = std::str::from_utf8(list).unwrap_or_default();
    let ends = ends.split(r#""data_offsets":["#).skip(1).filter_map(|rest| {
        let (_, end) = rest.split(']').next()?.split_once(',')?;
        end.parse::<u64>().ok()
    });
    match ends.max().map(|end| data.saturating_add(end)) {
        Some(all) if all > bytes.len() as u64 => Err(cut_off("", all)),
        _ => Ok(()),
    }
}

/// Checks that the list of tensors is not so long that reading it takes much more memory than the tensors do; what is no list is left to
/// those who know what should be one.
fn check_list(bytes: &[u8]) -> std::result::Result<(), TooLong> {
    let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let longest = LONGEST_LIST.max(bytes.len() / 16) as u64;
    if length > longest { Err(TooLong { length, longest }) } else { Ok(()) }
}

/// A list of tensors that is longer than it may be, in bytes.
struct TooLong {
    length: u64,
    longest: u64,
}

fn longest_header(file: usize) -> usize {
    LONGEST_HEADER.max(file / 100)
}

/// A checkpoint being read: checks every piece, and at the end that nothing was left over.
pub(crate) struct Reader {
    origin: String,
    bytes: Bytes,
    /// Where tensor data begin.
    base: usize,
    metadata: Metadata,
    header: Header,
    unread: BTreeSet<String>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Reader::new(Bytes::open(path)?, path.display().to_string())
    }

    /// Reads all that the file has; whatever is wrong with it is reported with its name.
    pub(crate) fn all<L>(mut self, read: impl FnOnce(&mut Reader) -> Result<L>) -> Result<L> {
        read(&mut self).and_then(|learner| self.finish().map(|()| learner)).map_err(|error| self.own(error))
    }

    pub(crate) fn new(bytes: Bytes, origin: String) -> Result<Self> {
        let broken = |expected: &str, found: String| Error::format(origin.clone(), 0, expected, found);
        check_whole(&bytes).map_err(|found| broken("a safetensors file", found))?;
        check_list(&bytes).map_err(|TooLong { length, longest }| {
            broken("a safetensors file", format!("a list of tensors of {length} bytes, above {longest}"))
        })?;
        let (length, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| broken("a safetensors file", format!("a damaged one or another format ({error})")))?;
        let base = length + size_of::<u64>();
        let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
        let text = text.ok_or_else(|| broken("the metadata key 'neuropil'", "a safetensors file without it".into()))?;
        let most = longest_header(bytes.len());
        settings::readable(text, most).map_err(|found| broken("a checkpoint's header", found))?;
        let header: Header =
            toml::from_str(text).map_err(|error| broken("a checkpoint's header", format!("'{}'", error.message())))?;
        if header.version != VERSION {
            return Err(broken(&format!("checkpoint version {VERSION}"), header.version.to_string()));
        }
        let mut unread = BTreeSet::new();
        let sum = {
            // Names in order, as they were written.
            let infos: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
            unread.extend(infos.keys().cloned());
            header.sum(infos.iter().map(|(name, info)| {
                let (start, end) = info.data_offsets;
                (name.as_str(), info.dtype, info.shape.as_slice(), &bytes[base + start..base + end])
            }))
        };
        // A fuzzer cannot guess checksums, and what comes after them is to be tried too: whoever means harm can compute them.
        if sum != header.checksum && !cfg!(fuzzing) {
            return Err(broken(&format!("the checksum {}", header.checksum), format!("{sum}: the file is damaged")));
        }
        Ok(Reader { origin, bytes, base, metadata, header, unread })
    }

    /// What a learner says of a state that cannot be.
    pub(crate) fn wrong(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::format(self.origin.clone(), 0, expected, found)
    }

    /// The configuration, of a checkpoint of this kind.
    pub(crate) fn config<C>(&self, kind: &str, parse: impl Fn(&str, &str, usize) -> Result<C>) -> Result<C> {
        if self.header.kind != kind {
            return Err(self.wrong(format!("a checkpoint of kind '{kind}'"), format!("'{}'", self.header.kind)));
        }
        let most = longest_header(self.bytes.len());
        parse(&self.header.config, &format!("{}, configuration", self.origin), most).map_err(|error| self.own(error))
    }

    /// Inputs and classes, within their ranges.
    pub(crate) fn shape(&self) -> Result<(usize, usize)> {
        settings::shape(self.header.inputs, self.header.classes).map_err(|error| self.own(error))?;
        Ok((self.header.inputs, self.header.classes))
    }

    /// A setting that is wrong in a file is a fault of the file.
    fn own(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, expected, found } => self.wrong(format!("{name} of {expected}"), found),
            other => other,
        }
    }

    fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&[u8]> {
        let place = self.place(name, dtype, shape)?;
        Ok(&self.bytes[place])
    }

    /// Where in the file a tensor lies.
    fn place(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<Range<usize>> {
        let info = self.metadata.info(name);
        let info = info.ok_or_else(|| self.wrong(format!("a tensor '{name}'"), "none of that name"))?;
        let (start, end) = info.data_offsets;
        if info.dtype != dtype || info.shape != shape {
            let expected = format!("tensor '{name}' of {dtype:?} {shape:?}");
            let found = format!("{:?} {:?}", info.dtype, info.shape);
            return Err(Error::format(self.origin.clone(), (self.base + start) as u64, expected, found));
        }
        self.unread.remove(name);
        Ok(self.base + start..self.base + end)
    }

    /// Checks that these tensors exist with these shapes, before memory is reserved for them.
    pub(crate) fn expect(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        self.tensor(name, Dtype::F32, shape)?;
        Ok(())
    }

    /// The same for everything of a read-out.
    pub(crate) fn expect_read_out(&mut self, name: &str, features: usize, classes: usize) -> Result<()> {
        self.expect_moments(&format!("{name}.weights"), &[features, classes])?;
        self.expect_moments(&format!("{name}.bias"), &[classes])
    }

    /// The same for values and Adam's moments of them.
    pub(crate) fn expect_moments(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        self.expect(name, shape)?;
        self.expect(&format!("{name}.first_moment"), shape)?;
        self.expect(&format!("{name}.second_moment"), shape)
    }

    /// Fills a slice from the tensor of this name.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize], out: &mut [f32]) -> Result<()> {
        let bytes = self.tensor(name, Dtype::F32, shape)?;
        for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    pub(crate) fn doubles(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let bytes = self.tensor(name, Dtype::F64, shape)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    /// Rows of this many values, as many as the file has.
    pub(crate) fn doubles_of(&mut self, name: &str, cols: usize) -> Result<Vec<f64>> {
        self.doubles(name, &[self.rows(name), cols])
    }

    /// Rows of a tensor, as many as the file has.
    fn rows(&self, name: &str) -> usize {
        self.metadata.info(name).and_then(|info| info.shape.first().copied()).unwrap_or(0)
    }

    pub(crate) fn matrix(&mut self, name: &str, out: &mut Matrix) -> Result<()> {
        let shape = [out.rows(), out.cols()];
        self.values(name, &shape, out.as_mut_slice())
    }

    pub(crate) fn adam(&mut self, name: &str, shape: &[usize], adam: &mut Adam) -> Result<()> {
        self.values(&format!("{name}.first_moment"), shape, &mut adam.first)?;
        self.values(&format!("{name}.second_moment"), shape, &mut adam.second)
    }

    pub(crate) fn read_out(&mut self, name: &str, output: &mut ReadOut) -> Result<()> {
        let shape = [output.weights.rows(), output.weights.cols()];
        self.matrix(&format!("{name}.weights"), &mut output.weights)?;
        self.values(&format!("{name}.bias"), &shape[1..], &mut output.bias)?;
        self.values(&format!("{name}.scale"), &[1], std::slice::from_mut(&mut output.scale))?;
        self.adam(&format!("{name}.weights"), &shape, &mut output.moments)?;
        self.adam(&format!("{name}.bias"), &shape[1..], &mut output.bias_moments)
    }

    pub(crate) fn journal(&mut self) -> Result<Journal> {
        let losses = self.doubles("running_loss", &[2])?;
        let Header { step, samples, finished, ref phases, ref digest, .. } = self.header;
        let digest = match u64::from_str_radix(digest, 16) {
            Ok(digest) => digest,
            Err(_) => return Err(self.wrong("a digest of 16 hexadecimal digits", digest.clone())),
        };
        // One name for all the points of a phase, however long it is.
        let phases: Vec<Arc<str>> = phases.iter().map(|name| name.as_str().into()).collect();
        let rows = self.rows("curve");
        let place = self.place("curve", Dtype::F64, &[rows, 4])?;
        // Points are made from the bytes one by one: the values of all of them beside the points would be too much.
        let mut curve = Vec::with_capacity(rows);
        for point in self.bytes[place].as_chunks::<8>().0.as_chunks::<4>().0 {
            let [phase, step, loss, accuracy] = point.map(f64::from_le_bytes);
            let name = phases.get(phase as usize).filter(|_| phase >= 0.0 && phase.fract() == 0.0);
            let phase = name.ok_or_else(|| self.wrong("the number of a phase", phase.to_string()))?.clone();
            if !(0.0..=LAST_STEP).contains(&step) || step.fract() != 0.0 {
                return Err(self.wrong(format!("a whole step of the curve from 0 to {LAST_STEP}"), step.to_string()));
            }
            curve.push(CurvePoint { phase, step: step as u64, loss: read_back(loss), accuracy: read_back(accuracy) });
        }
        if !(0.0..=LAST_STEP).contains(&losses[1]) || losses[1].fract() != 0.0 {
            let expected = format!("a whole number of losses since the last point, from 0 to {LAST_STEP}");
            return Err(self.wrong(expected, losses[1].to_string()));
        }
        Ok(Journal { step, samples, digest, finished, curve, losses: (losses[0], losses[1] as u64) })
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Checks that nothing was left unread.
    fn finish(&self) -> Result<()> {
        match self.unread.iter().find(|name| *name != ROOM) {
            None => Ok(()),
            Some(name) => Err(self.wrong("only the learner's own tensors", format!("another one, '{name}'"))),
        }
    }
}

#[cfg(test)]
mod tests;
