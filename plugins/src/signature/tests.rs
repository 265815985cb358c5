use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use plugin_sdk::testing::{NoTasks, TestEnv, TestRequest, at_once, chain};
use plugin_sdk::{Chain, Facts};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

mod vectors;

/// The shared secret of RFC 9421 appendix B.1.5.
const SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

/// Where a test's clock stands.
const NOW: i64 = 1_767_225_600;

const BODY: &str = r#"{"hello": "world"}"#;
const DIGEST: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";

struct Stage {
    lent: TestEnv,
    chain: Chain,
}

impl Stage {
    fn new(name: &str) -> Self {
        Self::with(name, json!({}))
    }

    /// The name tells the tests' files apart.
    fn with(name: &str, change: Value) -> Self {
        let keys = json!({
            "hmac-1": {
                "alg": "hmac-sha256", "secret": SECRET,
                "sub": "acme", "roles": ["partner"], "scopes": ["a:read"],
            },
            "ed-1": {
                "alg": "ed25519", "sub": "beta",
                "public_key": "/RckOFqgx1tk+3jNYC+h2ZH96/drE8WO1wLqyDXp9hg=",
            },
        });
        let folder = std::env::temp_dir().join(format!("signature-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), keys.to_string()).expect("a file");
        let lent = TestEnv::new(&folder, Arc::new(NoTasks));
        let mut config = json!({ "keys": format!("$file:{name}") });
        for (key, value) in change.as_object().expect("fields") {
            config[key] = value.clone();
        }
        let chain = chain::<Plugin>(config, &lent.env).expect("builds");
        Self { lent, chain }
    }

    fn ask(&self, request: &mut TestRequest) -> (&'static str, Facts) {
        let reply = at_once(request.run(&self.chain));
        (
            reply.map_or("", |reply| reply.code()),
            request.facts.clone(),
        )
    }
}

/// A signed request in the making.
struct Signed {
    method: &'static str,
    target: &'static str,
    body: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    covered: Vec<&'static str>,
    params: String,
}

impl Signed {
    fn get() -> Self {
        Self {
            method: "GET",
            target: "/v1/wallets?a=1",
            body: None,
            headers: Vec::new(),
            covered: vec!["@method", "@authority", "@path", "@query"],
            params: format!(";created={NOW};keyid=\"hmac-1\""),
        }
    }

    fn post() -> Self {
        let mut signed = Self::get();
        signed.method = "POST";
        signed.body = Some(BODY);
        signed.headers.push(("content-digest", DIGEST));
        signed.covered.push("content-digest");
        signed
    }

    fn params(mut self, params: &str) -> Self {
        self.params = params.to_owned();
        self
    }

    /// `Signature-Input` and `Signature`, without their label: signed by hand, line by line.
    fn fields(&self) -> (String, String) {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let mut base = String::new();
        for name in &self.covered {
            let value = match *name {
                "@method" => self.method.to_owned(),
                "@authority" => "edge.test".to_owned(),
                "@path" => path.to_owned(),
                "@query" => format!("?{query}"),
                "@target-uri" => format!("http://edge.test{}", self.target),
                "@scheme" => "http".to_owned(),
                name => {
                    let of_name = self.headers.iter().filter(|header| header.0 == name);
                    let values: Vec<&str> = of_name.map(|header| header.1.trim()).collect();
                    values.join(", ")
                }
            };
            base += &format!("\"{name}\": {value}\n");
        }
        let names: Vec<String> = self
            .covered
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let input = format!("({}){}", names.join(" "), self.params);
        base += &format!("\"@signature-params\": {input}");
        let secret = STANDARD.decode(SECRET).expect("base64");
        let mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key");
        let tag = mac.chain_update(base).finalize().into_bytes();
        (input, format!(":{}:", STANDARD.encode(tag)))
    }

    fn request(&self) -> TestRequest {
        let (input, signature) = self.fields();
        self.bare()
            .header("signature-input", &format!("sig={input}"))
            .header("signature", &format!("sig={signature}"))
    }

    /// Without a signature.
    fn bare(&self) -> TestRequest {
        let mut request = TestRequest::new(self.method, self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

#[test]
fn a_signature_says_who_is_calling() {
    let stage = Stage::new("who");
    for signed in [Signed::get(), Signed::post()] {
        let (code, facts) = stage.ask(&mut signed.request());
        assert_eq!(code, "");
        let who = facts.principal.expect("somebody");
        assert_eq!(
            (who.sub.as_str(), &who.roles[0][..], &who.scopes[0][..]),
            ("acme", "partner", "a:read")
        );
        let proof = facts.proof.expect("a proof");
        assert_eq!(
            (proof.form, proof.key.as_deref()),
            (Form::Signature, Some("hmac-1"))
        );
        assert_eq!((proof.issued_at, proof.expires_at), (NOW, Some(NOW + 300)));
    }
    let mut odd = Signed::get();
    odd.headers = vec![("x-a", " one "), ("x-a", "two"), ("x-b", "")];
    odd.covered.extend(["x-b", "x-a", "@target-uri", "@scheme"]);
    assert_eq!(stage.ask(&mut odd.request()).0, "", "more may be covered");
}

#[test]
fn nobodys_and_another_keys_requests_go_on() {
    let stage = Stage::new("nobody");
    let (code, facts) = stage.ask(&mut Signed::get().bare());
    assert!(code.is_empty() && facts.principal.is_none() && !facts.unclaimed);
    let other = Signed::get().params(&format!(";created={NOW};keyid=\"hmac-2\""));
    let (code, facts) = stage.ask(&mut other.request());
    assert!(code.is_empty() && facts.principal.is_none() && facts.unclaimed);
}

#[test]
fn what_is_not_signed_can_t_be_changed() {
    let stage = Stage::new("changed");
    let (input, signature) = Signed::post().fields();
    let signed = |method: &str, target: &str, digest: &str, body: &'static str| {
        TestRequest::new(method, target)
            .header("signature-input", &format!("sig={input}"))
            .header("signature", &format!("sig={signature}"))
            .header("content-digest", digest)
            .body(body)
    };
    let other = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let target = "/v1/wallets?a=1";
    for mut changed in [
        signed("PUT", target, DIGEST, BODY),
        signed("POST", "/v1/transfers?a=1", DIGEST, BODY),
        signed("POST", "/v1/wallets?a=2", DIGEST, BODY),
        signed("POST", "/v1/wallets", DIGEST, BODY),
        signed("POST", target, DIGEST, "{}"),
        signed("POST", target, DIGEST, ""),
        signed("POST", target, other, ""),
        signed("POST", target, &format!("{DIGEST}, {other}"), BODY),
        signed("POST", target, DIGEST, BODY).header("content-digest", DIGEST),
    ] {
        let (code, facts) = stage.ask(&mut changed);
        assert_eq!(code, "invalid_signature");
        assert!(facts.principal.is_none());
    }
    // None of them has used the signature up.
    assert_eq!(stage.ask(&mut signed("POST", target, DIGEST, BODY)).0, "");
}

#[test]
fn no_changed_byte_of_a_signature_is_believed() {
    let stage = Stage::new("bytes");
    let (input, signature) = Signed::get().fields();
    for at in 0..signature.len() {
        let mut changed = signature.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        let mut request = Signed::get()
            .bare()
            .header("signature-input", &format!("sig={input}"))
            .header("signature", &format!("sig={changed}"));
        assert_eq!(stage.ask(&mut request).0, "invalid_signature", "{changed}");
    }
}

#[test]
fn every_signature_covers_what_is_asked_for() {
    let stage = Stage::with(
        "cover",
        json!({
            "cover": ["@method", "@authority", "@path", "@query", "content-digest", "x-tenant"],
        }),
    );
    let full = || {
        let mut signed = Signed::post();
        signed.headers.push(("x-tenant", "t1"));
        signed.covered.push("x-tenant");
        signed
    };
    assert_eq!(stage.ask(&mut full().request()).0, "");
    for missing in full().covered {
        let mut signed = full();
        signed.covered.retain(|name| *name != missing);
        let reply = at_once(signed.request().run(&stage.chain)).expect(missing);
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, "invalid_signature")
        );
        let wanted = r#"sig=("@method" "@authority" "@path" "@query" "content-digest" "x-tenant");created;keyid"#;
        assert_eq!(reply.headers["accept-signature"], wanted);
    }
    let mut absent = full();
    absent.headers.pop();
    assert_eq!(stage.ask(&mut absent.request()).0, "invalid_signature");
}

#[test]
fn what_reads_in_two_ways_is_refused() {
    let stage = Stage::new("ambiguous");
    let (input, signature) = Signed::get().fields();
    let good = (format!("sig={input}"), format!("sig={signature}"));
    let again = format!("sig={input}, sig={input}");
    let two = (
        format!("a={input}, b={input}"),
        format!("a={signature}, b={signature}"),
    );
    let pairs = [
        (again.as_str(), good.1.as_str()),
        (&good.0, &format!("sig={signature}, sig={signature}")),
        (&two.0, &two.1),
        (&good.0, &format!("sig2={signature}")),
        (&good.0, ""),
        ("", &good.1),
        (&good.0, "sig"),
        (&good.0, "sig=\"text\""),
        ("sig=\"text\"", &good.1),
        (&good.0.replace(";created", "; created"), &good.1),
        (&good.0.replace("\" \"", "\"  \""), &good.1),
        (&format!("{};created={NOW}", good.0), &good.1),
        ("sig=((", &good.1),
    ];
    for (input, signature) in pairs {
        let mut request = Signed::get()
            .bare()
            .header("signature-input", input)
            .header("signature", signature);
        assert_eq!(
            stage.ask(&mut request).0,
            "invalid_signature",
            "{input} {signature}"
        );
    }
    let mut twice = Signed::get().request().header("signature", &good.1);
    assert_eq!(stage.ask(&mut twice).0, "invalid_signature");
    let mut alone = Signed::get().bare().header("signature", &good.1);
    assert_eq!(stage.ask(&mut alone).0, "invalid_signature");

    for covered in [
        "@method",
        "@unknown",
        "@request-target",
        "@query-param",
        "X-A",
        "a b",
    ] {
        let mut signed = Signed::get();
        signed.covered.push(covered);
        assert_eq!(
            stage.ask(&mut signed.request()).0,
            "invalid_signature",
            "{covered}"
        );
    }
    let mut many = Signed::get();
    many.headers = vec![("x-a", "1")];
    many.covered.extend(std::iter::repeat_n("x-a", 40));
    assert_eq!(stage.ask(&mut many.request()).0, "invalid_signature");
    let (parted, signature) = Signed::get().fields();
    let parted = parted.replacen("\"@path\"", "\"@path\";req", 1);
    let mut parted = Signed::get()
        .bare()
        .header("signature-input", &format!("sig={parted}"))
        .header("signature", &format!("sig={signature}"));
    assert_eq!(stage.ask(&mut parted).0, "invalid_signature");
}

#[test]
fn a_signature_has_its_time() {
    for (created, more, good) in [
        (NOW - 330, "", true),
        (NOW - 331, "", false),
        (NOW + 30, "", true),
        (NOW + 31, "", false),
        (NOW - 10, ";expires=1767225570", true),
        (NOW - 10, ";expires=1767225569", false),
        (NOW - 331, ";expires=1767229200", false),
        (i64::MAX / 10_000_000, "", false),
        (-1, "", false),
    ] {
        let stage = Stage::new("time");
        let params = format!(";created={created};keyid=\"hmac-1\"{more}");
        let signed = Signed::get().params(&params);
        assert_eq!(
            stage.ask(&mut signed.request()).0.is_empty(),
            good,
            "{params}"
        );
    }
    let stage = Stage::new("parameters");
    for params in [
        ";keyid=\"hmac-1\"".to_owned(),
        format!(";created={NOW}"),
        format!(";created=\"{NOW}\";keyid=\"hmac-1\""),
        format!(";created={NOW}.0;keyid=\"hmac-1\""),
        format!(";created={NOW};keyid=hmac-1"),
        format!(";created={NOW};keyid=\"hmac-1\";nonce=1"),
        format!(";created={NOW};keyid=\"hmac-1\";expires=\"soon\""),
        format!(";created={NOW};keyid=\"hmac-1\";alg=\"ed25519\""),
        format!(";created={NOW};keyid=\"hmac-1\";alg=\"none\""),
        format!(";created={NOW};keyid=\"hmac-1\";alg=hmac-sha256"),
    ] {
        let signed = Signed::get().params(&params);
        assert_eq!(
            stage.ask(&mut signed.request()).0,
            "invalid_signature",
            "{params}"
        );
    }
    let named = format!(";created={NOW};keyid=\"hmac-1\";alg=\"hmac-sha256\";tag=\"t\"");
    assert_eq!(stage.ask(&mut Signed::get().params(&named).request()).0, "");
}

#[test]
fn no_request_is_taken_twice() {
    let stage = Stage::new("replay");
    assert_eq!(stage.ask(&mut Signed::post().request()).0, "");
    for seconds in [0, 1, 299, 30] {
        stage.lent.clock.advance(Duration::from_secs(seconds));
        assert_eq!(
            stage.ask(&mut Signed::post().request()).0,
            "invalid_signature"
        );
    }
    // By its nonce too, whatever else is signed with it.
    let nonce = |created: i64| {
        Signed::get().params(&format!(";created={created};keyid=\"hmac-1\";nonce=\"n\""))
    };
    let now = NOW + 330;
    assert_eq!(stage.ask(&mut nonce(now).request()).0, "");
    assert_eq!(
        stage.ask(&mut nonce(now + 1).request()).0,
        "invalid_signature"
    );

    // A reload of the table forgets nothing, whatever was edited.
    for (key, value) in [
        ("cover", json!(super::everything())),
        ("remembered", json!(7)),
        ("skew", json!("1m")),
        ("max_age", json!("1h")),
    ] {
        let config = json!({ "keys": "$file:replay", key: value });
        let reloaded = chain::<Plugin>(config, &stage.lent.env).expect("builds");
        for taken in [nonce(now), Signed::post()] {
            let reply = at_once(taken.request().run(&reloaded)).expect("a refusal");
            assert_eq!(reply.code(), "invalid_signature", "{key}");
        }
    }

    let full = Stage::with("full", json!({ "remembered": 2 }));
    assert_eq!(full.ask(&mut Signed::get().request()).0, "");
    assert_eq!(
        full.ask(&mut Signed::post().request()).0,
        "overloaded",
        "what can't be remembered"
    );
    assert_eq!(full.lent.meter.of("", "signatures_full"), 1);
}

#[test]
fn a_body_that_can_t_be_read_is_not_let_in() {
    let stage = Stage::new("long");
    let mut request = Signed::post()
        .request()
        .body(vec![b'a'; MAX_BODY_BYTES + 1]);
    let reply = at_once(request.run(&stage.chain)).expect("a refusal");
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (413, "body_too_large")
    );
    let credentials = stage.chain.links()[0].plugin.credentials();
    assert_eq!(credentials, ["signature", "signature-input"]);
}

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    let lent = Stage::new("config").lent;
    let all = ["@method", "@path", "@query", "content-digest"];
    for (change, at) in [
        (json!({ "keys": "partners.json" }), "keys"),
        (json!({ "keys": "$file:not-there.json" }), "keys"),
        (json!({ "cover": [] }), "cover"),
        (json!({ "cover": &all[..3] }), "cover"),
        (json!({ "cover": &all[1..] }), "cover"),
        (
            json!({ "cover": [all[0], all[1], all[2], all[3], "@status"] }),
            "cover.4",
        ),
        (
            json!({ "cover": ["Date", all[0], all[1], all[2], all[3]] }),
            "cover.0",
        ),
        (json!({ "max_age": "2h" }), "max_age"),
        (json!({ "max_age": "10ms" }), "max_age"),
        (json!({ "skew": "3m" }), "skew"),
        (json!({ "remembered": 0 }), "remembered"),
    ] {
        let mut config = json!({ "keys": "$file:config" });
        for (key, value) in change.as_object().expect("fields") {
            config[key] = value.clone();
        }
        let error = chain::<Plugin>(config, &lent.env).err().expect(at);
        assert_eq!(error.at.join("."), at, "{error}");
    }
}

