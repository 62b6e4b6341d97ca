//! Durations and numbers as people read them.

/// In the largest unit that keeps it above one.
pub(super) fn humane(milliseconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ];
    for (size, unit) in UNITS {
        if milliseconds >= size {
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            let value = milliseconds as f64 / size as f64;
            return format!("{} {unit}", short(value));
        }
    }
    if milliseconds == 0 {
        return "0".to_owned();
    }
    format!("{milliseconds} ms")
}

/// What a plan says in milliseconds.
pub(super) fn humane_of(milliseconds: u64) -> String {
    humane(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

/// Up to three digits, no zeros at the end.
pub(super) fn short(value: f64) -> String {
    let text = if value >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_in_their_largest_unit() {
        for (milliseconds, text) in [
            (0, "0"),
            (999, "999 ms"),
            (90_000, "1.5 min"),
            (7_200_000, "2 h"),
            (30 * 86_400_000, "30 d"),
        ] {
            assert_eq!(humane(milliseconds), text);
        }
    }
}
