//! Who hears of events.

use std::future::Future;
use std::sync::Arc;

use events::{Envelope, Event};
use futures::future::BoxFuture;

/// What a consumer's handler comes to. An error brings the event again, later.
pub type Handled = BoxFuture<'static, anyhow::Result<()>>;

/// One app's ear for one topic.
///
/// An event may come more than once (a process dies between the effect and the note that it
/// happened): the handler calls [`crate::inbox::once`] in the transaction of its effect. It is
/// given 30 seconds; after that, on an error and on a panic the event comes again.
#[derive(Clone)]
pub struct Consumer {
    /// Names this consumer in its inbox and in metrics: `app.what_it_does`. Never renamed, else
    /// everything counts as not handled.
    pub name: &'static str,
    /// The topic it hears.
    pub topic: &'static str,
    /// What it does. Its errors are logged and kept in the outbox: no secrets in them.
    pub handle: Arc<dyn Fn(Envelope) -> Handled + Send + Sync>,
}

impl Consumer {
    /// A consumer of `E` whose handler gets the event opened, and the envelope for its id.
    pub fn of<E, F, Fut>(name: &'static str, handle: F) -> Self
    where
        E: Event + Send + 'static,
        F: Fn(E, Envelope) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        Self {
            name,
            topic: E::TOPIC,
            handle: Arc::new(move |envelope| {
                let handle = handle.clone();
                Box::pin(async move {
                    let event = envelope.open::<E>()?;
                    handle(event, envelope).await
                })
            }),
        }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name, self.topic)
    }
}
