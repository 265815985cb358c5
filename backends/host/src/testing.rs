//! Starts an app on port 0 with a database of its own: for the apps' black-box tests.
//!
//! ```text
//! let users = Running::<Users>::start(config).await;
//! let answer = users.post("/v1/auth/login").json(&json!({ .. })).send().await;
//! assert_eq!(answer.status, 200);
//! users.stop().await;
//! ```

mod call;
mod running;

pub use call::{Answer, Call};
pub use running::Running;
