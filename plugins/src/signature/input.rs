//! `Signature-Input` and `Signature` (RFC 9421 §4).

use http::HeaderName;
use plugin_sdk::Head;
use sfv::{BareItem, Dictionary, ListEntry, Parser, SerializeValue};

use super::{Fault, SIGNATURE, SIGNATURE_INPUT};

/// A signature covers no more components than this.
const MAX_COMPONENTS: usize = 32;

/// One signature as it came, not believed yet.
#[derive(Debug)]
pub(super) struct Input<'a> {
    /// The covered components, in order.
    pub(super) components: Vec<String>,
    /// The value of `@signature-params`: all that stands behind the label.
    pub(super) params: &'a str,
    pub(super) key_id: String,
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<String>,
    pub(super) alg: Option<String>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Input<'a> {
    /// Reads the one signature of a request. Fields that are not in the one form that a serializer
    /// gives them are refused: of two members of one name, or spaces, readers make different things.
    pub(super) fn read(head: &Head<'a>) -> Result<Self, Fault> {
        let (input_text, inputs) = dictionary(head, &SIGNATURE_INPUT, "Signature-Input")?;
        let (_, signatures) = dictionary(head, &SIGNATURE, "Signature")?;
        let (label, entry) = only(inputs)?;
        let (signed_label, signature) = only(signatures)?;
        if label != signed_label {
            return Err(Fault::Form);
        }
        let (ListEntry::InnerList(covered), ListEntry::Item(signature)) = (entry, signature) else {
            return Err(Fault::Form);
        };
        let BareItem::ByteSeq(signature) = signature.bare_item else {
            return Err(Fault::Form);
        };
        let params = input_text
            .strip_prefix(&label)
            .and_then(|rest| rest.strip_prefix('='));
        let mut components = Vec::with_capacity(covered.items.len());
        for item in covered.items {
            let name = match item.bare_item {
                BareItem::String(name) if item.params.is_empty() => name,
                _ => return Err(Fault::Components),
            };
            if components.contains(&name) || components.len() == MAX_COMPONENTS {
                return Err(Fault::Components);
            }
            components.push(name);
        }
        let text = |name: &str| match covered.params.get(name) {
            None => Ok(None),
            Some(BareItem::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Fault::Parameters),
        };
        let time = |name: &str| match covered.params.get(name) {
            None => Ok(None),
            Some(BareItem::Integer(seconds)) => Ok(Some(*seconds)),
            Some(_) => Err(Fault::Parameters),
        };
        Ok(Self {
            components,
            params: params.ok_or(Fault::Form)?,
            key_id: text("keyid")?.ok_or(Fault::Parameters)?,
            created: time("created")?.ok_or(Fault::Parameters)?,
            expires: time("expires")?,
            nonce: text("nonce")?,
            alg: text("alg")?,
            signature,
        })
    }
}

/// A field that comes once and is a dictionary, in canonical form.
fn dictionary<'a>(
    head: &Head<'a>,
    name: &HeaderName,
    called: &'static str,
) -> Result<(&'a str, Dictionary), Fault> {
    let text = head.single(name).ok_or(Fault::Header(called))?;
    let text = text.trim_matches([' ', '\t']);
    let parsed = Parser::parse_dictionary(text.as_bytes()).map_err(|_| Fault::Form)?;
    // What a second reading would find is what we found: no member and no parameter twice.
    let canonical = parsed.serialize_value().is_ok_and(|again| again == text);
    canonical.then_some((text, parsed)).ok_or(Fault::Form)
}

fn only(dictionary: Dictionary) -> Result<(String, ListEntry), Fault> {
    let mut members = dictionary.into_iter();
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        _ => Err(Fault::Form),
    }
}
