//! The scan relay's settings.

use super::{Env, SettingError};
use std::time::Duration;

/// The scan relay.
#[derive(Debug, Clone)]
pub struct Scan {
    /// A session in which nothing happened for this long is dropped.
    pub idle_timeout: Duration,
    /// How often idle sessions are looked for.
    pub sweep_interval: Duration,
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
        })
    }
}
