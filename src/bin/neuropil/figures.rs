//! The figures of a reproduction, each as SVG and as PNG.
//!
//! Lettering is measured and, for PNG, drawn with a font inside the program, so that a machine without fonts draws the same.

mod chart;
mod feature_map;
mod weights;

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

pub(crate) use chart::{Banded, Plot, Series, bands, learning_curves, lines, marks, scatter};
pub(crate) use feature_map::{Sheet, animation, feature_maps};
pub(crate) use weights::{Kernels, weight_histogram, weight_kernels};

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

/// A drawing as RGB pixels, pictures and all.
fn raster(name: &str, size: (u32, u32), drawing: &impl Drawing) -> Result<Vec<u8>, Failure> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_ok());
    if !registered {
        return Err(Failure::Message("the font inside the program cannot be read".to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| Failure::Message(format!("cannot draw figure {name}: {error}"));
    let mut pixels = vec![0; 3 * size.0 as usize * size.1 as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        drawing.draw(&area).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    drawing.pictures().iter().for_each(|picture| picture.copy_to(&mut pixels, size.0 as usize));
    Ok(pixels)
}

fn render(name: &'static str, caption: String, size: (u32, u32), drawing: &impl Drawing) -> Result<Figure, Failure> {
    let pixels = raster(name, size, drawing)?;
    let failed = |error: &dyn std::fmt::Display| Failure::Message(format!("cannot draw figure {name}: {error}"));

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
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

/// Pixels between parts of a figure.
const MARGIN: usize = 30;
/// Pixels of a part's title with what lies around it.
const TITLE: usize = 70;

#[cfg(test)]
mod tests {
    use neuropil::Matrix;

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
    fn figures_hold_what_they_are_given() {
        let weights = Matrix::from_fn(3, 4, |unit, pixel| if unit == 0 { -1.0 } else { pixel as f32 });
        let network = Kernels { name: "some rule".into(), weights, channels: 1, rows: 2, cols: 2 };
        let networks = std::slice::from_ref(&network);
        let kernels = weight_kernels(networks).unwrap().unwrap();
        assert!(kernels.svg.contains("some rule") && kernels.svg.contains("data:image/png;base64,"));
        assert!(kernels.png.starts_with(b"\x89PNG"));
        let histogram = weight_histogram(networks).unwrap().unwrap();
        assert!(histogram.svg.contains("some rule (16.7 % zero)"), "two of twelve weights are zero");
        let curve = Banded::over("a learner", &[vec![(1.0, 20.0), (100.0, 97.0)]]);
        let curves = learning_curves("curves", "Learning", "The run of seed 0.", vec![curve]).unwrap().unwrap();
        assert!(curves.svg.contains("a learner") && curves.svg.contains("test accuracy"));
        assert!(curves.caption.ends_with("The run of seed 0."));
    }

    #[test]
    fn a_histogram_has_bins_of_one_width_and_no_line_across_empty_ones() {
        // 39 of the 40 least of each and the largest, which decides where the others lie: a line of two bins, and a dot.
        let network = |name: &str, sign: f32| {
            let weight = |_, at: usize| match at {
                0 => 1.0,
                at => sign.powi(at as i32) * if at % 4 < 2 { 0.01 } else { 0.03 },
            };
            Kernels { name: name.into(), weights: Matrix::from_fn(1, 40, weight), channels: 1, rows: 1, cols: 40 }
        };
        let svg = |sign| weight_histogram(&[network("some", sign)]).unwrap().unwrap().svg;
        let lines = |svg: &str| -> Vec<usize> {
            let all = svg.split("<polyline").skip(1).map(|rest| rest.split("/>").next().unwrap());
            let own = all.filter(|line| line.contains("#0072B2"));
            own.map(|line| line.split("points=\"").nth(1).unwrap().split('"').next().unwrap().trim().split(' ').count())
                .collect()
        };
        let dots = |svg: &str| svg.split("<circle").skip(1).filter(|rest| rest.contains("#0072B2")).count();
        // Each line, and what stands for it in the legend.
        assert_eq!((lines(&svg(1.0)), dots(&svg(1.0))), (vec![2, 2], 1));
        assert_eq!((lines(&svg(-1.0)), dots(&svg(-1.0))), (vec![4, 2], 1));
    }

    #[test]
    fn nothing_to_draw_is_no_figure() {
        assert!(weight_kernels(&[]).unwrap().is_none());
        assert!(weight_histogram(&[]).unwrap().is_none());
        assert!(learning_curves("curves", "Learning", "", Vec::new()).unwrap().is_none());
    }
}
