//! Charts of lines and of points.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Drawing, FONT, Figure, PALETTE, render};
use crate::failure::Failure;

/// A line of (x, y) points, broken where one has no place; without a name it is not in the legend.
#[derive(Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The least and the largest value of several runs at each x.
type Band = Vec<(f64, f64, f64)>;

/// The mean of several runs, with the band in which they lie.
pub(crate) struct Banded {
    mean: Series,
    band: Band,
}

impl Banded {
    /// Of runs, at the places where each of them has a point. Where a run has no number, there is no mean.
    pub(crate) fn over(name: impl Into<String>, runs: &[Vec<(f64, f64)>]) -> Self {
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for &(x, _) in runs.first().into_iter().flatten() {
            let at = |run: &Vec<(f64, f64)>| run.iter().find(|point| point.0 == x).map(|point| point.1);
            let Some(values) = runs.iter().map(at).collect::<Option<Vec<f64>>>() else { continue };
            points.push((x, values.iter().sum::<f64>() / runs.len() as f64));
            if runs.len() > 1 && values.iter().all(|value| value.is_finite()) {
                let (low, high) = ends(values.into_iter());
                band.push((x, low, high));
            }
        }
        Banded { mean: Series { name: name.into(), points }, band }
    }
}

/// Pixels of a plot without its legend.
const SIZE: (u32, u32) = (1400, 900);
/// Pixels of a row of the legend.
const ROW: i32 = 32;
/// Dashes and gaps, in pixels, of lines whose colours all stand for others already.
const DASHES: [(i32, i32); 2] = [(16, 10), (5, 7)];

/// A plot whose points are in their places: where axes are logarithmic they hold the exponents.
struct Chart<'a> {
    plot: &'a Plot<'a>,
    shown: Shown<'a>,
    /// Ranges of both axes.
    range: [(f64, f64); 2],
}

impl Chart<'_> {
    /// Entries of the legend side by side, and pixels of each: as long as the longest name.
    fn columns(&self) -> (i32, i32) {
        let longest = self.shown.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0) as i32;
        let width = 70 + 9 * longest;
        (((SIZE.0 as i32 - 100) / width).max(1), width)
    }

    /// What stands in the legend, with its number.
    fn named(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.shown.series.iter().map(|series| series.name.as_str());
        names.enumerate().filter(|(_, name)| !name.is_empty())
    }

    fn size(&self) -> (u32, u32) {
        let rows = (self.named().count() as u32).div_ceil(self.columns().0 as u32);
        (SIZE.0, SIZE.1 + rows * ROW as u32)
    }

    /// Where an axis has its ticks.
    fn ticks(&self, axis: usize) -> Vec<f64> {
        let (low, high) = self.range[axis];
        match self.shown.ticks.len() {
            names @ 1.. if axis == 0 => (0..names).map(|name| name as f64).collect(),
            _ if self.plot.logarithmic[axis] => powers((low, high)),
            _ => RangedCoordf64::from(low..high).key_points(8),
        }
    }

    fn label(&self, axis: usize, value: f64) -> String {
        if let Some(name) = self.shown.ticks.get(value.round() as usize).filter(|_| axis == 0) {
            return (*name).to_owned();
        }
        if self.plot.logarithmic[axis] {
            return power(value);
        }
        // As many decimals as the axis needs, no trailing zeros.
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// What the colours stand for, below the plot: nothing is covered.
    fn legend<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (columns, width) = self.columns();
        let beside = (FONT, 20).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
        for ((index, name), place) in self.named().zip(0..) {
            let (x, y) = (100 + place % columns * width, place / columns * ROW + 10);
            let line = [(x, y), (x + 40, y)];
            let colour = colour(index);
            match dashes(index) {
                _ if self.shown.marks => area.draw(&mark(index, (x + 20, y)))?,
                None => area.draw(&PathElement::new(line, colour.stroke_width(4)))?,
                Some((dash, gap)) => area.draw(&DashedPathElement::new(line, dash, gap, colour.stroke_width(4)))?,
            }
            area.draw(&Text::new(name.to_owned(), (x + 50, y + 2), beside.clone()))?;
        }
        Ok(())
    }
}

fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

fn dashes(index: usize) -> Option<(i32, i32)> {
    (index / PALETTE.len()).checked_sub(1).map(|round| DASHES[round % DASHES.len()])
}

/// A point that stands alone: hollow where all colours stand for others already.
fn mark<C: Clone>(index: usize, at: C) -> Circle<C, i32> {
    let colour = colour(index);
    Circle::new(at, 6, if dashes(index).is_none() { colour.filled() } else { colour.stroke_width(3) })
}

/// An axis whose ticks are given.
struct Axis {
    range: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.range.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.range()
    }
}

impl Drawing for Chart<'_> {
    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let (area, below) = area.split_vertically(SIZE.1);
        let axis = |axis: usize| {
            let (low, high) = self.range[axis];
            Axis { range: RangedCoordf64::from(low..high), ticks: self.ticks(axis) }
        };
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .margin_right(40)
            .caption(self.plot.title, (FONT, 30))
            .x_label_area_size(70)
            .y_label_area_size(100)
            .build_cartesian_2d(axis(0), axis(1))?;
        chart
            .configure_mesh()
            .x_desc(self.plot.x)
            .y_desc(self.plot.y)
            .axis_desc_style((FONT, 24))
            .label_style((FONT, 20))
            .x_label_formatter(&|value| self.label(0, *value))
            .y_label_formatter(&|value| self.label(1, *value))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .draw()?;
        if self.shown.fit {
            let points: Vec<(f64, f64)> = self.shown.points().collect();
            if let Some(fit) = regression(&points, self.range[0]) {
                chart.draw_series(LineSeries::new(fit, BLACK.mix(0.5).stroke_width(2)))?;
            }
        }
        for (index, band) in self.shown.bands.iter().enumerate().filter(|(_, band)| band.len() > 1) {
            let (there, back) = (band.iter().map(|b| (b.0, b.2)), band.iter().rev().map(|b| (b.0, b.1)));
            let area: Vec<(f64, f64)> = there.chain(back).collect();
            chart.draw_series([Polygon::new(area, colour(index).mix(0.2).filled())])?;
        }
        for (index, series) in self.shown.series.iter().enumerate() {
            if self.shown.marks {
                chart.draw_series(
                    series.points.iter().filter(|&&point| has_place(point)).map(|&point| mark(index, point)),
                )?;
                continue;
            }
            // Lines without names are thin, and nobody has to tell them apart.
            let (width, dashes) = if series.name.is_empty() { (2, None) } else { (3, dashes(index)) };
            let style = colour(index).stroke_width(width);
            for piece in series.points.split(|&point| !has_place(point)) {
                match (piece, dashes) {
                    ([], _) => (),
                    // A single point would leave no trace as a line.
                    (&[point], _) => {
                        chart.draw_series([Circle::new(point, 4, colour(index).filled())])?;
                    }
                    (_, None) => {
                        chart.draw_series(LineSeries::new(piece.iter().copied(), style))?;
                    }
                    (_, Some((dash, gap))) => {
                        chart.draw_series(DashedLineSeries::new(piece.iter().copied(), dash, gap, style))?;
                    }
                }
            }
        }
        self.legend(&below)
    }
}

/// Exponents of powers of ten within a range; where less than two decades are shown, those of their doubles and fivefolds too.
fn powers((low, high): (f64, f64)) -> Vec<f64> {
    let factors: &[f64] = if high - low < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    // As many as have room.
    let every = ((high - low) / 12.0).ceil().max(1.0);
    let whole = (low.floor() as i32..=high.ceil() as i32).map(f64::from).filter(|exponent| exponent % every == 0.0);
    let all = whole.flat_map(|exponent| factors.iter().map(move |factor| exponent + factor.log10()));
    all.filter(|exponent| (low..=high).contains(exponent)).collect()
}

