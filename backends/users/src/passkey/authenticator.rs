//! What an authenticator says (WebAuthn Level 3, §6.1): for whom it speaks, who stood before it, how
//! often it was used; and of a new passkey its id and its key.

use minicbor::Decoder;
use uuid::Uuid;

use super::{Flaw, public_key::PublicKey, relying_party::RelyingParty};

/// The longest id of a credential (§4, credential id).
const MAX_ID_LEN: usize = 1023;

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

/// The authenticator data of either ceremony.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    party_hash: &'a [u8],
    flags: u8,
    /// How often the passkey was used; zero for ever on those that do not count.
    pub(super) sign_count: u32,
    pub(super) credential: Option<NewCredential<'a>>,
}

/// A passkey that was just made (§6.5.1).
#[derive(Debug)]
pub(super) struct NewCredential<'a> {
    /// The make of the authenticator; all zeros where it does not say.
    pub(super) aaguid: Uuid,
    pub(super) id: &'a [u8],
    /// As it was written, for the store.
    pub(super) key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Flaw> {
        read(bytes).ok_or(Flaw::Malformed("authenticator data"))
    }

    /// The data inside the attestation object of a new passkey (§6.5.4).
    ///
    /// What the object says of its maker is not looked at: we ask for none, believe any maker or
    /// none, and decide nothing by it.
    pub(super) fn attested(object: &'a [u8]) -> Result<Self, Flaw> {
        let flaw = |_| Flaw::Malformed("attestation object");
        let mut cbor = Decoder::new(object);
        let entries = cbor.map().map_err(flaw)?;
        let mut data = None;
        for _ in 0..entries.ok_or(Flaw::Malformed("attestation object"))? {
            if cbor.str().map_err(flaw)? == "authData" {
                data = Some(cbor.bytes().map_err(flaw)?);
            } else {
                cbor.skip().map_err(flaw)?;
            }
        }
        if cbor.position() != object.len() {
            return Err(Flaw::Malformed("attestation object"));
        }
        Self::parse(data.ok_or(Flaw::Malformed("attestation object"))?)
    }

    /// Steps 14 to 18 of §7.1 and 15 to 19 of §7.2: made for us, by somebody who was there and was
    /// known to the authenticator by their finger, face or PIN.
    pub(super) fn judge(&self, party: &RelyingParty) -> Result<(), Flaw> {
        if !party.is_hashed_to(self.party_hash) {
            return Err(Flaw::RelyingParty);
        }
        if self.flags & USER_PRESENT == 0 {
            return Err(Flaw::NobodyThere);
        }
        if self.flags & USER_VERIFIED == 0 {
            return Err(Flaw::Unverified);
        }
        if self.is_backed_up() && !self.is_backup_eligible() {
            return Err(Flaw::Backup);
        }
        Ok(())
    }

    /// Whether the passkey may live on more than one device.
    pub(super) fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    /// Whether it does by now.
    pub(super) fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

fn read(bytes: &[u8]) -> Option<AuthenticatorData<'_>> {
    let (party_hash, rest) = bytes.split_at_checked(32)?;
    let (&flags, rest) = rest.split_first()?;
    let (sign_count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut credential = None;
    if flags & HAS_CREDENTIAL != 0 {
        let (read, left) = read_credential(rest)?;
        (credential, rest) = (Some(read), left);
    }
    if flags & HAS_EXTENSIONS != 0 {
        let mut cbor = Decoder::new(rest);
        cbor.map().ok()?;
        let mut cbor = Decoder::new(rest);
        cbor.skip().ok()?;
        rest = rest.get(cbor.position()..)?;
    }
    // Bytes that nobody reads could mean something to the next version of this.
    rest.is_empty().then_some(AuthenticatorData {
        party_hash,
        flags,
        sign_count: u32::from_be_bytes(*sign_count),
        credential,
    })
}

