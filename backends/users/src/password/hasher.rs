//! Argon2id in arenas that are used again.
//!
//! Each hash walks over 19 MiB for some 20 ms. Unbounded, a flood of sign-ins would take the
//! machine's memory, hence the queue; allocated anew each time, the kernel's zeroing of fresh pages
//! costs a quarter of the work.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::{self, Output, Salt, SaltString},
};
use thiserror::Error;
use web::Problem;

use super::{
    Password,
    kept::{Kept, NotTaken},
    queue::{Place, Queue, QueueError, Work},
};

pub(super) const ALGORITHM: Algorithm = Algorithm::Argon2id;
pub(super) const VERSION: Version = Version::V0x13;
pub(super) const HASH_BYTES: usize = 32;
pub(super) const SALT_BYTES: usize = Salt::RECOMMENDED_LENGTH;

/// Hashes and checks passwords on a few threads with an arena each.
pub(crate) struct Hasher {
    queue: Arc<Queue>,
    arenas: Arc<Arenas>,
    /// The hash that a password is held against when there is none, at the price of a real one.
    nobody: Arc<str>,
}

/// What a password is to the kept hash.
pub(crate) enum Check {
    /// Not the one.
    Wrong,
    /// The one. `anew` is its hash of today where the kept one was made otherwise: it is to take
    /// the kept one's place, see `account::store::rehash`.
    Right { anew: Option<String> },
}

