//! A ledger that breaks its promises on purpose (`FAULT_INJECTION=ledger:…`): what checks the ledger must
//! notice.

use super::{Entry, KeptScan, Ledger, NewScan, StoreError};
use crate::settings::LedgerFault;
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};

/// Scans that have their place are written so much later.
const LATE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Dishonest {
    fault: LedgerFault,
    given: Mutex<HashMap<Box<str>, u64>>,
}

impl Dishonest {
    pub(super) fn new(fault: LedgerFault) -> Self {
        Self {
            fault,
            given: Mutex::default(),
        }
    }

    pub(super) async fn enter(
        &self,
        ledger: &Ledger,
        mut scan: NewScan,
    ) -> Result<Entry, StoreError> {
        match self.fault {
            LedgerFault::Early => {
                let last = ledger.store.sequence(&scan.session).await?.seq;
                let seq = {
                    let mut given = self.given.lock();
                    let seq = given.entry(scan.session.clone()).or_insert(last);
                    *seq += 1;
                    *seq
                };
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    // Nobody waits for it: that is the fault.
                    let _ = ledger.hand_in(scan).await;
                });
                Ok(Entry::New(seq))
            }
            LedgerFault::Forget => {
                scan.nonce = None;
                ledger.hand_in(scan).await
            }
            LedgerFault::Skip => ledger.hand_in(scan).await,
        }
    }

    pub(super) fn replayed(&self, mut scans: Vec<KeptScan>) -> Vec<KeptScan> {
        if self.fault == LedgerFault::Skip && !scans.is_empty() {
            scans.remove(0);
        }
        scans
    }
}
