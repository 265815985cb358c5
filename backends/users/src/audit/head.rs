//! Where the chain ends, signed: `GET /v1/audit/head`, and once a minute for whoever keeps it.
//!
//! A record that is cut off or written anew as a whole is consistent in itself. What tells is a head
//! that was signed before, so each is published as an event and logged: it must rest where those who
//! may write to the database may not.

use std::sync::Arc;

use axum::{Json, extract::State};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::Signature;
use events::AuditHead;
use host::Job;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;
use web::Caller;

use super::{AuditError, chain, store};
use crate::{App, SCHEMA, jwks::JwksDocument, rights::Permission, token::Signer};

/// What sort of JWT a head is: no access token, and none passes for it.
const TYP: &str = "audit-head+jwt";
/// The longest head that is looked at, in bytes.
const MAX_BYTES: usize = 1024;

/// Where the chain ends, signed by the key that signs access tokens.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedHead {
    /// The number of the last link; 0 before the first.
    n: i64,
    /// SHA-256 of that link, in hex. It stands for all links up to it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// A compact JWS (RFC 7515) of type `audit-head+jwt` that says `n` and `hash`.
    signature: String,
    /// Which of our public keys it is checked with. Keep the key with the head: keys are published
    /// only as long as tokens are signed with them.
    kid: String,
}

/// What is signed.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    n: i64,
    hash: String,
    iat: i64,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

/// A head that somebody has kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) n: i64,
    pub(super) hash: String,
    pub(super) kid: String,
    /// Whether its key is one that we publish, and so its signature was found to be good.
    pub(super) checked: bool,
}

/// Where the chain ends. Keep it out of this place's reach: `GET /v1/audit/verify?head=` tells
/// whether the record is still the one that it was signed for.
#[utoipa::path(
    get, path = "/v1/audit/head", operation_id = "auditHead", tag = "audit",
    responses(
        (status = 200, description = "The end of the chain at this moment", body = SignedHead),
        (status = 403, description = "The caller may not look into the record (`forbidden`)"),
    )
)]
pub(crate) async fn head(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<SignedHead>, AuditError> {
    app.rights.require(&caller, Permission::AuditRead)?;
    let head = store::head(&app.pool).await?;
    let now = app.clock.now();
    let signer = app.tokens.keys().signer(now)?;
    Ok(Json(sign(&signer, app.tokens.issuer(), &head, now)))
}

/// Signs a head.
fn sign(signer: &Signer, issuer: &str, head: &store::Head, now: OffsetDateTime) -> SignedHead {
    let claims = Claims {
        iss: issuer.to_owned(),
        n: head.n,
        hash: chain::hex(&head.hash),
        iat: now.unix_timestamp(),
    };
    SignedHead {
        n: claims.n,
        at: now,
        signature: signer.sign(TYP, &claims),
        kid: signer.kid().to_owned(),
        hash: claims.hash,
    }
}

/// Reads a head that we have signed. One of a key that we publish no longer is taken at its word:
/// whoever kept it has to judge that.
pub(super) fn read(text: &str, issuer: &str, jwks: &JwksDocument) -> Result<Kept, AuditError> {
    open(text, issuer, jwks).ok_or(AuditError::BadHead)
}

fn open(text: &str, issuer: &str, jwks: &JwksDocument) -> Option<Kept> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).ok()?;
    if header.typ != TYP || header.alg != "EdDSA" || claims.iss != issuer || claims.n < 0 {
        return None;
    }
    let signature = Signature::from_slice(&decode(signature)?).ok()?;
    let key = jwks.key(&header.kid);
    if let Some(key) = key {
        key.verify_strict(signed.as_bytes(), &signature).ok()?;
    }
    Some(Kept {
        n: claims.n,
        hash: claims.hash,
        kid: header.kid,
        checked: key.is_some(),
    })
}

/// Publishes the head when it has moved.
pub(crate) fn job(app: Arc<App>) -> Job {
    Job {
        name: "audit_head",
        every: std::time::Duration::from_secs(60),
        limit: std::time::Duration::from_secs(30),
        run: Arc::new(move || {
            let app = app.clone();
            Box::pin(async move {
                let now = app.clock.now();
                // Without a key there is no head yet; that is told by whoever makes keys.
                match app.tokens.keys().signer(now) {
                    Ok(signer) => Ok(publish(&app.pool, &signer, app.tokens.issuer(), now).await?),
                    Err(_) => Ok(()),
                }
            })
        }),
    }
}

