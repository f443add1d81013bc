//! The tails of the normal and of Student's distribution, accurate relative to themselves however small they are.

use std::f64::consts::{PI, TAU};

/// The share of a standard normal variable above `z`. Relative error: some 1e-14, while it is a normal number.
pub(super) fn normal(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal(-z);
    }
    // The density, with what rounding took off the square given back.
    let square = z * z;
    let density = (-0.5 * square).exp() * (-0.5 * z.mul_add(z, -square)).exp() / TAU.sqrt();
    if z < 2.0 {
        // 1/2 - density (z + z^3 / 3 + z^5 / (3 5) + ...): positive terms only (Abramowitz & Stegun 26.2.11).
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while sum + term > sum {
            odd += 2.0;
            term *= square / odd;
            sum += term;
        }
        0.5 - density * sum
    } else {
        // The continued fraction density / (z + 1 / (z + 2 / (z + 3 / ...))), from its far end (ibid., 26.2.14).
        density / (1..=200).rev().fold(z, |rest, n| z + f64::from(n) / rest)
    }
}

/// How likely a correlation of `n` independent normal pairs is at least `r` in magnitude: Student's two-sided tail at
/// `t = r sqrt(n - 2) / sqrt(1 - r^2)` with `n - 2 > 0` degrees of freedom. Relative error: some 1e-14 and n 2^-52.
///
/// With a = (n - 2) / 2 and rest = 1 - r^2 it is the regularised incomplete beta function I(rest; a, 1/2), by one of two series of
/// positive terms (Abramowitz & Stegun 26.5.4): in `rest` for small tails, in r^2 for the complement of large ones.
pub(super) fn student(r: f64, n: usize) -> f64 {
    let (a, square, rest) = ((n - 2) as f64 / 2.0, r * r, (1.0 - r) * (1.0 + r));
    // rest^a sqrt(1 - rest) / B(a, 1/2), with B(a, 1/2) = sqrt(pi) / (gamma(a + 1/2) / gamma(a)).
    // The square's rounding tells where little is left beside it.
    let ln_rest = if square > 0.5 { rest.ln() } else { (-square).ln_1p() };
    let front = (a * ln_rest).exp() * r.abs() * gamma_ratio(a) / PI.sqrt();
    let series = |start: f64, x: f64| {
        let (mut term, mut sum, mut k) = (1.0, 1.0, 0.0);
        while sum + term > sum {
            term *= (a + 0.5 + k) / (start + 1.0 + k) * x;
            sum += term;
            k += 1.0;
        }
        sum / start
    };
    // The first converges while r^2 is far from one, the second while it is far from zero.
    if square < 0.5 && square * a < 1.0 { 1.0 - front * series(0.5, square) } else { front * series(a, rest) }
}

/// `gamma(a + 1/2) / gamma(a)` for a > 0.
fn gamma_ratio(a: f64) -> f64 {
    let (mut a, mut factor) = (a, 1.0);
    while a < 100.0 {
        factor *= a / (a + 0.5);
        a += 1.0;
    }
    // Tricomi and Erdelyi's expansion; what follows is below 1e-17 from here on.
    let (x, coefficients) = (1.0 / a, [-1.0 / 8.0, 1.0 / 128.0, 5.0 / 1024.0, -21.0 / 32768.0, -399.0 / 262_144.0]);
    factor * a.sqrt() * (1.0 + coefficients.iter().rev().fold(0.0, |sum, coefficient| (sum + coefficient) * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: f64, want: f64, bound: f64) {
        assert!((got - want).abs() <= bound * want, "{got:e}, expected {want:e}");
    }

    #[test]
    fn normal_tails_are_those_of_mpmath() {
        for (z, p) in NORMAL {
            close(normal(z), p, 3e-14);
        }
        assert_eq!(normal(0.0), 0.5);
        assert_eq!(normal(40.0), 0.0);
    }

    #[test]
    fn gamma_ratios_are_those_of_mpmath() {
        for (a, ratio) in GAMMA_RATIOS {
            close(gamma_ratio(a), ratio, 3e-14);
        }
    }

    #[test]
    fn student_tails_are_those_of_mpmath() {
        for (r, n, p) in STUDENT {
            // Terms up to some multiple of n count, each the product of all before it.
            close(student(r, n), p, 3e-14 + n as f64 * f64::EPSILON);
        }
    }

    // Made by mpmath 1.3 (which scipy.stats.norm.sf agrees with): erfc(z / sqrt(2)) / 2.
    // The square of 36.63 is rounded by 1e-13: twice as much as the tail may be off.
    const NORMAL: [(f64, f64); 15] = [
        (-3.0, 0.9986501019683699),
        (-0.5, 0.6914624612740131),
        (1e-09, 0.49999999960105773),
        (0.1, 0.460172162722971),
        (0.5, 0.3085375387259869),
        (1.0, 0.15865525393145705),
        (1.96, 0.024997895148220435),
        (2.1, 0.017864420562816553),
        (2.2, 0.013903447513498604),
        (3.0, 0.0013498980316300946),
        (5.0, 2.866515718791939e-07),
        (8.0, 6.220960574271784e-16),
        (20.0, 2.7536241186062337e-89),
        (36.63, 4.7636649636638796e-294),
        (37.0, 5.725571222524577e-300),
    ];
    const GAMMA_RATIOS: [(f64, f64); 9] = [
        (0.5, 0.5641895835477563),
        (1.0, 0.886226925452758),
        (2.5, 1.5045055561273502),
        (4.0, 1.9386213994279082),
        (49.5, 7.017879628562148),
        (99.5, 9.962445224791265),
        (100.0, 9.987507861262518),
        (1234.5, 35.13189470152467),
        (500000.0, 707.1066044098743),
    ];
    /// r, n and p = betainc((n - 2) / 2, 1/2, 0, 1 - r^2, regularized=True).
    const STUDENT: [(f64, usize, f64); 16] = [
        (0.9999, 10, 4.3744750218727604e-16),
        (0.999999, 10, 4.3749947505054107e-24),
        (0.0, 3, 1.0),
        (0.0, 10, 1.0),
        (1.0, 3, 0.0),
        (0.5, 3, 0.6666666666666666),
        (-0.75, 10, 0.012477874755859375),
        (0.25, 10, 0.4860420227050781),
        (0.875, 10, 0.0009160935878753662),
        (0.9375, 30, 2.3133609528330357e-14),
        (0.0625, 100, 0.5367424006537996),
        (0.125, 1000, 7.387190140353685e-05),
        (0.5, 1000, 2.278101929537929e-64),
        (-0.001953125, 100000, 0.5368224133276815),
        (0.015625, 100000, 7.760391373193272e-07),
        (0.99609375, 5, 0.0002928999358522704),
    ];
}
