//! The assistant that answers in chat rooms.

use super::{Env, SettingError};
use std::{fmt, time::Duration};

/// An OpenAI-compatible endpoint, and how much may be asked of it.
#[derive(Clone)]
pub struct Gpt {
    /// What `/chat/completions` is added to.
    pub base_url: String,
    /// The bearer token that it asks for, if it does.
    pub api_key: Option<String>,
    /// Which model answers.
    pub model: String,
    /// Answers that are being given at once.
    pub concurrency: usize,
    /// Questions that wait.
    pub queue_max: usize,
    /// How much of what was said before goes with a question, in bytes.
    pub history_bytes: usize,
    /// What one try may take.
    pub timeout: Duration,
    /// What may pass between two pieces of an answer.
    pub stall_timeout: Duration,
    /// How long nothing is asked after too many failures.
    pub breaker_pause: Duration,
}

impl fmt::Debug for Gpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpt")
            .field("base_url", &self.base_url)
            .field("model", &self.model)
            .field("concurrency", &self.concurrency)
            .field("queue_max", &self.queue_max)
            .finish_non_exhaustive()
    }
}

impl Gpt {
    /// None where no endpoint is set.
    pub(super) fn read(env: &Env) -> Result<Option<Self>, SettingError> {
        let base_url = env.url("GPT_BASE_URL", "https://api.openai.com/v1")?;
        let model = env.text("GPT_MODEL").map(str::to_owned);
        let api_key = env.text("GPT_API_KEY").map(str::to_owned);
        let concurrency = env.number("GPT_CONCURRENCY", 2, 1..=1000, "2")?;
        let queue_max = env.number("GPT_QUEUE_MAX", 100, 1..=100_000, "100")?;
        let history_bytes = env.number("GPT_HISTORY_BYTES", 8192, 0..=1_000_000, "8192")?;
        let timeout = env.duration("GPT_TIMEOUT", Duration::from_mins(1), "60s")?;
        let stall_timeout = env.duration("GPT_STALL_TIMEOUT", Duration::from_secs(15), "15s")?;
        let breaker_pause = env.duration("GPT_BREAKER_PAUSE", Duration::from_secs(30), "30s")?;
        let needed = |name, other: &str, example| {
            let fault = format!("is needed together with {other}");
            Err(SettingError::new(name, fault, example))
        };
        match (base_url, model) {
            (None, None) => Ok(None),
            (Some(_), None) => needed("GPT_MODEL", "GPT_BASE_URL", "gpt-4o-mini"),
            (None, Some(_)) => needed("GPT_BASE_URL", "GPT_MODEL", "https://api.openai.com/v1"),
            (Some(base_url), Some(model)) => Ok(Some(Self {
                base_url,
                api_key,
                model,
                concurrency,
                queue_max,
                history_bytes,
                timeout,
                stall_timeout,
                breaker_pause,
            })),
        }
    }
}
