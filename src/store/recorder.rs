//! Writes down what happens in rooms, behind the clients' backs: nobody waits for it. While the database is
//! away changes wait in memory; when too many wait they are given up, counted, and the state is set right
//! from what is there when it is back.
//!
//! It also says every few seconds that this node is alive, and closes what dead nodes left open.

use super::{Store, StoreError, open::Unusable};
use crate::event::RoomChange;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

/// How many changes may wait: some 20 MB.
const MOST_WAITING: usize = 100_000;
/// So many changes go into one transaction.
const BATCH: usize = 500;
/// How often this node says that it is alive.
const BEAT: Duration = Duration::from_secs(5);
/// How long an acknowledgement waits for its change to be written.
const PATIENCE: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

enum Item {
    Change(RoomChange),
    /// Everything before this is written: tell so.
    Mark(oneshot::Sender<()>),
}

/// Where changes are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Records {
    sender: mpsc::Sender<Item>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Changes were given up since the last time the state was set right.
    gap: AtomicBool,
    given_up: AtomicUsize,
    /// The database is away: there is nothing to wait for.
    behind: AtomicBool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    /// Hands a change in; never waits.
    pub fn write(&self, change: RoomChange) {
        if self.sender.try_send(Item::Change(change)).is_err() {
            self.shared.gap.store(true, Ordering::Release);
            self.shared.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was handed in before is written, or for half a second, or not at all while the
    /// database is away.
    pub async fn written(&self) {
        if self.shared.behind.load(Ordering::Acquire) {
            return;
        }
        let (done, waiting) = oneshot::channel();
        if self.sender.try_send(Item::Mark(done)).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, waiting).await;
        }
    }

    /// How many changes wait to be written.
    pub fn waiting(&self) -> usize {
        MOST_WAITING - self.sender.capacity()
    }

    /// How many changes were given up.
    pub fn given_up(&self) -> usize {
        self.shared.given_up.load(Ordering::Relaxed)
    }
}

/// The rooms that the recorder keeps in step with.
pub trait RoomKeeper: Send + Sync {
    /// These rooms were open before the start.
    fn restore(&self, rooms: Vec<RoomChange>);
    /// The changes that lead from nothing to what is there now.
    fn replay(&self) -> Vec<RoomChange>;
}

