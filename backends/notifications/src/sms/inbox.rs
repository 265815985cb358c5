//! Texts on a developer's machine: the inbox for mail shows them too. Nobody's phone rings, and
//! nothing leaves the machine.

use anyhow::{Context, ensure};
use futures::{FutureExt, future::BoxFuture};
use url::Url;
use uuid::Uuid;

use super::Provider;
use crate::{letter, number::Number, post::Post, refusal::Refusal};

pub(super) struct Inbox(Post);

impl Inbox {
    pub(super) fn new(smtp: &str, from: &str) -> anyhow::Result<Self> {
        let url = Url::parse(smtp).context("reading `inbox`: write smtp://127.0.0.1:PORT")?;
        ensure!(
            url.scheme() == "smtp" && letter::is_loopback(&url),
            "`inbox` is for development: write smtp:// and an address of this very machine"
        );
        Post::to(smtp, None, from).map(Self)
    }
}

impl Provider for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn send<'a>(
        &'a self,
        id: Uuid,
        to: &'a Number,
        text: &'a str,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        async move {
            let address = format!("{}@sms.localhost", to.as_str());
            self.0.send_text(id, &address, text).await
        }
        .boxed()
    }
}
