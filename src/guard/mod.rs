//! Who is let in and how much they may ask for: identity, quotas, origins, client addresses.

mod address;
mod blocks;
mod identity;
mod jwks;
mod origin;
mod passwords;
mod profile;
mod quota;
mod revoked;

pub use address::{client_address, may_be_blocked};
pub use blocks::{Block, Blocks};
pub use identity::{Claims, InvitationClaims, TokenFault, Verifier, bearer};
pub use jwks::KeySet;
pub use origin::Origins;
pub use passwords::{PasswordFault, Passwords};
pub use profile::{Profile, ProfileFault, Renewal, Renewals, Renewed};
pub use quota::{Budget, Ceiling, CountLimit, Keyed, Permit, Seat, SocketQuota, Verdict};
pub use revoked::Revoked;
