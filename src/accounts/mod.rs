//! Accounts, logins and tokens. A family: payloads and decisions, and what the HTTP side asks for.

mod credentials;
mod handle;
mod service;

pub use handle::{RefreshToken, TokenRenew};
pub use service::{AccountError, Accounts, LoggedIn};
