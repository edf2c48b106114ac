//! Times as chat clients write them: numbers, numbers as texts, dates.

use serde::{Deserialize, Deserializer, de};
use time::{OffsetDateTime, format_description::well_known::Iso8601};

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Nothing(()),
    Number(f64),
    Text(String),
}

/// Milliseconds since 1970 from a number, a number as a text or a date (ISO 8601); none from `null`.
pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let wrong =
        || de::Error::custom("a time must be in ms since 1970, or a date as 2026-01-31T12:00:00Z");
    let form = Form::deserialize(deserializer).map_err(|_: D::Error| wrong())?;
    let time = match form {
        Form::Nothing(()) => return Ok(None),
        Form::Number(number) => whole(number),
        Form::Text(text) => match text.trim().parse::<f64>() {
            Ok(number) => whole(number),
            Err(_) => date(text.trim()),
        },
    };
    time.map(Some).ok_or_else(wrong)
}

/// The largest time that a JavaScript `Date` can be (ECMA-262, section 21.4.1.1).
const MOST: f64 = 8.64e15;

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is within what a Date can be"
)]
fn whole(number: f64) -> Option<i64> {
    (0.0..=MOST).contains(&number).then_some(number as i64)
}

fn date(text: &str) -> Option<i64> {
    let date = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok()?;
    let ms = i64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok()?;
    (ms >= 0).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Asked {
        #[serde(default, deserialize_with = "moment")]
        at: Option<i64>,
    }

    fn read(json: &str) -> Result<Option<i64>, serde_json::Error> {
        serde_json::from_str::<Asked>(json).map(|asked| asked.at)
    }

    #[test]
    fn times_have_many_forms() {
        for (form, ms) in [
            ("1767225600000", 1_767_225_600_000),
            ("1767225600000.75", 1_767_225_600_000),
            ("\"1767225600000\"", 1_767_225_600_000),
            ("\"2026-01-01T00:00:00Z\"", 1_767_225_600_000),
            ("\"2026-01-01T09:00:00.250+09:00\"", 1_767_225_600_250),
            ("0", 0),
        ] {
            let json = format!("{{\"at\":{form}}}");
            assert_eq!(read(&json).unwrap(), Some(ms), "{form}");
        }
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read("{\"at\":null}").unwrap(), None);
        for wrong in [
            "-1",
            "1e300",
            "\"\"",
            "\"soon\"",
            "\"-5\"",
            "\"NaN\"",
            "true",
            "[]",
            "{}",
            "\"1969-12-31T00:00:00Z\"",
            "\"2026-13-01T00:00:00Z\"",
        ] {
            assert!(read(&format!("{{\"at\":{wrong}}}")).is_err(), "{wrong}");
        }
    }
}
