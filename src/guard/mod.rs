//! Who is let in and how much they may ask for: identity, quotas, origins, client addresses.

mod address;
mod identity;
mod origin;
mod quota;

pub use address::client_address;
pub use identity::{Claims, TokenFault, Verifier, bearer};
pub use origin::Origins;
pub use quota::{Budget, Ceiling, CountLimit, Keyed, Permit, Seat, SocketQuota, Verdict};
