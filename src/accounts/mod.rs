//! Who a connection belongs to, while it lasts: renewing its token (contract, section 2).

mod handle;

pub use handle::{AccountServices, TokenRenew};
