//! What moves as one: linked transfers.

use crate::journal::Code;
use crate::posting::Transfer;

/// A transfer and why it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// What is to move.
    pub transfer: Transfer,
    /// Why.
    pub code: Code,
}

/// Transfers of which all take place or none, each upon what the ones before it left: one entry of the
/// journal, with a leg for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(Vec<Move>);

/// A chain has 1 to [`Chain::MAX_LEGS`] legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry has 1 to {max} legs", max = Chain::MAX_LEGS)]
pub struct ChainLength;

impl Chain {
    /// The most legs that an entry has.
    pub const MAX_LEGS: usize = 64;

    /// Links the moves, in their order.
    pub fn new(moves: Vec<Move>) -> Result<Self, ChainLength> {
        if (1..=Self::MAX_LEGS).contains(&moves.len()) {
            Ok(Self(moves))
        } else {
            Err(ChainLength)
        }
    }

    /// One transfer that stands alone.
    pub fn one(transfer: Transfer, code: Code) -> Self {
        Self(vec![Move { transfer, code }])
    }

    /// The legs, in their order.
    pub fn moves(&self) -> &[Move] {
        &self.0
    }

    pub(crate) fn transfers(&self) -> impl Iterator<Item = Transfer> {
        self.0.iter().map(|step| step.transfer)
    }
}