/// A power of ten, its double or its fivefold, by its exponent.
fn power(value: f64) -> String {
    let exponent = (value + 1e-6).floor() as i32;
    match ((10f64.powf(value - f64::from(exponent))).round() as i32, exponent) {
        (1, exponent) => power_of_ten(exponent),
        (digit, 0..=5) => (digit * 10i32.pow(exponent as u32)).to_string(),
        (digit, -3..=-1) => format!("{:.*}", -exponent as usize, f64::from(digit) * 10f64.powi(exponent)),
        (digit, _) => format!("{digit}·{}", power_of_ten(exponent)),
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

/// What is written on and below a plot, and how its axes run.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) caption: &'a str,
    /// Whether each axis is logarithmic: points hold the values all the same.
    pub(crate) logarithmic: [bool; 2],
}

/// What a plot shows, and how.
#[derive(Clone, Copy, Default)]
struct Shown<'a> {
    series: &'a [Series],
    /// An area for each series, if there are any.
    bands: &'a [Band],
    /// What the whole numbers from 0 on stand for on the first axis, if they are names.
    ticks: &'a [&'a str],
    /// Whether points stand alone instead of forming lines.
    marks: bool,
    /// Whether the regression line is drawn, below all else.
    fit: bool,
}

impl Shown<'_> {
    /// All points that have a place.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| &series.points).copied().filter(|&point| has_place(point))
    }
}

fn has_place((x, y): (f64, f64)) -> bool {
    x.is_finite() && y.is_finite()
}

impl Plot<'_> {
    /// Draws the points that can be: finite ones, and those above zero where an axis is logarithmic. `None` if there are none.
    fn draw(&self, name: &'static str, shown: Shown<'_>) -> Result<Option<Figure>, Failure> {
        let place = |value: f64, axis: usize| if self.logarithmic[axis] { value.log10() } else { value };
        let (mut series, mut bands) = (Vec::new(), Vec::new());
        for (at, Series { name, points }) in shown.series.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|&(x, y)| (place(x, 0), place(y, 1))).collect();
            if !points.iter().any(|&point| has_place(point)) {
                continue;
            }
            series.push(Series { name: name.clone(), points });
            let band = shown.bands.get(at).map_or(&[][..], Vec::as_slice);
            let band = band.iter().map(|&(x, low, high)| (place(x, 0), place(low, 1), place(high, 1)));
            bands.push(band.filter(|(x, low, high)| [x, low, high].iter().all(|value| value.is_finite())).collect());
        }
        if series.is_empty() {
            return Ok(None);
        }
        let shown = Shown { series: &series, bands: &bands, ..shown };
        let edges = bands.iter().flat_map(|band: &Band| band).flat_map(|&(x, low, high)| [(x, low), (x, high)]);
        let all = || shown.points().chain(edges.clone());
        let range = [range(all().map(|p| p.0), self.logarithmic[0]), range(all().map(|p| p.1), self.logarithmic[1])];
        let chart = Chart { plot: self, shown, range };
        render(name, self.caption.to_owned(), chart.size(), &chart).map(Some)
    }
}

/// The regression line of y on x from one end to the other, where there is one.
fn regression(points: &[(f64, f64)], (from, to): (f64, f64)) -> Option<[(f64, f64); 2]> {
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    slope.is_finite().then(|| [from, to].map(|at| (at, y + slope * (at - x))))
}

/// A line a series; `None` without a point.
pub(crate) fn lines(name: &'static str, plot: &Plot<'_>, series: &[Series]) -> Result<Option<Figure>, Failure> {
    plot.draw(name, Shown { series, ..Shown::default() })
}

/// A mark a point, with the regression line of all; `None` without a point.
pub(crate) fn scatter(name: &'static str, plot: &Plot<'_>, series: &[Series]) -> Result<Option<Figure>, Failure> {
    plot.draw(name, Shown { series, marks: true, fit: true, ..Shown::default() })
}

