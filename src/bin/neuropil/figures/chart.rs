//! Charts of lines and of points.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Drawing, FONT, Figure, PALETTE, render};
use crate::failure::Failure;

/// A named line of (x, y) points.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
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

/// What is written on and below a plot, and how its axes run.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) caption: &'a str,
    /// Whether each axis is logarithmic: points hold the values all the same.
    pub(crate) logarithmic: [bool; 2],
}

impl Plot<'_> {
    /// Draws the points that can be: finite ones, and those above zero where an axis is logarithmic. `None` if there are none.
    fn draw(&self, name: &'static str, series: &[Series], marks: bool, fit: bool) -> Result<Option<Figure>, Failure> {
        let place = |value: f64, axis: usize| if self.logarithmic[axis] { value.log10() } else { value };
        let series: Vec<Series> = series
            .iter()
            .map(|series| {
                let points = series.points.iter().map(|&(x, y)| (place(x, 0), place(y, 1)));
                let points = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
                Series { name: series.name.clone(), points }
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        let points: Vec<(f64, f64)> = series.iter().flat_map(|series| series.points.iter().copied()).collect();
        if points.is_empty() {
            return Ok(None);
        }
        let range = [range(points.iter().map(|p| p.0)), range(points.iter().map(|p| p.1))];
        let fit = if fit { regression(&points, range[0]) } else { None };
        let legend = emptier(&points, range);
        let (title, powers) = (self.title, self.logarithmic);
        let chart = Chart { title, x: self.x, y: self.y, series: &series, range, powers, legend, marks, fit };
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
    plot.draw(name, series, false, false)
}

/// A mark a point, with the regression line of all; `None` without a point.
pub(crate) fn scatter(name: &'static str, plot: &Plot<'_>, series: &[Series]) -> Result<Option<Figure>, Failure> {
    plot.draw(name, series, true, true)
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
    fn the_regression_line_is_that_of_the_points() {
        let [(_, low), (_, high)] = regression(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)], (0.0, 10.0)).unwrap();
        assert!((low - 1.0).abs() < 1e-12 && (high - 21.0).abs() < 1e-12);
        assert!(regression(&[(1.0, 1.0), (1.0, 2.0)], (0.0, 1.0)).is_none(), "a vertical line has no slope");
    }
}
