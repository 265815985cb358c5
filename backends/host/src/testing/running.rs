//! One app at work.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use events::{Envelope, Event};
use identity::{KeyRing, Principal, Statement};
use pg::Consumer;
use pg::testing::TestDatabase;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::Call;
use crate::config::{AppConfig, Config, Place, Settled};
use crate::run::{Started, start};
use crate::{App, Clock, Entry, Key};

/// Where the requests of tests come from, unless they say otherwise.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// An app that runs: real listeners, a real database of its own, its relay and its jobs.
pub struct Running<A> {
    address: SocketAddr,
    private: SocketAddr,
    keys: Arc<KeyRing>,
    clock: Clock,
    consumers: Vec<Consumer>,
    started: Started,
    // Dropped after the last process has stopped using it.
    database: Arc<TestDatabase>,
    app: PhantomData<A>,
}

impl<A: App> Running<A> {
    /// Starts the app with the system's clock.
    ///
    /// # Panics
    ///
    /// When it does not start: the test cannot go on.
    pub async fn start(settings: A::Config) -> Self {
        Self::start_at(settings, Clock::system()).await
    }

    /// Starts the app with a clock that the test holds.
    ///
    /// # Panics
    ///
    /// Like [`Running::start`].
    pub async fn start_at(settings: A::Config, clock: Clock) -> Self {
        Self::start_with(settings, clock, None).await
    }

    /// Starts the app with a clock that the test holds, and a Redis where it is given one's address.
    ///
    /// # Panics
    ///
    /// Like [`Running::start`].
    pub async fn start_with(settings: A::Config, clock: Clock, redis: Option<&str>) -> Self {
        let database = Arc::new(pg::testing::database(A::migrations()).await);
        Self::start_on(database, settings, clock, redis).await
    }

    /// Starts another replica of the app: on the same database, with the same clock.
    ///
    /// # Panics
    ///
    /// Like [`Running::start`].
    pub async fn start_beside(&self, settings: A::Config) -> Self {
        Self::start_on(self.database.clone(), settings, self.clock.clone(), None).await
    }

