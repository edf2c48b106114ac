//! The assistant of chat rooms: takes questions from their queue, asks an OpenAI-compatible endpoint, and says the
//! answer, piece by piece and then as a message.

mod endpoint;
mod prompt;

use crate::{
    chat::{self, ChatServices},
    clock,
    event::{ChatRoomId, Decision, Effect, PushName, Room, Target},
    live::{Ask, Breaker, Try},
    settings::Gpt,
    store::{NewMessage, Said},
    telemetry::{GptOutcome, Telemetry},
};
use endpoint::{Endpoint, Fault, Piece};
use prompt::{ASSISTANT, Line};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, broadcast, mpsc},
    task::JoinSet,
};

/// Longest answer, in bytes: as long as any message (contract, section 9).
const MOST_CONTENT: usize = 16 * 1024;
/// Messages that are looked at for a question.
const HISTORY: u16 = 50;
const TRIES: u32 = 3;
/// The wait before the second try; it doubles.
const BACK_OFF: Duration = Duration::from_millis(500);

/// A part of an answer, as the room hears it.
#[derive(Default, Serialize)]
struct GptChunk<'a> {
    id: &'a str,
    #[serde(rename = "roomID")]
    room: &'a str,
    delta: &'a str,
    /// What was said so far is taken back: there is another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<bool>,
    /// There will be no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'static str>,
}

impl<'a> GptChunk<'a> {
    fn of(ask: &'a Ask, id: &'a str) -> Self {
        Self {
            id,
            room: ask.room.as_str(),
            ..Self::default()
        }
    }
}

/// Carries decisions out that nobody asked for.
pub type CarryOut = Box<dyn Fn(Decision) + Send + Sync>;

/// Answers what is asked in chat rooms.
pub struct Assistant {
    gpt: Gpt,
    endpoint: Endpoint,
    asked: Mutex<mpsc::Receiver<Ask>>,
    breaker: Arc<Breaker>,
    chat: ChatServices,
    telemetry: Arc<Telemetry>,
    carry_out: CarryOut,
}

impl fmt::Debug for Assistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assistant").finish_non_exhaustive()
    }
}

/// Why there is no answer.
enum Ended {
    /// Nobody would hear it.
    Cancelled,
    /// The endpoint or the store let us down.
    Failed(&'static str),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.reason)
    }
}

/// An answer as far as it is known.
#[derive(Default)]
struct Answer {
    text: String,
    tokens: [u64; 2],
}

