//! Whether the record is what it was: `GET /v1/audit/verify`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use utoipa::{IntoParams, ToSchema};
use web::{Caller, Problem};

use super::{
    AuditError,
    chain::{self, BEGINNING, Flaw, Hash},
    head::{self, Kept},
    store,
};
use crate::{App, rights::Permission};

/// Links that one call walks at most, so that it ends in some seconds.
const MOST: u32 = 100_000;
/// Links that are in memory at a time.
const PAGE: i64 = 1_000;

/// Which part of the chain is walked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// The first link. Default: 1, the first there is.
    #[param(minimum = 1)]
    from: Option<i64>,
    /// The last link. Default: the last there is.
    #[param(minimum = 1)]
    to: Option<i64>,
    /// How many links are walked at most.
    #[param(minimum = 1, maximum = 100_000, default = 100_000)]
    limit: Option<u32>,
    /// A `signature` that `auditHead` gave, or the log: the record must still lead there.
    #[param(max_length = 1024)]
    head: Option<String>,
}

/// What the walk has found.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordProof {
    /// Whether everything that was looked at is whole.
    ok: bool,
    /// Links that were.
    checked: i64,
    from: i64,
    /// The last link that was looked at; `from - 1` when there was none.
    to: i64,
    /// Where the walk goes on, as another call's `from`; none at the end of what was asked for.
    next: Option<i64>,
    /// Particulars that are gone with their person.
    erased: i64,
    /// The number of the last link there is.
    head: i64,
    /// The head that the record was compared with.
    compared: Option<ComparedHead>,
    /// The first that is not whole.
    broken: Option<BrokenLink>,
}

/// A head from outside.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparedHead {
    n: i64,
    kid: String,
    /// Whether its signature was checked. False when its key is none that we publish any more; check
    /// it with the key that was kept with it.
    signature_checked: bool,
}

/// Where the record is not what it was.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokenLink {
    /// The link.
    n: i64,
    #[schema(value_type = String, pattern = "^[a-z_]+$", example = "act_changed")]
    what: &'static str,
}

impl BrokenLink {
    fn new(n: i64, flaw: Flaw) -> Self {
        Self {
            n,
            what: flaw.name(),
        }
    }
}

/// Walks the chain, up to 100,000 links a call, and tells the first that does not hold: an act or a
/// particular that was changed, removed or added. Given a head that was signed earlier it finds as
/// well what is consistent in itself: a record that was cut off, or written anew from some act on.
#[utoipa::path(
    get, path = "/v1/audit/verify", operation_id = "verifyAudit", tag = "audit",
    params(Wish),
    responses(
        (status = 200, description = "What was found, be it good or bad", body = RecordProof),
        (status = 400, description = "`bad_request`: no such range"),
        (status = 403, description = "The caller may not look into the record (`forbidden`)"),
        (status = 422, description = "`bad_head`: it is no head of ours"),
    )
)]
pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    caller: Caller,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Json<RecordProof>, Problem> {
    app.rights.require(&caller, Permission::AuditVerify)?;
    let Query(wish) = wish.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let jwks = app.tokens.keys().document()?;
    let kept = wish
        .head
        .map(|text| head::read(&text, app.tokens.issuer(), &jwks))
        .transpose()?;
    let from = wish.from.unwrap_or(1);
    let limit = wish.limit.unwrap_or(MOST);
    if from < 1 || wish.to.is_some_and(|to| to < from) || !(1..=MOST).contains(&limit) {
        return Err(AuditError::BadRange.into());
    }
    let last = wish.to.unwrap_or(i64::MAX);
    let proof = prove(&app.pool, from, last, limit.into(), kept).await;
    let proof = proof.map_err(AuditError::from)?;
    if let Some(BrokenLink { n, what }) = proof.broken {
        tracing::error!(n, what, "the record is not what it was");
    }
    Ok(Json(proof))
}

