//! Distributions fitted to positive values by maximum likelihood: what synaptic weights are compared with.

use super::all_finite;
use crate::error::{Error, Result};

/// A family of distributions of values within a range, `f(x) = g(x) / integral of g over the range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `g(x) = exp(-(ln x - mu)^2 / (2 sigma^2)) / x`; parameters mu and sigma.
    LogNormal,
    /// `g(x) = exp(-(x / tau)^beta)`, stretched if beta is below 1, compressed above; parameters tau and beta.
    Exponential,
}

/// A distribution fitted to values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Its family.
    pub family: Family,
    /// Mu and sigma, or tau and beta.
    pub parameters: [f64; 2],
    /// The mean log-likelihood of a value, in nats: the larger, the closer. Fits of the same values can be compared.
    pub log_likelihood: f64,
    /// Kolmogorov's distance: the largest difference between the share of values up to x and what the fit says, 0 to 1.
    pub distance: f64,
    range: (f64, f64),
    log_integral: f64,
}

/// Panels of Simpson's rule over the logarithm of the range.
const PANELS: usize = 1024;
/// Groups of values in the likelihood.
const GROUPS: usize = 20_000;
/// Steps of the search at most, and the difference of mean log-likelihoods at which it ends.
const STEPS: usize = 500;
const CLOSE: f64 = 1e-12;

impl Family {
    /// ln g(x), given ln x. The second parameter is a logarithm here, and for [`Exponential`](Family::Exponential) the first is too.
    fn log_density(self, ln_x: f64, [a, b]: [f64; 2]) -> f64 {
        match self {
            Family::LogNormal => -ln_x - 0.5 * ((ln_x - a) * (-b).exp()).powi(2),
            Family::Exponential => -((ln_x - a) * b.exp()).exp(),
        }
    }
}