impl Assistant {
    /// Answers what the chat family asks, and says it by `carry_out`.
    ///
    /// # Errors
    ///
    /// One line that names the setting, if the endpoint cannot be asked from this machine.
    pub fn new(
        gpt: &Gpt,
        asked: mpsc::Receiver<Ask>,
        breaker: Arc<Breaker>,
        chat: ChatServices,
        telemetry: Arc<Telemetry>,
        carry_out: CarryOut,
    ) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self {
            gpt: gpt.clone(),
            endpoint: Endpoint::new(gpt)?,
            asked: Mutex::new(asked),
            breaker,
            chat,
            telemetry,
            carry_out,
        }))
    }

    /// Answers for as long as anybody may ask, several at once.
    pub async fn run(self: Arc<Self>) {
        let mut workers = JoinSet::new();
        for _ in 0..self.gpt.concurrency {
            workers.spawn(self.clone().work());
        }
        workers.join_all().await;
    }

    async fn work(self: Arc<Self>) {
        loop {
            let ask = self.asked.lock().await.recv().await;
            let Some(ask) = ask else { return };
            // In a task of its own: what panics there ends one answer and not all.
            let _ = tokio::spawn(self.clone().answer(ask)).await;
        }
    }

    async fn answer(self: Arc<Self>, ask: Ask) {
        let deleted = self.chat.asks.cancellations();
        let answering = self.telemetry.answering(&ask.trace, ask.asked);
        let id = chat::answer_id(ask.message);
        let ended = tokio::select! {
            ended = self.say_answer(&ask, &id) => ended,
            () = until_deleted(deleted, &ask) => Err(Ended::Cancelled),
        };
        match ended {
            Ok(tokens) => answering.finish(GptOutcome::Ok, "", tokens),
            Err(Ended::Cancelled) => answering.finish(GptOutcome::Cancelled, "cancelled", [0; 2]),
            Err(Ended::Failed(reason)) => {
                let failed = GptChunk {
                    failed: Some("UNAVAILABLE"),
                    ..GptChunk::of(&ask, &id)
                };
                self.send(&ask, &failed);
                answering.finish(GptOutcome::Failed, reason, [0; 2]);
            }
        }
    }

    /// Gets an answer and says it. Returns the tokens of question and answer.
    async fn say_answer(&self, ask: &Ask, id: &str) -> Result<[u64; 2], Ended> {
        if ask.what == Try::Normal && self.breaker.is_open(clock::now().instant) {
            return Err(Ended::Failed("breaker_open"));
        }
        let (_, said_at) = ask.message;
        // Whoever asked may have left since; the others wait for the answer.
        let room = (ask.room.as_str(), None);
        let history = self
            .chat
            .store
            .chat_before(room, said_at + 1, HISTORY)
            .await;
        let history = history.map_err(|_| Ended::Failed("store"))?;
        let lines = prompt::lines(&history, self.gpt.history_bytes);
        if lines.is_empty() {
            // The room is gone.
            return Err(Ended::Cancelled);
        }
        let answer = match self.ask(ask, id, &lines).await {
            Ok(answer) => answer,
            Err(fault) => {
                self.breaker.failed(clock::now().instant);
                return Err(fault.into());
            }
        };
        self.breaker.succeeded();
        self.keep(ask, id, &answer.text).await?;
        Ok(answer.tokens)
    }

    /// Asks until there is an answer, or trying again makes no sense.
    async fn ask(&self, ask: &Ask, id: &str, lines: &[Line]) -> Result<Answer, Fault> {
        let (mut left, mut wait) = (TRIES, BACK_OFF);
        loop {
            let mut answer = Answer::default();
            let whole = self.listen(ask, id, lines, &mut answer);
            let fault = match tokio::time::timeout(self.gpt.timeout, whole).await {
                Ok(Ok(())) => return Ok(answer),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::TIMEOUT,
            };
            left -= 1;
            if !fault.again || left == 0 {
                return Err(fault);
            }
            self.telemetry.metrics.gpt_retries.inc();
            if !answer.text.is_empty() {
                let restart = GptChunk {
                    restart: Some(true),
                    ..GptChunk::of(ask, id)
                };
                self.send(ask, &restart);
            }
            // Not all at once, where many were turned away together.
            let jitter = wait.mul_f64(rand::random_range(0.5..1.0));
            tokio::time::sleep(fault.after.unwrap_or(jitter)).await;
            wait *= 2;
        }
    }

    /// One try: says each piece as it comes.
    async fn listen(
        &self,
        ask: &Ask,
        id: &str,
        lines: &[Line],
        answer: &mut Answer,
    ) -> Result<(), Fault> {
        let mut pieces = self.endpoint.ask(lines).await?;
        while let Some(Piece { delta, tokens }) = pieces.next().await? {
            answer.tokens = tokens.unwrap_or(answer.tokens);
            let room = MOST_CONTENT - answer.text.len();
            let (delta_bytes, whole) = (delta.len(), delta.floor_char_boundary(room));
            // PostgreSQL keeps no NUL.
            let delta = delta.get(..whole).unwrap_or_default().replace('\0', "");
            if !delta.is_empty() {
                let chunk = GptChunk {
                    delta: &delta,
                    ..GptChunk::of(ask, id)
                };
                self.send(ask, &chunk);
                answer.text.push_str(&delta);
            }
            if whole == room || whole < delta_bytes {
                break;
            }
        }
        if answer.text.is_empty() {
            return Err(Fault::EMPTY);
        }
        Ok(())
    }

    /// Keeps an answer and says it, in the room's turn as any other message.
    async fn keep(&self, ask: &Ask, id: &str, text: &str) -> Result<(), Ended> {
        let _turn = self.chat.turns.of(&ask.room).await;
        let said = self.chat.store.say(NewMessage {
            room: ask.room.as_str(),
            user: ASSISTANT,
            username: ASSISTANT,
            outsider: true,
            content: text,
            client_id: Some(id),
            gpt: true,
            at: chat::ms(clock::now().unix_ms),
        });
        match said.await {
            Ok(Said::New(message)) => {
                let news = chat::tell(ask.room.clone(), PushName::Message, &message);
                (self.carry_out)(Decision::default().then(news));
                Ok(())
            }
            Ok(Said::Again(_)) => Ok(()),
            Ok(Said::Outside) => Err(Ended::Cancelled),
            Err(_) => Err(Ended::Failed("store")),
        }
    }

    fn send(&self, ask: &Ask, chunk: &GptChunk<'_>) {
        let to = Target::Room(Room::Chat(ask.room.clone()));
        let effect = Effect::emit(to, PushName::GptChunk, chunk);
        (self.carry_out)(Decision::default().then(effect));
    }
}

/// Resolves when the room of a question is gone.
async fn until_deleted(mut deleted: broadcast::Receiver<ChatRoomId>, ask: &Ask) {
    loop {
        match deleted.recv().await {
            Ok(room) if room == ask.room => return,
            // One that was missed is noticed when the answer is kept.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
