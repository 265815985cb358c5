//! Which passwords may be chosen.
//!
//! Three questions, none of which needs the internet: is it long enough; do attackers know it (the
//! list that the program carries, and the operator's own); and would guessing find it (zxcvbn, told
//! what the person is called). There are no rules of composition: they make worse passwords.

use std::sync::Arc;

use axum::http::StatusCode;
use thiserror::Error;
use web::Problem;
use zxcvbn::{Score, zxcvbn};

use super::{
    MIN_CHARS, Password,
    breached::BreachedFile,
    leaked,
    queue::{Queue, QueueError, Work},
};

/// What the product is called is the first thing to come to mind.
const PRODUCT: &str = "vorota";
/// How much of a password is weighed, in characters: the work grows with the square of it and more.
/// What is strong is so before that.
const WEIGHED_CHARS: usize = 72;
/// How many words of the person are looked for, and how long they may be.
const MAX_WORDS: usize = 48;
const WORD_CHARS: std::ops::RangeInclusive<usize> = 3..=64;

/// Digits of a number without its country.
const NATIONAL: usize = 10;

/// Judges passwords that somebody wants to have from now on. Those already in use are never judged:
/// that would lock people out when a list grows.
pub(crate) struct Judge {
    queue: Arc<Queue>,
    breached: Option<Arc<BreachedFile>>,
}

/// What is to be said about a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_long_enough: bool,
    /// From 0, found at once, to 4, never found.
    pub(crate) score: u8,
    /// Attackers know it.
    pub(crate) is_breached: bool,
    /// Sentences for the person who is choosing.
    pub(crate) advice: Vec<String>,
}

/// Why a password may not be chosen. The words are for the person who is choosing.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{}", .0.join(" "))]
pub(crate) struct Weakness(Vec<String>);

