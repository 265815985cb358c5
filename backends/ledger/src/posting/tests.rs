//! The rules by example, then against a model that is too simple to be wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Code, Currency, Move};

const EUR: &str = "EUR";
const USD: &str = "USD";

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency")
}

fn amount(minor: i64, code: &str) -> Amount {
    Amount::new(minor, currency(code)).expect("an amount")
}

fn transfer(debit: i64, credit: i64, minor: i64) -> Transfer {
    Transfer {
        debit: AccountId(debit),
        credit: AccountId(credit),
        amount: amount(minor, USD),
    }
}

fn wallet(posted: i64) -> Balance {
    Balance {
        currency: currency(USD),
        posted,
        held: 0,
        floor: 0,
        may_fall_below: false,
        version: 0,
    }
}

fn balances<const N: usize>(list: [Balance; N]) -> Balances {
    (1..).map(AccountId).zip(list).collect()
}

fn posted(balances: &Balances) -> Vec<i64> {
    balances.iter().map(|(_, balance)| balance.posted).collect()
}

/// Each transfer on its own.
fn one_by_one(balances: &mut Balances, transfers: &[Transfer]) -> Vec<Result<Leg, Refusal>> {
    let chains = transfers.iter().map(|it| Chain::one(*it, Code::Transfer));
    let chains: Vec<_> = chains.collect();
    let results = evaluate(balances, &chains).into_iter();
    results
        .map(|result| result.map(|legs| legs[0]).map_err(|refused| refused.why))
        .collect()
}

/// One transfer of `minor` USD from account 1 to account 2.
fn check(debit: Balance, credit: Balance, minor: i64, expected: Result<(i64, i64), Refusal>) {
    let mut balances = balances([debit, credit]);
    let before = balances.clone();
    let result = one_by_one(&mut balances, &[transfer(1, 2, minor)]).remove(0);
    assert_eq!(
        result.map(|leg| (leg.debit_after, leg.credit_after)),
        expected
    );
    match expected {
        Ok((debit_after, credit_after)) => {
            assert_eq!(posted(&balances), [debit_after, credit_after])
        }
        Err(_) => assert_eq!(balances, before, "a refusal moves nothing"),
    }
}

#[test]
fn the_last_cent_may_go_and_no_more() {
    check(wallet(100), wallet(0), 100, Ok((0, 100)));
    check(wallet(100), wallet(0), 101, Err(Refusal::InsufficientFunds));
}

#[test]
fn held_money_and_the_floor_stay() {
    let held = Balance {
        held: 30,
        ..wallet(100)
    };
    check(held, wallet(0), 70, Ok((30, 70)));
    check(held, wallet(0), 71, Err(Refusal::InsufficientFunds));
    let credit_line = Balance {
        floor: -50,
        ..wallet(0)
    };
    check(credit_line, wallet(0), 50, Ok((-50, 50)));
    check(credit_line, wallet(0), 51, Err(Refusal::InsufficientFunds));
}

#[test]
fn equity_may_fall_below_zero() {
    check(
        Balance {
            may_fall_below: true,
            ..wallet(0)
        },
        wallet(0),
        100,
        Ok((-100, 100)),
    );
}

#[test]
fn balances_stay_in_range() {
    check(
        wallet(10),
        wallet(Balance::LIMIT - 1),
        1,
        Ok((9, Balance::LIMIT)),
    );
    check(
        wallet(10),
        wallet(Balance::LIMIT - 1),
        2,
        Err(Refusal::OutOfRange),
    );
    let deep = Balance {
        may_fall_below: true,
        ..wallet(1 - Balance::LIMIT)
    };
    check(deep, wallet(0), 1, Ok((-Balance::LIMIT, 1)));
    check(deep, wallet(0), 2, Err(Refusal::OutOfRange));
}

#[test]
fn currencies_never_mix() {
    let euro = Balance {
        currency: currency(EUR),
        ..wallet(100)
    };
    check(euro, wallet(0), 1, Err(Refusal::CurrencyMismatch));
    check(wallet(100), euro, 1, Err(Refusal::CurrencyMismatch));
    check(euro, euro, 1, Err(Refusal::CurrencyMismatch));
}

#[test]
fn nobody_pays_themselves_or_a_stranger() {
    let mut balances = balances([wallet(100)]);
    let results = one_by_one(
        &mut balances,
        &[transfer(1, 1, 1), transfer(1, 9, 1), transfer(9, 1, 1)],
    );
    assert_eq!(
        results,
        [
            Refusal::SameAccount,
            Refusal::UnknownAccount,
            Refusal::UnknownAccount
        ]
        .map(Err)
    );
    assert_eq!(posted(&balances), [100]);
}

