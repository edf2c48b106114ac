//! Password hashes: Argon2id, off the async threads, a few at a time.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// How many passwords may wait to be hashed; each takes some 20 ms of a core and 19 MiB.
const MOST_WAITING: usize = 64;

/// Why a password was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// Too many wait already.
    Busy,
    /// Hashing failed.
    Broken,
}

/// Hashes and checks passwords with the parameters that OWASP recommends (19 MiB, 2 passes).
pub struct Passwords {
    /// Those that are being hashed.
    turns: Arc<Semaphore>,
    /// Those and the ones that wait.
    places: Arc<Semaphore>,
    /// The hash of a password that nobody has.
    nobody: String,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// At most `at_once` are hashed at the same time.
    pub fn new(at_once: usize) -> Self {
        let nobody = format!("{:032x}", rand::random::<u128>());
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(MOST_WAITING)),
            nobody: digest(&nobody).unwrap_or_default(),
        }
    }

    /// The hash of a password, with a salt of its own, as a PHC string.
    ///
    /// # Errors
    ///
    /// Too many wait, or it failed.
    pub async fn hash(&self, password: String) -> Result<String, PasswordFault> {
        let hashed = self.run(move || digest(&password)).await?;
        hashed.ok_or(PasswordFault::Broken)
    }

    /// Whether the password is that of the hash. Without a hash it takes as long and is not.
    ///
    /// # Errors
    ///
    /// Too many wait, or it failed.
    pub async fn check(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordFault> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let same = self.run(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        });
        Ok(same.await? && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordFault> {
        let _place = self.places.try_acquire().map_err(|_| PasswordFault::Busy)?;
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| PasswordFault::Busy)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| PasswordFault::Broken)
    }
}

fn digest(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}