/// Fits a distribution to values within `range`, of which everything outside is unseen: a detection threshold truncates, it does not
/// move what lies above.
///
/// The search is Nelder and Mead's, from the values' own moments; integrals are Simpson's, over ln x. Of more values than 20,000, neighbours
/// stand together by the mean of their logarithms. The result has some six digits if the distribution is wider, in ln x, than a thousandth of the
/// range (the distance three, and six from three thousandths on), and beta is at least 0.02; sigma is between e^-8 and e^4, beta between as much, and mu and ln tau no further than 60 from the mean of ln x. Cost: sorting the values, and next to nothing besides.
///
/// ```
/// use neuropil::analysis::{Family, fit};
/// // The quantiles of an exponential distribution of mean 0.1, up to 0.7.
/// let values: Vec<f64> = (0..1000).map(|i| -0.1 * (1.0 - 0.999 * (f64::from(i) + 0.5) / 1000.0f64).ln()).collect();
/// let values: Vec<f64> = values.into_iter().filter(|x| *x > 0.005).collect();
/// let fit = fit(&values, (0.005, 0.7), Family::Exponential)?;
/// assert!((fit.parameters[0] - 0.1).abs() < 0.005 && (fit.parameters[1] - 1.0).abs() < 0.05 && fit.distance < 0.01);
/// # Ok::<(), neuropil::Error>(())
/// ```
///
/// # Errors
/// [`Error::Setting`] for a range that is not positive and finite, values outside it, and fewer than three different ones.
pub fn fit(values: &[f64], range: (f64, f64), family: Family) -> Result<Fit> {
    let (low, high) = range;
    if !(low > 0.0 && low < high && high.is_finite()) {
        return Err(Error::setting("range", "0 < low < high", format!("{low} to {high}")));
    }
    all_finite("values", values)?;
    if let Some(at) = values.iter().position(|value| !(low..=high).contains(value)) {
        return Err(Error::setting("values", format!("{low} to {high}"), format!("{} at {at}", values[at])));
    }
    let mut logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    logs.sort_unstable_by(f64::total_cmp);
    let different = 1 + logs.windows(2).filter(|pair| pair[0] != pair[1]).take(2).count();
    if logs.is_empty() || different < 3 {
        return Err(Error::setting("values", "three different ones at least", values.len().min(different)));
    }
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let deviation = (logs.iter().map(|ln_x| (ln_x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let grid = Grid::new(range);
    // Whatever the values' unit, the search begins at zero. Beyond these there is no difference any more within any range.
    let centred = Grid { low: grid.low - mean, ..grid };
    let within = |[a, b]: [f64; 2]| (-60.0..=60.0).contains(&a) && (-8.0..=4.0).contains(&b);
    let groups = logs.chunks(logs.len().div_ceil(GROUPS));
    let groups: Vec<(f64, f64)> =
        groups.map(|group| (group.len() as f64, group.iter().sum::<f64>() / group.len() as f64 - mean)).collect();
    let likelihood = |parameters: [f64; 2]| {
        if !within(parameters) {
            return f64::NEG_INFINITY;
        }
        let sum: f64 = groups.iter().map(|&(count, ln_x)| count * family.log_density(ln_x, parameters)).sum();
        sum / n - centred.log_integral(family, parameters)
    };
    let start = match family {
        Family::LogNormal => [0.0, deviation.ln().clamp(-7.0, 3.0)],
        Family::Exponential => [0.0, 0.0],
    };
    let ([centre, width], log_likelihood) = maximise(start, likelihood);
    let (best, log_likelihood) = ([centre + mean, width], log_likelihood - mean);
    let log_integral = grid.log_integral(family, best);
    let parameters = match family {
        Family::LogNormal => [best[0], best[1].exp()],
        Family::Exponential => [best[0].exp(), best[1].exp()],
    };
    let shares = grid.shares(family, best);
    let mut distance = 0.0f64;
    for (index, &ln_x) in logs.iter().enumerate() {
        let share = grid.share(family, best, &shares, log_integral, ln_x);
        distance = distance.max((share - index as f64 / n).abs()).max(((index + 1) as f64 / n - share).abs());
    }
    Ok(Fit { family, parameters, log_likelihood, distance, range, log_integral })
}

impl Fit {
    /// The density at `x`; zero outside of the range.
    pub fn density(&self, x: f64) -> f64 {
        if !(self.range.0..=self.range.1).contains(&x) {
            return 0.0;
        }
        let [a, b] = self.parameters;
        let a = if self.family == Family::Exponential { a.ln() } else { a };
        (self.family.log_density(x.ln(), [a, b.ln()]) - self.log_integral).exp()
    }
}

/// Places over the logarithm of a range, evenly.
struct Grid {
    low: f64,
    step: f64,
}

impl Grid {
    fn new((low, high): (f64, f64)) -> Self {
        Grid { low: low.ln(), step: (high.ln() - low.ln()) / (2 * PANELS) as f64 }
    }

    /// ln(g(x) x) at every place, and the largest: what is integrated over ln x.
    fn integrand(&self, family: Family, parameters: [f64; 2]) -> (Vec<f64>, f64) {
        let at = |place: usize| {
            let ln_x = self.low + self.step * place as f64;
            family.log_density(ln_x, parameters) + ln_x
        };
        let logs: Vec<f64> = (0..=2 * PANELS).map(at).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (logs, largest)
    }

    fn log_integral(&self, family: Family, parameters: [f64; 2]) -> f64 {
        let (logs, largest) = self.integrand(family, parameters);
        let panels = (0..PANELS).map(|panel| self.panel(&logs, largest, panel));
        panels.sum::<f64>().ln() + largest
    }

    /// Simpson's rule over one panel, less exp(largest).
    fn panel(&self, logs: &[f64], largest: f64, panel: usize) -> f64 {
        let [a, b, c] = [0, 1, 2].map(|place| (logs[2 * panel + place] - largest).exp());
        self.step / 3.0 * (a + 4.0 * b + c)
    }

    /// The share of the integral up to the end of each panel.
    fn shares(&self, family: Family, parameters: [f64; 2]) -> Vec<f64> {
        let (logs, largest) = self.integrand(family, parameters);
        let mut shares = vec![0.0];
        for panel in 0..PANELS {
            shares.push(shares[panel] + self.panel(&logs, largest, panel));
        }
        let all = shares[PANELS];
        shares.iter_mut().for_each(|share| *share /= all);
        shares
    }

    /// The share of the integral up to `ln_x`: that of whole panels, and Simpson's rule over the part of the last.
    fn share(&self, family: Family, parameters: [f64; 2], shares: &[f64], log_integral: f64, ln_x: f64) -> f64 {
        let place = ((ln_x - self.low) / (2.0 * self.step)).clamp(0.0, PANELS as f64);
        let panel = (place as usize).min(PANELS - 1);
        let (start, width) = (self.low + 2.0 * self.step * panel as f64, 2.0 * self.step * (place - panel as f64));
        let [a, b, c] = [0.0, 0.5, 1.0].map(|part| {
            let ln_x = start + part * width;
            (family.log_density(ln_x, parameters) + ln_x - log_integral).exp()
        });
        shares[panel] + width / 6.0 * (a + 4.0 * b + c)
    }
}

/// Where a function of two variables is largest, and how large: Nelder and Mead's simplex (The Computer Journal 7, 1965).
fn maximise(start: [f64; 2], f: impl Fn([f64; 2]) -> f64) -> ([f64; 2], f64) {
    let corner = |shift: [f64; 2]| {
        let at = [start[0] + shift[0], start[1] + shift[1]];
        (at, f(at))
    };
    let mut simplex = [corner([0.0, 0.0]), corner([0.5, 0.0]), corner([0.0, 0.5])];
    for _ in 0..STEPS {
        // The best first.
        simplex.sort_by(|a, b| b.1.total_cmp(&a.1));
        let [best, middle, worst] = simplex;
        if best.1 - worst.1 < CLOSE {
            break;
        }
        // From the worst through the centre of the others, so many times as far.
        let along = |times: f64| {
            let at = [0, 1].map(|i| {
                let centre = 0.5 * (best.0[i] + middle.0[i]);
                centre + times * (centre - worst.0[i])
            });
            (at, f(at))
        };
        let reflected = along(1.0);
        simplex[2] = if reflected.1 > best.1 {
            let expanded = along(2.0);
            if expanded.1 > reflected.1 { expanded } else { reflected }
        } else if reflected.1 > middle.1 {
            reflected
        } else {
            let contracted = along(if reflected.1 > worst.1 { 0.5 } else { -0.5 });
            if contracted.1 > worst.1.max(reflected.1) {
                contracted
            } else {
                // All towards the best.
                for corner in &mut simplex[1..] {
                    let at = [0, 1].map(|i| 0.5 * (best.0[i] + corner.0[i]));
                    *corner = (at, f(at));
                }
                continue;
            }
        };
    }
    simplex.sort_by(|a, b| b.1.total_cmp(&a.1));
    simplex[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 values between 0.005 and 1, from a sequence that any language can make.
    fn values() -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state * 16_807 % 2_147_483_647;
            state as f64 / 2_147_483_647.0
        };
        (0..400).map(|_| 0.005 + 0.995 * (next() * next() * next())).collect()
    }

    #[test]
    fn fits_are_those_of_scipy() {
        for (family, parameters, log_likelihood, distance) in SCIPY {
            let got = fit(&values(), (0.005, 1.0), family).unwrap();
            for (got, expected) in got.parameters.into_iter().zip(parameters) {
                assert!((got / expected - 1.0).abs() < 1e-4, "{family:?}: {got}, expected {expected}");
            }
            assert!((got.log_likelihood - log_likelihood).abs() < 1e-8, "{family:?}: {}", got.log_likelihood);
            assert!((got.distance - distance).abs() < 1e-5, "{family:?}: {}", got.distance);
        }
    }

    type Function = fn([f64; 2]) -> f64;

    #[test]
    fn the_simplex_visits_what_scipys_does() {
        let rosenbrock = |[x, y]: [f64; 2]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
        // With so many valleys that the simplex has to shrink.
        let waves = |[x, y]: [f64; 2]| x * x + y * y - 2.0 * (31.0 * x).cos() - 2.0 * (31.0 * y).cos();
        let steps =
            |[x, y]: [f64; 2]| (4.0 * x.abs()).floor() + (4.0 * (y - 0.3).abs()).floor() + 0.01 * (x * x + y * y);
        // McKinnon's (SIAM Journal on Optimization 9, 1998).
        let mckinnon = |[x, y]: [f64; 2]| (if x <= 0.0 { 360.0 } else { 6.0 }) * x * x + y + y * y;
        let functions: [(Function, [f64; 2]); 4] =
            [(rosenbrock, [-1.2, 1.0]), (waves, [1.3, 0.7]), (steps, [2.0, 2.0]), (mckinnon, [0.6, 1.0])];
        for ((function, start), (visits, sums, least)) in functions.into_iter().zip(SIMPLEX) {
            let visited = std::cell::RefCell::new(Vec::new());
            let (at, value) = maximise(start, |at| {
                visited.borrow_mut().push(at);
                -function(at)
            });
            let visited = visited.into_inner();
            assert_eq!(visited.len(), visits);
            for axis in 0..2 {
                let sum: f64 = visited.iter().map(|at| at[axis]).sum();
                assert!((sum - sums[axis]).abs() < 1e-5, "{sum}, expected {}", sums[axis]);
                assert!((at[axis] - least[axis]).abs() < 1e-7, "{at:?}, expected {least:?}");
            }
            assert_eq!(value, -function(at));
        }
    }

    #[test]
    fn distances_are_the_largest_wherever_they_lie() {
        // Most at an end of the range, which is a value too.
        for values in [[0.1, 0.11, 0.12, 1.0], [0.1, 0.9, 0.95, 1.0], [0.1, 0.3, 0.35, 0.4]] {
            for family in [Family::LogNormal, Family::Exponential] {
                let fit = fit(&values, (0.1, 1.0), family).unwrap();
                let n = 200_000;
                let width = 0.9 / f64::from(n);
                let (mut share, mut distance, mut next) = (0.0, 0.0f64, 0);
                for step in 0..=n {
                    while next < 4 && values[next] <= 0.1 + width * f64::from(step) + 1e-9 {
                        let (before, after) = (next as f64 / 4.0, (next as f64 + 1.0) / 4.0);
                        distance = distance.max((share - before).abs()).max((after - share).abs());
                        next += 1;
                    }
                    share += width * fit.density(0.1 + width * (f64::from(step) + 0.5));
                }
                assert_eq!(next, 4);
                assert!((fit.distance - distance).abs() < 1e-4, "{values:?}, {family:?}: {}, {distance}", fit.distance);
            }
        }
    }

    #[test]
    fn fits_do_not_depend_on_the_values_unit() {
        for family in [Family::LogNormal, Family::Exponential] {
            let one = fit(&values(), (0.005, 1.0), family).unwrap();
            for unit in [2f64.powi(100), 2f64.powi(-100)] {
                let other: Vec<f64> = values().iter().map(|value| value * unit).collect();
                let other = fit(&other, (0.005 * unit, unit), family).unwrap();
                let scale = match family {
                    Family::LogNormal => (other.parameters[0] - unit.ln() - one.parameters[0]).exp(),
                    Family::Exponential => other.parameters[0] / one.parameters[0] / unit,
                };
                assert!((scale - 1.0).abs() < 1e-5, "{family:?}: {scale}");
                assert!((other.parameters[1] / one.parameters[1] - 1.0).abs() < 1e-5, "{family:?}");
                assert!((other.log_likelihood + unit.ln() - one.log_likelihood).abs() < 1e-8, "{family:?}");
                assert!((other.distance - one.distance).abs() < 1e-6, "{family:?}");
                assert!((other.density(0.1 * unit) * unit / one.density(0.1) - 1.0).abs() < 1e-5, "{family:?}");
            }
        }
    }

    #[test]
    fn values_that_hardly_differ_have_a_narrow_fit_and_no_narrower_than_there_is() {
        let values = [0.5, 0.5 + 1e-9, 0.5 + 2e-9];
        let fit = fit(&values, (0.1, 1.0), Family::LogNormal).unwrap();
        let [mu, sigma] = fit.parameters;
        assert!((mu - 0.5f64.ln()).abs() < 1e-3 && (sigma.ln() + 8.0).abs() < 1e-3, "{mu}, {sigma}");
    }

    #[test]
    fn many_values_are_fitted_as_few_that_are_distributed_alike() {
        let few = values();
        let many: Vec<f64> = few.iter().flat_map(|&value| [value; 130]).collect();
        assert!(many.len() > GROUPS);
        for family in [Family::LogNormal, Family::Exponential] {
            let [few, many] = [&few, &many].map(|values| fit(values, (0.005, 1.0), family).unwrap());
            for (few, many) in few.parameters.into_iter().zip(many.parameters) {
                assert!((many / few - 1.0).abs() < 1e-4, "{family:?}: {many}, {few}");
            }
            assert!((few.log_likelihood - many.log_likelihood).abs() < 1e-6, "{family:?}");
            assert!((few.distance - many.distance).abs() < 1e-5, "{family:?}");
        }
    }

    #[test]
    fn densities_integrate_to_one_and_vanish_outside() {
        for family in [Family::LogNormal, Family::Exponential] {
            let fit = fit(&values(), (0.005, 1.0), family).unwrap();
            let (n, width) = (200_000, 0.995 / 200_000.0);
            let sum: f64 = (0..n).map(|i| fit.density(0.005 + width * (f64::from(i) + 0.5)) * width).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{family:?}: {sum}");
            assert_eq!((fit.density(0.004), fit.density(1.001), fit.density(f64::NAN)), (0.0, 0.0, 0.0));
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let refused = |values: &[f64], range, words: &str| {
            let error = fit(values, range, Family::LogNormal).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let fine = [0.1, 0.2, 0.3];
        for range in [(0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (0.5, f64::INFINITY), (f64::NAN, 1.0)] {
            refused(&fine, range, "range: expected 0 < low < high");
        }
        refused(&[0.1, 0.2, 1.3], (0.1, 1.0), "1.3 at 2");
        refused(&[0.1, f64::NAN, 0.3], (0.1, 1.0), "NaN at 1");
        refused(&[], (0.1, 1.0), "three different");
        refused(&[0.1, 0.2, 0.2, 0.1], (0.1, 1.0), "three different");
        assert!(fit(&fine, (0.1, 1.0), Family::LogNormal).is_ok());
    }

    // Made by SciPy 1.17: minimize(method="Nelder-Mead") with xatol = inf, fatol = 1e-12 and the same simplex; how many points were visited,
    // their sums, and the last.
    const SIMPLEX: [(usize, [f64; 2], [f64; 2]); 4] = [
        (178, [69.251_743_088_399_7, 125.084_404_742_984_97], [0.999_999_362_173_490_6, 0.999_998_765_866_592_9]),
        (113, [203.125_622_383_249_8, 136.287_142_739_401_53], [1.822_253_285_244_611_4, 1.214_835_938_956_4]),
        (
            154,
            [15.176_136_516_625_517, 22.538_734_615_163_925],
            [-1.758_163_177_904_136_8e-5, 0.050_000_001_448_396_204],
        ),
        (136, [4.997_778_651_956_067, -50.893_952_953_200_625], [2.428_587_319_652_509_5e-7, -0.500_000_451_870_432_2]),
    ];

    // Made by SciPy 1.17 from the same values: minimize(method="Nelder-Mead") of the likelihood truncated by norm.cdf and gammainc, kstest.
    const SCIPY: [(Family, [f64; 2], f64, f64); 2] = [
        (Family::LogNormal, [-2.779383643983614, 1.5724823219986195], 1.138093536289693, 0.055770652738192594),
        (Family::Exponential, [0.027253201794522994, 0.5366431152209741], 1.1593630632537208, 0.04041465533446553),
    ];
}
