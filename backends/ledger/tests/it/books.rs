//! A set of books to test with.

use ledger::{
    AccountId, Amount, Answer, Chain, Claim, Code, Currency, Kind, Order, Outcome, Refusal,
    Transfer,
};
use pg::testing::TestDatabase;
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) struct Books {
    pool: PgPool,
    /// None where a test brings a server of its own.
    _database: Option<TestDatabase>,
}

pub(crate) fn usd(minor: i64) -> Amount {
    Amount::new(minor, Currency::USD).expect("an amount")
}

pub(crate) fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

/// An order under `key` of one common principal; its answer is the verdict in words.
pub(crate) fn order(key: &str, from: AccountId, to: AccountId, amount: Amount) -> Order {
    order_of(Uuid::nil(), key, from, to, amount)
}

pub(crate) fn order_of(
    principal: Uuid,
    key: &str,
    from: AccountId,
    to: AccountId,
    amount: Amount,
) -> Order {
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&from.0.to_be_bytes());
    fingerprint[8..16].copy_from_slice(&to.0.to_be_bytes());
    fingerprint[16..24].copy_from_slice(&amount.minor().to_be_bytes());
    Order {
        chain: Chain::one(transfer(from, to, amount), Code::Transfer),
        claim: Claim::new(principal, key, fingerprint),
        answer: Box::new(|verdict| match verdict {
            Ok(posted) => Answer {
                status: 201,
                body: posted.id().to_string().into_bytes(),
            },
            Err(refusal) => Answer {
                status: 422,
                body: refusal.why.to_string().into_bytes(),
            },
        }),
    }
}

pub(crate) fn transfer(debit: AccountId, credit: AccountId, amount: Amount) -> Transfer {
    Transfer {
        debit,
        credit,
        amount,
    }
}

pub(crate) fn refused(refusal: Refusal) -> Outcome {
    Outcome::Fresh(Answer {
        status: 422,
        body: refusal.to_string().into_bytes(),
    })
}

pub(crate) fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Fresh(answer) | Outcome::Replayed(answer) => answer.status,
        Outcome::KeyReused => 409,
    }
}

impl Books {
    pub(crate) async fn new() -> Self {
        let database = pg::testing::database(&[&ledger::MIGRATOR]).await;
        Self {
            pool: database.pool.clone(),
            _database: Some(database),
        }
    }

    /// In an empty database that the test has brought.
    pub(crate) async fn begin_in(pool: PgPool) -> Self {
        pg::migrate::run(&pool, &ledger::MIGRATOR)
            .await
            .expect("migrations apply");
        Self {
            pool,
            _database: None,
        }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Another pool of the same database, whose sessions have these settings.
    pub(crate) fn pool_with(&self, settings: &[(&str, &str)]) -> PgPool {
        let options = self.pool.connect_options().as_ref().clone();
        PgPool::connect_lazy_with(options.options(settings.iter().copied()))
    }

    /// A wallet that begins with `minor` of the currency.
    pub(crate) async fn wallet_in(&self, currency: Currency, minor: i64) -> AccountId {
        let mut tx = self.pool().begin().await.expect("a transaction");
        let wallet = ledger::open_account(&mut tx, Some(Uuid::new_v4()), currency, Kind::Wallet)
            .await
            .expect("an account");
        if minor > 0 {
            let amount = Amount::new(minor, currency).expect("an amount");
            assert!(
                ledger::open_balance(&mut tx, wallet, amount)
                    .await
                    .expect("an opening entry")
            );
        }
        tx.commit().await.expect("commit");
        wallet
    }

    pub(crate) async fn wallet(&self, minor: i64) -> AccountId {
        self.wallet_in(Currency::USD, minor).await
    }

    pub(crate) async fn post(&self, orders: &[Order]) -> Vec<Outcome> {
        ledger::post(self.pool(), orders).await.expect("posted")
    }

    pub(crate) async fn posted(&self, account: AccountId) -> i64 {
        sqlx::query_scalar("select posted from ledger.account where id = $1")
            .bind(account.0)
            .fetch_one(self.pool())
            .await
            .expect("a balance")
    }

    /// Runs a statement that no app would, as the owner of everything.
    pub(crate) async fn meddle(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(sql).execute(self.pool()).await.map(drop)
    }

    pub(crate) async fn assert_proven(&self) {
        let proof = self.prove().await;
        assert!(proof.holds(), "{proof:?}");
    }

    pub(crate) async fn prove(&self) -> ledger::Proof {
        let proof = ledger::reconcile(self.pool()).await.expect("the books");
        proof.expect("nobody else is at it")
    }
}
