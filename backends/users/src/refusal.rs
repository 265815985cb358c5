//! Proofs that did not hold, counted: one password that is tried on many people from many places is too
//! little for any throttle, and shows here.

use prometheus::{IntCounterVec, Opts, Registry};

/// What was shown, as the metric calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shown {
    Password,
    Code,
    Passkey,
    SecondFactor,
    /// Nothing was looked at: it had been tried too often.
    TooOften,
}

/// Counts refusals in this process.
pub(crate) struct Refusals(IntCounterVec);

impl Refusals {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Proofs of who somebody is that did not hold, by what was shown";
        let counter = IntCounterVec::new(Opts::new("users_refusals_total", help), &["shown"])?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self(counter))
    }

    pub(crate) fn count(&self, shown: Shown) {
        let shown = match shown {
            Shown::Password => "password",
            Shown::Code => "code",
            Shown::Passkey => "passkey",
            Shown::SecondFactor => "second_factor",
            Shown::TooOften => "too_often",
        };
        self.0.with_label_values(&[shown]).inc();
    }
}