fn read_credential(bytes: &[u8]) -> Option<(NewCredential<'_>, &[u8])> {
    let (aaguid, rest) = bytes.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > MAX_ID_LEN {
        return None;
    }
    let (id, rest) = rest.split_at_checked(length)?;
    let (key, rest) = rest.split_at_checked(PublicKey::len(rest)?)?;
    let credential = NewCredential {
        aaguid: Uuid::from_bytes(*aaguid),
        id,
        key,
    };
    Some((credential, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party() -> RelyingParty {
        RelyingParty::new("https://bank.example", &[]).expect("a relying party")
    }

    /// Data of our party with these flags, and what follows the counter.
    fn data(flags: u8, rest: &[u8]) -> Vec<u8> {
        let hash = ring::digest::digest(&ring::digest::SHA256, b"bank.example");
        [hash.as_ref(), &[flags], &7_u32.to_be_bytes(), rest].concat()
    }

    #[test]
    fn flags_say_who_was_there() {
        for (flags, verdict) in [
            (0b0_0101, Ok(())),
            (0b0_1101, Ok(())),
            (0b1_1101, Ok(())),
            (0b0_0100, Err(Flaw::NobodyThere)),
            (0b0_0001, Err(Flaw::Unverified)),
            // Backed up, and not able to be.
            (0b1_0101, Err(Flaw::Backup)),
        ] {
            let bytes = data(flags, &[]);
            let read = AuthenticatorData::parse(&bytes).expect("whole");
            assert_eq!(read.sign_count, 7);
            assert_eq!(read.judge(&party()), verdict, "{flags:b}");
        }
        let other = RelyingParty::new("https://evil.example", &[]).expect("a relying party");
        let bytes = data(0b101, &[]);
        let read = AuthenticatorData::parse(&bytes).expect("whole");
        assert_eq!(read.judge(&other), Err(Flaw::RelyingParty));
    }

    #[test]
    fn what_is_cut_off_or_left_over_is_refused() {
        // {1: 1, 3: -8, -1: 6, -2: 32 bytes}
        let key = [
            &[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..],
            &[9; 32],
        ]
        .concat();
        let made = [&[5; 16][..], &[0, 4], b"name", &key].concat();
        let extensions = [0xa1, 0x61, b'a', 0xf5];
        let whole = data(0b1100_0101, &[&made[..], &extensions].concat());

        let read = AuthenticatorData::parse(&whole).expect("whole");
        let credential = read.credential.expect("a credential");
        assert_eq!(credential.aaguid, Uuid::from_bytes([5; 16]));
        assert_eq!((credential.id, credential.key), (&b"name"[..], &key[..]));
        for length in 0..whole.len() {
            AuthenticatorData::parse(&whole[..length]).expect_err("cut off");
        }
        AuthenticatorData::parse(&[&whole[..], &[0]].concat()).expect_err("left over");
        // The flags deny what follows.
        AuthenticatorData::parse(&data(0b101, &made)).expect_err("left over");
        AuthenticatorData::parse(&data(0b1000_0101, &[0x01])).expect_err("no map");
    }

    #[test]
    fn an_attestation_object_is_one_map_with_data_in_it() {
        let bytes = data(0b101, &[]);
        let field = |name: &str| [&[0x60 + name.len() as u8][..], name.as_bytes()].concat();
        let length = u8::try_from(bytes.len()).expect("short");
        let inside = [&field("authData")[..], &[0x58, length], &bytes].concat();
        let statement = [
            &field("fmt")[..],
            &field("none"),
            &field("attStmt"),
            &[0xa0],
        ]
        .concat();
        let whole = [&[0xa3][..], &statement, &inside].concat();
        AuthenticatorData::attested(&whole).expect("whole");
        for wrong in [
            [&whole[..], &[0]].concat(),
            [&[0xa2][..], &statement].concat(),
            // Without an end: no authenticator writes such maps (CTAP 2.1, §8).
            [&[0xbf][..], &statement, &inside, &[0xff]].concat(),
            vec![0x80],
            vec![],
        ] {
            AuthenticatorData::attested(&wrong).expect_err("not one map");
        }
    }
}
