//! Instants, to the millisecond, written as RFC 3339.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::RetrieverError;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The present instant, by the system clock.
    #[must_use]
    pub fn now() -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        #[cfg(test)]
        let now = now + tests::JUMPED_MILLISECONDS.get();
        Self(now)
    }

    /// From milliseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// An instant outside the years -9999 to 9999.
    pub fn from_milliseconds(milliseconds: i64) -> Result<Self, RetrieverError> {
        jiff::Timestamp::from_millisecond(milliseconds)
            .map(|instant| Self(instant.as_millisecond()))
            .map_err(|error| RetrieverError::invalid("timestamp", error.to_string()))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_milliseconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = RetrieverError;

    /// Reads `2026-01-31T08:00:00+01:00`, or `2026-01-31` for the start of that day in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let instant = if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            instant
        } else {
            text.parse::<jiff::civil::Date>()
                .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC))
                .map_err(|_| {
                    RetrieverError::invalid(
                        "timestamp",
                        format!(
                            "is written `2026-01-31` or `2026-01-31T08:00:00Z`, got `{}`",
                            text.escape_debug().take(60).collect::<String>()
                        ),
                    )
                })?
                .timestamp()
        };
        Ok(Self(instant.as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    thread_local! {
        /// How far the clock has jumped for what runs on this thread.
        pub(crate) static JUMPED_MILLISECONDS: std::cell::Cell<i64> = const { std::cell::Cell::new(0) };
    }

    #[test]
    fn a_date_is_the_start_of_that_day_in_utc() {
        let date: Timestamp = "2026-01-31".parse().unwrap();
        assert_eq!(date, "2026-01-31T01:00:00+01:00".parse().unwrap());
        assert_eq!(date.to_string(), "2026-01-31T00:00:00Z");
    }

    #[test]
    fn words_are_not_an_instant() {
        let error = "next week".parse::<Timestamp>().unwrap_err();
        assert!(error.to_string().contains("got `next week`"));
    }
}
