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

/// Panels of Simpson's rule on each side of where a distribution is densest.
const PANELS: usize = 512;
/// By how much the logarithm of what is integrated has fallen where nothing counts any more: e^-40 is 2^-58.
const DEEP: f64 = 40.0;
/// Halvings that find that place: of the largest range there is, one leaves 1e-15.
const HALVINGS: usize = 60;
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

    /// Where ln(g(x) x) is largest over all ln x. It falls to both sides, ever more steeply: its second derivative is negative everywhere.
    fn densest(self, [a, b]: [f64; 2]) -> f64 {
        match self {
            Family::LogNormal => a,
            // Where beta (x / tau)^beta is one.
            Family::Exponential => a - b * (-b).exp(),
        }
    }
}

/// Fits a distribution to values within `range`, of which everything outside is unseen: a detection threshold truncates, it does not
/// move what lies above.
///
/// The search is Nelder and Mead's, from the values' own moments, until the mean log-likelihood differs by 1e-12. Integrals are Simpson's over
/// ln x, on both sides of where the distribution is densest and as far as it counts: they have seven digits however narrow it is and wherever the
/// range cuts it. Of more values than 20,000, neighbours stand together by the mean of their logarithms. The parameters have some six digits
/// where the range holds most of the distribution and beta is at least 0.02; of a mere tail, in which mu and sigma, or tau and beta, make up for each
/// other, three or four. Sigma is between e^-8 and e^4, beta between as much, and mu and ln tau no further than 60 from the mean of ln x. Cost:
/// sorting the values, and next to nothing besides.
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
    let ends = [low.ln(), high.ln()];
    // Whatever the values' unit, the search begins at zero. Beyond these there is no difference any more within any range.
    let centred = ends.map(|end| end - mean);
    let within = |[a, b]: [f64; 2]| (-60.0..=60.0).contains(&a) && (-8.0..=4.0).contains(&b);
    let groups = logs.chunks(logs.len().div_ceil(GROUPS));
    let groups: Vec<(f64, f64)> =
        groups.map(|group| (group.len() as f64, group.iter().sum::<f64>() / group.len() as f64 - mean)).collect();
    let likelihood = |parameters: [f64; 2]| {
        if !within(parameters) {
            return f64::NEG_INFINITY;
        }
        let sum: f64 = groups.iter().map(|&(count, ln_x)| count * family.log_density(ln_x, parameters)).sum();
        let likelihood = sum / n - Panels::new(family, parameters, centred).log_integral();
        // Nothing is left of the distribution within the range.
        if likelihood.is_nan() { f64::NEG_INFINITY } else { likelihood }
    };
    let start = match family {
        Family::LogNormal => [0.0, deviation.ln().clamp(-7.0, 3.0)],
        Family::Exponential => [0.0, 0.0],
    };
    let ([centre, width], log_likelihood) = maximise(start, likelihood);
    let (best, log_likelihood) = ([centre + mean, width], log_likelihood - mean);
    let panels = Panels::new(family, best, ends);
    let log_integral = panels.log_integral();
    let parameters = match family {
        Family::LogNormal => [best[0], best[1].exp()],
        Family::Exponential => [best[0].exp(), best[1].exp()],
    };
    let shares = panels.shares();
    let mut distance = 0.0f64;
    for (index, &ln_x) in logs.iter().enumerate() {
        let share = panels.share(&shares, log_integral, ln_x);
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

/// Places over the logarithm of a range for Simpson's rule, even on either side of where a distribution is densest within it.
struct Panels {
    family: Family,
    parameters: [f64; 2],
    /// The ends, or where nothing counts any more before them, and the densest place between.
    places: [f64; 3],
    /// ln(g(x) x) there.
    largest: f64,
}

impl Panels {
    fn new(family: Family, parameters: [f64; 2], [low, high]: [f64; 2]) -> Self {
        let densest = family.densest(parameters).clamp(low, high);
        let mut panels = Panels { family, parameters, places: [low, densest, high], largest: 0.0 };
        panels.largest = panels.integrand(densest);
        panels.places = [panels.reach(low), densest, panels.reach(high)];
        panels
    }

    /// ln(g(x) x): what is integrated over ln x.
    fn integrand(&self, ln_x: f64) -> f64 {
        self.family.log_density(ln_x, self.parameters) + ln_x
    }

    /// How far the distribution counts towards an end.
    fn reach(&self, end: f64) -> f64 {
        let counts = |ln_x| self.integrand(ln_x) >= self.largest - DEEP;
        let (mut inside, mut outside) = (self.places[1], end);
        if counts(outside) {
            return outside;
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (inside + outside);
            if counts(middle) { inside = middle } else { outside = middle }
        }
        outside
    }

    /// Where a panel begins, and how wide it is.
    fn panel(&self, panel: usize) -> (f64, f64) {
        let [low, densest, high] = self.places;
        let (from, to, number) = if panel < PANELS { (low, densest, panel) } else { (densest, high, panel - PANELS) };
        let width = (to - from) / PANELS as f64;
        (from + width * number as f64, width)
    }

    /// Simpson's rule from `start` on, divided by exp(`scale`).
    fn simpson(&self, start: f64, width: f64, scale: f64) -> f64 {
        let [a, b, c] = [0.0, 0.5, 1.0].map(|part| (self.integrand(start + part * width) - scale).exp());
        width / 6.0 * (a + 4.0 * b + c)
    }

    /// The integral over each panel, divided by exp(`largest`).
    fn integrals(&self) -> impl Iterator<Item = f64> {
        (0..2 * PANELS).map(|panel| {
            let (start, width) = self.panel(panel);
            self.simpson(start, width, self.largest)
        })
    }

    fn log_integral(&self) -> f64 {
        self.integrals().sum::<f64>().ln() + self.largest
    }

    /// The share of the integral up to the end of each panel.
    fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0];
        shares.extend(self.integrals().scan(0.0, |sum, integral| {
            *sum += integral;
            Some(*sum)
        }));
        let all = shares[2 * PANELS];
        shares.iter_mut().for_each(|share| *share /= all);
        shares
    }

    /// The share of the integral up to `ln_x`: that of whole panels, and Simpson's rule over the part of the last.
    fn share(&self, shares: &[f64], log_integral: f64, ln_x: f64) -> f64 {
        let [low, densest, high] = self.places;
        let ln_x = ln_x.clamp(low, high);
        let (from, to, first) = if ln_x < densest { (low, densest, 0) } else { (densest, high, PANELS) };
        if from == to {
            // At the end of a range that is densest there.
            return shares[first];
        }
        let place = (ln_x - from) / (to - from) * PANELS as f64;
        let panel = first + (place as usize).min(PANELS - 1);
        let (start, _) = self.panel(panel);
        shares[panel] + self.simpson(start, ln_x - start, log_integral)
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
    use super::super::tails;
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

    /// The quantiles of a lognormal distribution within a range, by its tails.
    fn quantiles(mu: f64, sigma: f64, (low, high): (f64, f64)) -> Vec<f64> {
        let tail = |ln_x: f64| tails::normal((ln_x - mu) / sigma);
        let (first, last) = (tail(low.ln()), tail(high.ln()));
        let quantile = |i: i32| {
            let (mut under, mut over) = (low.ln(), high.ln());
            for _ in 0..60 {
                let middle = 0.5 * (under + over);
                let share = (first - tail(middle)) / (first - last);
                if share < (f64::from(i) + 0.5) / 2000.0 { under = middle } else { over = middle }
            }
            under.exp().clamp(low, high)
        };
        (0..2000).map(quantile).collect()
    }

    #[test]
    fn what_a_range_leaves_of_a_lognormal_distribution_is_fitted_as_its_tails_say() {
        let range = (0.005f64, 1.0f64);
        // How far mu lies from the range's lower end; sigma; what the parameters may be off.
        for (from, sigma, bound) in [
            (-0.467, 0.0498, 1e-3),
            (-0.1, 0.0498, 1e-4),
            (0.02, 0.0498, 2e-5),
            (2.0, 0.005, 3e-6),
            (2.0, 0.0015, 3e-6),
            (2.0, 1.0, 3e-6),
            (5.31, 0.02, 3e-5),
        ] {
            let mu = range.0.ln() + from;
            let values = quantiles(mu, sigma, range);
            let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
            let n = logs.len() as f64;
            // The likelihood in closed form, with the difference of the tails on the side where they are small.
            let likelihood = |[mu, ln_sigma]: [f64; 2]| {
                let sigma = ln_sigma.exp();
                let [a, b] = [range.0, range.1].map(|end| (end.ln() - mu) / sigma);
                let inside =
                    if a > 0.0 { tails::normal(a) - tails::normal(b) } else { tails::normal(-b) - tails::normal(-a) };
                let squares: f64 = logs.iter().map(|ln_x| ((ln_x - mu) / sigma).powi(2)).sum();
                -logs.iter().sum::<f64>() / n - 0.5 * squares / n - (sigma * std::f64::consts::TAU.sqrt() * inside).ln()
            };
            let fit = fit(&values, range, Family::LogNormal).unwrap();
            let [got, width] = fit.parameters;
            let own = likelihood([got, width.ln()]);
            assert!((fit.log_likelihood - own).abs() < 1e-7, "{from}, {sigma}: {}, {own}", fit.log_likelihood);
            let ([expected, ln_width], best) = maximise([mu, sigma.ln()], likelihood);
            assert!(best - own < 1e-11, "{from}, {sigma}: {own}, {best}");
            let off = [(got - expected) / width, width / ln_width.exp() - 1.0];
            assert!(off.iter().all(|off| off.abs() < bound), "{from}, {sigma}: {off:?}");
        }
    }

    #[test]
    fn integrals_have_seven_digits_wherever_the_range_cuts() {
        let ends = [0.005f64.ln(), 0.0];
        for (family, parameters) in [
            (Family::LogNormal, [-6.0, -4.0]),
            (Family::LogNormal, [-3.0, 2.0]),
            (Family::LogNormal, [0.3, -2.5]),
            (Family::Exponential, [-5.5, 3.4]),
            (Family::Exponential, [-5.3, 4.0]),
            (Family::Exponential, [-2.0, 4.0]),
            (Family::Exponential, [-9.0, -0.5]),
            (Family::Exponential, [1.0, 4.0]),
            (Family::Exponential, [-4.0, -3.0]),
        ] {
            let log_integrand = |ln_x: f64| family.log_density(ln_x, parameters) + ln_x;
            // Simpson's rule in many more panels, weights 1 4 2 ... 2 4 1.
            let n = 1 << 21;
            let width = (ends[1] - ends[0]) / f64::from(n);
            let largest = log_integrand(ends[0]).max(log_integrand(ends[1]));
            let at = |place: i32| {
                let weight = if place == 0 || place == n { 1.0 } else { 2.0 + 2.0 * f64::from(place % 2) };
                weight * (log_integrand(ends[0] + width * f64::from(place)) - largest).exp()
            };
            let expected = ((0..=n).map(at).sum::<f64>() * width / 3.0).ln() + largest;
            let got = Panels::new(family, parameters, ends).log_integral();
            assert!((got - expected).abs() < 1e-7, "{family:?} {parameters:?}: {got}, {expected}");
        }
    }

    #[test]
    fn where_nothing_is_left_of_a_distribution_there_is_no_likelihood() {
        // Far below what the range begins with, exp((x / tau)^beta) overflows: no number, which the search would take for the best.
        let (family, parameters) = (Family::Exponential, [-60.0, 4.0]);
        assert!(Panels::new(family, parameters, [-5.0, 0.0]).log_integral().is_nan());
        // Values at the very end, for which the steepest and furthest would be tried.
        let values: Vec<f64> = (0..50).map(|i| 0.1 + 1e-9 * f64::from(i * i)).collect();
        for family in [Family::LogNormal, Family::Exponential] {
            let fit = fit(&values, (0.1, 1.0), family).unwrap();
            assert!(fit.log_likelihood.is_finite() && fit.distance <= 1.0, "{fit:?}");
            assert!(fit.parameters.iter().all(|parameter| parameter.is_finite()), "{fit:?}");
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
