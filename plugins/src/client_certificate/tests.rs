use plugin_sdk::testing::{TestEnv, TestRequest, at_once, chain};
use plugin_sdk::{Chain, Connection, Facts};
use rcgen::{
    CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};
use serde_json::{Value, json};

use super::*;

/// The clock of a test stands at 2026-01-01.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Bytes {
    let mut authority = CertificateParams::default();
    authority
        .distinguished_name
        .push(DnType::CommonName, "Acme Clients CA");
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2025, 12, 1);
    params.not_after = date_time_ymd(2026, 2, 1);
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    Bytes::copy_from_slice(certificate.der())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("ASCII"))
}

fn ask(chain: &Chain, certificate: Option<&Bytes>) -> (Option<Box<Reply>>, Facts) {
    let mut request = TestRequest::new("GET", "/");
    request.connection = Connection {
        tls: true,
        certificate: certificate.cloned(),
        ..Connection::default()
    };
    let reply = at_once(request.run(chain));
    (reply, request.facts)
}

fn built(subjects: Value) -> Chain {
    chain::<Plugin>(json!({ "subjects": subjects }), &TestEnv::default().env).expect("builds")
}

#[test]
fn a_certificate_says_who_is_calling_by_each_kind_of_name() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![
            uri("spiffe://acme/billing"),
            dns("Billing.Acme.example"),
            SanType::Rfc822Name("ops@acme.example".try_into().expect("ASCII")),
        ];
        params.distinguished_name.push(DnType::CommonName, "Till 7");
    });
    let digest: String = Sha256::digest(&der)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let fingerprint = format!("sha256:{digest}");
    for name in [
        "spiffe://acme/billing",
        "dns:billing.acme.example",
        "email:ops@acme.example",
        "cn:Till 7",
        &fingerprint,
    ] {
        let chain =
            built(json!({ name: { "sub": "b", "roles": ["service"], "scopes": ["a:read"] } }));
        for _ in 0..2 {
            let (reply, facts) = ask(&chain, Some(&der));
            assert!(reply.is_none(), "{name}: {reply:?}");
            let who = facts.principal.expect(name);
            assert_eq!(
                (who.sub.as_str(), &who.roles[..], &who.scopes[..]),
                ("b", &["service".to_owned()][..], &["a:read".to_owned()][..])
            );
            let proof = facts.proof.expect("a proof");
            assert_eq!(
                (proof.form, proof.key.as_deref()),
                (Form::Certificate, Some(&*digest))
            );
            assert_eq!(proof.expires_at, Some(1_769_904_000), "2026-02-01");
        }
        assert!(ask(&chain, None).1.principal.is_none());
    }
}

#[test]
fn a_name_that_only_looks_alike_is_nobodys() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![uri("spiffe://acme/billing"), dns("billing.acme.example")];
        params
            .distinguished_name
            .push(DnType::CommonName, "dns:admin.acme.example");
    });
    for name in [
        "spiffe://acme/billin",
        "spiffe://acme/billing/",
        "spiffe://ACME/billing",
        "dns:acme.example",
        "dns:*.acme.example",
        "cn:billing.acme.example",
        "dns:admin.acme.example",
        "email:billing.acme.example",
        &format!("sha256:{}", "0".repeat(64)),
    ] {
        let (reply, facts) = ask(&built(json!({ name: { "sub": "x" } })), Some(&der));
        assert!(reply.is_none() && facts.principal.is_none(), "{name}");
        assert!(facts.unclaimed, "{name}: something came that nobody took");
    }
}