/// A line and a band a series, over numbers or, where there are ticks, over names; `None` without a point.
pub(crate) fn bands(
    name: &'static str,
    plot: &Plot<'_>,
    ticks: &[&str],
    series: Vec<Banded>,
) -> Result<Option<Figure>, Failure> {
    let (series, bands): (Vec<Series>, Vec<Band>) = series.into_iter().map(|of| (of.mean, of.band)).unzip();
    plot.draw(name, Shown { series: &series, bands: &bands, ticks, ..Shown::default() })
}

/// A mark a point over names; `None` without a point.
pub(crate) fn marks(
    name: &'static str,
    plot: &Plot<'_>,
    ticks: &[&str],
    series: &[Series],
) -> Result<Option<Figure>, Failure> {
    plot.draw(name, Shown { series, ticks, marks: true, ..Shown::default() })
}

/// Test accuracy in per cent over the batches of each learner's last phase; `None` if no series has a point.
pub(crate) fn learning_curves(
    name: &'static str,
    title: &str,
    whose: &str,
    series: Vec<Banded>,
) -> Result<Option<Figure>, Failure> {
    let plot = Plot {
        title,
        x: "batches (logarithmic)",
        y: "test accuracy, %",
        caption: &format!("Accuracy on the test images while the output layer (or the whole network) learns. {whose}"),
        logarithmic: [true, false],
    };
    bands(name, &plot, &[], series)
}

