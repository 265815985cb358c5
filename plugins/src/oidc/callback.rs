use url::form_urlencoded;

/// A longer query than this brings no answer of a provider, in bytes.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// What a provider sent the browser back with (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) state: String,
    pub(super) issuer: Option<String>,
    pub(super) verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Code(String),
    /// It let nobody in, and says why in one of the words of its protocol.
    Error(Refusal),
}

/// Why a provider let nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Whoever was asked said no, or may not.
    Denied,
    /// It can't at the moment.
    Later,
    /// What we asked for is wrong: an operator's to mend.
    Ours,
}

/// Why a request is no way back from the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallbackFault {
    #[error("the query is none that a provider sends: no state, or something twice")]
    Malformed,
    #[error("it says that another issuer sent it")]
    OtherIssuer,
    #[error("it does not say which issuer sent it, and this one always does")]
    NoIssuer,
}

impl Returned {
    /// Reads the query. What a fragment or a body would bring is not asked for and not looked at.
    pub(super) fn read(query: &str) -> Result<Self, CallbackFault> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallbackFault::Malformed);
        }
        let [mut state, mut issuer, mut code, mut error] = [const { None }; 4];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            // Of two, one reader takes the first and another the last.
            if place.replace(value.into_owned()).is_some() {
                return Err(CallbackFault::Malformed);
            }
        }
        let verdict = match (code, error) {
            (Some(code), None) if !code.is_empty() => Verdict::Code(code),
            (None, Some(error)) => Verdict::Error(Refusal::read(&error)),
            _ => return Err(CallbackFault::Malformed),
        };
        Ok(Self {
            state: state
                .filter(|state| !state.is_empty())
                .ok_or(CallbackFault::Malformed)?,
            issuer,
            verdict,
        })
    }

    /// Judges who sent it, so that the code of one issuer is not shown to another (RFC 9207 §2.4).
    pub(super) fn judge_issuer(
        &self,
        issuer: &str,
        always_says: bool,
    ) -> Result<(), CallbackFault> {
        match &self.issuer {
            Some(said) if said != issuer => Err(CallbackFault::OtherIssuer),
            None if always_says => Err(CallbackFault::NoIssuer),
            _ => Ok(()),
        }
    }
}

impl Refusal {
    /// Reads an error code. Its description is not looked at: anybody may have written it.
    fn read(error: &str) -> Self {
        match error {
            "access_denied"
            | "login_required"
            | "consent_required"
            | "interaction_required"
            | "account_selection_required" => Self::Denied,
            "server_error" | "temporarily_unavailable" => Self::Later,
            _ => Self::Ours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://sso.test";

    #[test]
    fn what_a_provider_sends_is_read() {
        let read = Returned::read("code=a%2Bb&state=s&iss=https%3A%2F%2Fsso.test&session_state=x")
            .expect("reads");
        assert_eq!(read.state, "s");
        assert_eq!(read.verdict, Verdict::Code("a+b".into()));
        assert_eq!(read.judge_issuer(ISSUER, true), Ok(()));
        for (error, refusal) in [
            ("access_denied", Refusal::Denied),
            ("temporarily_unavailable", Refusal::Later),
            ("invalid_scope", Refusal::Ours),
            ("<script>", Refusal::Ours),
        ] {
            let read = Returned::read(&format!("state=s&error={error}&error_description=x"));
            assert_eq!(read.expect("reads").verdict, Verdict::Error(refusal));
        }
    }

    #[test]
    fn gateway_29_a_way_back_without_its_state_or_with_two_is_none() {
        for query in [
            "",
            "code=c",
            "state=s",
            "code=c&state=",
            "code=&state=s",
            "code=c&code=d&state=s",
            "code=c&state=s&state=t",
            "code=c&state=s&error=access_denied",
            "code=c&st%61te=s&state=s",
            "code=c&state=s&iss=a&iss=b",
            &format!("code={}&state=s", "c".repeat(MAX_QUERY_BYTES)),
        ] {
            assert_eq!(
                Returned::read(query),
                Err(CallbackFault::Malformed),
                "{query}"
            );
        }
    }

    #[test]
    fn gateway_29_two_issuers_are_not_mixed_up() {
        let judge = |query: &str, always_says| {
            Returned::read(query)
                .expect("reads")
                .judge_issuer(ISSUER, always_says)
        };
        assert_eq!(judge("code=c&state=s", false), Ok(()));
        assert_eq!(judge("code=c&state=s", true), Err(CallbackFault::NoIssuer));
        for other in [
            "https://evil.test",
            "https://sso.test/",
            "HTTPS://sso.test",
            "",
        ] {
            for always_says in [true, false] {
                let query = format!("code=c&state=s&iss={other}");
                assert_eq!(
                    judge(&query, always_says),
                    Err(CallbackFault::OtherIssuer),
                    "{other}"
                );
                // A refusal is not believed from anybody else either.
                let query = format!("error=access_denied&state=s&iss={other}");
                assert_eq!(
                    judge(&query, always_says),
                    Err(CallbackFault::OtherIssuer),
                    "{other}"
                );
            }
        }
    }
}
