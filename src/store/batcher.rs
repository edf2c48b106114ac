//! Group commit: scans that arrive while a transaction runs go into the next one together; when nothing
//! runs, one is written at once.

use super::{Entry, NewScan, Store, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Scans that wait for their turn; beyond it the store is taken for away.
const MOST_WAITING: usize = 10_000;
/// So many go into one transaction.
const BATCH: usize = 500;

#[derive(Debug)]
struct Waiting {
    scan: NewScan,
    told: oneshot::Sender<Result<Entry, StoreError>>,
}

/// Where scans are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger(mpsc::Sender<Waiting>);

/// Writes what is handed in.
#[derive(Debug)]
pub struct Batcher {
    store: Arc<Store>,
    waiting: mpsc::Receiver<Waiting>,
}

impl Ledger {
    /// A ledger, and what writes it.
    pub fn new(store: Arc<Store>) -> (Self, Batcher) {
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        (Self(sender), Batcher { store, waiting })
    }

    /// Gives a scan its place. When this has returned, the scan is kept, whatever happens to this process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Away`]: it may or may not be kept; a nonce tells when it is tried again.
    /// [`StoreError::Broken`]: the database does not take it.
    pub async fn enter(&self, scan: NewScan) -> Result<Entry, StoreError> {
        let (told, answer) = oneshot::channel();
        self.0
            .try_send(Waiting { scan, told })
            .map_err(|_| StoreError::Away)?;
        answer.await.unwrap_or(Err(StoreError::Away))
    }
}

impl Batcher {
    /// Writes until every [`Ledger`] is gone and nothing waits.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH);
        while self.waiting.recv_many(&mut waiting, BATCH).await > 0 {
            let (scans, told): (Vec<NewScan>, Vec<_>) =
                waiting.drain(..).map(|w| (w.scan, w.told)).unzip();
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
