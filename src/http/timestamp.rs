//! Times as JavaScript writes them.

use time::{
    OffsetDateTime,
    format_description::well_known::{
        Iso8601,
        iso8601::{Config, EncodedConfig, TimePrecision},
    },
};

const MILLISECONDS: EncodedConfig = Config::DEFAULT
    .set_year_is_six_digits(false)
    .set_time_precision(TimePrecision::Second {
        decimal_digits: std::num::NonZeroU8::new(3),
    })
    .encode();

/// As `toISOString` writes it.
pub(super) fn timestamp(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(&Iso8601::<MILLISECONDS>)
        .unwrap_or_default()
}

/// The same of milliseconds since 1970.
pub(super) fn from_ms(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .map_or_else(|_| String::new(), timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_those_of_javascript() {
        assert_eq!(from_ms(1_761_102_000_000), "2025-10-22T03:00:00.000Z");
        assert_eq!(from_ms(1_761_102_000_007), "2025-10-22T03:00:00.007Z");
    }
}
