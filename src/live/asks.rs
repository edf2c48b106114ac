//! What is asked of the assistant: a bounded queue, from messages to whoever answers.

use super::{Breaker, Try};
use crate::event::{ChatRoomId, Code, Refusal, Text, TraceContext};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, mpsc};

/// A message that is to be answered.
#[derive(Debug)]
pub struct Ask {
    /// Where.
    pub room: ChatRoomId,
    /// Its id, and when it was said.
    pub message: (i64, i64),
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// When it was asked.
    pub asked: Instant,
    /// Whether the breaker waits for what becomes of it.
    pub what: Try,
}

/// The queue. Where no assistant is set there is none.
#[derive(Debug)]
pub struct Asks {
    queue: Option<Queue>,
    refused: AtomicU64,
    cancelled: broadcast::Sender<ChatRoomId>,
}

#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<Ask>,
    breaker: Arc<Breaker>,
}

/// A place in the queue that is kept for somebody.
#[derive(Debug)]
pub struct Reserved {
    permit: mpsc::OwnedPermit<Ask>,
    what: Try,
}

/// Rooms that are deleted while somebody hears of it.
const CANCELLED: usize = 64;

impl Asks {
    /// No assistant.
    pub fn none() -> Self {
        Self {
            queue: None,
            refused: AtomicU64::new(0),
            cancelled: broadcast::Sender::new(CANCELLED),
        }
    }

    /// At most `most` wait. What is asked is received on the other end; `pause` is the breaker's.
    pub fn new(most: usize, pause: Duration) -> (Self, mpsc::Receiver<Ask>) {
        let (sender, receiver) = mpsc::channel(most);
        let breaker = Arc::new(Breaker::new(pause));
        let asks = Self {
            queue: Some(Queue { sender, breaker }),
            ..Self::none()
        };
        (asks, receiver)
    }

    /// Keeps a place.
    ///
    /// # Errors
    ///
    /// `UNAVAILABLE`: there is no assistant, or it has enough to do or trouble.
    pub fn reserve(&self, now: Instant) -> Result<Reserved, Refusal> {
        let refusal = |text| Refusal::new(Code::Unavailable, text);
        let queue = self
            .queue
            .as_ref()
            .ok_or_else(|| refusal(Text::NoAssistant))?;
        let permit = queue.sender.clone().try_reserve_owned().ok();
        // A place first: the one that decides must not be turned away for want of one.
        let place = permit.and_then(|permit| {
            let what = queue.breaker.admits(now)?;
            Some(Reserved { permit, what })
        });
        place.ok_or_else(|| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            refusal(Text::AssistantBusy)
        })
    }

    /// Nothing is answered in a room any more.
    pub fn cancel(&self, room: &ChatRoomId) {
        // Without a receiver nothing is being answered.
        let _ = self.cancelled.send(room.clone());
    }

    /// Hears in which rooms nothing is to be answered any more.
    pub fn cancellations(&self) -> broadcast::Receiver<ChatRoomId> {
        self.cancelled.subscribe()
    }

    /// The breaker, for whoever answers.
    pub fn breaker(&self) -> Option<Arc<Breaker>> {
        self.queue.as_ref().map(|queue| queue.breaker.clone())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let sender = self.queue.as_ref().map(|queue| &queue.sender);
        sender.map_or(0, |sender| sender.max_capacity() - sender.capacity())
    }

    /// How many were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Reserved {
    /// Whether the breaker waits for what becomes of it.
    pub fn what(&self) -> Try {
        self.what
    }

    /// Asks.
    pub fn ask(self, ask: Ask) {
        self.permit.send(ask);
    }
}
