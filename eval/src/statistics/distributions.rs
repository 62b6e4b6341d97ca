//! The normal distribution and Student's t: their distribution functions from `statrs`, quantiles by bisection of those.

use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc;

#[must_use]
pub fn normal_cdf(value: f64) -> f64 {
    0.5 * erfc(-value / std::f64::consts::SQRT_2)
}

/// Student's t with `freedom` degrees of freedom (at least 1), by the regularised incomplete beta function.
#[must_use]
pub fn student_cdf(value: f64, freedom: f64) -> f64 {
    let freedom = freedom.max(1.0);
    let share = (freedom / (freedom + value * value)).clamp(0.0, 1.0);
    let tail = 0.5 * beta_reg(freedom / 2.0, 0.5, share);
    if value > 0.0 { 1.0 - tail } else { tail }
}

#[must_use]
pub fn normal_quantile(share: f64) -> f64 {
    bisect(share, normal_cdf)
}

#[must_use]
pub fn student_quantile(share: f64, freedom: f64) -> f64 {
    bisect(share, |value| student_cdf(value, freedom))
}

/// Shares are held from 1e-15 to 1 − 1e-15.
fn bisect(share: f64, distribution: impl Fn(f64) -> f64) -> f64 {
    let share = share.clamp(1e-15, 1.0 - 1e-15);
    let mut high = 1.0;
    while high < 1e16 && (distribution(high) < share || distribution(-high) > share) {
        high *= 2.0;
    }
    let mut low = -high;
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if distribution(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (found, table) in [
            (normal_quantile(0.975), 1.959_963_984_540_054),
            (normal_quantile(0.8), 0.841_621_233_572_914),
            (student_quantile(0.975, 1.0), 12.706_204_736_174_7),
            (student_quantile(0.975, 10.0), 2.228_138_851_964_94),
            (student_quantile(0.05, 30.0), -1.697_260_886_593_96),
        ] {
            assert!((found - table).abs() < 1e-8, "{found} {table}");
        }
    }
}
