//! WebRTC signaling: peers meet in rooms and exchange offers, answers and ICE candidates (contract, section 5).

mod handle;
mod ice;
mod payload;

pub use handle::RtcServices;
pub use ice::{IceServer, ice_servers};
pub use payload::{Answer, CreateRoom, Envelope, IceCandidate, Join, JoinRoom, Leave, Offer};
