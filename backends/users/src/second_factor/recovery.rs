//! Codes on paper, for when all else is lost: `POST /v1/me/mfa/recovery-codes`.

use std::{fmt, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use data_encoding::{Encoding, Specification};
use events::Notice;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{FactorError, enrolled, store};
use crate::{
    App, account,
    audit::{self, Act},
    key::{Key, Tag},
    notice,
    step_up::Fresh,
};

/// Codes that are made at a time.
const COUNT: usize = 10;
/// 80 random bits each: nothing to guess at, so a keyed hash is enough.
const BYTES: usize = 10;

/// A code from paper. However it is typed: case, hyphens and spaces make no difference.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(value_type = String, max_length = 64, example = "4k7px-2m9qd-w3n8t-zr5hc")]
pub(crate) struct RecoveryCode(String);

/// New codes: the one time that they are shown.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecoveryCodes {
    codes: Vec<String>,
}

impl From<String> for RecoveryCode {
    fn from(text: String) -> Self {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        Self(
            letters
                .map(|letter| letter.to_ascii_lowercase())
                .take(32)
                .collect(),
        )
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(***)")
    }
}

impl RecoveryCode {
    fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; BYTES];
        getrandom::fill(&mut bits)?;
        Ok(Self(alphabet().encode(&bits)))
    }

    /// In groups of four, as they are printed.
    fn printed(&self) -> String {
        let groups = self.0.as_bytes().chunks(4);
        let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
        groups.join("-")
    }

    /// What is kept of it.
    pub(super) fn hash(&self, key: &Key, account_id: Uuid) -> Tag {
        key.tag(&[account_id.as_bytes(), self.0.as_bytes()])
    }
}

/// Base 32 without the letters that are taken for digits, or for each other.
fn alphabet() -> Encoding {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("23456789abcdefghjkmnpqrstuvwxyz0");
    specification.encoding().expect("32 different letters")
}

/// Makes ten new recovery codes; the old ones are void.
#[utoipa::path(
    post, path = "/v1/me/mfa/recovery-codes", operation_id = "makeRecoveryCodes", tag = "me",
    responses(
        (status = 201, description = "The codes, shown this once", body = RecoveryCodes),
        (status = 403, description = "A fresh proof is due (`second_factor_required`)"),
        (status = 409, description = "There is no second factor to recover from (`no_second_factor`)"),
    )
)]
pub(crate) async fn make(
    State(app): State<Arc<App>>,
    Fresh(caller): Fresh,
) -> Result<(StatusCode, Json<RecoveryCodes>), FactorError> {
    let now = app.clock.now();
    let codes: Vec<RecoveryCode> = (0..COUNT)
        .map(|_| RecoveryCode::random())
        .collect::<Result<_, _>>()?;
    let mut tx = app.pool.begin().await?;
    let account = account::store::hold(&mut tx, caller.user_id).await?;
    let account = account.ok_or(FactorError::Gone)?;
    if !enrolled(&mut tx, &account).await?.any() {
        return Err(FactorError::NothingToRecover);
    }
    let hashes = codes
        .iter()
        .map(|code| code.hash(&app.factor_key, account.id));
    let hashes: Vec<Vec<u8>> = hashes.map(|hash| hash.to_vec()).collect();
    store::remove_recovery_codes(&mut tx, account.id).await?;
    store::add_recovery_codes(&mut tx, account.id, &hashes).await?;
    notice::tell(&mut tx, &account, Notice::RecoveryCodesMade, None, now).await?;
    audit::record(&mut tx, now, Act::RecoveryCodesMade, account.id, caller.sid).await?;
    tx.commit().await?;
    let codes = codes.iter().map(RecoveryCode::printed).collect();
    Ok((StatusCode::CREATED, Json(RecoveryCodes { codes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        let code = RecoveryCode::random().expect("randomness");
        let printed = code.printed();
        assert_eq!(printed.len(), 19, "{printed}");
        for typed in [
            printed.to_uppercase(),
            printed.replace('-', " "),
            code.0.clone(),
        ] {
            assert_eq!(RecoveryCode::from(typed).0, code.0);
        }
        assert_eq!(format!("{code:?}"), "RecoveryCode(***)");
    }

    #[test]
    fn a_code_is_of_its_account_alone() {
        let key = Key::from_bytes(&[1; 32]);
        let code = RecoveryCode::from("abcd".to_owned());
        let hash = |id| code.hash(&key, Uuid::from_u128(id));
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }
}
