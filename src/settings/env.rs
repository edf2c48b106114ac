//! Reads single values: environment over `.env`, aliases, durations, lists; remembers what was asked for.

use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, path::Path, str::FromStr, time::Duration};

/// The values that settings are read from. An empty value counts as not set.
#[derive(Debug, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
    read: Mutex<Vec<&'static str>>,
}

/// Why a setting cannot be used: one line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    name: &'static str,
    fault: String,
    example: &'static str,
}

impl SettingError {
    pub(super) fn new(name: &'static str, fault: impl Into<String>, example: &'static str) -> Self {
        Self {
            name,
            fault: fault.into(),
            example,
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            fault,
            example,
        } = self;
        write!(f, "{name}: {fault}; for example {name}={example}")
    }
}

impl std::error::Error for SettingError {}

impl Env {
    /// The process environment over the file `dotenv`, if it exists.
    ///
    /// # Errors
    ///
    /// A `.env` that is there but cannot be parsed.
    pub fn load(dotenv: &Path) -> Result<Self, SettingError> {
        let mut values = BTreeMap::new();
        if let Ok(lines) = dotenvy::from_path_iter(dotenv) {
            for line in lines {
                let (name, value) = line.map_err(|_| {
                    SettingError::new(".env", "has a line that is not NAME=value", "value")
                })?;
                values.insert(name, value);
            }
        }
        values.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        Ok(Self {
            values,
            read: Mutex::default(),
        })
    }

    /// Exactly these values, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            values: pairs
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            read: Mutex::default(),
        }
    }

    /// The names asked for so far, aliases included.
    pub fn names_read(&self) -> Vec<&'static str> {
        self.read.lock().clone()
    }

    /// The value of `name`, unless it is missing or empty.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.read.lock().push(name);
        self.values
            .get(name)
            .map(|v| v.trim())
            .filter(|v| !v.is_empty())
    }

    /// The first of `names` that is set.
    pub(super) fn any(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        // Every name is asked for, so that all of them are known as settings.
        let found: Vec<_> = names.iter().map(|n| (*n, self.text(n))).collect();
        found.into_iter().find_map(|(n, v)| Some((n, v?)))
    }

    pub(super) fn number<T>(
        &self,
        name: &'static str,
        default: T,
        range: std::ops::RangeInclusive<T>,
        example: &'static str,
    ) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        match text.parse::<T>() {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => Err(SettingError::new(
                name,
                format!("is not a number from {} to {}", range.start(), range.end()),
                example,
            )),
        }
    }

    pub(super) fn duration(
        &self,
        name: &'static str,
        default: Duration,
        example: &'static str,
    ) -> Result<Duration, SettingError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        parse_duration(text)
            .filter(|d| !d.is_zero())
            .ok_or_else(|| {
                SettingError::new(
                    name,
                    "is not a duration (a number with ms, s, m, h or d)",
                    example,
                )
            })
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> Result<bool, SettingError> {
        match self.text(name) {
            None => Ok(default),
            Some("true" | "1" | "yes" | "on") => Ok(true),
            Some("false" | "0" | "no" | "off") => Ok(false),
            Some(_) => Err(SettingError::new(name, "is not true or false", "true")),
        }
    }

    /// A URL with scheme http or https and a host.
    pub(super) fn url(
        &self,
        name: &'static str,
        example: &'static str,
    ) -> Result<Option<String>, SettingError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let fine = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        if fine {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        } else {
            Err(SettingError::new(
                name,
                "is not an http(s) address",
                example,
            ))
        }
    }

    pub(super) fn list(&self, names: &[&'static str]) -> Option<(&'static str, Vec<String>)> {
        let (name, text) = self.any(names)?;
        let items = text.split(',').map(str::trim).filter(|s| !s.is_empty());
        Some((name, items.map(str::to_owned).collect()))
    }
}

/// `250ms`, `30s`, `15m`, `2h`, `1d`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_a_unit_or_are_seconds() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("25"), Some(Duration::from_secs(25)));
        assert_eq!(parse_duration("15m"), Some(Duration::from_mins(15)));
        assert_eq!(parse_duration("2 h"), Some(Duration::from_hours(2)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_hours(24)));
        for wrong in ["", "s", "-1s", "1.5s", "1w", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(parse_duration("18446744073709551615d"), None);
    }
}
