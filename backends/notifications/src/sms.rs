//! The way to people's phones: providers of text messages, in the order of the settings. The next
//! one is asked when one cannot take a text now; a number that one has refused is refused.
//!
//! That a text was taken is all that is known here. What becomes of it afterwards, providers tell
//! by calls of their own, which nothing listens to yet.

mod ask;
mod inbox;
mod smsru;
mod twilio;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use host::Clock;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    budget::Budget,
    number::{self, Number},
    refusal::Refusal,
};

pub use smsru::SmsRuConfig;
pub use twilio::TwilioConfig;

/// Longest that one text may take with all providers.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// Longest that a provider is left alone because it said so.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

/// Text messages (`apps.notifications.settings.sms`). Without a provider, texts are given up.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsConfig {
    /// Who takes texts: the first one that serves the number's country, or the next when it cannot.
    pub providers: Vec<SmsProvider>,
    /// How many texts may leave in an hour.
    pub budget: Budget,
}

/// One provider of text messages: exactly one of `twilio`, `smsru` and `inbox`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsProvider {
    /// The beginnings of the numbers that it serves (`["+7"]`); all numbers without it.
    pub countries: Option<Vec<String>>,
    /// Twilio.
    pub twilio: Option<TwilioConfig>,
    /// SMS.RU.
    pub smsru: Option<SmsRuConfig>,
    /// For development: a mail server on this very machine (`smtp://127.0.0.1:8026`), which gets each
    /// text as a mail to `NUMBER@sms.localhost`. Anywhere else is refused.
    pub inbox: Option<String>,
}

/// Somebody who takes text messages.
trait Provider: Send + Sync {
    /// What settings, logs and metrics call it.
    fn name(&self) -> &'static str;

    /// Brings a text to the provider. Should a crash come between its answer and our note of it, the
    /// same text comes again: no provider here tells two sendings apart.
    fn send<'a>(
        &'a self,
        id: Uuid,
        to: &'a Number,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>>;
}

/// One provider, and what is known of it.
struct Way {
    provider: Box<dyn Provider>,
    countries: Option<Vec<String>>,
    /// It has asked to be left alone until then.
    rests_until: Mutex<Option<OffsetDateTime>>,
}

/// The providers.
pub(crate) struct Texts {
    ways: Vec<Way>,
    clock: Clock,
    outcomes: IntCounterVec,
}

impl Texts {
    pub(crate) fn new(
        providers: Vec<SmsProvider>,
        from: &str,
        clock: Clock,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let outcomes = IntCounterVec::new(
            Opts::new(
                "notifications_texts_total",
                "Attempts to hand a text to a provider, by how they went; `none` is no provider",
            ),
            &["provider", "outcome"],
        )?;
        registry.register(Box::new(outcomes.clone()))?;
        let ways = providers.into_iter().enumerate().map(|(index, config)| {
            Way::new(config, from).with_context(|| format!("reading `sms.providers[{index}]`"))
        });
        Ok(Self {
            ways: ways.collect::<Result<_, _>>()?,
            clock,
            outcomes,
        })
    }

    /// Brings a text to the first provider that takes it.
    pub(crate) async fn send(&self, id: Uuid, to: &str, text: &str) -> Result<(), Refusal> {
        let to = Number::parse(to).map_err(|error| Refusal::Final(error.to_string()))?;
        match tokio::time::timeout(SENT_WITHIN, self.send_by_any(id, &to, text)).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::later(format!("not taken within {SENT_WITHIN:?}"))),
        }
    }

    async fn send_by_any(&self, id: Uuid, to: &Number, text: &str) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        for way in self.ways.iter().filter(|way| way.serves(to)) {
            let name = way.provider.name();
            let refusal = match way.rest(self.clock.now()) {
                Some(rest) => Refusal::Later {
                    why: "asked to be left alone".to_owned(),
                    after: Some(rest),
                },
                None => match way.provider.send(id, to, text).await {
                    Ok(()) => {
                        self.count(name, "sent");
                        return Ok(());
                    }
                    Err(refusal) => refusal,
                },
            };
            match refusal {
                Refusal::Final(why) => {
                    self.count(name, "refused");
                    return Err(Refusal::Final(format!("{name}: {why}")));
                }
                Refusal::Later { why, after } => {
                    self.count(name, "later");
                    tracing::warn!(message_id = %id, provider = name, why, "a provider did not take a text");
                    let after = after.map(|after| after.min(LONGEST_REST));
                    if let Some(after) = after {
                        way.leave_alone(self.clock.now() + after);
                    }
                    refusals.push((format!("{name}: {why}"), after));
                }
            }
        }
        if refusals.is_empty() {
            self.count("none", "refused");
            return Err(Refusal::Final(
                "no provider of texts is configured for this number".to_owned(),
            ));
        }
        // Whoever did not say when may be better at any time.
        let waits: Option<Vec<Duration>> = refusals.iter().map(|(_, after)| *after).collect();
        let whys: Vec<String> = refusals.into_iter().map(|(why, _)| why).collect();
        Err(Refusal::Later {
            why: whys.join("; "),
            after: waits.and_then(|waits| waits.into_iter().min()),
        })
    }

    fn count(&self, provider: &str, outcome: &str) {
        self.outcomes.with_label_values(&[provider, outcome]).inc();
    }
}

