use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::Result;
use pingora::cache::key::{CacheHashKey, HashBinary};
use pingora::cache::storage::{
    HandleHit, HandleMiss, HitHandler, MissFinishType, MissHandler, PurgeOutcome, PurgeTarget,
    PurgeType, Storage,
};
use pingora::cache::trace::SpanHandle;
use pingora::cache::{CacheKey, CacheMeta};

/// What an entry takes besides its head and body: keys, pointers, the cache's own books.
const OVERHEAD: usize = 256;

/// Answers kept in this process, the least useful of them going first when room is short.
pub(super) struct Memory(moka::sync::Cache<HashBinary, Entry>);

#[derive(Clone)]
struct Entry {
    /// The answer's head and its times, as the transport writes them.
    meta: Arc<(Vec<u8>, Vec<u8>)>,
    body: Bytes,
}

impl Memory {
    /// With room for `max_size` bytes.
    pub(super) fn new(max_size: u64) -> Self {
        let weigh = |_: &HashBinary, entry: &Entry| {
            let bytes = entry.meta.0.len() + entry.meta.1.len() + entry.body.len() + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = moka::sync::Cache::builder()
            .weigher(weigh)
            .max_capacity(max_size);
        Self(cache.build())
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.invalidate_all();
    }
}

#[async_trait]
impl Storage for Memory {
    async fn lookup(
        &'static self,
        key: &CacheKey,
        _: &SpanHandle,
    ) -> Result<Option<(CacheMeta, HitHandler)>> {
        let Some(entry) = self.0.get(&key.combined_bin()) else {
            return Ok(None);
        };
        let meta = CacheMeta::deserialize(&entry.meta.0, &entry.meta.1)?;
        Ok(Some((meta, Box::new(Hit::new(entry.body)))))
    }

    async fn get_miss_handler(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<MissHandler> {
        Ok(Box::new(Fill {
            room: self,
            key: key.combined_bin(),
            meta: Arc::new(meta.serialize()?),
            body: BytesMut::new(),
        }))
    }

    async fn purge(
        &'static self,
        target: PurgeTarget<'_>,
        _: PurgeType,
        _: &SpanHandle,
    ) -> Result<PurgeOutcome> {
        Ok(match self.0.remove(&target.key().combined_bin()) {
            Some(_) => PurgeOutcome::Purged(None),
            None => PurgeOutcome::NotFound,
        })
    }

    async fn update_meta(
        &'static self,
        key: &CacheKey,
        meta: &CacheMeta,
        _: &SpanHandle,
    ) -> Result<bool> {
        let key = key.combined_bin();
        let Some(entry) = self.0.get(&key) else {
            return Ok(false);
        };
        let meta = Arc::new(meta.serialize()?);
        self.0.insert(key, Entry { meta, ..entry });
        Ok(true)
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync + 'static) {
        self
    }
}

/// A kept body, or a part of it.
struct Hit {
    body: Bytes,
    part: std::ops::Range<usize>,
    done: bool,
}

impl Hit {
    fn new(body: Bytes) -> Self {
        Self {
            part: 0..body.len(),
            body,
            done: false,
        }
    }
}

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        Ok(Some(self.body.slice(self.part.clone())))
    }

    async fn finish(
        self: Box<Self>,
        _: &'static (dyn Storage + Sync),
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let end = end.unwrap_or(usize::MAX).min(self.body.len());
        self.part = start.min(end)..end;
        self.done = false;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}

/// An answer on its way in. Nothing is kept unless it arrives whole.
struct Fill {
    room: &'static Memory,
    key: HashBinary,
    meta: Arc<(Vec<u8>, Vec<u8>)>,
    body: BytesMut,
}

#[async_trait]
impl HandleMiss for Fill {
    async fn write_body(&mut self, data: Bytes, _eof: bool) -> Result<()> {
        self.body.extend_from_slice(&data);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<MissFinishType> {
        let size = self.body.len();
        let entry = Entry {
            meta: self.meta,
            body: self.body.freeze(),
        };
        self.room.0.insert(self.key, entry);
        Ok(MissFinishType::Created(size))
    }
}
