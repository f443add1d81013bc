//! The figures of a reproduction, each as SVG and as PNG.
//!
//! Lettering is measured and, for PNG, drawn with a font inside the program, so that a machine without fonts draws the same.

use std::fmt::Write as _;
use std::sync::OnceLock;

use neuropil::Matrix;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::failure::Failure;

/// A figure in both forms.
pub(crate) struct Figure {
    /// File name without extension.
    pub(crate) name: &'static str,
    /// What it shows, for the report.
    pub(crate) caption: String,
    /// As SVG.
    pub(crate) svg: String,
    /// As PNG.
    pub(crate) png: Vec<u8>,
}

/// A named line of (x, y) points.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The hidden units of one network.
pub(crate) struct Kernels {
    pub(crate) name: String,
    /// `[units, channels * rows * cols]`
    pub(crate) weights: Matrix,
    pub(crate) channels: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

/// Okabe and Ito's palette, which colour-blind readers can tell apart.
const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(128, 128, 128),
];

const FONT: &str = "sans-serif";

/// A rectangle of RGB pixels to put into a figure, `scale` figure pixels for each of its own.
struct Picture {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    scale: usize,
    rgb: Vec<u8>,
}

/// What draws a figure, on either backend.
trait Drawing {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>>;

    /// Pictures laid over the drawing.
    fn pictures(&self) -> Vec<Picture> {
        Vec::new()
    }
}

fn render(name: &'static str, caption: String, size: (u32, u32), drawing: &impl Drawing) -> Result<Figure, Failure> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_ok());
    if !registered {
        return Err(Failure::Message("the font inside the program cannot be read".to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| Failure::Message(format!("cannot draw figure {name}: {error}"));

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        drawing.draw(&area).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        drawing.draw(&area).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    for picture in drawing.pictures() {
        let image = png(&picture.rgb, picture.width, picture.height).map_err(|error| failed(&error))?;
        let end = svg.rfind("</svg>").unwrap_or(svg.len());
        svg.insert_str(
            end,
            &format!(
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated\" \
                 href=\"data:image/png;base64,{}\"/>\n",
                picture.x,
                picture.y,
                picture.width * picture.scale,
                picture.height * picture.scale,
                base64(&image)
            ),
        );
        picture.copy_to(&mut pixels, size.0 as usize);
    }
    let png = png(&pixels, size.0 as usize, size.1 as usize).map_err(|error| failed(&error))?;
    Ok(Figure { name, caption, svg, png })
}

impl Picture {
    fn copy_to(&self, pixels: &mut [u8], width: usize) {
        for y in 0..self.height * self.scale {
            for x in 0..self.width * self.scale {
                let from = 3 * (y / self.scale * self.width + x / self.scale);
                let to = 3 * ((self.y + y) * width + self.x + x);
                pixels[to..to + 3].copy_from_slice(&self.rgb[from..from + 3]);
            }
        }
    }
}

fn png(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { DIGITS[value as usize].into() } else { '=' });
        }
    }
    text
}

/// A chart of lines with a legend.
struct Chart<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    series: &'a [Series],
    /// Ranges of both axes, in the axes' own units (powers of ten where logarithmic).
    range: [(f64, f64); 2],
    /// Whether the axes carry powers of ten: points then hold the exponents.
    powers: [bool; 2],
    legend: SeriesLabelPosition,
    /// Whether points stand alone instead of forming lines.
    marks: bool,
    /// A straight line drawn below all else.
    fit: Option<[(f64, f64); 2]>,
}

