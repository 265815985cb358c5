//! The chain: what a link is made of, and whether one holds.
//!
//! This computes by itself what the database's trigger has computed, so that whoever bends the
//! trigger is found as well. Pure rules; the walk is in [`super::proof`].

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What the first link is made behind.
pub(super) const BEGINNING: Hash = [0; 32];

/// Names the form in which an act is hashed.
const FORM: &[u8] = b"vorota audit 1";

/// A link, and what it should be the link of.
pub(super) struct Link {
    pub(super) n: i64,
    pub(super) hash: Vec<u8>,
    pub(super) audit_seq: i64,
    /// None when the act is gone.
    pub(super) act: Option<Recorded>,
    pub(super) detail: Option<Detail>,
    /// Whether an account that the act concerns was erased, and its particulars rightly with it.
    pub(super) erased: bool,
}

/// An act as it stands in the record.
#[derive(Clone)]
pub(super) struct Recorded {
    pub(super) seq: i64,
    pub(super) at: OffsetDateTime,
    pub(super) act: String,
    pub(super) account_id: Uuid,
    pub(super) session_id: Option<Uuid>,
    pub(super) request_id: Option<String>,
    pub(super) api_key_id: Option<Uuid>,
    pub(super) actor_id: Option<Uuid>,
    pub(super) detail_hash: Option<Vec<u8>>,
}

/// Particulars of an act, and the salt of their hash.
#[derive(Clone)]
pub(super) struct Detail {
    pub(super) salt: Vec<u8>,
    pub(super) text: String,
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// There is no link of this number.
    LinkMissing,
    /// The link's act is not in the record.
    ActMissing,
    /// The act, or the link, is not what it was when it was written.
    ActChanged,
    /// The act's particulars are not what they were.
    DetailChanged,
    /// The act's particulars are gone, though nobody was erased.
    DetailMissing,
    /// An act of the record has no link.
    ActUnchained,
    /// The head is not that of the last link.
    HeadDiffers,
    /// The chain ends before the head that was signed.
    Truncated,
    /// The chain leads to another hash than the one that was signed.
    Rewritten,
}

impl Flaw {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LinkMissing => "link_missing",
            Self::ActMissing => "act_missing",
            Self::ActChanged => "act_changed",
            Self::DetailChanged => "detail_changed",
            Self::DetailMissing => "detail_missing",
            Self::ActUnchained => "act_unchained",
            Self::HeadDiffers => "head_differs",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
        }
    }
}

/// Judges the link of number `n`, which should come behind `previous`; gives its hash.
pub(super) fn judge(previous: &Hash, n: i64, link: &Link) -> Result<Hash, Flaw> {
    if link.n != n {
        return Err(Flaw::LinkMissing);
    }
    let act = link.act.as_ref().ok_or(Flaw::ActMissing)?;
    let hash = hash(previous, act);
    if link.hash != hash || act.seq != link.audit_seq {
        return Err(Flaw::ActChanged);
    }
    match (&act.detail_hash, &link.detail) {
        (None, None) => Ok(hash),
        // Particulars that nobody wrote with the act.
        (None, Some(_)) => Err(Flaw::DetailChanged),
        (Some(_), None) if link.erased => Ok(hash),
        (Some(_), None) => Err(Flaw::DetailMissing),
        (Some(kept), Some(detail)) if *kept == detail.hash() => Ok(hash),
        (Some(_), Some(_)) => Err(Flaw::DetailChanged),
    }
}

impl Detail {
    fn hash(&self) -> Hash {
        let salted = Sha256::new().chain_update(&self.salt);
        salted.chain_update(&self.text).finalize().into()
    }
}

