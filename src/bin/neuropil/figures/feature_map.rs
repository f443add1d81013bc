//! Feature maps with the receptive fields on them, side by side or one after the other.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Drawing, FONT, Figure, MARGIN, PALETTE, Picture, TITLE, raster, render};
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
    /// Where each unit writes its latents.
    pub(crate) tiles: Vec<[usize; 4]>,
}

/// Pixels of a cell.
const CELL: usize = 10;
/// Maps in a row.
const MAPS: usize = 3;
/// Pixels of a dash, and of the gap behind it.
const DASH: usize = 6;
/// Pixels of a line of the legend.
const LINE: usize = 30;
/// Pixels of a unit in the legend.
const ENTRY: usize = 100;

/// The colour of a unit's frames: that of its line in a chart of all units.
fn colour(unit: usize) -> RGBColor {
    PALETTE[unit % PALETTE.len()]
}

impl Sheet {
    /// Width, height and RGB: the activity in grey, each unit's field and, in dashes, its latents outlined in its colour.
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
        let mut frame = |unit: usize, [row, row_end, col, col_end]: [usize; 4], inset: usize, dashed: bool| {
            let RGBColor(r, g, b) = colour(unit);
            let (top, bottom) = (row * CELL + inset, (row_end * CELL).saturating_sub(inset));
            let (left, right) = (col * CELL + inset, (col_end * CELL).saturating_sub(inset));
            for y in top..bottom {
                for x in left..right {
                    let edge = y < top + 2 || y + 2 >= bottom || x < left + 2 || x + 2 >= right;
                    if edge && !(dashed && (x + y) / DASH % 2 == 1) {
                        rgb[3 * (y * width + x)..][..3].copy_from_slice(&[r, g, b]);
                    }
                }
            }
        };
        // Frames may share an edge: each unit's lies a little further inside, and all of them within those of latents.
        for (unit, &tile) in self.tiles.iter().enumerate() {
            frame(unit, tile, 0, true);
        }
        for (unit, rectangles) in self.fields.iter().enumerate() {
            rectangles.iter().for_each(|&rectangle| frame(unit, rectangle, 2 * (unit + 1), false));
        }
        (width, height, rgb)
    }
}

/// Maps of one size, with a legend below.
struct Sheets<'a>(&'a [Sheet]);

impl Sheets<'_> {
    /// Width and height of a map.
    fn map(&self) -> (usize, usize) {
        self.0.first().map_or((0, 0), |sheet| (sheet.cols * CELL, sheet.rows * CELL))
    }

    fn place(&self, index: usize) -> (usize, usize) {
        let (width, height) = self.map();
        (MARGIN + index % MAPS * (width + MARGIN), MARGIN + index / MAPS * (height + TITLE))
    }

    /// The top of the legend.
    fn legend(&self) -> usize {
        MARGIN + self.0.len().div_ceil(MAPS) * (self.map().1 + TITLE) - MARGIN / 2
    }

    fn size(&self) -> (u32, u32) {
        let columns = self.0.len().min(MAPS);
        ((columns * (self.map().0 + MARGIN) + MARGIN) as u32, (self.legend() + 2 * LINE + MARGIN / 2) as u32)
    }
}

impl Drawing for Sheets<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        for (index, sheet) in self.0.iter().enumerate() {
            let (x, y) = self.place(index);
            area.draw(&Text::new(sheet.title.clone(), (x as i32, y as i32), (FONT, 24)))?;
        }
        let (units, y) = (self.0.first().map_or(0, |sheet| sheet.fields.len()), self.legend() as i32);
        for unit in 0..units {
            let x = (MARGIN + unit * ENTRY) as i32;
            area.draw(&PathElement::new([(x, y + 10), (x + 24, y + 10)], colour(unit).stroke_width(4)))?;
            area.draw(&Text::new(format!("unit {unit}"), (x + 32, y), (FONT, 20)))?;
        }
        let words = "frame: what it sees; dashes: its latents";
        area.draw(&Text::new(words, (MARGIN as i32, y + LINE as i32), (FONT, 20)))
    }

    fn pictures(&self) -> Vec<Picture> {
        let picture = |(index, sheet): (usize, &Sheet)| {
            let ((x, y), (width, height, rgb)) = (self.place(index), sheet.picture());
            Picture { x, y: y + MARGIN, width, height, scale: 1, rgb }
        };
        self.0.iter().enumerate().map(picture).collect()
    }
}

/// Feature maps side by side.
pub(crate) fn feature_maps(name: &'static str, caption: String, sheets: &[Sheet]) -> Result<Figure, Failure> {
    let sheets = Sheets(sheets);
    render(name, caption, sheets.size(), &sheets)
}

/// The same one after the other as an animated PNG: half a second each, and the last three.
pub(crate) fn animation(name: &'static str, sheets: &[Sheet]) -> Result<Vec<u8>, Failure> {
    let failed = |error: png::EncodingError| Failure::Message(format!("cannot draw the animation {name}: {error}"));
    let mut bytes = Vec::new();
    let size = Sheets(&sheets[..sheets.len().min(1)]).size();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(sheets.len().max(1) as u32, 0).map_err(failed)?;
    encoder.set_frame_delay(1, 2).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for (index, sheet) in sheets.iter().enumerate() {
        if index > 0 && index + 1 == sheets.len() {
            writer.set_frame_delay(3, 1).map_err(failed)?;
        }
        writer.write_image_data(&raster(name, size, &Sheets(std::slice::from_ref(sheet)))?).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(title: &str) -> Sheet {
        let fields = vec![vec![[0, 4, 0, 2]], vec![[0, 2, 4, 6], [0, 2, 4, 6]]];
        let tiles = vec![[0, 2, 4, 6], [2, 4, 4, 6]];
        Sheet { title: title.to_owned(), rows: 4, cols: 8, activity: vec![0.0; 32], fields, tiles }
    }

    #[test]
    fn fields_are_framed_and_latents_dashed_in_the_colour_of_their_unit() {
        let (width, height, rgb) = sheet("").picture();
        assert_eq!((width, height), (80, 40));
        let at = |x: usize, y: usize| {
            let place = 3 * (y * width + x);
            RGBColor(rgb[place], rgb[place + 1], rgb[place + 2])
        };
        assert!((2..38).all(|y| at(2, y) == colour(0)), "the field of unit 0");
        assert!((4..16).all(|y| at(44, y) == colour(1)), "the field of unit 1, a little further inside");
        // Latents of unit 1: a frame with gaps.
        let edge: Vec<bool> = (20..40).map(|y| at(40, y) == colour(1)).collect();
        assert!(edge.contains(&true) && edge.contains(&false), "{edge:?}");
        assert_eq!(at(70, 20), BLACK, "nothing lies there");
    }

    #[test]
    fn every_frame_of_an_animation_has_its_own_title_and_the_legend() {
        let sheets = [sheet("step 0: 90.00 %"), sheet("step 7: 91.00 %")];
        let figure = feature_maps("maps", "words".to_owned(), &sheets).unwrap();
        for part in ["step 0: 90.00 %", "step 7: 91.00 %", "unit 0", "unit 1", "dashes"] {
            assert!(figure.svg.contains(part), "{part}");
        }
        let bytes = animation("maps", &sheets).unwrap();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!(decoder.info().animation_control.unwrap().num_frames, 2);
        let mut frames = Vec::new();
        for _ in 0..2 {
            let mut frame = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.next_frame(&mut frame).unwrap();
            frames.push(frame);
        }
        assert_ne!(frames[0], frames[1], "the maps are the same, the words are not");
    }
}