#[test]
fn a_file_of_keys_is_refused_without_showing_them() {
    let short = STANDARD.encode([7; 31]);
    for bad in [
        "".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({ "k": SECRET }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": short, "sub": "a" } }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": "%%", "sub": "a" } }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": SECRET, "sub": "" } }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": SECRET } }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": SECRET, "sub": "a", "x": 1 } }).to_string(),
        json!({ "k": { "alg": "hmac-sha256", "secret": [SECRET], "sub": "a" } }).to_string(),
        json!({ "k": { "alg": "hmac-sha1", "secret": SECRET, "sub": "a" } }).to_string(),
        json!({ "k": { "alg": "ed25519", "secret": SECRET, "sub": "a" } }).to_string(),
        json!({ "k": { "alg": "ed25519", "public_key": SECRET, "sub": "a" } }).to_string(),
        // The identity: any message has a signature that holds under it.
        json!({ "k": { "alg": "ed25519", "sub": "a",
            "public_key": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" } })
        .to_string(),
        format!(r#"{{"k":{{"alg":"hmac-sha256","secret":"{SECRET}","sub":"a","sub":"b"}}}}"#),
    ] {
        let message = Keys::parse(bad.as_bytes()).err().expect(&bad);
        assert!(
            !message.contains(&SECRET[..20]) && !message.contains(&short),
            "{message}"
        );
    }
}
