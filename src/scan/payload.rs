//! Wire types of the scan family. A value that exists is valid: they are parsed, not validated.

use crate::{
    event::{Device, Moment, Payload, SessionId, SocketId, Traceparent, is_label},
    live::Status,
};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use std::{borrow::Cow, time::Duration};

/// `registerClient { role }`.
#[derive(Debug, Deserialize)]
pub struct RegisterClient {
    pub(super) role: Device,
}

/// `joinSession { sessionId, lastSeq?, epoch? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinSession {
    #[serde(deserialize_with = "session_id")]
    pub(super) session_id: SessionId,
    #[serde(default)]
    pub(super) last_seq: Option<u64>,
    #[serde(default)]
    pub(super) epoch: Option<String>,
}

/// `leaveSession { sessionId }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveSession {
    #[serde(deserialize_with = "session_id")]
    pub(super) session_id: SessionId,
}

/// `scanOrder { sessionId, orderNo, ts, nonce?, traceparent? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanOrder {
    #[serde(deserialize_with = "session_id")]
    pub(super) session_id: SessionId,
    #[serde(deserialize_with = "order_no")]
    pub(super) order_no: Box<str>,
    // Relayed as it came: never read, so the past and the far future are fine.
    pub(super) ts: serde_json::Number,
    #[serde(default, deserialize_with = "nonce")]
    pub(super) nonce: Option<Box<str>>,
    // Anything that is no traceparent is as good as none: telemetry never refuses a scan.
    #[serde(default, deserialize_with = "lenient_text")]
    pub(super) traceparent: Option<Box<str>>,
}

/// `navigate:displayed { seq, sessionId?, traceparent?, paintedMs? }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NavigateDisplayed {
    pub(super) seq: u64,
    #[serde(default, deserialize_with = "optional_session_id")]
    pub(super) session_id: Option<SessionId>,
    // That of `navigate`, as it came.
    #[serde(default, deserialize_with = "lenient_text")]
    pub(super) traceparent: Option<Box<str>>,
    // For the telemetry alone: what makes no sense is as good as nothing.
    #[serde(default, deserialize_with = "lenient_milliseconds")]
    pub(super) painted_ms: Option<Duration>,
}

/// `session:create`, with or without `{ sessionId? }`.
#[derive(Debug)]
pub struct SessionCreate {
    pub(super) session_id: Option<SessionId>,
}

impl<'de> Deserialize<'de> for SessionCreate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wanted {
            #[serde(default, deserialize_with = "optional_session_id")]
            session_id: Option<SessionId>,
        }
        let wanted = Option::<Wanted>::deserialize(deserializer)?;
        let Wanted { session_id } = wanted.unwrap_or_default();
        Ok(Self { session_id })
    }
}

/// How a phone shows that it was invited: `{ sessionId, pairingToken }` or `{ pairingCode }`.
#[derive(Debug)]
pub enum Given {
    /// From the QR code.
    Token {
        /// The session that it is for.
        session: SessionId,
        /// The token.
        token: String,
    },
    /// Typed by hand.
    Code(u32),
}

impl Given {
    pub(super) fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Token { session, .. } => Some(session),
            Self::Code(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What the one way needs may be anything where the other one is gone.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            #[serde(default)]
            session_id: Value,
            #[serde(default)]
            pairing_token: Value,
            #[serde(default)]
            pairing_code: Value,
        }
        let fields = Fields::deserialize(deserializer)?;
        let session = fields.session_id.as_str().and_then(SessionId::parse);
        if let (Some(session), Some(token)) = (session, fields.pairing_token.as_str()) {
            let token = token.to_owned();
            return Ok(Self::Token { session, token });
        }
        let code = match &fields.pairing_code {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_u64().and_then(|n| n.try_into().ok()),
            _ => None,
        };
        code.map(Self::Code).ok_or_else(|| {
            de::Error::custom(
                "sessionId and pairingToken, or pairingCode with six digits, are needed",
            )
        })
    }
}

/// `session:join`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct SessionJoin {
    pub(super) given: Given,
}

/// `session:unpair { sessionId, socketId }`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUnpair {
    #[serde(deserialize_with = "session_id")]
    pub(super) session_id: SessionId,
    pub(super) socket_id: String,
}

/// `heartbeat`, whatever is sent along.
#[derive(Debug)]
pub struct Heartbeat;

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered {
    pub(super) success: bool,
    pub(super) socket_id: SocketId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinedSession<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) status: Status,
    /// `null` while the ledger cannot be read.
    pub(super) epoch: Option<&'a str>,
    /// Likewise.
    pub(super) seq: Option<u64>,
    /// Likewise; what follows begins right after it.
    pub(super) last_seq: Option<u64>,
    pub(super) recovered: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientJoined {
    pub(super) socket_id: SocketId,
    pub(super) role: Device,
    pub(super) status: Status,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientLeft {
    pub(super) socket_id: SocketId,
    pub(super) status: Status,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftSession<'a> {
    pub(super) success: bool,
    pub(super) session_id: &'a SessionId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionCreated<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) pairing_token: String,
    pub(super) pairing_code: String,
    pub(super) expires_in: u64,
    pub(super) pairing_url: String,
}

/// `session:paired`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paired<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) at: u64,
    pub(super) socket_id: SocketId,
}

/// `session:unpaired`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unpaired<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PairedAck<'a> {
    success: bool,
    session_id: &'a SessionId,
    at: u64,
}

impl<'a> PairedAck<'a> {
    pub(super) fn new(session_id: &'a SessionId, now: Moment) -> Self {
        Self {
            success: true,
            session_id,
            at: now.unix_ms,
        }
    }
}

