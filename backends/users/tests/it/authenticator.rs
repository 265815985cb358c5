//! An authenticator and its browser in one, as honest or dishonest as a test wants it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const PRESENT: u8 = 1;
pub(crate) const VERIFIED: u8 = 1 << 2;
pub(crate) const BACKUP_ELIGIBLE: u8 = 1 << 3;
pub(crate) const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;

/// One passkey, and what is said when it is made and used.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    /// The page that it is asked by.
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    pub(crate) flags: u8,
    /// What its counter shows next; nothing is counted while it is 0.
    pub(crate) count: u32,
    /// Whom it was made for.
    pub(crate) user: Option<String>,
    /// What it claims to answer, if not what it was asked.
    pub(crate) ceremony: Option<&'static str>,
    pub(crate) framed: bool,
}

impl Authenticator {
    pub(crate) fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness");
        Self {
            key: EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key"),
            id: [&Uuid::new_v4().into_bytes()[..], &[0; 4]].concat(),
            origin: "https://localhost:8443".to_owned(),
            rp_id: "localhost".to_owned(),
            flags: PRESENT | VERIFIED,
            count: 0,
            user: None,
            ceremony: None,
            framed: false,
        }
    }

    /// The JSON of `navigator.credentials.create()`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        let options = &options["public_key"];
        self.user = options["user"]["id"].as_str().map(str::to_owned);
        let point = self.key.public_key().as_ref();
        let key = [
            &[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..],
            &point[1..33],
            &[0x22, 0x58, 32],
            &point[33..],
        ]
        .concat();
        let length = u16::try_from(self.id.len()).expect("short").to_be_bytes();
        let credential = [&[7; 16][..], &length, &self.id, &key].concat();
        let data = self.data(HAS_CREDENTIAL, &credential);
        let object = [
            &[0xa3, 0x63][..],
            b"fmt",
            &[0x64],
            b"none",
            &[0x67],
            b"attStmt",
            &[0xa0, 0x68],
            b"authData",
            &[0x58, u8::try_from(data.len()).expect("short")],
            &data,
        ]
        .concat();
        json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": true}},
            "response": {
                "attestationObject": encode(&object),
                "clientDataJSON": encode(&self.client_data("webauthn.create", options)),
                "transports": ["internal", "hybrid", "telepathy"],
            },
        })
    }

    /// The JSON of `navigator.credentials.get()`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        if self.count > 0 {
            self.count += 1;
        }
        let data = self.data(0, &[]);
        let client_data = self.client_data("webauthn.get", &options["public_key"]);
        let signed = [&data[..], digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed);
        json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "authenticatorData": encode(&data),
                "clientDataJSON": encode(&client_data),
                "signature": encode(signature.expect("randomness").as_ref()),
                "userHandle": self.user,
            },
        })
    }

    fn data(&self, flags: u8, rest: &[u8]) -> Vec<u8> {
        [
            digest(&SHA256, self.rp_id.as_bytes()).as_ref(),
            &[self.flags | flags],
            &self.count.to_be_bytes(),
            rest,
        ]
        .concat()
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": self.ceremony.unwrap_or(ceremony),
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": self.framed,
            "other_keys_can_be_added_here": "do not compare",
        });
        data.to_string().into_bytes()
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
