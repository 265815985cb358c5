//! What a request costs: CPU time of the process that carries it, over the requests it carried.
//!
//! A busy machine moves absolute figures by a quarter; ratios within one run hold. So every
//! contender is measured in every round, and of its rounds the cheapest counts: noise only adds.

mod cpu;
mod pki;
mod proof;
mod report;
mod stage;
mod token;
mod wrk;

use anyhow::Context;
use local::leash::Leash;

use report::Figure;
use stage::Stage;

pub(crate) use stage::{Room, gateway_binary};

/// Somebody who carries the load of a round.
struct Contender<'a> {
    name: &'static str,
    process: &'a Leash,
    url: String,
    /// Whether the requests carry tokens.
    proves_itself: bool,
}

/// Starts everybody, makes sure that the work is done, measures, and prints a table.
pub(crate) fn run(rounds: u32, seconds: u32) -> anyhow::Result<()> {
    let stage = Stage::open().context("start the contenders")?;
    proof::check(&stage).context("the work is not done, so its cost would mean nothing")?;

    let contenders = contenders(&stage);
    let mut best: Vec<Option<Figure>> = vec![None; contenders.len()];
    for contender in &contenders {
        measure(&stage, contender, 1).with_context(|| format!("warm {} up", contender.name))?;
    }
    for round in 1..=rounds {
        report::progress(&format!("round {round} of {rounds}"))?;
        for (contender, best) in contenders.iter().zip(&mut best) {
            let figure = measure(&stage, contender, seconds)
                .with_context(|| format!("measure {}", contender.name))?;
            if best.is_none_or(|so_far| figure.cpu_us < so_far.cpu_us) {
                *best = Some(figure);
            }
        }
    }
    let figures: Vec<_> = contenders
        .iter()
        .zip(best)
        .filter_map(|(it, best)| Some((it.name, best?)))
        .collect();
    report::table(&figures)
}

const PLAIN: &str = "gateway, plain pass";
const EDGE: &str = "gateway, full edge job";
const NGINX_PLAIN: &str = "nginx, plain pass";
const NGINX_TLS: &str = "nginx, TLS pass";

/// What one policy costs on top of the plain pass: a line here, a route in `routes.yaml`, and its
/// premise in `proof.rs`. Name, path, and whether requests carry tokens.
const ROWS: [(&str, &str, bool); 7] = [
    ("+ id, cors, headers", "/row/plugins", false),
    ("+ jwt, remembered", "/row/jwt", true),
    ("+ jwt, acl", "/row/acl", true),
    ("+ rate limit, local", "/row/local", false),
    ("+ rate limit, leased", "/row/leased", false),
    ("+ validation", "/row/validate?n=7", false),
    ("+ all of these", "/row/all?n=7", true),
];

fn contenders(stage: &Stage) -> Vec<Contender<'_>> {
    let ports = &stage.ports;
    let gateway = |name, url, proves_itself| Contender {
        name,
        process: &stage.gateway,
        url,
        proves_itself,
    };
    let nginx = |name, url| Contender {
        name,
        process: &stage.nginx,
        url,
        proves_itself: false,
    };
    let mut contenders = vec![
        nginx(
            NGINX_PLAIN,
            format!("http://localhost:{}/plain", ports.nginx_plain),
        ),
        gateway(
            PLAIN,
            format!("http://localhost:{}/plain", ports.gateway_plain),
            false,
        ),
        nginx(
            NGINX_TLS,
            format!("https://localhost:{}/plain", ports.nginx_tls),
        ),
        gateway(
            EDGE,
            format!("https://localhost:{}/edge", ports.gateway_tls),
            true,
        ),
    ];
    let plain = ports.gateway_plain;
    contenders.extend(ROWS.map(|(name, path, proves_itself)| {
        gateway(
            name,
            format!("http://localhost:{plain}{path}"),
            proves_itself,
        )
    }));
    contenders
}

fn measure(stage: &Stage, contender: &Contender<'_>, seconds: u32) -> anyhow::Result<Figure> {
    let tokens = contender.proves_itself.then_some(stage.tokens.as_path());
    let before = cpu::spent(contender.process.pid())?;
    let load = wrk::press(&contender.url, seconds, &stage.script, tokens)?;
    let spent = cpu::spent(contender.process.pid())?.saturating_sub(before);
    Ok(Figure {
        cpu_us: spent.as_secs_f64() * 1e6 / load.requests,
        per_second: load.per_second,
    })
}