/// The link of an act behind another: `users.audit_hash` in `0020_audit_chain.sql`.
fn hash(previous: &Hash, act: &Recorded) -> Hash {
    let micros = act.at.unix_timestamp_nanos() / 1_000;
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    fn id(id: &Uuid) -> &[u8] {
        id.as_bytes()
    }
    let fields: [Option<&[u8]>; 10] = [
        Some(FORM),
        Some(&act.seq.to_be_bytes()),
        Some(&micros.to_be_bytes()),
        Some(act.act.as_bytes()),
        Some(act.account_id.as_bytes()),
        act.session_id.as_ref().map(id),
        act.request_id.as_deref().map(str::as_bytes),
        act.api_key_id.as_ref().map(id),
        act.actor_id.as_ref().map(id),
        act.detail_hash.as_deref(),
    ];
    let begun = Sha256::new().chain_update(previous);
    let written = fields.into_iter().fold(begun, |hash, field| match field {
        None => hash.chain_update([0]),
        Some(field) => {
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            hash.chain_update([1])
                .chain_update(length.to_be_bytes())
                .chain_update(field)
        }
    });
    written.finalize().into()
}

/// A hash as people read it.
pub(crate) fn hex(hash: &[u8]) -> String {
    use std::fmt::Write;
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act() -> Recorded {
        Recorded {
            seq: 7,
            at: OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time"),
            act: "session.begun".to_owned(),
            account_id: Uuid::from_u128(1),
            session_id: Some(Uuid::from_u128(2)),
            request_id: Some("r".to_owned()),
            api_key_id: None,
            actor_id: None,
            detail_hash: None,
        }
    }

    fn link(act: Recorded, detail: Option<Detail>) -> Link {
        Link {
            n: 1,
            hash: hash(&BEGINNING, &act).to_vec(),
            audit_seq: act.seq,
            act: Some(act),
            detail,
            erased: false,
        }
    }

    #[test]
    fn every_field_counts_and_none_passes_for_another() {
        let mut hashes = vec![hash(&BEGINNING, &act()), hash(&[1; 32], &act())];
        let changes: [fn(&mut Recorded); 12] = [
            |act| act.seq = 8,
            |act| act.at += time::Duration::MICROSECOND,
            |act| act.act.push('r'),
            |act| act.account_id = Uuid::from_u128(3),
            |act| act.session_id = None,
            |act| (act.session_id, act.api_key_id) = (None, act.session_id),
            |act| (act.session_id, act.actor_id) = (None, act.session_id),
            |act| act.request_id = None,
            |act| act.request_id = Some(String::new()),
            |act| act.api_key_id = Some(Uuid::nil()),
            |act| act.actor_id = Some(Uuid::nil()),
            |act| act.detail_hash = Some(vec![0; 32]),
        ];
        for change in changes {
            let mut changed = act();
            change(&mut changed);
            hashes.push(hash(&BEGINNING, &changed));
        }
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn a_link_is_judged_by_its_act_and_by_what_is_left_of_the_particulars() {
        let detail = |text: &str| Detail {
            salt: vec![5; 32],
            text: text.to_owned(),
        };
        let mut told = act();
        told.detail_hash = Some(detail("{}").hash().to_vec());
        let judged = |link: &Link| judge(&BEGINNING, 1, link).map(|_| ());

        assert_eq!(judged(&link(act(), None)), Ok(()));
        assert_eq!(judged(&link(told.clone(), Some(detail("{}")))), Ok(()));

        let second = judge(&BEGINNING, 2, &link(act(), None));
        assert_eq!(second, Err(Flaw::LinkMissing));
        let mut gone = link(act(), None);
        gone.act = None;
        assert_eq!(judged(&gone), Err(Flaw::ActMissing));
        let mut bent = link(act(), None);
        bent.hash[31] ^= 1;
        assert_eq!(judged(&bent), Err(Flaw::ActChanged));
        let mut other = link(act(), None);
        other.audit_seq = 8;
        assert_eq!(judged(&other), Err(Flaw::ActChanged));

        let edited = link(told.clone(), Some(detail("{ }")));
        assert_eq!(judged(&edited), Err(Flaw::DetailChanged));
        let added = link(act(), Some(detail("{}")));
        assert_eq!(judged(&added), Err(Flaw::DetailChanged));
        let mut missing = link(told, None);
        assert_eq!(judged(&missing), Err(Flaw::DetailMissing));
        missing.erased = true;
        assert_eq!(judged(&missing), Ok(()));
    }
}