async fn publish(
    pool: &PgPool,
    signer: &Signer,
    issuer: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let Some(told) = store::take_told(&mut tx).await? else {
        return Ok(());
    };
    let head = store::head(&mut *tx).await?;
    if head.n == told {
        // Now and not some time later: the next round finds the row free.
        return tx.rollback().await;
    }
    let SignedHead {
        n,
        hash,
        at,
        signature,
        kid,
    } = sign(signer, issuer, &head, now);
    let event = AuditHead {
        n,
        hash,
        at,
        signature,
        kid,
        key: signer.public_x(),
    };
    store::set_told(&mut tx, n).await?;
    pg::outbox::publish(&mut tx, SCHEMA, &event).await?;
    tx.commit().await
}

/// Puts the heads that were published into the log, from where they are shipped off the machine.
pub(crate) fn consumer() -> pg::Consumer {
    pg::Consumer::of("users.audit_head_log", |head: AuditHead, _| async move {
        let AuditHead {
            n,
            hash,
            signature,
            kid,
            key,
            ..
        } = head;
        tracing::info!(n, hash, signature, kid, key, "the record has grown to here");
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use uuid::Uuid;

    use super::*;
    use crate::audit::{self, Act};

    const ISSUER: &str = "https://localhost:8443";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn signer(seed: u8) -> Signer {
        Signer::new(key(seed))
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time")
    }

    fn some_head() -> store::Head {
        store::Head {
            n: 7,
            hash: vec![0xab; 32],
        }
    }

    #[test]
    fn a_head_is_believed_when_a_key_of_ours_has_signed_it_as_a_head() {
        let jwks = JwksDocument::new([&signer(1), &signer(2)].into_iter());
        let signed = sign(&signer(2), ISSUER, &some_head(), now());
        let kept = read(&signed.signature, ISSUER, &jwks).expect("ours");
        assert_eq!((kept.n, kept.hash), (7, "ab".repeat(32)));
        assert!(kept.checked);
        assert_eq!(kept.kid, signed.kid);

        // Its key has gone since: it is still named, and the head is worth what its keeper says.
        let old = sign(&signer(3), ISSUER, &some_head(), now());
        let kept = read(&old.signature, ISSUER, &jwks).expect("perhaps ours");
        assert!(!kept.checked);

        let elsewhere = sign(&signer(2), "https://elsewhere", &some_head(), now());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            n: 7,
            hash: "ab".repeat(32),
            iat: 0,
        };
        let as_token = signer(2).sign("at+jwt", &claims);
        let mut touched = signed.signature.clone();
        touched.replace_range(150..151, if &touched[150..151] == "A" { "B" } else { "A" });
        let long = format!("{}{}", signed.signature, "A".repeat(1024));
        for wrong in [
            "",
            "a.b.c",
            &elsewhere.signature,
            &as_token,
            &touched,
            &long,
        ] {
            read(wrong, ISSUER, &jwks).expect_err(wrong);
        }
    }

    #[tokio::test]
    async fn the_head_is_published_when_it_has_moved() {
        let database = pg::testing::database(crate::MIGRATIONS).await;
        let pool = &database.pool;
        let signer = signer(1);
        let published = || async {
            publish(pool, &signer, ISSUER, now())
                .await
                .expect("published");
            let sql = "select (payload ->> 'n')::bigint from users.outbox order by seq";
            let heads: Vec<i64> = sqlx::query_scalar(sql)
                .fetch_all(pool)
                .await
                .expect("heads");
            heads
        };
        let act = || async {
            let mut tx = pool.begin().await.expect("a transaction");
            audit::record(&mut tx, now(), Act::Verified, Uuid::nil(), None)
                .await
                .expect("an act");
            tx.commit().await.expect("committed");
        };
        assert_eq!(published().await, [0; 0]);
        act().await;
        act().await;
        assert_eq!(published().await, [2]);
        assert_eq!(published().await, [2]);
        act().await;
        assert_eq!(published().await, [2, 3]);

        // Another replica is at it.
        act().await;
        let mut other = pool.begin().await.expect("a transaction");
        store::take_told(&mut other).await.expect("taken");
        assert_eq!(published().await, [2, 3]);
        other.rollback().await.expect("rolled back");
        assert_eq!(published().await, [2, 3, 4]);
    }
}
