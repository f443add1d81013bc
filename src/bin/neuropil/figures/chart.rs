//! Charts of lines and of points.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Drawing, FONT, Figure, PALETTE, render};
use crate::failure::Failure;

/// A line of (x, y) points; without a name it is not in the legend.
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
    /// Of runs with a point each at the same places. Where a run has no number, there is no mean.
    pub(crate) fn over(name: impl Into<String>, runs: &[Vec<(f64, f64)>]) -> Self {
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for at in 0..runs.iter().map(Vec::len).min().unwrap_or(0) {
            let (x, values) = (runs[0][at].0, runs.iter().map(|run| run[at].1));
            points.push((x, values.clone().sum::<f64>() / runs.len() as f64));
            if runs.len() > 1 && values.clone().all(f64::is_finite) {
                band.push((x, values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max)));
            }
        }
        Banded { mean: Series { name: name.into(), points }, band }
    }
}

/// A chart of lines with a legend.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    pub(super) series: &'a [Series],
    /// Ranges of both axes, in the axes' own units (powers of ten where logarithmic).
    pub(super) range: [(f64, f64); 2],
    /// Whether the axes carry powers of ten: points then hold the exponents.
    pub(super) powers: [bool; 2],
    pub(super) legend: SeriesLabelPosition,
    /// Whether points stand alone instead of forming lines.
    pub(super) marks: bool,
    /// A straight line drawn below all else.
    pub(super) fit: Option<[(f64, f64); 2]>,
    /// An area for each series, if there are any.
    pub(super) bands: &'a [Band],
    /// What the whole numbers from 0 on stand for on the first axis, if they are names.
    pub(super) ticks: &'a [&'a str],
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
        let below = |value: &f64| {
            if self.ticks.is_empty() {
                return label(self.powers[0])(value);
            }
            let name = self.ticks.get(value.round().max(0.0) as usize).filter(|_| (value - value.round()).abs() < 1e-6);
            name.map_or(String::new(), |name| (*name).to_owned())
        };
        let whole = |(low, high): (f64, f64)| (high - low).round().max(1.0) as usize + 1;
        let count = |axis: usize| {
            if self.powers[axis] || (axis == 0 && !self.ticks.is_empty()) { whole(self.range[axis]) } else { 8 }
        };
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style((FONT, 24))
            .label_style((FONT, 20))
            .x_labels(count(0))
            .y_labels(count(1))
            .x_label_formatter(&below)
            .y_label_formatter(&label(self.powers[1]))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .draw()?;
        if let Some(fit) = self.fit {
            chart.draw_series(LineSeries::new(fit, BLACK.mix(0.5).stroke_width(2)))?;
        }
        for (index, band) in self.bands.iter().enumerate().filter(|(_, band)| band.len() > 1) {
            let (there, back) = (band.iter().map(|b| (b.0, b.2)), band.iter().rev().map(|b| (b.0, b.1)));
            let area: Vec<(f64, f64)> = there.chain(back).collect();
            chart.draw_series([Polygon::new(area, PALETTE[index % PALETTE.len()].mix(0.2).filled())])?;
        }
        for (index, series) in self.series.iter().enumerate() {
            let colour = PALETTE[index % PALETTE.len()];
            if self.marks {
                let circle = move |point| Circle::new(point, 6, colour.filled());
                let anno = chart.draw_series(series.points.iter().map(|&point| circle(point)))?;
                anno.label(&series.name).legend(move |(x, y)| Circle::new((x + 15, y), 6, colour.filled()));
                continue;
            }
            let width = if series.name.is_empty() { 2 } else { 3 };
            let anno = chart.draw_series(LineSeries::new(series.points.iter().copied(), colour.stroke_width(width)))?;
            if !series.name.is_empty() {
                anno.label(&series.name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 30, y)], colour.stroke_width(4)));
            }
            // A single point would leave no trace as a line.
            if let [point] = series.points[..] {
                chart.draw_series([Circle::new(point, 4, colour.filled())])?;
            }
        }
        if self.series.iter().all(|series| series.name.is_empty()) {
            return Ok(());
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
    /// As [`Chart::bands`].
    bands: &'a [Band],
    /// As [`Chart::ticks`].
    ticks: &'a [&'a str],
    /// As [`Chart::marks`].
    marks: bool,
    /// Whether the regression line is drawn.
    fit: bool,
}

impl Plot<'_> {
    /// Draws the points that can be: finite ones, and those above zero where an axis is logarithmic. `None` if there are none.
    fn draw(&self, name: &'static str, shown: Shown<'_>) -> Result<Option<Figure>, Failure> {
        let place = |value: f64, axis: usize| if self.logarithmic[axis] { value.log10() } else { value };
        let (mut series, mut bands) = (Vec::new(), Vec::new());
        for (at, Series { name, points }) in shown.series.iter().enumerate() {
            let points = points.iter().map(|&(x, y)| (place(x, 0), place(y, 1)));
            let points: Vec<_> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
            if points.is_empty() {
                continue;
            }
            series.push(Series { name: name.clone(), points });
            let band = shown.bands.get(at).map_or(&[][..], Vec::as_slice);
            let band = band.iter().map(|&(x, low, high)| (place(x, 0), place(low, 1), place(high, 1)));
            bands.push(band.filter(|(x, low, high)| [x, low, high].iter().all(|value| value.is_finite())).collect());
        }
        let points: Vec<(f64, f64)> = series.iter().flat_map(|series| series.points.iter().copied()).collect();
        if points.is_empty() {
            return Ok(None);
        }
        let edges = bands.iter().flat_map(|band: &Band| band).flat_map(|&(x, low, high)| [(x, low), (x, high)]);
        let all = || points.iter().copied().chain(edges.clone());
        let range = [range(all().map(|p| p.0)), range(all().map(|p| p.1))];
        let fit = if shown.fit { regression(&points, range[0]) } else { None };
        let chart = Chart {
            title: self.title,
            x: self.x,
            y: self.y,
            series: &series,
            range,
            powers: self.logarithmic,
            // Over the last of several names there is room in the middle sooner than in a corner.
            legend: if shown.ticks.is_empty() { emptier(&points, range) } else { SeriesLabelPosition::MiddleRight },
            marks: shown.marks,
            fit,
            bands: &bands,
            ticks: shown.ticks,
        };
        render(name, self.caption.to_owned(), (1400, 900), &chart).map(Some)
    }
}

/// The right corner in which fewer points lie: the lower if both are as full.
fn emptier(points: &[(f64, f64)], [x, y]: [(f64, f64); 2]) -> SeriesLabelPosition {
    let right = points.iter().filter(|point| point.0 > x.0 + 0.6 * (x.1 - x.0));
    let (mut low, mut high) = (0, 0);
    for height in right.map(|point| (point.1 - y.0) / (y.1 - y.0)) {
        low += usize::from(height < 0.25);
        high += usize::from(height > 0.75);
    }
    if high < low { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::LowerRight }
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
        bands: &[],
        ticks: &[],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_written_as_people_do() {
        let written: Vec<String> = [0, 2, -2, -5, 12].map(power_of_ten).into();
        assert_eq!(written, ["1", "100", "0.01", "10⁻⁵", "10¹²"]);
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
