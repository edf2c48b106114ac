//! The scan relay: a phone scans, the monitors of its session navigate (contract, section 4).

mod handle;
mod payload;

pub use handle::ScanServices;
pub use payload::{Heartbeat, JoinSession, LeaveSession, RegisterClient, ScanOrder};
