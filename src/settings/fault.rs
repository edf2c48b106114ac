//! Faults for drills, and to check what checks the server. Refused in production.

use super::{Env, Profile, SettingError, env::parse_duration};
use std::time::Duration;

/// A fault that is built in on purpose (`FAULT_INJECTION`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// In the handler of an event.
    Event {
        /// Its name on the wire.
        event: String,
        /// What happens to it.
        kind: EventFault,
    },
    /// In the ledger.
    Ledger(LedgerFault),
}

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFault {
    /// The handler panics.
    Panic,
    /// The handler fails as if a part behind it had failed.
    Fail,
    /// The handler answers this much later.
    Slow(Duration),
    /// The handler fails and says the payload: what no failure may do. Tests that search for secrets prove
    /// with it that they would find one.
    Leak,
}

/// Which promise the ledger breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerFault {
    /// Scans have their place before they are written.
    Early,
    /// Nonces are not looked at.
    Forget,
    /// The first of the scans to replay is left out.
    Skip,
}

const NAME: &str = "FAULT_INJECTION";

impl Fault {
    pub(super) fn read(env: &Env, profile: Profile) -> Result<Option<Self>, SettingError> {
        let Some(text) = env.text(NAME) else {
            return Ok(None);
        };
        if profile == Profile::Production {
            return Err(SettingError::new(
                NAME,
                "is for drills, not for production",
                "",
            ));
        }
        let fault = Self::parse(text).ok_or_else(|| {
            SettingError::new(
                NAME,
                "is not panic:EVENT, fail:EVENT, leak:EVENT, slow:EVENT:TIME, ledger:early, ledger:forget or ledger:skip",
                "slow:scanOrder:300ms",
            )
        })?;
        Ok(Some(fault))
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, of) = text.split_once(':')?;
        let (event, kind) = match kind {
            "panic" => (of, EventFault::Panic),
            "fail" => (of, EventFault::Fail),
            "leak" => (of, EventFault::Leak),
            "slow" => {
                let (event, time) = of.rsplit_once(':')?;
                (event, EventFault::Slow(parse_duration(time)?))
            }
            "ledger" => {
                return Some(Self::Ledger(match of {
                    "early" => LedgerFault::Early,
                    "forget" => LedgerFault::Forget,
                    "skip" => LedgerFault::Skip,
                    _ => return None,
                }));
            }
            _ => return None,
        };
        Some(Self::Event {
            event: event.to_owned(),
            kind,
        })
    }
}
