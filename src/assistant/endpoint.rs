//! An OpenAI-compatible endpoint: one streamed chat completion, piece by piece, each within its time.

use super::prompt::Line;
use crate::settings::Gpt;
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt};
use reqwest::{Client, Response, StatusCode, header, redirect};
use serde::{Deserialize, Serialize};
use std::{fmt, pin::Pin, time::Duration};
use tokio_rustls::rustls::crypto::ring;

/// What an endpoint may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of one stream, whatever is in it. The longest answer in the smallest pieces has less.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of one line: the reader looks at an unfinished one again with each part that comes.
const MOST_LINE: usize = 64 * 1024;
/// Longer waits than this are not waited.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// For people who look for the cause.
    pub(super) reason: &'static str,
    /// Another try may help.
    pub(super) again: bool,
    /// The endpoint says when.
    pub(super) after: Option<Duration>,
}

impl Fault {
    pub(super) const TIMEOUT: Self = Self::passing("timeout");
    const STALLED: Self = Self::passing("stalled");
    const CONNECTION: Self = Self::passing("connection");
    const BROKEN: Self = Self::passing("broken");
    pub(super) const EMPTY: Self = Self::lasting("empty");
    const GARBAGE: Self = Self::lasting("garbage");

    const fn passing(reason: &'static str) -> Self {
        Self {
            reason,
            again: true,
            after: None,
        }
    }

    pub(super) const fn lasting(reason: &'static str) -> Self {
        Self {
            again: false,
            ..Self::passing(reason)
        }
    }

    /// What an error status means.
    fn of(response: &Response) -> Self {
        let status = response.status();
        let after = response.headers().get(header::RETRY_AFTER);
        let seconds = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
        let fault = match status {
            StatusCode::TOO_MANY_REQUESTS => Self::passing("limited"),
            status if status.is_server_error() => Self::passing("server_error"),
            _ => Self::lasting("refused"),
        };
        Self {
            after: seconds.map(Duration::from_secs),
            again: fault.again && seconds.is_none_or(|s| s <= LONGEST_WAIT.as_secs()),
            ..fault
        }
    }
}

/// What one piece brings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) delta: String,
    /// Tokens of the question and of the answer, at the end.
    pub(super) tokens: Option<[u64; 2]>,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    messages: &'a [Line],
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// As little as there must be: compatible servers leave the rest out.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// The endpoint.
pub(super) struct Endpoint {
    client: Client,
    url: String,
    model: String,
    key: Option<String>,
    stall: Duration,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

type Bytes = Result<bytes::Bytes, Cut>;
type Events = dyn Stream<Item = Result<eventsource_stream::Event, EventStreamError<Cut>>> + Send;

/// The stream ended before its end.
#[derive(Debug)]
enum Cut {
    TooLong,
    Broken,
}

/// An answer that is being given. Dropping it ends the request.
pub(super) struct Pieces {
    events: Pin<Box<Events>>,
    stall: Duration,
    /// The model has said that it has finished.
    finished: bool,
}

impl Endpoint {
    /// # Errors
    ///
    /// One line that names the setting, if this machine has nothing to check certificates with.
    pub(super) fn new(gpt: &Gpt) -> Result<Self, String> {
        // The one that everything else here uses; it fails only if it is there.
        let _ = ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("signalbox/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| {
                format!("GPT_BASE_URL: cannot be asked from this machine ({why}); for example GPT_BASE_URL=http://localhost:11434/v1")
            })?;
        Ok(Self {
            client,
            url: format!("{}/chat/completions", gpt.base_url),
            model: gpt.model.clone(),
            key: gpt.api_key.clone(),
            stall: gpt.stall_timeout,
        })
    }

    /// Asks.
    pub(super) async fn ask(&self, lines: &[Line]) -> Result<Pieces, Fault> {
        let question = Question {
            model: &self.model,
            messages: lines,
            stream: true,
            stream_options: StreamOptions {
                include_usage: true,
            },
        };
        let mut request = self.client.post(&self.url).json(&question);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|_| Fault::CONNECTION)?;
        if !response.status().is_success() {
            return Err(Fault::of(&response));
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(Fault::GARBAGE);
        }
        let (mut bytes, mut line) = (0, 0);
        let bounded = response.bytes_stream().map(move |part| -> Bytes {
            let part = part.map_err(|_| Cut::Broken)?;
            bytes += part.len();
            line = match part.iter().rev().position(|byte| *byte == b'\n') {
                Some(after) => after,
                None => line + part.len(),
            };
            if bytes > MOST_BYTES || line > MOST_LINE {
                return Err(Cut::TooLong);
            }
            Ok(part)
        });
        Ok(Pieces {
            events: Box::pin(bounded.eventsource()),
            stall: self.stall,
            finished: false,
        })
    }
}

impl Pieces {
    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Fault> {
        let event = tokio::time::timeout(self.stall, self.events.next());
        let event = event.await.map_err(|_| Fault::STALLED)?;
        let data = match event {
            Some(Ok(event)) => event.data,
            // Some servers close without a word.
            None if self.finished => return Ok(None),
            None | Some(Err(EventStreamError::Transport(Cut::Broken))) => {
                return Err(Fault::BROKEN);
            }
            Some(Err(_)) => return Err(Fault::GARBAGE),
        };
        if data.trim() == "[DONE]" {
            return Ok(None);
        }
        let chunk: Chunk = serde_json::from_str(&data).map_err(|_| Fault::GARBAGE)?;
        let tokens = chunk
            .usage
            .map(|usage| [usage.prompt_tokens, usage.completion_tokens]);
        let choice = chunk.choices.into_iter().next();
        let mut delta = None;
        if let Some(choice) = choice {
            self.finished |= choice.finish_reason.is_some();
            delta = choice.delta.content;
        }
        Ok(Some(Piece {
            delta: delta.unwrap_or_default(),
            tokens,
        }))
    }
}
