//! Logins that were ended before their tokens were.

use dashmap::{DashMap, mapref::entry::Entry};

/// Logins that were ended. Their access tokens open nothing any more.
#[derive(Debug, Default)]
pub struct Revoked(DashMap<Box<str>, u64>);

impl Revoked {
    /// Remembers a login until its last access token has ended, in seconds since 1970. True if that is
    /// news.
    pub fn add(&self, login: &str, until: u64) -> bool {
        match self.0.entry(login.into()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(until);
                true
            }
        }
    }

    /// Whether a login was ended.
    pub fn contains(&self, login: &str) -> bool {
        !self.0.is_empty() && self.0.contains_key(login)
    }

    /// Forgets logins whose tokens have ended by themselves. Call it every few seconds.
    pub fn tidy(&self, unix_seconds: u64) {
        self.0.retain(|_, until| *until > unix_seconds);
    }
}
