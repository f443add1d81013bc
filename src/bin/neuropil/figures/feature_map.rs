//! Feature maps with the receptive fields on them, step by step.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Drawing, FONT, Figure, MARGIN, PALETTE, Picture, TITLE, render};
use crate::failure::Failure;

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
