//! What `transactions` tells.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Event;

/// Money has moved from one wallet to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferPosted {
    /// The transfer.
    pub transfer_id: Uuid,
    /// The wallet it came from.
    pub from_wallet: Uuid,
    /// The wallet it went to.
    pub to_wallet: Uuid,
    /// The user who paid.
    pub payer: Uuid,
    /// The user who was paid.
    pub payee: Uuid,
    /// How much, in the currency's minor units.
    pub amount: i64,
    /// ISO 4217, upper case.
    pub currency: String,
}

impl Event for TransferPosted {
    const TOPIC: &'static str = "transactions.transfer_posted";

    fn key(&self) -> String {
        self.from_wallet.to_string()
    }
}
