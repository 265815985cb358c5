//! Argon2id within limits: so many hashes at a time, so many waiting, and then "come back later".
//!
//! Each hash walks over 19 MiB for some 20 ms. Unbounded, a flood of sign-ins would take the
//! machine's memory; allocated anew each time, the kernel's zeroing of fresh pages costs a quarter
//! of the work.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::{self, Output, Salt, SaltString},
};
use axum::http::StatusCode;
use prometheus::IntCounter;
use thiserror::Error;
use tokio::sync::Semaphore;
use web::Problem;

use super::Password;

/// Hashes and checks passwords on a few threads with an arena each.
pub(crate) struct Hasher {
    /// A place in the house: running or waiting.
    places: Arc<Semaphore>,
    /// A place at the stove. Fair: first come, first served.
    slots: Arc<Semaphore>,
    arenas: Arc<Arenas>,
    /// The hash that a password is held against when there is none, at the price of a real one.
    nobody: Arc<str>,
    /// Counts whom there was no place for.
    refused: IntCounter,
}

/// Why there is no answer about a password.
#[derive(Debug, Error)]
pub(crate) enum HasherError {
    #[error("too many passwords are waiting to be hashed")]
    Overloaded,
    #[error("hashing a password")]
    Hash(#[from] password_hash::Error),
    #[error("drawing a salt")]
    Randomness(#[from] getrandom::Error),
    #[error("the hashing thread died")]
    Thread(#[from] tokio::task::JoinError),
}

impl Hasher {
    /// A hasher that runs `slots` at a time and lets `queue` more wait. Holds `slots` × 19 MiB once
    /// it is warm.
    pub(crate) fn new(slots: usize, queue: usize) -> Result<Self, HasherError> {
        let mut impossible = [0; 32];
        getrandom::fill(&mut impossible)?;
        let arenas = Arenas::default();
        let nobody = hash(&mut arenas.take(), &impossible)?;
        Ok(Self {
            places: Arc::new(Semaphore::new(slots + queue)),
            slots: Arc::new(Semaphore::new(slots)),
            arenas: Arc::new(arenas),
            nobody: nobody.into(),
            refused: IntCounter::new(
                "users_passwords_refused_total",
                "Passwords that were not hashed because the queue was full",
            )
            .expect("a valid metric"),
        })
    }

    /// How often the queue was full.
    pub(crate) fn refusals(&self) -> IntCounter {
        self.refused.clone()
    }

    /// Hashes a password for keeping, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, HasherError> {
        self.run(move |arena| hash(arena, password.bytes())).await
    }

    /// Tells whether `password` is the one that was kept. Takes as long when none was: who asks
    /// must not learn from the clock that there is no such account.
    pub(crate) async fn verify(
        &self,
        password: Password,
        kept: Option<&str>,
    ) -> Result<bool, HasherError> {
        let against: Arc<str> = kept.map_or_else(|| self.nobody.clone(), Into::into);
        let fits = self
            .run(move |arena| verify(arena, password.bytes(), &against))
            .await?;
        Ok(fits && kept.is_some())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut [Block]) -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.refused.inc();
            return Err(HasherError::Overloaded);
        };
        let slot = self
            .slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let arenas = self.arenas.clone();
        tokio::task::spawn_blocking(move || {
            // The thread holds both places, not the request: a caller who hangs up does not make
            // room for another hash beside this one.
            let _held = (place, slot);
            let mut arena = arenas.take();
            let result = work(&mut arena);
            arenas.put_back(arena);
            result
        })
        .await?
    }
}

/// Memory for hashing that is used again. Never more arenas than slots, since only who has a slot
/// takes one.
#[derive(Default)]
struct Arenas(Mutex<Vec<Vec<Block>>>);

impl Arenas {
    fn take(&self) -> Vec<Block> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| vec![Block::default(); argon2().params().block_count()])
    }

    fn put_back(&self, arena: Vec<Block>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(arena);
    }
}

/// What we hash with today: 19 MiB, two passes, one lane (OWASP's minimum).
fn argon2() -> Argon2<'static> {
    let params =
        Params::new(19 * 1024, 2, 1, Some(32)).expect("the parameters are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(arena: &mut [Block], password: &[u8]) -> Result<String, HasherError> {
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt)?;
    let salt = SaltString::encode_b64(&salt)?;
    let argon2 = argon2();
    Ok(PasswordHash {
        algorithm: argon2::ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: argon2.params().try_into()?,
        salt: Some(salt.as_salt()),
        hash: Some(digest(&argon2, arena, password, salt.as_salt(), 32)?),
    }
    .to_string())
}

