//! Chat: which application may chat, how long messages are kept, and when an address is blocked.

use super::{Env, SettingError};
use std::time::Duration;

/// Chat, and what protects it.
#[derive(Debug, Clone)]
pub struct Chat {
    /// What the user agent of a chat client must contain, if anything.
    pub application: Option<String>,
    /// How long messages are kept; `None` for as long as their room.
    pub retention: Option<Duration>,
    /// So many strikes within ten minutes block an address.
    pub block_after: usize,
    /// How long an address is blocked.
    pub block_duration: Duration,
}

impl Chat {
    pub(super) fn read(env: &Env) -> Result<Self, SettingError> {
        let quarter = Duration::from_mins(15);
        Ok(Self {
            application: env.text("VISION_APP_INFO").map(str::to_owned),
            retention: match env.text("CHAT_RETENTION") {
                None | Some("off") => None,
                Some(_) => Some(env.duration("CHAT_RETENTION", quarter, "365d")?),
            },
            block_after: env.number("BLOCK_AFTER", 5, 1..=1_000_000, "5")?,
            block_duration: env.duration("BLOCK_DURATION", quarter, "15m")?,
        })
    }
}
