//! How an event travels.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use uuid::Uuid;

/// Something that has happened, told to whoever cares.
pub trait Event: Serialize + DeserializeOwned {
    /// The topic it travels under: `app.what_happened`.
    const TOPIC: &'static str;

    /// What order is kept by: events of one topic with equal keys arrive in the order they were
    /// published; nothing is promised between different keys.
    fn key(&self) -> String;
}

/// An event on its way, its payload still closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// Names this event for ever; a redelivery carries the same id.
    pub id: Uuid,
    /// The topic of the event inside.
    pub topic: String,
    /// What order is kept by.
    pub key: String,
    /// When it was published, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The event as JSON. May hold a secret (a code): never log it.
    pub payload: serde_json::Value,
}

/// Why an envelope could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The envelope carries another topic than the type asked for.
    #[error("opening an event of topic {found} as {wanted}")]
    Topic {
        /// What the caller asked for.
        wanted: &'static str,
        /// What the envelope carries.
        found: String,
    },
    /// The payload does not have the shape of the type.
    #[error("reading the payload of a {topic} event")]
    Payload {
        /// The topic of both.
        topic: &'static str,
        /// Where it went wrong; serde names fields here, never values of strings.
        source: serde_json::Error,
    },
}

impl Envelope {
    /// The event inside, when it is an `E`.
    pub fn open<E: Event>(&self) -> Result<E, OpenError> {
        if self.topic != E::TOPIC {
            return Err(OpenError::Topic {
                wanted: E::TOPIC,
                found: self.topic.clone(),
            });
        }
        E::deserialize(&self.payload).map_err(|source| OpenError::Payload {
            topic: E::TOPIC,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressKnown, Channel, CodeIssued, Purpose, UserVerified};

    fn envelope<E: Event>(event: &E) -> Envelope {
        Envelope {
            id: Uuid::nil(),
            topic: E::TOPIC.to_owned(),
            key: event.key(),
            at: OffsetDateTime::UNIX_EPOCH,
            payload: serde_json::to_value(event).expect("events are plain data"),
        }
    }

    #[test]
    fn an_event_survives_the_way() {
        let sent = CodeIssued {
            to: "ann@example.com".to_owned(),
            channel: Channel::Email,
            link: None,
            code: "123456".to_owned(),
            purpose: Purpose::VerifyEmail,
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let wire = serde_json::to_string(&envelope(&sent)).expect("envelopes are plain data");
        let arrived: Envelope = serde_json::from_str(&wire).expect("what we wrote");
        assert_eq!(arrived.key, "ann@example.com");
        assert_eq!(arrived.open::<CodeIssued>().expect("same topic"), sent);
    }

    #[test]
    fn another_topic_is_refused_even_when_the_shape_fits() {
        let known = envelope(&AddressKnown {
            to: "ann@example.com".to_owned(),
            channel: Channel::Email,
        });
        let error = known.open::<UserVerified>().expect_err("another topic");
        assert_eq!(
            error.to_string(),
            "opening an event of topic users.address_known as users.verified"
        );
    }
}