/// Checks by the parameters that the kept hash was made with, be they ours of today or not.
fn verify(arena: &mut [Block], password: &[u8], kept: &str) -> Result<bool, HasherError> {
    let kept = PasswordHash::new(kept)?;
    let (Some(salt), Some(expected)) = (kept.salt, kept.hash) else {
        return Err(password_hash::Error::PhcStringField.into());
    };
    let version = kept
        .version
        .map_or(Ok(Version::V0x13), Version::try_from)
        .map_err(password_hash::Error::from)?;
    let argon2 = Argon2::new(
        kept.algorithm.try_into()?,
        version,
        Params::try_from(&kept)?,
    );
    // `Output` compares in constant time.
    Ok(if argon2.params().block_count() <= arena.len() {
        digest(&argon2, arena, password, salt, expected.len())? == expected
    } else {
        let mut roomier = vec![Block::default(); argon2.params().block_count()];
        digest(&argon2, &mut roomier, password, salt, expected.len())? == expected
    })
}

fn digest(
    argon2: &Argon2<'_>,
    arena: &mut [Block],
    password: &[u8],
    salt: Salt<'_>,
    length: usize,
) -> Result<Output, HasherError> {
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes)?;
    Ok(Output::init_with(length, |out| {
        Ok(argon2.hash_password_into_with_memory(password, salt, out, &mut *arena)?)
    })?)
}

impl From<HasherError> for Problem {
    fn from(error: HasherError) -> Self {
        match error {
            // The queue empties within a second.
            HasherError::Overloaded => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many sign-ins at the moment",
            )
            .retry_after(1),
            error => Problem::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hasher() -> Hasher {
        Hasher::new(1, 1).expect("a hasher")
    }

    fn password(text: &str) -> Password {
        Password::parse(text).expect("short enough")
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_nothing_else_does() {
        let hasher = hasher();
        let kept = hasher
            .hash(password("a fine password"))
            .await
            .expect("hashed");
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert!(
            hasher
                .verify(password("a fine password"), Some(&kept))
                .await
                .expect("checked")
        );
        assert!(
            !hasher
                .verify(password("a fine passwore"), Some(&kept))
                .await
                .expect("checked")
        );
        assert!(
            !hasher
                .verify(password("a fine password"), None)
                .await
                .expect("checked")
        );
        assert_ne!(
            kept,
            hasher
                .hash(password("a fine password"))
                .await
                .expect("hashed"),
            "each hash has its own salt"
        );
    }

    #[tokio::test]
    async fn a_hash_made_with_other_parameters_still_fits() {
        for (memory, passes, length) in [(8 * 1024, 1, 16), (32 * 1024, 3, 24)] {
            let old = Argon2::new(
                Algorithm::Argon2id,
                Version::V0x13,
                Params::new(memory, passes, 1, Some(length)).expect("good parameters"),
            );
            let salt = SaltString::encode_b64(b"some old salt").expect("a salt");
            let kept =
                password_hash::PasswordHasher::hash_password(&old, b"a fine password", &salt)
                    .expect("hashed");
            let hasher = hasher();
            let kept = kept.to_string();
            assert!(
                hasher
                    .verify(password("a fine password"), Some(&kept))
                    .await
                    .expect("checked"),
                "{kept}"
            );
            assert!(
                !hasher
                    .verify(password("a fine passwore"), Some(&kept))
                    .await
                    .expect("checked"),
                "{kept}"
            );
        }
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once() {
        let hasher = Arc::new(hasher());
        let slot = hasher.slots.clone().acquire_owned().await.expect("open");
        let waiting = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.hash(password("the second in the house")).await }
        });
        let also_waiting = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.hash(password("the third in the house")).await }
        });
        while hasher.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = tokio::time::timeout(
            Duration::from_secs(1),
            hasher.hash(password("one too many")),
        )
        .await;
        assert!(matches!(
            refused.expect("no waiting"),
            Err(HasherError::Overloaded)
        ));
        assert_eq!(hasher.refusals().get(), 1);

        drop(slot);
        waiting.await.expect("ran").expect("hashed");
        also_waiting.await.expect("ran").expect("hashed");
        hasher.hash(password("room again")).await.expect("hashed");
    }
}
