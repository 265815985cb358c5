//! A request that can be cut from outside.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures::task::AtomicWaker;

tokio::task_local! {
    static LEASH: Arc<Leash>;
}

/// Ends a request wherever it is: its connection, or its stream on HTTP/2.
#[derive(Debug, Default)]
pub struct Leash {
    cut: OnceLock<&'static str>,
    waker: AtomicWaker,
}

impl Leash {
    /// That of the request which the present task serves.
    pub(crate) fn here() -> Option<Arc<Self>> {
        LEASH.try_with(Arc::clone).ok()
    }

    /// Cuts it. `why` is the code of the problem that a new request would be answered with.
    pub(super) fn cut(&self, why: &'static str) {
        // Once is enough, and the first reason is the one.
        let _ = self.cut.set(why);
        self.waker.wake();
    }

    /// Why it was cut, if it was.
    pub(crate) fn why_cut(&self) -> Option<&'static str> {
        self.cut.get().copied()
    }
}

/// Serves one request on a leash; `None` when it was cut. What served it is dropped then, and with
/// it both connections, half an answer or not.
pub async fn leashed<T>(serve: impl Future<Output = T>) -> Option<T> {
    let leash = Arc::new(Leash::default());
    let mut serve = pin!(LEASH.scope(leash.clone(), serve));
    std::future::poll_fn(move |context| {
        leash.waker.register(context.waker());
        if leash.why_cut().is_some() {
            return Poll::Ready(None);
        }
        serve.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_cut_ends_and_what_is_not_comes_to_its_end() {
        assert_eq!(leashed(async { 5 }).await, Some(5));
        let (give, leash) = tokio::sync::oneshot::channel();
        let served = tokio::spawn(leashed(async {
            give.send(Leash::here().expect("a leash")).expect("a hand");
            std::future::pending::<()>().await;
        }));
        leash.await.expect("a leash").cut("token_revoked");
        assert_eq!(served.await.expect("no panic"), None);
        assert!(Leash::here().is_none(), "elsewhere there is none");
    }
}
