use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugin_sdk::{Chain, Env, Registry};
use sha2::{Digest, Sha256};

use super::routes::Names;
use super::source::Source;
use super::{Plan, caches, cases, identity, listeners, plugins, routes, shape, upstreams};
use crate::finding::{Finding, Findings, Place};
use crate::table::document::Document;
use crate::table::{Defaults, Reference, Size, suggest};

/// A longer table than this is refused unread, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Of a file that the table names, only this much counts, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_HEADER: Size = Size(32 << 10);
/// Browsers need some; of all streams of one HTTP/2 connection no more is kept.
const HEADER_BOUNDS: RangeInclusive<Size> = Size(1 << 10)..=Size(64 << 10);
const CONNECT_RETRIES: u32 = 1;

/// The top-level keys.
const KEYS: [&str; 13] = [
    "version",
    "defaults",
    "listeners",
    "management",
    "identity",
    "redis",
    "upstreams",
    "auth",
    "limits",
    "caches",
    "plugins",
    "routes",
    "tests",
];

/// A route table that was taken.
pub struct Loaded {
    /// What decides.
    pub plan: Plan,
    /// What should be looked at all the same.
    pub warnings: Findings,
    /// Every file that it was made of.
    pub files: Vec<PathBuf>,
}

/// A route table that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why, and the warnings beside.
    pub findings: Findings,
    /// Every file that it would have been made of, as far as that could be told.
    pub files: Vec<PathBuf>,
}

/// Reads and compiles a route table and runs its own tests. All faults are gathered first.
pub fn load(path: &Path, kinds: Registry, env: &Env) -> Result<Loaded, Refused> {
    let mut findings = Findings::default();
    let document =
        read(path, &mut findings).and_then(|text| Document::parse(path, &text, &mut findings));
    let Some(document) = document else {
        return Err(Refused {
            findings,
            files: vec![path.to_owned()],
        });
    };
    let mut source = Source::new(&document, kinds, env, findings);
    source.files.insert(path.to_owned());
    let plan = compile(&mut source);
    let files: Vec<PathBuf> = source.files.iter().cloned().collect();
    match plan {
        Some(mut plan) if !source.findings.refuse() => {
            plan.version = version(&files);
            Ok(Loaded {
                plan,
                warnings: source.findings,
                files,
            })
        }
        _ => Err(Refused {
            findings: source.findings,
            files,
        }),
    }
}

fn read(path: &Path, findings: &mut Findings) -> Option<String> {
    let refuse = |message: String| {
        let place = Place {
            file: path.into(),
            line: 1,
            column: 1,
        };
        Finding::error("file", place, message)
    };
    let text = match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            Err(format!("is longer than {}", Size(MAX_BYTES)))
        }
        _ => std::fs::read_to_string(path).map_err(|error| format!("can't be read: {error}")),
    };
    text.map_err(|fault| findings.push(refuse(format!("the route table {fault}"))))
        .ok()
}

fn compile(source: &mut Source<'_>) -> Option<Plan> {
    refuse_unknown_keys(source);
    lend_redis(source);
    let defaults = source.part("defaults");
    let defaults = match source.document.root().get("defaults") {
        Some(_) => defaults
            .read::<Defaults>(&mut source.findings)
            .unwrap_or_default(),
        None => Defaults::default(),
    };
    let max_header = max_header(source, &defaults);
    let listeners = listeners::compile(source, max_header);
    let management = listeners::management(source);
    let identity = identity::compile(source);
    let upstreams = upstreams::compile(source);
    let caches = caches::compile(source);
    let links = plugins::compile(source);
    let part = source.part("defaults");
    let default_links = source.links(
        "plugins",
        "plugins",
        &defaults.plugins,
        &links.plugins,
        &part,
    );
    let timeout = source.positive(defaults.timeout, TIMEOUT, &part, &["timeout"]);
    let connect_retries = match &defaults.retries {
        Some(retries) => shape::retries(source, &part, retries),
        None => CONNECT_RETRIES,
    };
    let names = Names {
        timeout,
        connect_retries,
        upstreams,
        caches,
        links,
        defaults,
        default_links,
    };
    let router = routes::compile(source, &names);
    source.warn_of_unused();
    let plan = (|| {
        let router = router?;
        Some(Plan {
            version: String::new(),
            listeners,
            management: management?,
            identity: identity?,
            routes: router
                .rules()
                .iter()
                .map(|(_, route)| (route.id.clone(), route.clone()))
                .collect(),
            router,
            default_chain: Chain::new(names.default_links),
            upstreams: names.upstreams,
        })
    })();
    cases::run(source, plan.as_ref());
    plan
}

fn max_header(source: &mut Source<'_>, defaults: &Defaults) -> usize {
    let size = defaults.max_header.unwrap_or(MAX_HEADER);
    if !HEADER_BOUNDS.contains(&size) {
        let message = format!("takes heads of up to {size}");
        let finding = source
            .part("defaults")
            .error("max_header", &["max_header"], message);
        let (least, most) = (HEADER_BOUNDS.start(), HEADER_BOUNDS.end());
        source
            .findings
            .push(finding.hint(format!("between `{least}` and `{most}`")));
    }
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn refuse_unknown_keys(source: &mut Source<'_>) {
    let root = source.document.root();
    for key in root.keys().filter(|key| !KEYS.contains(key)) {
        let place = source.document.place_of_key(&[key]);
        let finding = Finding::error(
            "key.unknown",
            place,
            format!("the table has no key `{key}`"),
        );
        source.findings.push(finding.hint(suggest::hint(key, KEYS)));
    }
    let version = root.get("version").map(|node| node.to_json());
    if version.as_ref().and_then(serde_json::Value::as_u64) != Some(1) {
        let message = "must be 1: this gateway knows no other shape of the table";
        let finding = source.part("version").error("unknown", &[], message);
        source
            .findings
            .push(finding.hint("write `version: 1` on the first line"));
    }
}

/// Lends plugins the Redis that the table names. Without it they count for themselves, and say so.
fn lend_redis(source: &mut Source<'_>) {
    if source.document.root().get("redis").is_none() {
        return;
    }
    let part = source.part("redis");
    let Some(reference) = part.read::<Reference>(&mut source.findings) else {
        return;
    };
    if let Reference::File(path) = &reference
        && !source.file(path, &part, &[])
    {
        return;
    }
    match reference.read(&source.env) {
        Ok(url) => source.env.redis = Some(url.trim().into()),
        Err(error) => {
            let finding = part.warning("unset", &[], format!("is not to be had: {error}"));
            let hint = "limits of the cluster follow their `on_outage`";
            source.findings.push(finding.hint(hint));
        }
    }
}

/// Names the contents of files: the first 12 hex digits of a SHA-256. Reading stops where no good
/// file ends.
pub(crate) fn version(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let mut contents = Vec::new();
        // What can't be read is told apart from what is empty.
        let read =
            File::open(file).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut contents));
        hash.update([u8::from(read.is_ok())]);
        hash.update(contents);
    }
    hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