/// Why a password was not accepted.
#[derive(Debug, Error)]
pub(crate) enum Unfit {
    #[error(transparent)]
    Weak(#[from] Weakness),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Judge {
    /// A judge who works in `queue`, with the operator's list if there is one.
    pub(crate) fn new(queue: Arc<Queue>, breached: Option<BreachedFile>) -> Self {
        Self {
            queue,
            breached: breached.map(Arc::new),
        }
    }

    /// Accepts a password for the person whose address, number and name are `words`, or refuses it.
    pub(crate) async fn accept(&self, password: &Password, words: &[&str]) -> Result<(), Unfit> {
        let verdict = self.judge(password, words).await?;
        if verdict.is_acceptable() {
            return Ok(());
        }
        Err(Weakness(verdict.advice).into())
    }

    /// Says all about a password that there is to say.
    pub(crate) async fn judge(
        &self,
        password: &Password,
        words: &[&str],
    ) -> Result<Verdict, QueueError> {
        let (password, words) = (password.clone(), own_words(words));
        let breached = self.breached.clone();
        let job = move || {
            let is_listed = breached.is_some_and(|file| file.holds(password.bytes()));
            judge(&password, &words, is_listed)
        };
        self.queue.run(Work::Judge, job).await
    }
}

impl Verdict {
    pub(crate) fn is_acceptable(&self) -> bool {
        self.is_long_enough && !self.is_breached && self.score >= u8::from(Score::Three)
    }
}

fn judge(password: &Password, words: &[String], is_listed: bool) -> Verdict {
    let folded = password.folded();
    let is_long_enough = folded.chars().count() >= MIN_CHARS;
    let is_breached = is_listed || leaked::is_leaked(&folded);
    let weighed: String = password.0.chars().take(WEIGHED_CHARS).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let guessing = zxcvbn(&weighed, &words);
    let is_own = is_own(&folded, &words);

    let mut advice = Vec::new();
    if !is_long_enough {
        advice.push(format!("A password has at least {MIN_CHARS} characters."));
    }
    if is_breached {
        advice.push("This password is known to attackers: it has leaked or is very common.".into());
    }
    if is_own {
        advice.push("This password says little more than your name, address or number.".into());
    }
    if let Some(feedback) = guessing.feedback() {
        let warning = feedback.warning().map(|warning| warning.to_string());
        advice.push(warning.unwrap_or_else(|| "This password is easy to guess.".into()));
        advice.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    Verdict {
        is_long_enough,
        score: u8::from(guessing.score()).min(if is_own { 1 } else { 4 }),
        is_breached,
        advice,
    }
}

/// Each word whole and in its parts, an address also without its domain, a number also without its
/// country: what a lazy password is made from.
fn own_words(words: &[&str]) -> Vec<String> {
    let is_sign = |letter: char| !letter.is_alphanumeric();
    let mut own = vec![PRODUCT.to_owned()];
    let mut note = |word: &str| {
        let word = word.to_owned();
        if WORD_CHARS.contains(&word.chars().count())
            && own.len() < MAX_WORDS
            && !own.contains(&word)
        {
            own.push(word);
        }
    };
    for word in words {
        let word = word.to_lowercase();
        for piece in word.split('@') {
            note(piece);
            let joined = piece.replace(is_sign, "");
            note(&joined);
            if joined.len() > NATIONAL && joined.bytes().all(|byte| byte.is_ascii_digit()) {
                note(&joined[joined.len() - NATIONAL..]);
            }
            piece.split(is_sign).for_each(&mut note);
        }
    }
    own
}

/// Takes the person's own words out of the password: what is left has to stand by itself. zxcvbn
/// takes each further piece for a new one, and three of one's own words for a strong password.
fn is_own(folded: &str, words: &[&str]) -> bool {
    let rest = words
        .iter()
        // Shorter ones are in everything by chance.
        .filter(|word| word.chars().count() > 3)
        .fold(folded.to_owned(), |rest, word| rest.replace(word, ""));
    rest.len() < folded.len() && rest.chars().count() < MIN_CHARS
}

impl From<Unfit> for Problem {
    fn from(error: Unfit) -> Self {
        match error {
            Unfit::Weak(weakness) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "weak_password",
                "Choose another password",
            )
            .detail(weakness.to_string()),
            Unfit::Queue(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn judged(password: &str) -> Verdict {
        let words = [
            "ann.leeward@fjordbank.example",
            "+79161234567",
            "Ann Østergård",
        ];
        let password = Password::parse(password).expect("short enough");
        judge(&password, &own_words(&words), false)
    }

    #[test]
    fn easy_passwords_are_told_from_others() {
        for (password, acceptable) in [
            ("", false),
            ("s3cr3t!", false),
            ("ññññ", false),
            ("x7#Kq!v", false),
            ("password", false),
            ("PassWord123!", false),
            ("P@ssw0rd", false),
            ("123qwerty1", false),
            ("1q2w3e4r", false),
            ("11111111", false),
            ("3456789:", false),
            ("hgfedcba", false),
            ("abcabcabcabc", false),
            ("13.05.1987", false),
            ("qwertyuiop[]", false),
            ("ann.leeward", false),
            ("Leeward2026", false),
            ("ann.leeward1", false),
            ("Leeward.Ann.79", false),
            ("AnnLeeward!79", false),
            ("FjordBank!!", false),
            ("ØstergårdAnn", false),
            ("89161234567", false),
            ("+7 9161234567", false),
            ("Vorota2026!", false),
            ("leeward of the blue hills", true),
            ("correct horse battery staple", true),
            ("пароль на каждый день", true),
            ("x7#Kq!vwZ2", true),
            ("8f3d0c1b7a", true),
        ] {
            let verdict = judged(password);
            assert_eq!(
                verdict.is_acceptable(),
                acceptable,
                "{password:?}: {verdict:?}"
            );
            assert!(acceptable || !verdict.advice.is_empty(), "{password:?}");
        }
    }

    #[test]
    fn what_attackers_know_is_refused_however_strong_it_looks() {
        let password = Password::parse("x7#Kq!vwZ2 and more").expect("short enough");
        assert!(judge(&password, &[], false).is_acceptable());
        let verdict = judge(&password, &[], true);
        assert!(verdict.is_breached && !verdict.is_acceptable());
        assert_eq!(
            verdict.advice,
            ["This password is known to attackers: it has leaked or is very common."]
        );
        // Capitals are no disguise for the list.
        assert!(judged("BLUESHAWK").is_breached);
    }

    #[test]
    fn judging_takes_bounded_time_whatever_is_brought() {
        let words: Vec<String> = (0..1_000).map(|n| "word".repeat(n % 300)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for pattern in [
            "a",
            "ab",
            "1",
            "qwerty",
            "p4$$w0rd",
            "20.11.1987",
            "é",
            "!@#$%^&*",
            "aA1!",
        ] {
            let mut text = pattern.repeat(1024 / pattern.len());
            text.truncate(1024);
            let password = Password::parse(&text).expect("short enough");
            let begun = Instant::now();
            judge(&password, &own_words(&words), false);
            let took = begun.elapsed();
            // Some milliseconds; unbounded, minutes.
            assert!(took < Duration::from_secs(2), "{pattern}: {took:?}");
        }
    }
}
