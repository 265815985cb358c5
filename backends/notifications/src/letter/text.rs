//! What a text message can hold: 160 characters of an alphabet of the eighties. A character beside
//! the alphabet, or a character more, and the message is two or three, and paid for as such.

/// The characters of the GSM 03.38 alphabet that count once.
const ONCE: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The longest name that leaves room for what is said.
const NAME: usize = 20;

/// A name for texts, with a space after it; nothing when it is too long, or when it is written in
/// letters that texts have no cheap way to spell.
pub(super) fn name(name: &str) -> String {
    let name = name.trim();
    let fits = name.chars().count() <= NAME && name.chars().all(is_cheap);
    match fits && !name.is_empty() {
        true => format!("{name} "),
        false => String::new(),
    }
}

fn is_cheap(character: char) -> bool {
    !character.is_control() && ONCE.contains(character)
}

#[cfg(test)]
mod tests {
    use events::{Notice, Purpose};
    use time::OffsetDateTime;

    use super::super::{Content, Words, code, notice};
    use super::*;

    #[test]
    fn a_name_is_said_where_texts_can_spell_it() {
        for (given, said) in [
            ("Vorota", "Vorota "),
            (" Vorota Bank ", "Vorota Bank "),
            ("Ворота", ""),
            ("Vorota \u{1F600}", ""),
            ("Vo\nrota", ""),
            ("a name that is too long for a text", ""),
            ("", ""),
        ] {
            assert_eq!(name(given), said, "{given:?}");
        }
    }

    /// All that can be said.
    fn contents() -> Vec<Content> {
        let at = OffsetDateTime::UNIX_EPOCH;
        let purposes = code::ALL.map(|purpose: Purpose| Content::Code {
            code: "12345678".to_owned(),
            purpose,
            expires_at: at,
            link: Some("/link".to_owned()),
        });
        let notices = notice::ALL.map(|what: Notice| Content::Notice {
            what,
            at,
            about: Some("https://evil.example \u{1F600}".to_owned()),
            undo: Some("/undo".to_owned()),
        });
        let mut contents = vec![Content::AddressKnown];
        contents.extend(purposes);
        contents.extend(notices);
        contents
    }

    #[test]
    fn every_text_is_one_segment_without_a_link() {
        let words = Words::new("https://vorota.example", Some("Twenty characters ok"));
        let words = words.expect("a base URL");
        for content in contents() {
            let text = words.text(&content);
            assert!(text.contains("Twenty characters ok"), "{text}");
            assert!(text.chars().all(is_cheap), "{text}");
            assert!(text.chars().count() <= 160, "{}: {text}", text.len());
            assert!(!text.contains("://") && !text.contains("example"), "{text}");
        }
    }
}