    async fn start_on(
        database: Arc<TestDatabase>,
        settings: A::Config,
        clock: Clock,
        redis: Option<&str>,
    ) -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let keys = Arc::new(KeyRing::parse(&"0a".repeat(32)).expect("a key"));
        let url = pg::Url::parse(&database.url).expect("a database URL");
        let settled = Settled::new::<A>(any, url, settings);
        let consumers = Arc::new(Mutex::new(Vec::new()));
        let heard = consumers.clone();
        let config = Config {
            private_bind: any,
            keys: keys.clone(),
            cursor_key: Key::new([7; 32]),
            redis: redis.map(|url| redis::Client::open(url).expect("an address of Redis")),
            pool: pg::Settings::default(),
            apps: vec![AppConfig {
                entry: Entry::of::<A>(),
                place: Place::file(Path::new("the test's settings")),
                settled: Settled {
                    build: Box::new(move |host| {
                        Box::pin(async move {
                            let parts = (settled.build)(host).await?;
                            *heard.lock().expect("no panic") = parts.consumers.clone();
                            Ok(parts)
                        })
                    }),
                    ..settled
                },
            }],
        };
        let started = start(config, clock.clone()).await.expect("the app starts");
        Self {
            address: started.apps[A::NAME],
            private: started.private,
            keys,
            clock,
            consumers: std::mem::take(&mut *consumers.lock().expect("no panic")),
            started,
            database,
            app: PhantomData,
        }
    }

    /// Stops as SIGTERM does; the last one on a database drops it.
    pub async fn stop(self) {
        self.started.stop().await;
    }

    /// Where the app answers: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its private port is: `http://127.0.0.1:PORT`.
    pub fn private_url(&self) -> String {
        format!("http://{}", self.private)
    }

    /// The app's database, to look into or to prepare.
    pub fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    /// The clock that the app goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A valid `x-identity` for this app: for `who`, or for nobody as on a public route.
    pub fn seal(&self, who: Option<Principal>) -> String {
        self.seal_as(A::NAME, who)
    }

    /// An `x-identity` that the gateway would have made for another upstream.
    pub fn seal_as(&self, audience: &str, who: Option<Principal>) -> String {
        self.seal_on("test", audience, who)
    }

    /// An `x-identity` that the gateway would have made on a route, or for itself
    /// ([`identity::GATEWAY_ROUTE`]).
    pub fn seal_on(&self, route: &str, audience: &str, who: Option<Principal>) -> String {
        let by_itself = route.starts_with(identity::GATEWAY_ROUTE);
        self.sealed(route, audience, who, (!by_itself).then_some(CLIENT))
    }

    /// A valid `x-identity` for this app and a client of another address than 192.0.2.1, which
    /// the others come from.
    pub fn seal_from(&self, client: IpAddr, who: Option<Principal>) -> String {
        self.sealed("test", A::NAME, who, Some(client))
    }

    fn sealed(
        &self,
        route: &str,
        audience: &str,
        who: Option<Principal>,
        client: Option<IpAddr>,
    ) -> String {
        let now = self.clock.now().unix_timestamp();
        let statement = Statement {
            who,
            client,
            aud: audience.to_owned(),
            route: route.to_owned(),
            request_id: Uuid::now_v7().to_string(),
            iat: now,
            exp: now + 30,
        };
        identity::seal(&self.keys, &statement)
    }

    /// A user with roles, as the gateway knows them.
    pub fn user(user_id: Uuid, roles: &[&str]) -> Principal {
        Principal {
            sub: user_id.to_string(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Principal::default()
        }
    }

    /// A request to the app, sealed for nobody as on a public route.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(self.address, method, path).header(identity::HEADER, &self.seal(None))
    }

    /// `GET`, see [`Running::call`].
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// `POST`, see [`Running::call`].
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// A request by a user with the role `user`.
    pub fn call_as(&self, user_id: Uuid, method: &str, path: &str) -> Call {
        let seal = self.seal(Some(Self::user(user_id, &["user"])));
        Call::new(self.address, method, path).header(identity::HEADER, &seal)
    }

    /// A request of the gateway's own, by the part of it that asks.
    pub fn call_by_gateway(&self, part: &str, method: &str, path: &str) -> Call {
        let route = format!("{}{part}", identity::GATEWAY_ROUTE);
        let seal = self.seal_on(&route, A::NAME, None);
        Call::new(self.address, method, path).header(identity::HEADER, &seal)
    }

    /// A request to the private port.
    pub fn private(&self, path: &str) -> Call {
        Call::new(self.private, "GET", path)
    }

    /// The events of type `E` that the app has published and nobody here consumes, oldest first.
    ///
    /// # Panics
    ///
    /// When the app has no outbox or an event has another shape.
    pub async fn published<E: Event>(&self) -> Vec<E> {
        self.envelopes(E::TOPIC)
            .await
            .iter()
            .map(|envelope| envelope.open().expect("an event of its type"))
            .collect()
    }

    async fn envelopes(&self, topic: &str) -> Vec<Envelope> {
        let sql = format!(
            "select id, topic, key, created_at, payload from {}.outbox
            where topic = $1 and delivered_at is null order by seq",
            A::NAME
        );
        let rows: Vec<(
            Uuid,
            String,
            String,
            time::OffsetDateTime,
            serde_json::Value,
        )> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(topic)
            .fetch_all(self.pool())
            .await
            .expect("the app has an outbox");
        rows.into_iter()
            .map(|(id, topic, key, at, payload)| Envelope {
                id,
                topic,
                key,
                at,
                payload,
            })
            .collect()
    }

    /// Brings an event to the app's consumers, as a relay would; the envelope is for
    /// [`Running::redeliver`].
    pub async fn deliver<E: Event>(&self, event: &E) -> (Envelope, anyhow::Result<()>) {
        let envelope = Envelope {
            id: Uuid::now_v7(),
            topic: E::TOPIC.to_owned(),
            key: event.key(),
            at: self.clock.now(),
            payload: serde_json::to_value(event).expect("events are plain data"),
        };
        let outcome = self.redeliver(envelope.clone()).await;
        (envelope, outcome)
    }

    /// Brings the same event again.
    ///
    /// # Panics
    ///
    /// When the app has no consumer for it.
    pub async fn redeliver(&self, envelope: Envelope) -> anyhow::Result<()> {
        let mut heard = false;
        for consumer in &self.consumers {
            if consumer.topic == envelope.topic {
                heard = true;
                (consumer.handle)(envelope.clone()).await?;
            }
        }
        assert!(heard, "{} has no consumer of {}", A::NAME, envelope.topic);
        Ok(())
    }
}
