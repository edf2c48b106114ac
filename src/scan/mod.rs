//! The scan relay: a phone scans, the monitors of its session navigate (contract, section 4).

mod handle;
mod payload;
mod relay;
mod replay;

pub use handle::ScanServices;
pub use payload::{
    Heartbeat, JoinSession, LeaveSession, NavigateDisplayed, RegisterClient, ScanOrder,
};