impl Drawing for Chart<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let [(x0, x1), (y0, y1)] = self.range;
        let mut chart = ChartBuilder::on(area)
            .margin(20)
            .margin_right(40)
            .caption(self.title, (FONT, 30))
            .x_label_area_size(70)
            .y_label_area_size(100)
            .build_cartesian_2d(x0..x1, y0..y1)?;
        let label = |powers: bool| {
            move |value: &f64| {
                if !powers {
                    // As many decimals as the axis needs, no trailing zeros.
                    let text = format!("{value:.2}");
                    return text.trim_end_matches('0').trim_end_matches('.').to_owned();
                }
                if (value - value.round()).abs() > 1e-6 { String::new() } else { power_of_ten(value.round() as i32) }
            }
        };
        let whole = |(low, high): (f64, f64)| (high - low).round().max(1.0) as usize + 1;
        let count = |axis: usize| if self.powers[axis] { whole(self.range[axis]) } else { 8 };
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style((FONT, 24))
            .label_style((FONT, 20))
            .x_labels(count(0))
            .y_labels(count(1))
            .x_label_formatter(&label(self.powers[0]))
            .y_label_formatter(&label(self.powers[1]))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .draw()?;
        if let Some(fit) = self.fit {
            chart.draw_series(LineSeries::new(fit, BLACK.mix(0.5).stroke_width(2)))?;
        }
        for (index, series) in self.series.iter().enumerate() {
            let colour = PALETTE[index % PALETTE.len()];
            if self.marks {
                let circle = move |point| Circle::new(point, 6, colour.filled());
                let anno = chart.draw_series(series.points.iter().map(|&point| circle(point)))?;
                anno.label(&series.name).legend(move |(x, y)| Circle::new((x + 15, y), 6, colour.filled()));
                continue;
            }
            let anno = chart.draw_series(LineSeries::new(series.points.iter().copied(), colour.stroke_width(3)))?;
            anno.label(&series.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], colour.stroke_width(4)));
            // A single point would leave no trace as a line.
            if let [point] = series.points[..] {
                chart.draw_series([Circle::new(point, 4, colour.filled())])?;
            }
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .margin(16)
            .legend_area_size(42)
            .label_font((FONT, 20))
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.4))
            .draw()
    }
}

/// `1`, `10`, `100`, `1000`, and `10^n` beyond.
fn power_of_ten(exponent: i32) -> String {
    match exponent {
        0..=5 => 10i32.pow(exponent as u32).to_string(),
        -3..=-1 => format!("{:.*}", -exponent as usize, 10f64.powi(exponent)),
        _ => {
            let mut text = "10".to_owned();
            for digit in exponent.to_string().chars() {
                text.push(match digit {
                    '-' => '⁻',
                    '1' => '¹',
                    '2' => '²',
                    '3' => '³',
                    digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
                });
            }
            text
        }
    }
}