async fn prove(
    pool: &PgPool,
    from: i64,
    to: i64,
    limit: i64,
    kept: Option<Kept>,
) -> Result<RecordProof, sqlx::Error> {
    // All of one moment, so that what commits meanwhile does not look like a flaw.
    let mut tx = store::moment(pool).await?;
    let head = store::head(&mut *tx).await?;
    let end = to.min(head.n);
    let last = end.min(from.saturating_add(limit - 1));
    let mut walk = Walk {
        at: from - 1,
        hash: BEGINNING,
        covered: i64::MIN,
        erased: 0,
    };
    let mut broken = walk.go(&mut tx, last).await?.map(|flaw| walk.broken(flaw));
    let is_at_end = walk.at == head.n && (from == 1 || walk.at >= from);
    if broken.is_none() && is_at_end {
        broken = walk.end(&mut tx, &head).await?;
    }
    if broken.is_none()
        && let Some(kept) = &kept
    {
        broken = compare(&mut tx, &head, kept).await?;
    }
    Ok(RecordProof {
        ok: broken.is_none(),
        checked: walk.at - (from - 1),
        from,
        to: walk.at,
        next: (broken.is_none() && walk.at < end).then_some(walk.at + 1),
        erased: walk.erased,
        head: head.n,
        compared: kept.map(|kept| ComparedHead {
            n: kept.n,
            kid: kept.kid,
            signature_checked: kept.checked,
        }),
        broken,
    })
}

/// How far a walk has come.
struct Walk {
    /// The last link that holds,
    at: i64,
    /// and its hash.
    hash: Hash,
    /// Acts of the record up to this number have been looked at.
    covered: i64,
    erased: i64,
}

impl Walk {
    /// Walks on to a link, or to the first that does not hold.
    async fn go(&mut self, tx: &mut PgConnection, last: i64) -> Result<Option<Flaw>, sqlx::Error> {
        if self.at > 0 && self.at < last {
            let Some(joint) = store::joint(tx, self.at).await? else {
                return Ok(Some(Flaw::LinkMissing));
            };
            let Ok(hash) = joint.hash.try_into() else {
                return Ok(Some(Flaw::ActChanged));
            };
            (self.hash, self.covered) = (hash, joint.audit_seq);
        }
        while self.at < last {
            let links = store::links(tx, self.at + 1, last, PAGE).await?;
            if links.is_empty() {
                return Ok(Some(Flaw::LinkMissing));
            }
            let mut newest = self.covered;
            for link in links {
                match chain::judge(&self.hash, self.at + 1, &link) {
                    Ok(hash) => self.hash = hash,
                    Err(flaw) => return Ok(Some(flaw)),
                }
                self.at += 1;
                self.erased += i64::from(link.erased);
                newest = newest.max(link.audit_seq);
            }
            if store::unchained(tx, self.covered, newest).await?.is_some() {
                return Ok(Some(Flaw::ActUnchained));
            }
            self.covered = newest;
        }
        Ok(None)
    }

    /// Whether the chain ends with its last link, and the record with the chain.
    async fn end(
        &self,
        tx: &mut PgConnection,
        head: &store::Head,
    ) -> Result<Option<BrokenLink>, sqlx::Error> {
        if head.hash != self.hash || store::joint(tx, head.n + 1).await?.is_some() {
            return Ok(Some(BrokenLink::new(head.n, Flaw::HeadDiffers)));
        }
        let left = store::unchained(tx, self.covered, i64::MAX).await?;
        Ok(left.map(|_| self.broken(Flaw::ActUnchained)))
    }

    fn broken(&self, flaw: Flaw) -> BrokenLink {
        BrokenLink::new(self.at + 1, flaw)
    }
}

/// Whether the record still leads to a head that was signed earlier.
async fn compare(
    tx: &mut PgConnection,
    head: &store::Head,
    kept: &Kept,
) -> Result<Option<BrokenLink>, sqlx::Error> {
    if kept.n > head.n {
        return Ok(Some(BrokenLink::new(head.n + 1, Flaw::Truncated)));
    }
    let hash = match kept.n {
        0 => Some(BEGINNING.to_vec()),
        n => store::joint(tx, n).await?.map(|joint| joint.hash),
    };
    let holds = hash.is_some_and(|hash| chain::hex(&hash) == kept.hash);
    Ok((!holds).then(|| BrokenLink::new(kept.n, Flaw::Rewritten)))
}

/// What is broken in the whole of a record, and how many particulars are gone with their person.
#[cfg(test)]
pub(crate) async fn judged(pool: &PgPool) -> Result<(Option<&'static str>, i64), sqlx::Error> {
    let proof = prove(pool, 1, i64::MAX, MOST.into(), None).await?;
    Ok((proof.broken.map(|broken| broken.what), proof.erased))
}
