//! What a browser brings back from a provider: a query, or the fields of a form.

use url::form_urlencoded;

/// The parameters that we know. Others are no concern of ours (RFC 6749 §4.1.2).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) state: Option<String>,
    pub(super) code: Option<String>,
    pub(super) error: Option<String>,
    /// Who answers (RFC 9207).
    pub(super) iss: Option<String>,
    /// VK ID's.
    pub(super) device_id: Option<String>,
    /// Apple's.
    pub(super) user: Option<String>,
}

impl Answer {
    /// Reads them; none if one comes twice, since nobody can tell which is meant (RFC 6749 §3.1).
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            let field = match &*name {
                "state" => &mut answer.state,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "iss" => &mut answer.iss,
                "device_id" => &mut answer.device_id,
                "user" => &mut answer.user,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_once_or_not_at_all() {
        let read = |text: &str| Answer::read(text.as_bytes());
        let good = read("code=a%2Bb&state=s&other=1&other=2").expect("good");
        assert_eq!(good.code.as_deref(), Some("a+b"));
        assert_eq!(good.state.as_deref(), Some("s"));
        assert_eq!(good.iss, None);
        assert_eq!(read("state=a&state=b"), None);
        assert_eq!(read("code=a&c%6fde=b"), None);
        assert_eq!(read(""), Some(Answer::default()));
    }
}