/// `navigate` as the ledger keeps it: [`placed`] adds what is missing.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Navigate<'a> {
    pub(super) order_no: &'a str,
    pub(super) ts: &'a serde_json::Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    pub(super) from: Device,
    pub(super) from_socket_id: SocketId,
    pub(super) traceparent: String,
}

/// `navigate` as it is sent: with its place, or `null` where it has none.
pub(super) fn placed(navigate: &str, seq: Option<u64>, replayed: bool) -> Payload {
    let seq = seq.map_or_else(|| "null".into(), |seq| seq.to_string());
    let replayed = if replayed { ",\"replayed\":true" } else { "" };
    Payload::extended(navigate, format_args!("\"seq\":{seq}{replayed}"))
}

/// What a monitor's acknowledgement of `navigate` stands for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) seq: u64,
    pub(super) traceparent: String,
}

/// `scan:displayed`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Displayed<'a> {
    pub(super) session_id: &'a SessionId,
    pub(super) seq: u64,
    pub(super) nonce: Option<&'a str>,
    pub(super) socket_id: SocketId,
    pub(super) latency_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScanAck<'a> {
    pub(super) received: bool,
    pub(super) nonce: Option<&'a str>,
    pub(super) epoch: Option<&'a str>,
    pub(super) seq: Option<u64>,
    pub(super) duplicate: bool,
    pub(super) durable: bool,
    pub(super) monitors: usize,
    pub(super) flow: String,
    pub(super) trace_id: String,
}

/// Longest order number, in characters (contract, section 4).
const ORDER_CHARS: usize = 128;
/// Longest nonce, in characters (contract, section 9).
const NONCE_CHARS: usize = 64;

fn session_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SessionId, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    SessionId::parse(&text).ok_or_else(|| {
        de::Error::custom("sessionId must be 1 to 100 characters without control characters")
    })
}

fn optional_session_id<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SessionId>, D::Error> {
    #[derive(Deserialize)]
    struct Given(#[serde(deserialize_with = "session_id")] SessionId);
    Ok(Option::<Given>::deserialize(deserializer)?.map(|given| given.0))
}

fn order_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    if is_label(&text, ORDER_CHARS) {
        Ok(text.into())
    } else {
        Err(de::Error::custom(
            "orderNo must be 1 to 128 characters without control characters",
        ))
    }
}

fn nonce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    match Option::<Cow<'_, str>>::deserialize(deserializer)? {
        None => Ok(None),
        Some(text) if is_label(&text, NONCE_CHARS) => Ok(Some(text.into())),
        Some(_) => Err(de::Error::custom(
            "nonce must be 1 to 64 characters without control characters",
        )),
    }
}

fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Text(Box<str>),
        Other(de::IgnoredAny),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Text(text) if text.len() <= Traceparent::MAX_BYTES => Some(text),
        _ => None,
    })
}

/// Longest time that a monitor is believed to have taken for showing an order.
const LONGEST_PAINT: Duration = Duration::from_mins(1);

fn lenient_milliseconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Number(f64),
        Other(de::IgnoredAny),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Number(ms) => Duration::try_from_secs_f64(ms / 1000.0)
            .ok()
            .filter(|time| *time <= LONGEST_PAINT),
        Lenient::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(json: &str) -> Result<ScanOrder, String> {
        serde_json::from_str(json).map_err(|e: serde_json::Error| e.to_string())
    }

    #[test]
    fn a_scan_keeps_what_it_relays() {
        let s = scan(r#"{"sessionId":"s","orderNo":"A\u002d1","ts":1761100000123,"nonce":"n"}"#)
            .unwrap();

        assert_eq!(&*s.order_no, "A-1");
        assert_eq!(s.ts.to_string(), "1761100000123");
        assert_eq!(s.nonce.as_deref(), Some("n"));
    }

    #[test]
    fn a_bad_traceparent_never_refuses_a_scan() {
        for bad in [
            "7",
            "null",
            "{\"a\":[1]}",
            "\"x\"",
            &format!("\"{}\"", "a".repeat(99)),
        ] {
            let json = format!(r#"{{"sessionId":"s","orderNo":"1","ts":1,"traceparent":{bad}}}"#);
            assert!(scan(&json).is_ok(), "{bad}");
        }
    }

    #[test]
    fn a_paint_that_makes_no_sense_never_refuses_a_receipt() {
        let painted = |said: &str| {
            let json = format!(r#"{{"seq":1,"paintedMs":{said}}}"#);
            let displayed: NavigateDisplayed = serde_json::from_str(&json).unwrap();
            displayed.painted_ms
        };
        assert_eq!(painted("12.5"), Some(Duration::from_micros(12_500)));
        for bad in ["-1", "1e300", "60001", "null", "\"x\"", "{}", "[1]"] {
            assert_eq!(painted(bad), None, "{bad}");
        }
    }

    #[test]
    fn malformed_scans_are_told_which_field() {
        for (json, field) in [
            (r#"{"orderNo":"1","ts":1}"#, "sessionId"),
            (r#"{"sessionId":"","orderNo":"1","ts":1}"#, "sessionId"),
            (r#"{"sessionId":"s","ts":1}"#, "orderNo"),
            (r#"{"sessionId":"s","orderNo":"a\u0000","ts":1}"#, "orderNo"),
            (r#"{"sessionId":"s","orderNo":"1"}"#, "ts"),
            (
                r#"{"sessionId":"s","orderNo":"1","ts":1,"nonce":""}"#,
                "nonce",
            ),
        ] {
            let error = scan(json).unwrap_err();
            assert!(error.contains(field), "{error}");
        }
        assert!(scan(r#"{"sessionId":"s","orderNo":"1","ts":1e400}"#).is_err());
        assert!(scan(r#"{"sessionId":"s","orderNo":"\ud800","ts":1}"#).is_err());
        assert!(scan("null").is_err());
    }
}
