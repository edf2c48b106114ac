//! WebRTC signaling: peers meet in rooms and exchange offers, answers and ICE candidates (contract, section 5).

mod handle;
mod payload;

pub use handle::RtcServices;
pub use payload::{Answer, CreateRoom, Envelope, IceCandidate, Join, JoinRoom, Leave, Offer};