/// The least and the largest.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// The least and the largest, with a margin; whole decades where two ticks of a logarithmic axis would not lie between.
fn range(values: impl Iterator<Item = f64>, logarithmic: bool) -> (f64, f64) {
    let (low, high) = ends(values);
    let margin = ((high - low) * 0.05).max(0.05);
    let range = (low - margin, high + margin);
    if logarithmic && powers(range).len() < 2 { (range.0.floor(), range.1.ceil()) } else { range }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_written_as_people_do() {
        let written: Vec<String> = [0, 2, -2, -5, 12].map(power_of_ten).into();
        assert_eq!(written, ["1", "100", "0.01", "10⁻⁵", "10¹²"]);
        let written = |range| powers(range).into_iter().map(power).collect::<Vec<_>>();
        assert_eq!(written((1.35, 2.4)), ["50", "100", "200"], "less than two decades");
        assert_eq!(written((-2.1, -0.9)), ["0.01", "0.02", "0.05", "0.1"]);
        assert_eq!(written((-7.1, -6.2)), ["10⁻⁷", "2·10⁻⁷", "5·10⁻⁷"]);
        assert_eq!(written((0.9, 3.0)), ["10", "100", "1000"]);
        assert_eq!(written((-16.0, 1.0)).len(), 9, "as many as have room");
        assert_eq!(range([120.0f64.log10(), 130.0f64.log10()].into_iter(), true), (2.0, 3.0), "two ticks at least");
    }

    #[test]
    fn lines_that_share_a_colour_differ_in_their_dashes_and_no_name_covers_a_line() {
        let plot = Plot { title: "t", x: "x", y: "y", caption: "c", logarithmic: [false, false] };
        let series = |number: usize| -> Vec<Series> {
            (0..number)
                .map(|at| Series { name: format!("run {at}"), points: vec![(0.0, 0.0), (1.0, at as f64)] })
                .collect()
        };
        let lines_of_the_first_colour = |number| {
            let svg = lines("f", &plot, &series(number)).unwrap().unwrap().svg;
            svg.split("<polyline").filter(|line| line.contains("#0072B2")).count()
        };
        // The line and what stands for it in the legend; then each dash.
        assert_eq!(lines_of_the_first_colour(8), 2);
        let (dashed, dotted) = (lines_of_the_first_colour(9), lines_of_the_first_colour(17));
        assert!(dashed > 20 && dotted > 2 * dashed, "{dashed}, {dotted}");
        let shown = series(17);
        let shown = Shown { series: &shown, ..Shown::default() };
        let chart = Chart { plot: &plot, shown, range: [(0.0, 1.0); 2] };
        let rows = 17u32.div_ceil(chart.columns().0 as u32);
        assert_eq!(chart.size(), (SIZE.0, SIZE.1 + rows * ROW as u32), "below the plot");
    }

    #[test]
    fn a_line_is_broken_where_a_point_has_no_place() {
        let plot = Plot { title: "t", x: "x", y: "y", caption: "c", logarithmic: [false, true] };
        let points = vec![(0.0, 1.0), (1.0, 2.0), (2.0, 0.0), (3.0, 2.0), (4.0, f64::NAN), (5.0, 3.0), (6.0, 9.0)];
        let svg = lines("f", &plot, &[Series { name: String::new(), points }]).unwrap().unwrap().svg;
        assert_eq!(svg.split("<polyline").filter(|line| line.contains("#0072B2")).count(), 2);
        assert_eq!(svg.matches("<circle").count(), 1, "a point by itself");
    }

    #[test]
    fn points_that_have_no_place_are_left_out() {
        let plot = Plot { title: "t", x: "steps", y: "error", caption: "c", logarithmic: [false, true] };
        let series = |points| [Series { name: "a run".to_owned(), points }];
        let drawn = lines("errors", &plot, &series(vec![(1.0, 1e-3), (2.0, f64::NAN), (3.0, 0.0), (4.0, 1e-6)]));
        let svg = drawn.unwrap().unwrap().svg;
        assert!(svg.contains("a run") && svg.contains("10⁻⁴"), "{svg}");
        assert!(lines("errors", &plot, &series(vec![(1.0, 0.0), (f64::INFINITY, 1.0)])).unwrap().is_none());
    }

    #[test]
    fn bands_reach_from_the_least_run_to_the_largest() {
        let runs = [vec![(0.0, 1.0), (1.0, 4.0), (2.0, 1.0)], vec![(0.0, 3.0), (1.0, 2.0), (2.0, f64::NAN)]];
        let of = Banded::over("both", &runs);
        assert_eq!(
            (of.mean.points[..2].to_vec(), of.band),
            (vec![(0.0, 2.0), (1.0, 3.0)], vec![(0.0, 1.0, 3.0), (1.0, 2.0, 4.0)])
        );
        assert!(of.mean.points[2].1.is_nan(), "no mean where a run has none");
        assert!(Banded::over("one", &runs[..1]).band.is_empty());
        assert!(Banded::over("none", &[]).mean.points.is_empty());
        let longer = vec![(0.0, 5.0), (0.5, 6.0), (1.0, 6.0), (3.0, 1.0)];
        let of = Banded::over("some", &[longer, runs[0].clone()]);
        assert_eq!(of.mean.points, [(0.0, 3.0), (1.0, 5.0)], "where all have a point");
    }

    #[test]
    fn names_stand_below_whole_numbers_and_bands_are_drawn() {
        let plot = Plot { title: "t", x: "what", y: "y", caption: "c", logarithmic: [false, false] };
        let run = |shift: f64| (0..4).map(|at| (f64::from(at), f64::from(at) + shift)).collect::<Vec<_>>();
        let ticks = ["whole", "first", "second", "last"];
        let svg = bands("f", &plot, &ticks, vec![Banded::over("runs", &[run(0.0), run(1.0)])]).unwrap().unwrap().svg;
        assert!(ticks.iter().all(|tick| svg.contains(tick)) && svg.contains("<polygon"), "{svg}");
        let series = [Series { name: String::new(), points: run(0.1) }];
        let svg = marks("f", &plot, &ticks, &series).unwrap().unwrap().svg;
        assert!(ticks.iter().all(|tick| svg.contains(tick)) && !svg.contains("<polygon"), "{svg}");
    }

    #[test]
    fn the_regression_line_is_that_of_the_points() {
        let [(_, low), (_, high)] = regression(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], (0.0, 10.0)).unwrap();
        assert!((low - 1.0).abs() < 1e-12 && (high - 21.0).abs() < 1e-12);
        assert!(regression(&[(1.0, 1.0), (1.0, 2.0)], (0.0, 1.0)).is_none(), "a vertical line has no slope");
    }
}