/// Test accuracy in per cent over the batches of each learner's last phase; `None` if no series has a point.
pub(crate) fn learning_curves(name: &'static str, title: &str, series: &[Series]) -> Result<Option<Figure>, Failure> {
    let series: Vec<Series> = series
        .iter()
        .filter(|series| !series.points.is_empty())
        .map(|series| Series {
            name: series.name.clone(),
            points: series.points.iter().map(|&(step, accuracy)| (step.max(1.0).log10(), accuracy)).collect(),
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    if points().next().is_none() {
        return Ok(None);
    }
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let first = points().map(|point| point.0).fold(last, f64::min).floor();
    let low = points().map(|point| point.1).fold(100.0, f64::min);
    let chart = Chart {
        title,
        x: "batches (logarithmic)",
        y: "test accuracy, %",
        series: &series,
        range: [(first, (last + 0.05).max(first + 1.0)), ((low / 10.0).floor() * 10.0, 100.0)],
        powers: [true, false],
        legend: SeriesLabelPosition::LowerRight,
        marks: false,
        fit: None,
    };
    let caption = "Accuracy on the test images while the output layer (or the whole network) learns.".to_owned();
    render(name, caption, (1400, 900), &chart).map(Some)
}

/// The least and the largest, with a margin.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), value| (l.min(value), h.max(value)));
    let margin = ((high - low) * 0.05).max(0.05);
    (low - margin, high + margin)
}

/// Accuracy over entropy, a point a network, with the regression line of all; `None` without a point.
pub(crate) fn scatter(name: &'static str, title: &str, series: &[Series]) -> Result<Option<Figure>, Failure> {
    let points: Vec<(f64, f64)> = series.iter().flat_map(|series| series.points.iter().copied()).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    let ranges = [range(points.iter().map(|p| p.0)), range(points.iter().map(|p| p.1))];
    let fit = slope.is_finite().then(|| [ranges[0].0, ranges[0].1].map(|at| (at, y + slope * (at - x))));
    let chart = Chart {
        title,
        x: "largest entropy of a unit, bits",
        y: "test accuracy, %",
        series,
        range: ranges,
        powers: [false, false],
        legend: SeriesLabelPosition::LowerRight,
        marks: true,
        fit,
    };
    let caption = "Every trained network: the largest entropy of its units' latents, and its accuracy.";
    render(name, caption.to_owned(), (1400, 900), &chart).map(Some)
}

/// Accuracy over meta-steps, a line a run; `None` without a point.
pub(crate) fn meta_steps(name: &'static str, title: &str, series: &[Series]) -> Result<Option<Figure>, Failure> {
    let points = || series.iter().flat_map(|series| &series.points);
    if points().next().is_none() {
        return Ok(None);
    }
    let chart = Chart {
        title,
        x: "meta-step",
        y: "test accuracy, %",
        series,
        range: [range(points().map(|point| point.0)), range(points().map(|point| point.1))],
        powers: [false, false],
        legend: SeriesLabelPosition::LowerRight,
        marks: false,
        fit: None,
    };
    let caption = "A classifier's accuracy after each move of a receptive field that was accepted, for each seed.";
    render(name, caption.to_owned(), (1400, 900), &chart).map(Some)
}

/// A feature map with the receptive fields on it.
pub(crate) struct Sheet {
    pub(crate) title: String,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// What lies on the map, row by row.
    pub(crate) activity: Vec<f32>,
    /// Rectangles `[row, row_end, col, col_end]` of each unit.
    pub(crate) fields: Vec<Vec<[usize; 4]>>,
}

/// Pixels of a cell.
const CELL: usize = 10;
/// Maps in a row.
const MAPS: usize = 3;

impl Sheet {
    /// Width, height and RGB: the activity in grey, each unit's field outlined in its colour.
    fn picture(&self) -> (usize, usize, Vec<u8>) {
        let (width, height) = (self.cols * CELL, self.rows * CELL);
        let mut rgb = vec![0; 3 * width * height];
        let (low, high) = self.activity.iter().fold((0.0f32, f32::MIN_POSITIVE), |(l, h), &v| (l.min(v), h.max(v)));
        for y in 0..height {
            for x in 0..width {
                let value = self.activity[y / CELL * self.cols + x / CELL];
                let grey = (255.0 * ((value - low) / (high - low)).sqrt()) as u8;
                rgb[3 * (y * width + x)..][..3].fill(grey);
            }
        }
        for (unit, rectangles) in self.fields.iter().enumerate() {
            let RGBColor(r, g, b) = PALETTE[(unit + 1) % PALETTE.len()];
            // Fields that share an edge: each unit's frame lies a little further inside.
            let inset = 2 * unit;
            for &[row, row_end, col, col_end] in rectangles {
                let (top, bottom) = (row * CELL + inset, row_end * CELL - inset);
                let (left, right) = (col * CELL + inset, col_end * CELL - inset);
                for y in top..bottom {
                    for x in left..right {
                        let edge = y < top + 2 || y + 2 >= bottom || x < left + 2 || x + 2 >= right;
                        if edge {
                            rgb[3 * (y * width + x)..][..3].copy_from_slice(&[r, g, b]);
                        }
                    }
                }
            }
        }
        (width, height, rgb)
    }
}

struct Sheets<'a>(&'a [Sheet]);

