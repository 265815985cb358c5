//! The app with some users in it.

use events::UserVerified;
use host::testing::{Answer, Call, Running};
use ledger::{AccountId, Amount, Currency, Kind};
use serde_json::{Value, json};
use transactions::{Config, Transactions};
use uuid::Uuid;

pub(crate) struct Bank {
    pub(crate) app: Running<Transactions>,
}

/// A user and their USD wallet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) wallet: Uuid,
}

impl Bank {
    pub(crate) async fn open() -> Self {
        Self {
            app: Running::start(Config {}).await,
        }
    }

    /// A verified user with `minor` cents.
    pub(crate) async fn user(&self, minor: i64) -> User {
        let id = Uuid::new_v4();
        let verified = UserVerified {
            user_id: id,
            email: Some(format!("{id}@example.com")),
            phone: None,
        };
        self.app
            .deliver(&verified)
            .await
            .1
            .expect("a wallet is opened");
        let wallets: Value = self.get(id, "/v1/wallets").await.json();
        let user = User {
            id,
            wallet: uuid(&wallets["items"][0]["id"]),
        };
        if minor > 0 {
            self.fund(
                user.wallet,
                Amount::new(minor, Currency::USD).expect("an amount"),
            )
            .await;
        }
        user
    }

    /// A wallet in another currency, which no story opens yet.
    pub(crate) async fn wallet_in(&self, owner: Uuid, currency: &str, minor: i64) -> Uuid {
        let currency: Currency = currency.parse().expect("a currency");
        let mut tx = self.app.pool().begin().await.expect("a transaction");
        let account = ledger::open_account(&mut tx, Some(owner), currency, Kind::Wallet)
            .await
            .expect("an account");
        let wallet = Uuid::now_v7();
        sqlx::query("insert into transactions.wallet (id, account, owner) values ($1, $2, $3)")
            .bind(wallet)
            .bind(account.0)
            .bind(owner)
            .execute(&mut *tx)
            .await
            .expect("a wallet");
        tx.commit().await.expect("commit");
        if minor > 0 {
            self.fund(wallet, Amount::new(minor, currency).expect("an amount"))
                .await;
        }
        wallet
    }

    async fn fund(&self, wallet: Uuid, amount: Amount) {
        let account = sqlx::query_scalar("select account from transactions.wallet where id = $1")
            .bind(wallet)
            .fetch_one(self.app.pool())
            .await
            .expect("an account");
        let mut tx = self.app.pool().begin().await.expect("a transaction");
        assert!(
            ledger::open_balance(&mut tx, AccountId(account), amount)
                .await
                .expect("an opening entry")
        );
        tx.commit().await.expect("commit");
    }

    pub(crate) async fn get(&self, user: Uuid, path: &str) -> Answer {
        self.app.call_as(user, "GET", path).send().await
    }

    /// A transfer by `payer`, not yet sent.
    pub(crate) fn transfer(&self, payer: Uuid, key: &str, wish: &Value) -> Call {
        self.app
            .call_as(payer, "POST", "/v1/transfers")
            .header("idempotency-key", key)
            .json(wish)
    }

    /// Pays cents under a key of its own.
    pub(crate) async fn pay(&self, payer: User, payee: User, minor: i64) -> Answer {
        let key = Uuid::new_v4().to_string();
        self.transfer(payer.id, &key, &wish(payer.wallet, payee.wallet, minor))
            .send()
            .await
    }

    pub(crate) async fn posted(&self, user: User) -> i64 {
        let wallet: Value = self
            .get(user.id, &format!("/v1/wallets/{}", user.wallet))
            .await
            .json();
        wallet["posted"].as_i64().expect("an integer")
    }

    pub(crate) async fn assert_proven(&self) {
        // The app proves its books as well, and one at a time does.
        let proof = loop {
            let proof = ledger::reconcile(self.app.pool()).await.expect("the books");
            if let Some(proof) = proof {
                break proof;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert!(proof.holds(), "{proof:?}");
    }
}

/// `POST /v1/transfers` of cents.
pub(crate) fn wish(from: Uuid, to: Uuid, minor: i64) -> Value {
    json!({"from": from, "to": to, "amount": {"amount": minor, "currency": "USD"}})
}

pub(crate) fn uuid(value: &Value) -> Uuid {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a uuid")
}