impl Way {
    fn new(config: SmsProvider, from: &str) -> anyhow::Result<Self> {
        let SmsProvider {
            countries,
            twilio,
            smsru,
            inbox,
        } = config;
        let provider: Box<dyn Provider> = match (twilio, smsru, inbox) {
            (Some(config), None, None) => Box::new(twilio::Twilio::new(config)?),
            (None, Some(config), None) => Box::new(smsru::SmsRu::new(config)?),
            (None, None, Some(smtp)) => Box::new(inbox::Inbox::new(&smtp, from)?),
            _ => anyhow::bail!("write exactly one of `twilio`, `smsru` and `inbox`"),
        };
        for prefix in countries.iter().flatten() {
            ensure!(
                number::is_prefix(prefix),
                "`countries` names {prefix:?}: write a plus and digits, like \"+7\""
            );
        }
        Ok(Self {
            provider,
            countries,
            rests_until: Mutex::default(),
        })
    }

    fn serves(&self, to: &Number) -> bool {
        self.countries.as_ref().is_none_or(|countries| {
            countries
                .iter()
                .any(|prefix| to.as_str().starts_with(prefix.as_str()))
        })
    }

    /// How long it is still to be left alone.
    fn rest(&self, now: OffsetDateTime) -> Option<Duration> {
        let until = *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rest = Duration::try_from(until? - now).ok()?;
        (!rest.is_zero()).then_some(rest)
    }

    fn leave_alone(&self, until: OffsetDateTime) {
        let mut rests_until = self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *rests_until = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(provider: SmsProvider) -> Result<Way, String> {
        Way::new(provider, "Vorota <no-reply@localhost>").map_err(|error| format!("{error:#}"))
    }

    fn twilio(change: impl FnOnce(&mut TwilioConfig)) -> SmsProvider {
        let mut config = TwilioConfig {
            account_sid: format!("AC{}", "0a".repeat(16)),
            key_sid: None,
            auth_token: host::Secret::new("hush"),
            from: Some("+15005550006".to_owned()),
            messaging_service_sid: None,
            api: None,
        };
        change(&mut config);
        SmsProvider {
            twilio: Some(config),
            ..SmsProvider::default()
        }
    }

    fn inbox(smtp: &str) -> SmsProvider {
        SmsProvider {
            inbox: Some(smtp.to_owned()),
            ..SmsProvider::default()
        }
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let written = serde_json::json!({
            "providers": [
                { "smsru": { "api_id": "$env:CARGO_PKG_NAME" }, "countries": ["+7"] },
                { "twilio": {
                    "account_sid": "AC0123456789abcdef0123456789abcdef",
                    "auth_token": "$env:CARGO_PKG_NAME",
                    "messaging_service_sid": "MG0123456789abcdef0123456789abcdef",
                } },
            ],
            "budget": { "countries": { "+7": 5000, "+1876": 0 } },
        });
        let config: SmsConfig = serde_json::from_value(written).expect("settings");
        assert_eq!(config.budget.countries["+7"], 5000);
        assert_eq!((config.budget.per_number, config.budget.in_all), (10, 1000));
        for provider in config.providers {
            build(provider).expect("a provider");
        }
        let misspelt = serde_json::json!({ "providers": [{ "twillio": {} }] });
        assert!(serde_json::from_value::<SmsConfig>(misspelt).is_err());
    }

    // The connection pool of mail minds its connections on the runtime.
    #[tokio::test]
    async fn a_provider_is_configured_whole_and_safe() {
        for (config, complaint) in [
            (twilio(|_| ()), ""),
            (twilio(|it| it.api = Some("http://127.0.0.1:1".into())), ""),
            (
                twilio(|it| it.api = Some("http://api.example".into())),
                "https",
            ),
            (
                twilio(|it| it.api = Some("https://a:b@api.example".into())),
                "name or password",
            ),
            (
                twilio(|it| it.account_sid = "AC/../x".into()),
                "`account_sid`",
            ),
            (twilio(|it| it.from = None), "one of `from`"),
            (
                twilio(|it| it.messaging_service_sid = Some("MG1".into())),
                "one of `from`",
            ),
            (inbox("smtp://127.0.0.1:8026"), ""),
            (inbox("smtp://mail.example"), "this very machine"),
            (inbox("smtps://127.0.0.1"), "this very machine"),
            (SmsProvider::default(), "exactly one"),
            (
                SmsProvider {
                    inbox: Some("smtp://127.0.0.1:8026".into()),
                    ..twilio(|_| ())
                },
                "exactly one",
            ),
            (
                SmsProvider {
                    countries: Some(vec!["Russia".into()]),
                    ..twilio(|_| ())
                },
                "a plus and digits",
            ),
        ] {
            match build(config) {
                Ok(_) => assert_eq!(complaint, "", "it was taken"),
                Err(error) => assert!(
                    !complaint.is_empty() && error.contains(complaint) && !error.contains("hush"),
                    "{complaint}: {error}"
                ),
            }
        }
    }
}
