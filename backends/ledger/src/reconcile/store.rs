//! One statement, hence one snapshot; and the lock that keeps replicas from reading it side by side.

use sqlx::PgConnection;

use super::Invariant;

/// Takes the lock that a proof holds until its transaction ends; `false` when another has it.
pub(super) async fn is_alone(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('ledger proof', 0)) as "alone!""#
    )
    .fetch_one(tx)
    .await
}

/// In order of `Invariant::ALL`.
pub(super) async fn violations(
    conn: &mut PgConnection,
) -> Result<[i64; Invariant::ALL.len()], sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select
            (select count(*) from (
                select from ledger.account group by currency having sum(posted) <> 0
            ) as uneven) as "sum_is_zero!",
            (select count(*) from ledger.account
                full join (
                    select account, sum(amount) as posted, count(*) as version,
                           min(currency) as currency, max(currency) as other_currency
                    from ledger.posting group by account
                ) as legs on legs.account = account.id
                where account.id is null
                   or account.posted <> coalesce(legs.posted, 0)
                   or account.version <> coalesce(legs.version, 0)
                   or account.currency <> legs.currency
                   or account.currency <> legs.other_currency
            ) as "balance_is_legs!",
            (select count(*) from (
                select amount, balance_after,
                       lag(balance_after, 1, 0::bigint) over (partition by account order by seq) as balance_before
                from ledger.posting
            ) as chain where balance_after <> balance_before + amount) as "chain_holds!",
            (select count(*) from ledger.account
                where held < 0 or (flags & 1 = 0 and posted - held < floor)) as "covered!",
            (select count(*) from (
                select from ledger.journal where legs > 1 or leg > 0 or entry_id <> id
                group by entry_id
                having count(*) <> max(legs) or count(distinct leg) <> count(*) or max(leg) + 1 <> max(legs)
                    or min(legs) <> max(legs) or bool_or((leg = 0) <> (id = entry_id))
            ) as torn) as "entry_whole!",
            (select count(*) from (
                select entry_id from ledger.idem where entry_id is not null group by entry_id having count(*) > 1
                union all
                select idem.entry_id from ledger.idem
                where entry_id is not null
                  and not exists (select from ledger.journal where journal.id = idem.entry_id)
            ) as astray) as "one_effect!"
        "#
    )
    .fetch_one(conn)
    .await?;
    Ok([
        found.sum_is_zero,
        found.balance_is_legs,
        found.chain_holds,
        found.covered,
        found.entry_whole,
        found.one_effect,
    ])
}