impl Sheets<'_> {
    fn place(&self, index: usize) -> (usize, usize) {
        let (width, height) = self.0.first().map_or((0, 0), |sheet| (sheet.cols * CELL, sheet.rows * CELL));
        (MARGIN + index % MAPS * (width + MARGIN), MARGIN + index / MAPS * (height + TITLE))
    }
}

impl Drawing for Sheets<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        for (index, sheet) in self.0.iter().enumerate() {
            let (x, y) = self.place(index);
            area.draw(&Text::new(sheet.title.clone(), (x as i32, y as i32), (FONT, 24)))?;
        }
        Ok(())
    }

    fn pictures(&self) -> Vec<Picture> {
        let picture = |(index, sheet): (usize, &Sheet)| {
            let ((x, y), (width, height, rgb)) = (self.place(index), sheet.picture());
            Picture { x, y: y + MARGIN, width, height, scale: 1, rgb }
        };
        self.0.iter().enumerate().map(picture).collect()
    }
}

/// Feature maps step by step.
pub(crate) fn feature_maps(name: &'static str, sheets: &[Sheet]) -> Result<Figure, Failure> {
    let (columns, rows) = (sheets.len().min(MAPS), sheets.len().div_ceil(MAPS));
    let (width, height) = sheets.first().map_or((0, 0), |sheet| (sheet.cols * CELL, sheet.rows * CELL));
    let size = (columns * (width + MARGIN) + MARGIN, rows * (height + TITLE) + MARGIN);
    let caption = "The feature map of the first test image after each move that was accepted, in the run with most of them: the \
                   image at the left, the units' latents beside it, and each unit's receptive field in a colour of its own.";
    render(name, caption.to_owned(), (size.0 as u32, size.1 as u32), &Sheets(sheets))
}

/// The same as an animated PNG, half a second a step.
pub(crate) fn animation(sheets: &[Sheet]) -> Result<Vec<u8>, Failure> {
    let failed = |error: png::EncodingError| Failure::Message(format!("cannot draw the animation: {error}"));
    let mut bytes = Vec::new();
    let pictures: Vec<_> = sheets.iter().map(Sheet::picture).collect();
    let (width, height) = pictures.first().map_or((1, 1), |(width, height, _)| (*width, *height));
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(pictures.len().max(1) as u32, 0).map_err(failed)?;
    encoder.set_frame_delay(1, 2).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for (.., rgb) in &pictures {
        writer.write_image_data(rgb).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// Bins of the weight histogram.
const BINS: usize = 80;

/// How the hidden weights are distributed: the share of weights in each bin, each network's scaled by its largest |w|.
pub(crate) fn weight_histogram(networks: &[Kernels]) -> Result<Option<Figure>, Failure> {
    let mut series = Vec::new();
    let mut lowest = -1.0f64;
    for network in networks {
        let values = network.weights.as_slice();
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        if largest == 0.0 || !largest.is_finite() {
            continue;
        }
        let signed = values.iter().any(|&value| value < 0.0);
        let (low, width) = if signed { (-1.0, 2.0) } else { (0.0, 1.0) };
        let mut counts = [0usize; BINS];
        for value in values.iter().filter(|&&value| value != 0.0) {
            let place = (f64::from(value / largest) - low) / width * BINS as f64;
            counts[(place as usize).min(BINS - 1)] += 1;
        }
        let zeros = values.iter().filter(|&&value| value == 0.0).count();
        let total = values.len() as f64;
        let mut points = Vec::new();
        for (bin, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = (count as f64 / total).log10();
            lowest = lowest.min(share.floor());
            points.push((low + width * (bin as f64 + 0.5) / BINS as f64, share));
        }
        series.push(Series { name: format!("{} ({:.1} % zero)", network.name, 100.0 * zeros as f64 / total), points });
    }
    if series.is_empty() {
        return Ok(None);
    }
    let chart = Chart {
        title: "Hidden weights, those not zero",
        x: "weight / largest |weight|",
        y: "share of all weights",
        series: &series,
        range: [(-1.0, 1.0), (lowest, 0.0)],
        powers: [false, true],
        legend: SeriesLabelPosition::UpperLeft,
        marks: false,
        fit: None,
    };
    let caption = "Distribution of the hidden weights. Exact zeros are left out of the lines and named in the legend.";
    render("weight-histogram", caption.to_owned(), (1400, 900), &chart).map(Some)
}

/// Units shown in a row, and rows of them.
const TILES: usize = 10;
/// Networks in a row.
const PANELS: usize = 2;
const MARGIN: usize = 30;
const TITLE: usize = 70;

struct Panels<'a> {
    networks: &'a [Kernels],
}

impl Panels<'_> {
    /// Pixels of one panel's picture, before scaling.
    fn picture_size(&self) -> (usize, usize) {
        let size = |of: fn(&Kernels) -> usize| self.networks.iter().map(of).max().unwrap_or(1);
        (TILES * (size(|n| n.cols) + 1) + 1, TILES * (size(|n| n.rows) + 1) + 1)
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
            let rgb = tiles(network, width, height);
            Picture { x, y: y + TITLE - MARGIN, width, height, scale: self.scale(), rgb }
        });
        pictures.collect()
    }
}