/// Why there is no answer about a password.
#[derive(Debug, Error)]
pub(crate) enum HasherError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("hashing a password")]
    Hash(#[from] password_hash::Error),
    #[error("hashing a password as another system did")]
    Foreign(#[from] argon2::Error),
    #[error("reading a kept hash")]
    Kept(#[from] NotTaken),
    #[error("drawing a salt")]
    Randomness(#[from] getrandom::Error),
}

impl Check {
    pub(crate) fn is_right(&self) -> bool {
        matches!(self, Self::Right { .. })
    }
}

impl Hasher {
    /// A hasher that works in `queue`. Holds 19 MiB for each of its slots once it is warm.
    pub(crate) fn new(queue: Arc<Queue>) -> Result<Self, HasherError> {
        let mut impossible = [0; 32];
        getrandom::fill(&mut impossible)?;
        let arenas = Arenas::default();
        let nobody = hash(&mut arenas.take(), &impossible)?;
        Ok(Self {
            queue,
            arenas: Arc::new(arenas),
            nobody: nobody.into(),
        })
    }

    /// Hashes a password for keeping, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, HasherError> {
        let place = self.enter()?;
        self.run(place, Work::Hash, move |arena| {
            hash(arena, password.bytes())
        })
        .await
    }

    /// Takes a place in the queue, to be taken before anything is done for who wants in.
    pub(crate) fn enter(&self) -> Result<Place, HasherError> {
        Ok(self.queue.enter()?)
    }

    /// Tells whether `password` is the one that was kept. Takes as long when none was: who asks
    /// must not learn from the clock that there is no such account.
    pub(crate) async fn verify(
        &self,
        place: Place,
        password: Password,
        kept: Option<&str>,
    ) -> Result<Check, HasherError> {
        let is_kept = kept.is_some();
        let against: Arc<str> = kept.map_or_else(|| self.nobody.clone(), Into::into);
        self.run(place, Work::Verify, move |arena| {
            let against = Kept::parse(&against)?;
            if !against.fits(arena, password.bytes())? || !is_kept {
                return Ok(Check::Wrong);
            }
            let anew = !against.is_todays();
            let anew = anew.then(|| hash(arena, password.bytes())).transpose()?;
            Ok(Check::Right { anew })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: Work,
        job: impl FnOnce(&mut [Block]) -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let arenas = self.arenas.clone();
        self.queue
            .run_at(place, work, move || {
                let mut arena = arenas.take();
                let result = job(&mut arena);
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
        idle.unwrap_or_else(|| vec![Block::default(); params().block_count()])
    }

    fn put_back(&self, arena: Vec<Block>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(arena);
    }
}

/// What we hash with today: 19 MiB, two passes, one lane (OWASP's minimum).
pub(super) fn params() -> Params {
    Params::new(19 * 1024, 2, 1, Some(HASH_BYTES))
        .expect("the parameters are within Argon2's limits")
}

fn hash(arena: &mut [Block], password: &[u8]) -> Result<String, HasherError> {
    let mut salt_bytes = [0; SALT_BYTES];
    getrandom::fill(&mut salt_bytes)?;
    let salt = SaltString::encode_b64(&salt_bytes)?;
    let argon2 = Argon2::new(ALGORITHM, VERSION, params());
    let hash = Output::init_with(HASH_BYTES, |out| {
        Ok(argon2.hash_password_into_with_memory(password, &salt_bytes, out, arena)?)
    })?;
    Ok(PasswordHash {
        algorithm: ALGORITHM.ident(),
        version: Some(VERSION.into()),
        params: argon2.params().try_into()?,
        salt: Some(salt.as_salt()),
        hash: Some(hash),
    }
    .to_string())
}

impl From<HasherError> for Problem {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Queue(error) => error.into(),
            error => Problem::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Imported;

    fn hasher() -> Hasher {
        Hasher::new(Arc::new(Queue::new(1, 1).expect("threads"))).expect("a hasher")
    }

    fn password(text: &str) -> Password {
        Password::parse(text).expect("short enough")
    }

    /// Whether it fits, and the hash that is to take the kept one's place.
    async fn check(text: &str, kept: Option<&str>) -> (bool, Option<String>) {
        let hasher = hasher();
        let place = hasher.enter().expect("it is empty");
        let check = hasher.verify(place, password(text), kept).await;
        match check.expect("checked") {
            Check::Wrong => (false, None),
            Check::Right { anew } => (true, anew),
        }
    }

    #[tokio::test]
    async fn a_password_fits_its_hash_and_nothing_else_does() {
        let hasher = hasher();
        let hash = || async { hasher.hash(password("a fine password")).await };
        let kept = hash().await.expect("hashed");
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert_eq!(check("a fine password", Some(&kept)).await, (true, None));
        assert_eq!(check("a fine passwore", Some(&kept)).await, (false, None));
        assert_eq!(check("a fine password", None).await, (false, None));
        let again = hash().await.expect("hashed");
        assert_ne!(kept, again, "each hash has its own salt");
    }

    #[tokio::test]
    async fn a_hash_made_otherwise_still_fits_and_is_made_anew() {
        let made = |algorithm, memory, passes, length, salt| {
            let params = Params::new(memory, passes, 1, Some(length)).expect("good parameters");
            let old = Argon2::new(algorithm, VERSION, params);
            let salt = SaltString::encode_b64(salt).expect("a salt");
            password_hash::PasswordHasher::hash_password(&old, b"a fine password", &salt)
                .expect("hashed")
                .to_string()
        };
        for kept in [
            made(ALGORITHM, 8 * 1024, 1, 16, b"some old salt"),
            made(ALGORITHM, 32 * 1024, 3, 24, b"some old salt"),
            made(Algorithm::Argon2i, 19 * 1024, 2, 32, b"sixteen byte sal"),
            made(ALGORITHM, 19 * 1024, 2, 32, b"some old salt"),
        ] {
            assert_eq!(check("a fine passwore", Some(&kept)).await, (false, None));
            let (fits, anew) = check("a fine password", Some(&kept)).await;
            assert!(fits, "{kept}");
            let anew = anew.expect("made anew");
            assert_eq!(check("a fine password", Some(&anew)).await, (true, None));
        }
        let todays = made(ALGORITHM, 19 * 1024, 2, 32, b"sixteen byte sal");
        assert_eq!(check("a fine password", Some(&todays)).await, (true, None));
    }

    /// Made with Python: bcrypt 4.0.1 and passlib 1.7.4 on hashlib, Django 5.2's hasher.
    #[tokio::test]
    async fn the_hashes_of_other_systems_fit_and_are_made_anew() {
        let long = "a".repeat(100);
        let words = "correct horse battery staple";
        for (fitting, kept) in [
            (
                words,
                "$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K",
            ),
            (
                words,
                "$2a$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K",
            ),
            (
                words,
                "$2y$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K",
            ),
            // hashpw(b'a' * 100) is hashpw(b'a' * 72).
            (
                long.as_str(),
                "$2b$06$abcdefghijklmnopqrstuuIBuNj.FHUDJuljpq724SoPkEleOzHW2",
            ),
            // hashpw(b'before'): the C function was given no more.
            (
                "before\0after",
                "$2b$06$abcdefghijklmnopqrstuuEi7i2Ov/vrB2fkEMvTSVR9/MBX61/Mq",
            ),
            (
                words,
                "$scrypt$ln=10,r=8,p=1$c2l4dGVlbiBieXRlIHNhbA$fkwR3uWGPzRraH3qW0DU7e/gfwfns+6gVs7PC/51uEA",
            ),
            (
                words,
                "$pbkdf2-sha256$1000$c2l4dGVlbiBieXRlIHNhbA$YLxwtZTyajzXVfC/M84LAbZcd133GcmpwHnZkrWBmAo",
            ),
            (
                words,
                "$pbkdf2-sha256$i=1000,l=32$c2l4dGVlbiBieXRlIHNhbA$YLxwtZTyajzXVfC/M84LAbZcd133GcmpwHnZkrWBmAo",
            ),
            (
                words,
                "$pbkdf2-sha512$1000$c2l4dGVlbiBieXRlIHNhbA$Yap.zHg43MoT6Aovnx0eLwd0TXFYg0nTMon6xsLiI5UfcQFWyGnOyld7BLRRM3dgQN1DX79ugzzjp6FrKmgAag",
            ),
            (
                words,
                "pbkdf2_sha256$1000$seasaltseasalt$VNzPFE8wmAfZPF7ZBaPWZTpsgmcRgo3yR/SsvmOqXuY=",
            ),
        ] {
            let imported = Imported::parse(kept).expect("taken");
            let kept = imported.as_str();
            assert_eq!(
                check("correct horse battery stable", Some(kept)).await,
                (false, None)
            );
            assert_eq!(check("", Some(kept)).await, (false, None));
            let (fits, anew) = check(fitting, Some(kept)).await;
            assert!(fits, "{kept}");
            // From now on the whole password counts.
            let anew = anew.expect("made anew");
            assert_eq!(check(fitting, Some(&anew)).await, (true, None));
            let cut = &fitting[..fitting.len() - 1];
            assert_eq!(check(cut, Some(&anew)).await, (false, None));
        }
    }
}
