//! An app without its types, so that a program can hold a list of them.

use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use utoipa::openapi::OpenApi;

use crate::config::{Mistake, Settled, Source};
use crate::{App, DemoPerson};

/// One app of a program: `Entry::of::<users::Users>()`.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The app's name.
    pub name: &'static str,
    /// What its schema is made of.
    pub migrations: fn() -> &'static [&'static Migrator],
    /// What it answers, as a document.
    pub openapi: fn() -> OpenApi,
    pub(crate) read: fn(&Source) -> Result<Settled, Mistake>,
    pub(crate) demo: Demo,
}

type Demo =
    for<'a> fn(&'a PgPool, &'a mut Vec<DemoPerson>) -> BoxFuture<'a, Result<(), anyhow::Error>>;

impl Entry {
    /// The entry of an app.
    pub const fn of<A: App>() -> Self {
        Self {
            name: A::NAME,
            migrations: A::migrations,
            openapi: A::openapi,
            read: Settled::read::<A>,
            demo: |pool, people| Box::pin(A::demo(pool, people)),
        }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
