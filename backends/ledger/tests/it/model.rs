//! Random batches on PostgreSQL, compared with a model of a few lines.

use std::collections::HashMap;

use ledger::{AccountId, Outcome};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::books::{Books, order, status, usd};

/// From, to (indices of wallets), how much, and one of few keys, so that keys meet again.
type Wish = (usize, usize, i64, u8);

fn batches() -> impl Strategy<Value = Vec<Vec<Wish>>> {
    let wish = (0..4usize, 0..4usize, 1..150i64, 0..40u8);
    proptest::collection::vec(proptest::collection::vec(wish, 1..8), 1..8)
}

/// What the ledger should do, with plain numbers.
#[derive(Default)]
struct Model {
    balances: [i64; 4],
    answered: HashMap<u8, (Wish, u16)>,
}

impl Model {
    /// The status, and whether it was judged anew.
    fn post(&mut self, wish: Wish) -> (u16, bool) {
        let (from, to, minor, key) = wish;
        if let Some((known, status)) = self.answered.get(&key) {
            return (if *known == wish { *status } else { 409 }, false);
        }
        let status = if from == to || self.balances[from] < minor {
            422
        } else {
            201
        };
        if status == 201 {
            self.balances[from] -= minor;
            self.balances[to] += minor;
        }
        self.answered.insert(key, (wish, status));
        (status, true)
    }
}

async fn compare(batches: Vec<Vec<Wish>>) {
    let books = Books::new().await;
    let mut model = Model {
        balances: [200, 100, 50, 0],
        ..Model::default()
    };
    let mut wallets: Vec<AccountId> = Vec::new();
    for balance in model.balances {
        wallets.push(books.wallet(balance).await);
    }
    for batch in batches {
        let orders: Vec<_> = batch
            .iter()
            .map(|(from, to, minor, key)| {
                order(&key.to_string(), wallets[*from], wallets[*to], usd(*minor))
            })
            .collect();
        let outcomes: Vec<_> = books
            .post(&orders)
            .await
            .iter()
            .map(|outcome| (status(outcome), matches!(outcome, Outcome::Fresh(_))))
            .collect();
        let expected: Vec<_> = batch.into_iter().map(|wish| model.post(wish)).collect();
        assert_eq!(outcomes, expected);
    }
    for (wallet, balance) in wallets.into_iter().zip(model.balances) {
        assert_eq!(books.posted(wallet).await, balance);
    }
    books.assert_proven().await;
}

#[test]
fn random_batches_do_what_the_model_does() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // Each case takes a database of its own, so few of them; the seed of a failure is printed.
    TestRunner::new(Config {
        cases: 24,
        max_shrink_iters: 200,
        ..Config::default()
    })
    .run(&batches(), |batches| {
        runtime.block_on(compare(batches));
        Ok(())
    })
    .expect("the ledger agrees with the model");
}