/// Writes to the store what is handed in.
pub struct Recorder {
    store: Arc<Store>,
    receiver: mpsc::Receiver<Item>,
    shared: Arc<Shared>,
    /// Taken from the channel, not written yet.
    batch: Vec<Item>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder, and where it takes changes from.
    pub fn new(store: Arc<Store>) -> (Self, Records) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let shared = Arc::new(Shared::default());
        shared.behind.store(!store.up(), Ordering::Release);
        let records = Records {
            sender,
            shared: shared.clone(),
        };
        let recorder = Self {
            store,
            receiver,
            shared,
            batch: Vec::new(),
        };
        (recorder, records)
    }

    /// Reads what was left open by the process before this one, so that its rooms are there when the
    /// first client comes.
    pub async fn load(&self, rooms: &dyn RoomKeeper) {
        if self.store.up() {
            let _ = self.catch_up(rooms).await;
        }
    }

    /// Writes until `stop` resolves; then writes what waits and says that this node is gone.
    pub async fn run(mut self, rooms: Arc<dyn RoomKeeper>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut retry = FIRST_RETRY;
        // At the start, opening it has said so.
        let mut well = self.store.up();
        let mut loaded = well;
        loop {
            if !self.store.up() || !loaded {
                self.shared.behind.store(true, Ordering::Release);
                if std::mem::replace(&mut well, false) {
                    tracing::error!(
                        target: "signalbox::store",
                        component = "store",
                        detail = &*self.store.fault(),
                        waiting = self.receiver.len() + self.batch.len(),
                        "The database is away. Rooms go on; what happens in them is written when it is back."
                    );
                }
                match self.recover(&*rooms).await {
                    Ok(()) => {
                        (loaded, well, retry) = (true, true, FIRST_RETRY);
                        self.shared.behind.store(false, Ordering::Release);
                    }
                    Err(fault) => {
                        if let Unusable::Never(why) = fault {
                            tracing::error!(
                                target: "signalbox::store",
                                component = "store",
                                detail = why.as_str(),
                                "The database is back, but cannot be used."
                            );
                        }
                        tokio::select! {
                            () = &mut stop => break,
                            () = tokio::time::sleep(retry) => {}
                        }
                        retry = (retry * 2).min(LAST_RETRY);
                    }
                }
                continue;
            }
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = beat.tick() => self.beat(&*rooms).await,
                () = self.store.away.notified() => {}
                _ = self.receiver.recv_many(&mut self.batch, BATCH) => {
                    // What fails stays in the batch; the store is down then, or it was counted.
                    let _ = self.write_batch().await;
                }
            }
        }
        self.finish().await;
    }

    /// Everything to write is written, this node's open stays are closed.
    async fn finish(mut self) {
        while self.store.up() {
            while self.batch.len() < BATCH
                && let Ok(item) = self.receiver.try_recv()
            {
                self.batch.push(item);
            }
            if self.batch.is_empty() || self.write_batch().await.is_err() {
                break;
            }
        }
        let node = self.store.node.clone();
        if self.store.up() {
            let now = OffsetDateTime::now_utc();
            let _ = self.store.bury(&node, now).await;
        }
        let lost = self.batch.len() + self.receiver.len();
        if lost > 0 {
            tracing::error!(
                target: "signalbox::store",
                component = "store",
                lost,
                "The server stops while the database is away; the next start sets the rooms right."
            );
        }
    }

    /// The database may be back: bring it up to date.
    async fn recover(&mut self, rooms: &dyn RoomKeeper) -> Result<(), Unusable> {
        self.store.prepare().await?;
        let away = |_| Unusable::Away;
        if self.shared.gap.swap(false, Ordering::AcqRel) {
            // What waits is part of what is there now.
            self.batch.clear();
            while self.receiver.try_recv().is_ok() {}
            self.store.set_right(&rooms.replay()).await.map_err(|e| {
                self.shared.gap.store(true, Ordering::Release);
                away(e)
            })?;
        } else {
            self.write_batch().await.map_err(away)?;
        }
        self.catch_up(rooms).await.map_err(away)?;
        self.store.up.store(true, Ordering::Release);
        tracing::info!(
            target: "signalbox::store",
            waiting = self.receiver.len(),
            given_up = self.shared.given_up.load(Ordering::Relaxed),
            "The database is back."
        );
        Ok(())
    }

    /// Closes what dead nodes left open and takes over the rooms that nobody is in.
    async fn catch_up(&self, rooms: &dyn RoomKeeper) -> Result<(), StoreError> {
        self.store.reap().await?;
        rooms.restore(self.store.open_rooms().await?);
        Ok(())
    }

    async fn beat(&self, rooms: &dyn RoomKeeper) {
        let store = &self.store;
        if store.announce().await.is_err() {
            return;
        }
        if store.reap().await.is_ok_and(|dead| dead > 0)
            && let Ok(open) = store.open_rooms().await
        {
            rooms.restore(open);
        }
    }

    /// Writes the batch. When the database is away it is kept; a change that can never be written is
    /// given up and counted.
    async fn write_batch(&mut self) -> Result<(), StoreError> {
        let changes: Vec<&RoomChange> = self.batch.iter().filter_map(Item::change).collect();
        if !changes.is_empty() {
            match self.store.record(&changes).await {
                Ok(()) => {}
                Err(StoreError::Away) => return Err(StoreError::Away),
                Err(_) => {
                    for change in changes {
                        match self.store.record(&[change]).await {
                            Ok(()) => {}
                            Err(StoreError::Away) => return Err(StoreError::Away),
                            Err(error) => {
                                self.shared.given_up.fetch_add(1, Ordering::Relaxed);
                                tracing::error!(
                                    target: "signalbox::store",
                                    component = "store",
                                    detail = ?error,
                                    "A change of a room cannot be written."
                                );
                            }
                        }
                    }
                }
            }
        }
        for item in self.batch.drain(..) {
            if let Item::Mark(done) = item {
                let _ = done.send(());
            }
        }
        Ok(())
    }
}

impl Item {
    fn change(&self) -> Option<&RoomChange> {
        match self {
            Self::Change(change) => Some(change),
            Self::Mark(_) => None,
        }
    }
}