/// One picture of the units' weights, evenly spaced over the layer, each scaled by its own largest |w|.
fn tiles(network: &Kernels, width: usize, height: usize) -> Vec<u8> {
    let mut rgb = vec![200; 3 * width * height];
    let units = network.weights.rows();
    let shown = units.min(TILES * TILES);
    let pixels = network.rows * network.cols;
    for tile in 0..shown {
        let weights = network.weights.row(tile * units / shown);
        let largest = weights.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let (left, top) = (1 + tile % TILES * (network.cols + 1), 1 + tile / TILES * (network.rows + 1));
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
    let mut caption = format!("Weights of up to {} hidden units of each network", TILES * TILES);
    write!(caption, ", each scaled by its largest: red excites, blue inhibits, white is zero.")
        .map_err(|error| Failure::Message(error.to_string()))?;
    render("weight-kernels", caption, panels.size(), &panels).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (text, encoded) in cases {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn powers_of_ten_are_written_as_people_do() {
        let written: Vec<String> = [0, 2, -2, -5, 12].map(power_of_ten).into();
        assert_eq!(written, ["1", "100", "0.01", "10⁻⁵", "10¹²"]);
    }

    #[test]
    fn figures_hold_what_they_are_given() {
        let weights = Matrix::from_fn(3, 4, |unit, pixel| if unit == 0 { -1.0 } else { pixel as f32 });
        let network = Kernels { name: "some rule".into(), weights, channels: 1, rows: 2, cols: 2 };
        let networks = std::slice::from_ref(&network);
        let kernels = weight_kernels(networks).unwrap().unwrap();
        assert!(kernels.svg.contains("some rule") && kernels.svg.contains("data:image/png;base64,"));
        assert!(kernels.png.starts_with(b"\x89PNG"));
        let histogram = weight_histogram(networks).unwrap().unwrap();
        assert!(histogram.svg.contains("some rule (16.7 % zero)"), "two of twelve weights are zero");
        let curve = Series { name: "a learner".into(), points: vec![(1.0, 20.0), (100.0, 97.0)] };
        let curves = learning_curves("curves", "Learning", &[curve]).unwrap().unwrap();
        assert!(curves.svg.contains("a learner") && curves.svg.contains("test accuracy"));
    }

    #[test]
    fn nothing_to_draw_is_no_figure() {
        assert!(weight_kernels(&[]).unwrap().is_none());
        assert!(weight_histogram(&[]).unwrap().is_none());
        assert!(learning_curves("curves", "Learning", &[]).unwrap().is_none());
    }
}
