//! Group commit: orders from many callers, as many in one commit as are waiting.

use std::fmt;
use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::post::{Order, Outcome, post};

/// Orders in one commit at most: beyond it a transaction only gets longer, not cheaper by the order.
const MAX_BATCH: usize = 1024;

/// Legs that may wait for the batch before them, in however many orders; who comes later is turned away.
/// So a batch has no more of them either, and a lone transfer waits for no more than two such.
const MAX_WAITING: usize = 4096;

/// Takes orders from any number of callers and posts them in batches.
///
/// There is no timer: a lone order is posted at once, and what comes while a batch is being written makes
/// the next one, so batches grow with the load. One busy account costs one lock a batch, not one an order.
/// Cheap to clone; all clones share the one queue.
#[derive(Clone)]
pub struct Teller {
    queue: mpsc::Sender<Waiting>,
    /// One for each leg that may wait.
    places: Arc<Semaphore>,
}

type Reply = oneshot::Sender<Result<Outcome, PostError>>;

struct Waiting {
    order: Order,
    reply: Reply,
    /// Given back when the order's batch begins.
    _places: OwnedSemaphorePermit,
}

impl Teller {
    /// Opens a queue that is served, on the current tokio runtime, until the last clone is dropped.
    pub fn open(pool: PgPool) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(serve(pool, waiting));
        Self {
            queue,
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Posts an order; returns once it is on disk.
    ///
    /// A caller who stops waiting does not stop the order: asking again under its key will tell.
    pub async fn post(&self, order: Order) -> Result<Outcome, PostError> {
        let (reply, answer) = oneshot::channel();
        let legs = order.chain.moves().len();
        let legs = u32::try_from(legs).expect("a chain has at most 64 legs");
        let places = self.places.clone().try_acquire_many_owned(legs);
        let waiting = Waiting {
            order,
            reply,
            _places: places.map_err(|_| PostError::Busy)?,
        };
        self.queue.try_send(waiting).map_err(|_| PostError::Busy)?;
        answer.await.map_err(|_| PostError::Lost)?
    }
}

async fn serve(pool: PgPool, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // A task of its own: a panic costs its batch, whose callers read `Lost`, and not the teller.
        let settled = tokio::spawn(settle(pool.clone(), std::mem::take(&mut batch)));
        if let Err(error) = settled.await {
            tracing::error!(%error, "a batch of transfers was lost");
        }
    }
}

/// Posts the batch; where the database refuses it as a whole, half by half, until the order that spoils it
/// stands alone and spoils nothing but itself.
async fn settle(pool: PgPool, batch: Vec<Waiting>) {
    let (orders, replies): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|waiting| (waiting.order, waiting.reply))
        .unzip();
    // Parts are settled from first to last, so the next reply is always that of the next order.
    // Whether a caller still listens changes nothing about its order: sending is not checked.
    let mut replies = replies.into_iter();
    let mut parts = vec![(0, orders.len())];
    while let Some((first, end)) = parts.pop() {
        match post(&pool, &orders[first..end]).await {
            Ok(outcomes) => {
                for (outcome, reply) in outcomes.into_iter().zip(replies.by_ref()) {
                    let _ = reply.send(Ok(outcome));
                }
            }
            // It would not take the halves either, and whoever waits behind them would wait in vain.
            Err(error) if pg::outage(&error) => return refuse(replies, error),
            Err(error) if end - first == 1 => refuse(replies.by_ref().take(1), error),
            Err(error) => {
                tracing::warn!(%error, orders = end - first, "a batch of transfers is halved");
                let middle = first + (end - first) / 2;
                parts.extend([(middle, end), (first, middle)]);
            }
        }
    }
}

fn refuse(replies: impl Iterator<Item = Reply>, error: sqlx::Error) {
    let error = Arc::new(error);
    for reply in replies {
        let _ = reply.send(Err(PostError::Database(error.clone())));
    }
}

/// Why an order got no outcome. Nothing is known to have moved; asking again under its key is safe.
#[derive(Debug, Clone)]
pub enum PostError {
    /// Too many orders are waiting; this one was not taken.
    Busy,
    /// Its batch ended without a word.
    Lost,
    /// The database failed the batch it was in, or refused the order by itself.
    Database(Arc<sqlx::Error>),
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many transfers are waiting to be posted",
            Self::Lost => "a batch of transfers ended without a word",
            Self::Database(_) => "posting a batch of transfers",
        })
    }
}

// By hand, since a derived source would be the `Arc`, in which nobody recognises an outage.
impl std::error::Error for PostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy | Self::Lost => None,
            Self::Database(error) => Some(&**error),
        }
    }
}
