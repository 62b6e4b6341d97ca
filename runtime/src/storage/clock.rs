//! Wall-clock time as milliseconds since 1970 in UTC, and its RFC 3339 form.

use jiff::Timestamp;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// `2026-11-20T13:45:00Z`, whole seconds; what no calendar has (beyond the year 9999) is written as the epoch.
#[must_use]
pub fn rfc3339(at_ms: i64) -> String {
    Timestamp::from_second(at_ms.div_euclid(1000))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn known_moments_have_their_known_form() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_182_300_999), "2026-11-20T13:45:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
