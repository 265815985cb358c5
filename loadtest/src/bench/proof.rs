//! Before anything is measured: is the work done whose cost is asked for?

use std::{future::Future, time::Duration};

use anyhow::{Context, ensure};
use reqwest::{Client, Response};

use crate::bench::{
    stage::{Room, Stage},
    token::{Issuer, user_id},
};

/// A user of the proof alone: the limit is met by nobody else.
const USER: u32 = 7;

pub(crate) fn check(stage: &Stage) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(all(stage))
}

async fn all(stage: &Stage) -> anyhow::Result<()> {
    let client = client(&stage.room)?;
    let ports = &stage.ports;
    for (scheme, port) in [
        ("http", ports.nginx_plain),
        ("https", ports.nginx_tls),
        ("http", ports.gateway_plain),
    ] {
        let answer = client
            .get(format!("{scheme}://localhost:{port}/plain"))
            .send()
            .await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(
            status == 200 && body.len() == 100,
            "port {port} passes on {status} and {body:?}"
        );
    }

    let edge = |path: &str| client.get(format!("https://localhost:{}{path}", ports.gateway_tls));
    let token = stage.issuer.token(USER);
    expect(401, "no token", edge("/edge").send()).await?;
    expect(
        401,
        "a stranger's token",
        edge("/edge").bearer_auth(Issuer::new(2).token(USER)).send(),
    )
    .await?;
    expect(
        200,
        "a good token",
        edge("/edge").bearer_auth(&token).send(),
    )
    .await?;

    let who = edge("/who")
        .bearer_auth(&token)
        .header("x-user-id", "mallory")
        .header("x-identity", "forged");
    let who = expect(200, "a forged identity", who.send())
        .await?
        .text()
        .await?;
    let (user, seal) = who.split_once(' ').unwrap_or_default();
    ensure!(
        user == user_id(USER) && seal.len() > 40,
        "the origin was told {who:?}"
    );

    for _ in 0..2 {
        expect(
            200,
            "a call within the limit",
            edge("/limited").bearer_auth(&token).send(),
        )
        .await?;
    }
    expect(
        429,
        "a call over the limit",
        edge("/limited").bearer_auth(&token).send(),
    )
    .await?;

    rows(&client, stage).await?;

    // The record leaves by a queue, so it may come a moment later.
    for _ in 0..100 {
        if stage.log("gateway.log").contains("\"limited\"") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!(
        "no access record was written:\n{}",
        stage.log("gateway.log")
    )
}

/// Each policy is there, and does what it costs.
async fn rows(client: &Client, stage: &Stage) -> anyhow::Result<()> {
    let token = stage.issuer.token(USER);
    let row = |path: &str| {
        let port = stage.ports.gateway_plain;
        client.get(format!("http://localhost:{port}/row/{path}"))
    };
    for path in ["jwt", "acl", "all"] {
        expect(401, path, row(path).send()).await?;
    }
    let stranger = row("acl/proof").bearer_auth(&token).send();
    expect(403, "another role", stranger).await?;
    for path in ["validate?n=x", "all?n=x"] {
        let asked = row(path).bearer_auth(&token).send();
        expect(400, "a query that does not fit", asked).await?;
    }
    for (path, headers) in [
        ("plugins", &["x-request-id", "referrer-policy"][..]),
        ("local", &["ratelimit"]),
        ("leased", &["ratelimit"]),
        ("all?n=7", &["x-request-id", "referrer-policy", "ratelimit"]),
    ] {
        let answer = expect(200, path, row(path).bearer_auth(&token).send()).await?;
        for name in headers {
            ensure!(
                answer.headers().contains_key(*name),
                "/row/{path} is answered without {name}"
            );
        }
    }
    Ok(())
}

async fn expect(
    status: u16,
    what: &str,
    answer: impl Future<Output = reqwest::Result<Response>>,
) -> anyhow::Result<Response> {
    let answer = answer.await.with_context(|| format!("send {what}"))?;
    let said = answer.status();
    if said != status {
        let body = answer.text().await.unwrap_or_default();
        anyhow::bail!("{what} is answered with {said}, not {status}: {body}");
    }
    Ok(answer)
}

fn client(room: &Room) -> anyhow::Result<Client> {
    // Another crate of the process may have chosen it first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(room.0.join("edge.pem"))?;
    let builder = Client::builder()
        .timeout(Duration::from_secs(10))
        .no_proxy();
    Ok(builder
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .build()?)
}
