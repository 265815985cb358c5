//! The request's id, where everything that happens for the request can find it.

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task is answering, as the gateway sealed it.
pub fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Runs `work` as part of the request `id`.
pub(crate) async fn scope<F: Future>(id: String, work: F) -> F::Output {
    REQUEST_ID.scope(id, work).await
}
