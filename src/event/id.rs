//! Ids that clients write as a text or as an integer, and read back as they wrote them.

use super::is_label;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Longest id, in characters (contract, section 7).
const MAX_CHARS: usize = 64;
/// Integers beyond it are no longer exact in JavaScript (ECMA-262, `Number.MAX_SAFE_INTEGER`).
pub(crate) const MOST_INTEGER: u64 = (1 << 53) - 1;

/// An id as it was written. Behind one thin pointer, because there are many of them in large maps.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    text: Box<str>,
    integer: bool,
}

/// Declares an id: `7` and `"7"` are the same one, and remember how they were written.
macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Eq)]
        pub struct $type(Arc<Written>);

        impl $type {
            /// A text, or an integer if `integer`.
            pub fn new(text: &str, integer: bool) -> Self {
                Self(Arc::new(Written {
                    text: text.into(),
                    integer,
                }))
            }

            /// As it was written down: a text. Where that is how an integer is written that every client can read, it was one.
            pub fn stored(text: &str) -> Self {
                let number = text.parse::<u64>().ok().filter(|n| *n <= MOST_INTEGER);
                Self::new(text, number.is_some_and(|number| number.to_string() == text))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0.text
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.0.text == other.0.text
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $type {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.text.cmp(&other.0.text)
            }
        }

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.text.hash(state);
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0.text
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0.text.parse::<i64>() {
                    Ok(number) if self.0.integer => serializer.serialize_i64(number),
                    _ => serializer.serialize_str(&self.0.text),
                }
            }
        }
    };
}

/// Makes an id one that clients send.
macro_rules! parsed {
    ($type:ident, $fault:literal) => {
        impl $type {
            /// Checks and takes an id that was written as a text.
            pub fn parse(text: &str) -> Option<Self> {
                is_label(text, MAX_CHARS).then(|| Self::new(text, false))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let wrong = || de::Error::custom($fault);
                let id = match Form::deserialize(deserializer).map_err(|_: D::Error| wrong())? {
                    Form::Number(number) => {
                        whole(&number, MOST_INTEGER).map(|n| Self::new(&n.to_string(), true))
                    }
                    Form::Text(text) => Self::parse(&text),
                };
                id.ok_or_else(wrong)
            }
        }
    };
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Number(serde_json::Number),
    Text(String),
}

/// A number that is whole, from 0 to `most`; in JSON `7.0` is the same as `7` (RFC 8259, section 6).
pub fn whole(number: &serde_json::Number, most: u64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole, and in the range in which all whole numbers are exact"
    )]
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        let fits = float.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&float);
        fits.then_some(float as u64)
    });
    whole.filter(|n| *n <= most)
}

id! {
    /// A user, written as the token wrote it: clients compare it with the id that they know.
    UserId
}

id! {
    /// Something that tickets are sold for.
    EventId
}
parsed!(
    EventId,
    "eventId must be 1 to 64 characters without control characters, or an integer"
);

id! {
    /// A seat of an event.
    SeatId
}
parsed!(
    SeatId,
    "a seat id must be 1 to 64 characters without control characters, or an integer"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_back_as_it_was_written() {
        for written in ["7", "\"7\"", "\"A-12\"", "0", "9007199254740991", "\"007\""] {
            let id: EventId = serde_json::from_str(written).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), written);
        }
        let number: EventId = serde_json::from_str("7").unwrap();
        assert_eq!(serde_json::from_str::<EventId>("7.0").unwrap(), number);
        let text: EventId = serde_json::from_str("\"7\"").unwrap();
        assert_eq!(number, text);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let long = format!("\"{}\"", "a".repeat(65));
        for wrong in [
            "",
            "null",
            "-1",
            "1.5",
            "9007199254740992",
            "\"\"",
            "\"a\\u0000\"",
            "[]",
            "{}",
            "true",
            &long,
        ] {
            assert!(serde_json::from_str::<SeatId>(wrong).is_err(), "{wrong}");
        }
    }
}