#[test]
fn money_that_came_in_the_same_batch_can_be_spent_and_a_refusal_hinders_nobody() {
    let mut balances = balances([wallet(10), wallet(0), wallet(0)]);
    let results = one_by_one(
        &mut balances,
        &[transfer(2, 3, 10), transfer(1, 2, 10), transfer(2, 3, 10)],
    );
    assert_eq!(results[0], Err(Refusal::InsufficientFunds));
    assert!(results[1].is_ok() && results[2].is_ok());
    assert_eq!(posted(&balances), [0, 0, 10]);
}

/// Both balances after a transfer.
type Afters = (i128, i128);

/// The model: plain big numbers, one currency, accounts 1 to 4, the last of which may fall below zero.
fn model(start: &[i64], transfers: &[Transfer]) -> (Vec<Option<Afters>>, BTreeMap<i64, i128>) {
    let mut book: BTreeMap<i64, i128> = (1..)
        .zip(start.iter().map(|posted| i128::from(*posted)))
        .collect();
    let results = transfers.iter().map(|wish| {
        let (from, to, minor) = (wish.debit.0, wish.credit.0, i128::from(wish.amount.minor()));
        let left = *book.get(&from)? - minor;
        let sum = *book.get(&to)? + minor;
        let limit = i128::from(Balance::LIMIT);
        if from == to || (from != 4 && left < 0) || left < -limit || sum > limit {
            return None;
        }
        book.insert(from, left);
        book.insert(to, sum);
        Some((left, sum))
    });
    (results.collect(), book)
}

fn minor() -> impl Strategy<Value = i64> {
    prop_oneof![1..200i64, Just(Amount::MAX_MINOR), 1..=Amount::MAX_MINOR]
}

fn start() -> impl Strategy<Value = i64> {
    prop_oneof![0..500i64, Just(Balance::LIMIT), Just(Balance::LIMIT - 7)]
}

proptest! {
    #[test]
    fn evaluation_agrees_with_the_model(
        start in proptest::collection::vec(start(), 4),
        wishes in proptest::collection::vec((1..6i64, 1..6i64, minor()), 0..60),
    ) {
        let transfers: Vec<_> = wishes.iter().map(|(from, to, minor)| transfer(*from, *to, *minor)).collect();
        let mut book = balances([wallet(start[0]), wallet(start[1]), wallet(start[2]),
            Balance { may_fall_below: true, ..wallet(start[3]) }]);
        let results = one_by_one(&mut book, &transfers);

        let (expected, after) = model(&start, &transfers);
        let afters: Vec<_> = results.iter()
            .map(|result| result.ok().map(|leg| (i128::from(leg.debit_after), i128::from(leg.credit_after))))
            .collect();
        prop_assert_eq!(afters, expected);
        let left: BTreeMap<_, _> = book.iter().map(|(id, balance)| (id.0, i128::from(balance.posted))).collect();
        prop_assert_eq!(&left, &after);

        // I1: whatever happened, the sum is what it was.
        let total = |values: &mut dyn Iterator<Item = i128>| values.sum::<i128>();
        prop_assert_eq!(total(&mut left.into_values()), total(&mut start.iter().map(|posted| i128::from(*posted))));
    }

    #[test]
    fn a_batch_is_its_transfers_one_by_one(
        wishes in proptest::collection::vec((1..4i64, 1..4i64, 1..200i64), 0..40),
    ) {
        let transfers: Vec<_> = wishes.iter().map(|(from, to, minor)| transfer(*from, *to, *minor)).collect();
        let mut whole = balances([wallet(100), wallet(100), wallet(100)]);
        let mut single = whole.clone();
        let at_once = one_by_one(&mut whole, &transfers);
        let apart: Vec<_> = transfers.iter().map(|wish| one_by_one(&mut single, &[*wish]).remove(0)).collect();
        prop_assert_eq!(at_once, apart);
        prop_assert_eq!(whole, single);
    }

    /// All or nothing, and what comes after a refused chain finds the balances as they were.
    #[test]
    fn a_chain_is_all_of_its_transfers_or_none(
        chains in proptest::collection::vec(
            proptest::collection::vec((1..5i64, 1..5i64, 1..120i64), 1..6), 0..20),
    ) {
        let mut book = balances([wallet(100), wallet(100), wallet(50)]);
        let mut plain = book.clone();
        for wishes in chains {
            let transfers: Vec<_> = wishes.iter().map(|(from, to, minor)| transfer(*from, *to, *minor)).collect();
            let moves = transfers.iter().map(|it| Move { transfer: *it, code: Code::Transfer });
            let chain = Chain::new(moves.collect()).expect("short enough");
            let result = evaluate(&mut book, [&chain]).remove(0);

            let mut tried = plain.clone();
            let steps = one_by_one(&mut tried, &transfers);
            match steps.iter().position(Result::is_err) {
                None => {
                    prop_assert_eq!(result, Ok(steps.into_iter().flatten().collect()));
                    plain = tried;
                }
                Some(leg) => {
                    let why = steps[leg].expect_err("it was found so");
                    prop_assert_eq!(result, Err(Refused { leg, why }));
                }
            }
            prop_assert_eq!(&book, &plain);
        }
    }
}
