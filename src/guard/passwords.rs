//! Password hashes: Argon2id, on threads of their own, a few at a time.
//!
//! Not on the runtime's blocking threads: these come and go, and the allocator keeps the 19 MiB of each hash
//! for the thread that asked for them.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use parking_lot::Mutex;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};
use tokio::sync::{Semaphore, oneshot};

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
    jobs: mpsc::Sender<Job>,
    /// Those that are being hashed and those that wait.
    places: Semaphore,
    /// The hash of a password that nobody has.
    nobody: String,
}

type Job = Box<dyn FnOnce() + Send>;

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

impl Passwords {
    /// At most `at_once` are hashed at the same time.
    pub fn new(at_once: usize) -> Self {
        let nobody = format!("{:032x}", rand::random::<u128>());
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..at_once {
            let waiting = waiting.clone();
            let named = thread::Builder::new().name("passwords".to_owned());
            // Without a thread no password is looked at, and those who wait are told so.
            let _ = named.spawn(move || work(&waiting));
        }
        Self {
            jobs,
            places: Semaphore::new(MOST_WAITING),
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
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Whoever asked may have left.
            let _ = answer.send(work());
        };
        let sent = self.jobs.send(Box::new(job));
        sent.map_err(|_| PasswordFault::Broken)?;
        answered.await.map_err(|_| PasswordFault::Broken)
    }
}

/// Until the last sender is gone.
fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // The lock is held by the one who waits, not by those who work.
        let Ok(job) = waiting.lock().recv() else {
            return;
        };
        // The job's panic is its asker's: the answer does not come.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

fn digest(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}
