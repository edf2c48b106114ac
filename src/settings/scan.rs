//! The scan relay's settings.

use super::{Env, SettingError};
use std::time::Duration;

/// What becomes of scans while the database is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutStore {
    /// They are relayed at once, without a place; the phone is told that they are not kept.
    Relay,
    /// They are refused.
    Refuse,
}

/// The scan relay.
#[derive(Debug, Clone)]
pub struct Scan {
    /// A session in which nothing happened for this long is dropped.
    pub idle_timeout: Duration,
    /// How often idle sessions are looked for.
    pub sweep_interval: Duration,
    /// What becomes of scans while the database is away.
    pub without_store: WithoutStore,
    /// Where the QR code of an invitation leads to; `sid` and `t` are added.
    pub pairing_url: String,
}

impl Scan {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        Ok(Self {
            idle_timeout: env.duration("SESSION_IDLE_TIMEOUT", Duration::from_mins(30), "30m")?,
            sweep_interval: env.duration(
                "SESSION_SWEEP_INTERVAL",
                Duration::from_mins(10),
                "10m",
            )?,
            pairing_url: env.text("PAIRING_URL_BASE").unwrap_or("/scan").to_owned(),
            without_store: match env.text("SCAN_WITHOUT_STORE").unwrap_or("relay") {
                "relay" => WithoutStore::Relay,
                "refuse" => WithoutStore::Refuse,
                _ => {
                    return Err(SettingError::new(
                        "SCAN_WITHOUT_STORE",
                        "is neither relay nor refuse",
                        "relay",
                    ));
                }
            },
        })
    }
}
