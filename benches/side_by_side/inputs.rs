//! Shapes and inputs of an operation: those that the peers were given, or random ones of the same kind.

use std::collections::HashMap;
use std::path::PathBuf;

use neuropil::random::{Stream, below};
use neuropil::{Context, Matrix, kernels};

/// Shapes by name, with defaults, and where the inputs lie if they are given: a file each, values in their little-endian bytes.
pub struct Inputs {
    shape: HashMap<String, usize>,
    directory: Option<PathBuf>,
}

impl Inputs {
    /// `key=number ... [from=DIR]`
    pub fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut inputs = Inputs { shape: HashMap::new(), directory: None };
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("expected key=number, found '{word}'"))?;
            if key == "from" {
                inputs.directory = Some(value.into());
            } else {
                let value = value.parse().map_err(|_| format!("expected key=number, found '{word}'"))?;
                inputs.shape.insert(key.to_owned(), value);
            }
        }
        Ok(inputs)
    }

    pub fn get(&self, name: &str, default: usize) -> usize {
        self.shape.get(name).copied().unwrap_or(default)
    }

    /// The bytes of an input, if inputs are given.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.directory.as_ref()?.join(name);
        Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub fn values(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.bytes(name)?.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    pub fn indices(&self, name: &str) -> Option<Vec<u32>> {
        Some(self.bytes(name)?.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    pub fn matrix(&self, name: &str, rows: usize, cols: usize, otherwise: impl FnOnce() -> Matrix) -> Matrix {
        self.values(name).map_or_else(otherwise, |values| Matrix::from_slice(&values, rows, cols).expect(name))
    }

    /// Given, or uniform in `[low, high)`.
    pub fn uniform(&self, name: &str, rows: usize, cols: usize, low: f32, high: f32) -> Matrix {
        self.matrix(name, rows, cols, || uniform(rows, cols, low, high, name))
    }

    /// Given, or of ten classes.
    pub fn labels(&self, count: usize) -> Vec<u8> {
        self.bytes("labels").unwrap_or_else(|| {
            let mut generator = Stream::new(0, "labels").generator();
            (0..count).map(|_| below(&mut generator, 10) as u8).collect()
        })
    }
}

pub fn uniform(rows: usize, cols: usize, low: f32, high: f32, purpose: &str) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    Stream::new(0, purpose).uniform(low, high, matrix.as_mut_slice());
    matrix
}

/// Standard normal values, the negative ones zero.
pub fn rectified(rows: usize, cols: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, cols);
    let mut context = Context::new().expect("an instruction set");
    kernels::perturb::gaussian(&mut context, Stream::new(0, "rectified"), 1.0, matrix.as_mut_slice());
    kernels::activation::relu(&mut context, matrix.view_mut());
    matrix
}

/// The embedded digits, evenly drawn, and their labels.
pub fn digits(count: usize) -> (Matrix, Vec<u8>) {
    let images = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-images-idx3-ubyte"));
    let labels = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/train-labels-idx1-ubyte"));
    let place = |image: usize| image * (labels.len() - 8) / count;
    let pixel = |image: usize, pixel: usize| f32::from(images[16 + place(image) * 784 + pixel]) / 255.0;
    (Matrix::from_fn(count, 784, pixel), (0..count).map(|image| labels[8 + place(image)]).collect())
}
