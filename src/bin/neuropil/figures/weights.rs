//! Hidden weights: as pictures of the input, and how they are distributed.

use neuropil::Matrix;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::chart::{Plot, Series, lines};
use super::{Drawing, FONT, Figure, MARGIN, Picture, TITLE, render};
use crate::failure::Failure;

/// The hidden units of one network.
pub(crate) struct Kernels {
    pub(crate) name: String,
    /// `[units, channels * rows * cols]`
    pub(crate) weights: Matrix,
    pub(crate) channels: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// Bins of the weight histogram, from -1 to 1: as wide for networks without negative weights.
const BINS: usize = 80;

/// How the hidden weights are distributed: the share of weights in each bin, each network's scaled by its largest |w|.
pub(crate) fn weight_histogram(networks: &[Kernels]) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    for network in networks {
        let values = network.weights.as_slice();
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        if largest == 0.0 || !largest.is_finite() {
            continue;
        }
        let mut counts = [0usize; BINS];
        for value in values.iter().filter(|&&value| value != 0.0) {
            let place = (f64::from(value / largest) + 1.0) / 2.0 * BINS as f64;
            counts[(place as usize).min(BINS - 1)] += 1;
        }
        let total = values.len() as f64;
        let middle = |bin: usize| 2.0 * (bin as f64 + 0.5) / BINS as f64 - 1.0;
        let zeros = 100.0 * (values.len() - counts.iter().sum::<usize>()) as f64 / total;
        // Empty bins have no place on a logarithmic axis, and break the line.
        let points = counts.iter().enumerate().map(|(bin, &count)| (middle(bin), count as f64 / total));
        series.push(Series { name: format!("{} ({zeros:.1} % zero)", network.name), points: points.collect() });
    }
    let plot = Plot {
        title: "Hidden weights, those not zero",
        x: "weight / largest |weight|",
        y: "share of all weights",
        caption: &format!(
            "Distribution of the hidden weights of each network's first seed, in bins of {}; dots are bins between empty ones. Exact zeros are \
             left out of the lines and named below.",
            2.0 / BINS as f64
        ),
        logarithmic: [false, true],
    };
    lines("weight-histogram", &plot, &series)
}

/// Most units shown in a row, and rows of them.
const TILES: usize = 10;
/// Networks in a row.
const PANELS: usize = 2;

struct Panels<'a> {
    networks: &'a [Kernels],
}

impl Panels<'_> {
    /// Units in a row, and rows of them: what the most units of a network need.
    fn tiles(&self) -> usize {
        let units = self.networks.iter().map(|network| network.weights.rows()).max().unwrap_or(1);
        (1..TILES).find(|tiles| tiles * tiles >= units).unwrap_or(TILES)
    }

    /// Pixels of one panel's picture, before scaling.
    fn picture_size(&self) -> (usize, usize) {
        let size = |of: fn(&Kernels) -> usize| self.networks.iter().map(of).max().unwrap_or(1);
        (self.tiles() * (size(|n| n.cols) + 1) + 1, self.tiles() * (size(|n| n.rows) + 1) + 1)
    }

    fn scale(&self) -> usize {
        (640 / self.picture_size().0).max(1)
    }

    fn panel_size(&self) -> (usize, usize) {
        let (width, height) = self.picture_size();
        (width * self.scale() + MARGIN, height * self.scale() + TITLE)
    }

    fn place(&self, index: usize) -> (usize, usize) {
        let (width, height) = self.panel_size();
        (MARGIN + index % PANELS * width, MARGIN + index / PANELS * height)
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = self.panel_size();
        let columns = self.networks.len().min(PANELS);
        let rows = self.networks.len().div_ceil(PANELS);
        ((MARGIN + columns * width) as u32, (MARGIN + rows * height + MARGIN / 2) as u32)
    }
}

impl Drawing for Panels<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        for (index, network) in self.networks.iter().enumerate() {
            let (x, y) = self.place(index);
            area.draw(&Text::new(network.name.clone(), (x as i32, y as i32 + 8), (FONT, 28)))?;
        }
        Ok(())
    }

    fn pictures(&self) -> Vec<Picture> {
        let pictures = self.networks.iter().enumerate().map(|(index, network)| {
            let (x, y) = self.place(index);
            let (width, height) = self.picture_size();
            let rgb = tiles(network, self.tiles(), width, height);
            Picture { x, y: y + TITLE - MARGIN, width, height, scale: self.scale(), rgb }
        });
        pictures.collect()
    }
}

/// One picture of the units' weights, evenly spaced over the layer, each scaled by its own largest |w|.
fn tiles(network: &Kernels, columns: usize, width: usize, height: usize) -> Vec<u8> {
    let mut rgb = vec![200; 3 * width * height];
    let units = network.weights.rows();
    let shown = units.min(columns * columns);
    let pixels = network.rows * network.cols;
    for tile in 0..shown {
        let weights = network.weights.row(tile * units / shown);
        let largest = weights.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let (left, top) = (1 + tile % columns * (network.cols + 1), 1 + tile / columns * (network.rows + 1));
        for pixel in 0..pixels {
            let to = 3 * ((top + pixel / network.cols) * width + left + pixel % network.cols);
            let colour = if network.channels == 3 {
                // Colour weights as colours around grey.
                [0, 1, 2].map(|channel| (127.5 * (1.0 + weights[channel * pixels + pixel] / largest)) as u8)
            } else {
                diverging(weights[pixel] / largest)
            };
            rgb[to..to + 3].copy_from_slice(&colour);
        }
    }
    rgb
}

/// -1 blue, 0 white, 1 red.
fn diverging(value: f32) -> [u8; 3] {
    let (end, amount) = if value < 0.0 { ([5.0, 48.0, 130.0], -value) } else { ([130.0, 0.0, 30.0], value) };
    // The square root lifts weak weights above what the eye takes for white.
    let amount = amount.clamp(0.0, 1.0).sqrt();
    end.map(|end: f32| (255.0 + (end - 255.0) * amount) as u8)
}

/// The weights of hidden units as pictures of the input: figure 2 of the paper.
pub(crate) fn weight_kernels(networks: &[Kernels]) -> Result<Option<Figure>, Failure> {
    if networks.is_empty() {
        return Ok(None);
    }
    let panels = Panels { networks };
    let colours = match networks[0].channels {
        3 => "each scaled by its largest, as colours around grey, which is zero",
        _ => {
            "each scaled by its largest, in colours as strong as the square root of that: red excites, blue inhibits, \
             white is zero"
        }
    };
    let caption =
        format!("Weights of up to {} hidden units of each network (of its first seed), {colours}.", TILES * TILES);
    render("weight-kernels", caption, panels.size(), &panels).map(Some)
}
