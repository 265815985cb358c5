//! People to try the product with: `backend demo`.

use std::sync::Arc;

use anyhow::Context;
use events::UserVerified;
use host::DemoPerson;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    SCHEMA,
    account::store,
    audit::{self, Act},
    contact::Contact,
    email::Email,
    password::{Hasher, Password, Queue},
    revocation::{self, Revoked},
};

/// Sees to it that each person has a proven account with their password and their one role. What
/// is already so is left alone.
pub(crate) async fn arrange(pool: &PgPool, people: &mut [DemoPerson]) -> anyhow::Result<()> {
    let hasher = Hasher::new(Arc::new(Queue::new(1, 0)?))?;
    let now = OffsetDateTime::now_utc();
    for person in people {
        let user_id = arrange_one(pool, &hasher, person, now).await;
        person.user_id = Some(user_id.with_context(|| format!("arranging {}", person.email))?);
    }
    Ok(())
}

async fn arrange_one(
    pool: &PgPool,
    hasher: &Hasher,
    person: &DemoPerson,
    now: OffsetDateTime,
) -> anyhow::Result<Uuid> {
    let email = Email::parse(&person.email)?;
    let password = Password::parse(&person.password)?;
    let account = store::by_email(pool, &email).await?;
    let kept = account
        .as_ref()
        .and_then(|account| account.password_hash.as_deref());
    let check = hasher
        .verify(hasher.enter()?, password.clone(), kept)
        .await?;
    if let Some(account) = &account
        && check.is_right()
        && account.roles_given == [person.role.as_str()]
    {
        return Ok(account.id);
    }

    let password_hash = hasher.hash(password).await?;
    let mut tx = pool.begin().await?;
    let known = account.is_some();
    let user_id = match account {
        Some(account) => {
            store::set_password(&mut tx, account.id, &password_hash).await?;
            account.id
        }
        None => {
            let user_id = Uuid::now_v7();
            let contact = Contact::Email(email.clone());
            let begun = store::begin(&mut tx, user_id, &contact, Some(&password_hash), now).await?;
            anyhow::ensure!(begun, "somebody took the address a moment ago");
            let verified = UserVerified {
                user_id,
                email: Some(email.as_str().to_owned()),
                phone: None,
            };
            pg::outbox::publish(&mut tx, SCHEMA, &verified).await?;
            user_id
        }
    };
    store::revoke_all_but(&mut tx, user_id, &person.role).await?;
    store::grant(&mut tx, user_id, &person.role, now).await?;
    audit::record(&mut tx, now, Act::DemoArranged, user_id, None).await?;
    if known {
        // They may have held more than they do now.
        revocation::revoke(&mut tx, &[Revoked::Subject(user_id)], now).await?;
    }
    tx.commit().await?;
    Ok(user_id)
}
