//! The way into the ledger: group commit. Scans that arrive while a transaction runs go into the next one
//! together; when nothing runs, one is written at once.

use super::{Entry, KeptScan, NewScan, Sequence, Store, StoreError, dishonest::Dishonest};
use crate::{event::SessionId, settings::LedgerFault};
use std::{fmt, sync::Arc, time::Instant};
use time::OffsetDateTime;
use tokio::sync::{OnceCell, mpsc, oneshot};

/// Scans that wait for their turn; beyond it the store is taken for away.
const MOST_WAITING: usize = 10_000;
/// So many go into one transaction.
const BATCH: usize = 500;

#[derive(Debug)]
struct Waiting {
    scan: NewScan,
    told: oneshot::Sender<Result<Entry, StoreError>>,
}

/// What came of handing a scan in.
#[derive(Debug)]
pub struct Written {
    /// Its place.
    pub entry: Result<Entry, StoreError>,
    /// When it was handed in.
    pub from: Instant,
    /// When the answer came.
    pub to: Instant,
}

/// Is told how many scans went into a transaction.
pub type SeenBatch = Box<dyn Fn(usize) + Send + Sync>;

/// The ledger of scans, for those who write and read it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    waiting: mpsc::Sender<Waiting>,
    pub(super) store: Arc<Store>,
    epoch: Arc<OnceCell<Arc<str>>>,
    dishonest: Option<Arc<Dishonest>>,
}

/// Writes what is handed in.
pub struct Batcher {
    store: Arc<Store>,
    waiting: mpsc::Receiver<Waiting>,
    seen: SeenBatch,
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger, and what writes it.
    pub fn new(store: Arc<Store>, seen: SeenBatch, fault: Option<LedgerFault>) -> (Self, Batcher) {
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        let batcher = Batcher {
            store: store.clone(),
            waiting,
            seen,
        };
        let ledger = Self {
            waiting: sender,
            store,
            epoch: Arc::default(),
            dishonest: fault.map(|fault| Arc::new(Dishonest::new(fault))),
        };
        (ledger, batcher)
    }

    /// Gives a scan its place. When it has one, the scan is kept, whatever happens to this process.
    ///
    /// [`StoreError::Away`]: it may or may not be kept; a nonce tells when it is tried again.
    /// [`StoreError::Broken`]: the database does not take it.
    pub async fn enter(&self, scan: NewScan) -> Written {
        let from = Instant::now();
        let entry = match &self.dishonest {
            Some(dishonest) => dishonest.enter(self, scan).await,
            None => self.hand_in(scan).await,
        };
        let to = Instant::now();
        Written { entry, from, to }
    }

    pub(super) async fn hand_in(&self, scan: NewScan) -> Result<Entry, StoreError> {
        let (told, answer) = oneshot::channel();
        match self.waiting.try_send(Waiting { scan, told }) {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Away)),
            Err(_) => Err(StoreError::Away),
        }
    }

    /// The name of the ledger; nothing while it was never read.
    pub async fn epoch(&self) -> Option<Arc<str>> {
        let read = || async { self.store.epoch().await.map(Into::into) };
        self.epoch.get_or_try_init(read).await.ok().cloned()
    }

    /// Where a session's sequence is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn sequence(&self, session: &SessionId) -> Result<Sequence, StoreError> {
        self.store.sequence(session.as_str()).await
    }

    /// See [`Store::scans_after`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn after(
        &self,
        session: &SessionId,
        seq: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<KeptScan>, StoreError> {
        let scans = self.store.scans_after(session.as_str(), seq, now).await?;
        Ok(match &self.dishonest {
            Some(dishonest) => dishonest.replayed(scans),
            None => scans,
        })
    }

    /// A monitor has been sent everything up to this place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`].
    pub async fn mark_seen(&self, session: &SessionId, seq: u64) -> Result<(), StoreError> {
        self.store.mark_seen(session.as_str(), seq).await
    }
}

impl Batcher {
    /// Writes until every [`Ledger`] is gone and nothing waits.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH);
        while self.waiting.recv_many(&mut waiting, BATCH).await > 0 {
            let (scans, told): (Vec<NewScan>, Vec<_>) =
                waiting.drain(..).map(|w| (w.scan, w.told)).unzip();
            (self.seen)(scans.len());
            for (answer, told) in self.write(&scans).await.into_iter().zip(told) {
                // Whoever asked may be gone; the scan is kept all the same.
                let _ = told.send(answer);
            }
        }
    }

    /// All together or, when the database does not take one of them, each alone: one scan must not cost the
    /// others their place.
    async fn write(&self, scans: &[NewScan]) -> Vec<Result<Entry, StoreError>> {
        match self.store.enter(scans).await {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(StoreError::Away) => vec![Err(StoreError::Away); scans.len()],
            Err(_) => {
                let mut answers = Vec::with_capacity(scans.len());
                for scan in scans {
                    let one = self.store.enter(std::slice::from_ref(scan)).await;
                    answers.push(one.and_then(|entries| {
                        let broken = || StoreError::Broken("no place was given".into());
                        entries.first().copied().ok_or_else(broken)
                    }));
                }
                answers
            }
        }
    }
}
