//! Why a message was not taken, whichever way it was to go.

use std::time::Duration;

/// Words for operators: never an address, a code, or what the other side says, which may repeat both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It never will be: there is no such recipient.
    #[error("given up: {0}")]
    Final(String),
    /// It may be another time.
    #[error("{why}")]
    Later {
        /// What stood in the way.
        why: String,
        /// How long it will stand there at least, if that was said.
        after: Option<Duration>,
    },
}

impl Refusal {
    /// It may be taken another time, and nobody said when.
    pub(crate) fn later(why: impl Into<String>) -> Self {
        Self::Later {
            why: why.into(),
            after: None,
        }
    }
}
