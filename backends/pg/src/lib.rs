//! PostgreSQL for the apps: pools, schemas, outbox, a database per test.