#[test]
fn a_certificate_is_judged_by_the_clock_of_each_request() {
    let lent = TestEnv::default();
    let config = json!({ "subjects": { "dns:a.example": { "sub": "a" } } });
    let chain = chain::<Plugin>(config, &lent.env).expect("builds");
    let early = certificate(|params| {
        params.subject_alt_names = vec![dns("a.example")];
        params.not_before = date_time_ymd(2026, 1, 2);
    });
    let (reply, facts) = ask(&chain, Some(&early));
    let reply = reply.expect("a refusal");
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (401, "invalid_certificate")
    );
    assert!(facts.principal.is_none());
    lent.clock
        .advance(std::time::Duration::from_secs(24 * 3600));
    assert!(ask(&chain, Some(&early)).1.principal.is_some());
    // The connection stays, its certificate does not.
    lent.clock
        .advance(std::time::Duration::from_secs(30 * 24 * 3600));
    assert!(
        ask(&chain, Some(&early)).0.is_none(),
        "the last second of its time"
    );
    lent.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(
        ask(&chain, Some(&early)).0.expect("a refusal").code(),
        "invalid_certificate"
    );
}

#[test]
fn what_names_two_callers_is_refused_and_two_names_of_one_are_not() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![dns("a.example"), dns("b.example")];
    });
    let two = json!({ "dns:a.example": { "sub": "a" }, "dns:b.example": { "sub": "b" } });
    let (reply, facts) = ask(&built(two), Some(&der));
    assert_eq!(reply.expect("a refusal").code(), "invalid_certificate");
    assert!(facts.principal.is_none());
    let one = json!({ "dns:a.example": { "sub": "a" }, "dns:b.example": { "sub": "a" } });
    assert!(ask(&built(one), Some(&der)).1.principal.is_some());
}

#[test]
fn a_spiffe_name_is_the_only_uri_and_a_common_name_the_only_one() {
    let two_uris = certificate(|params| {
        params.subject_alt_names = vec![uri("spiffe://acme/billing"), uri("https://acme.example/")];
    });
    let chain = built(json!({ "spiffe://acme/billing": { "sub": "b" } }));
    assert!(ask(&chain, Some(&two_uris)).1.principal.is_none());
    let chain = built(json!({ "https://acme.example/": { "sub": "b" } }));
    assert!(ask(&chain, Some(&two_uris)).1.principal.is_some());

    let torn = Bytes::copy_from_slice(&two_uris[..two_uris.len() - 1]);
    let longer = Bytes::from([&two_uris[..], b"x"].concat());
    let odd = certificate(|params| {
        // An alternative name that can't be read.
        let oid = [2, 5, 29, 17];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, vec![0x30, 0x05])];
        params.distinguished_name.push(DnType::CommonName, "x");
    });
    let chain = built(json!({ "https://acme.example/": { "sub": "b" }, "cn:x": { "sub": "x" } }));
    for bad in [&torn, &longer, &odd, &Bytes::new()] {
        let (reply, facts) = ask(&chain, Some(bad));
        assert!(reply.is_none() && facts.principal.is_none());
    }
}

#[test]
fn the_issuer_is_compared_where_it_is_named() {
    let der = certificate(|params| params.subject_alt_names = vec![dns("a.example")]);
    for (issuer, known) in [("CN=Acme Clients CA", true), ("CN=Acme Servers CA", false)] {
        let config = json!({ "subjects": { "dns:a.example": { "sub": "a" } }, "issuer": issuer });
        let chain = chain::<Plugin>(config, &TestEnv::default().env).expect("builds");
        assert_eq!(
            ask(&chain, Some(&der)).1.principal.is_some(),
            known,
            "{issuer}"
        );
    }
}

#[test]
fn a_configuration_that_can_do_no_good_is_refused() {
    for (subjects, at) in [
        (json!({}), "subjects"),
        (json!({ "billing": { "sub": "a" } }), "subjects.billing"),
        (json!({ "dns:": { "sub": "a" } }), "subjects.dns:"),
        (json!({ "sha256:12": { "sub": "a" } }), "subjects.sha256:12"),
        (json!({ "cn:a": { "sub": "" } }), "subjects.cn:a"),
        (json!({ "cn:a": { "roles": [] } }), "subjects.cn:a"),
        (
            json!({ "dns:a": { "sub": "a" }, "dns:A": { "sub": "b" } }),
            "subjects.dns:a",
        ),
    ] {
        let config = json!({ "subjects": subjects });
        let error = chain::<Plugin>(config, &TestEnv::default().env)
            .err()
            .expect(at);
        assert_eq!(error.at.join("."), at, "{error}");
    }
}
