//! The scan relay: a phone scans, the monitors of its session navigate (contract, section 4).

mod handle;
mod pairing;
mod payload;
mod relay;
mod replay;

pub use handle::ScanServices;
pub use pairing::{Pairing, Pass};
pub use payload::{
    Given, Heartbeat, JoinSession, LeaveSession, NavigateDisplayed, RegisterClient, ScanOrder,
    SessionCreate, SessionJoin, SessionUnpair,
};
