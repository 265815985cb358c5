use expect_test::{Expect, expect};

use super::{Folder, GOOD, said, spoilt};

/// What is said when beside the table lie further certificates: `also.pem` for `localhost` too,
/// `mute.pem` for no name, `over.pem` that has expired, each with its key.
fn beside(what: &str, with: &str, expected: Expect) {
    assert!(GOOD.contains(what), "the good table has no {what}");
    let folder = Folder::new();
    for (file, names, year) in [
        ("also", &["localhost", "also.test"][..], 4000),
        ("mute", &[], 4000),
        ("over", &["over.test"], 2001),
    ] {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        folder.write(&format!("{file}.pem"), &made.pem());
        folder.write(&format!("{file}.key"), &key.serialize_pem());
    }
    let path = folder.write("routes.yaml", &GOOD.replacen(what, with, 1));
    expected.assert_eq(&said(&folder, &path));
}

#[test]
fn certificates() {
    let tls = "{ cert: edge.pem, key: edge.key }";
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, more: [{ cert: also.pem, key: also.key }] }",
        expect![[r#"
            error[listener.certificate.twice]: listener "edge" has two certificates for `localhost`: `edge.pem` comes first
              --> routes.yaml:3:88      hint: take the name out of one of them: which one is shown must be plain
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, more: [{ cert: edge.pem, key: edge.key }] }",
        expect![[r#"
            error[listener.certificate.twice]: listener "edge" names the certificate `edge.pem` twice
              --> routes.yaml:3:88
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, more: [{ cert: mute.pem, key: mute.key }, { cert: over.pem, key: over.key }] }",
        expect![[r#"
            warning[listener.certificate.nameless]: listener "edge" shows `mute.pem`, which proves no name
              --> routes.yaml:3:88      hint: browsers look for a subjectAltName and nowhere else
            warning[listener.certificate.expired]: listener "edge" shows `over.pem`, which has expired
              --> routes.yaml:3:123      hint: no client takes it
            routes.yaml: good (3 routes, 2 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, more: [{ cert: also.pem, key: edge.key }, { cert: gone.pem, key: edge.key }] }",
        expect![[r#"
            error[listener.certificate]: listener "edge" has no good certificate: also.pem and edge.key can't serve together: keys may not be consistent: KeyMismatch
              --> routes.yaml:3:80
            error[listener.file]: listener "edge" names `gone.pem`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:3:123
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, min: 1.3 }",
        expect![[r#"
            error[listener.value]: listener "edge", `tls.min`: invalid type: floating point `1.3`, expected `"1.2"` or `"1.3"`, in quotes
              --> routes.yaml:3:78
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, min: \"1.1\" }",
        expect![[r#"
            error[listener.value]: listener "edge", `tls.min`: invalid value: string "1.1", expected `"1.2"` or `"1.3"`, in quotes
              --> routes.yaml:3:78
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn clients() {
    let tls = "{ cert: edge.pem, key: edge.key }";
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, clients: { ca: also.pem, required: true } }",
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, clients: { ca: also.key } }",
        expect![[r#"
            error[listener.clients]: listener "edge" can't judge its clients' certificates: also.key can't be read: it holds no certificate
              --> routes.yaml:3:82
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, clients: { ca: also.pem, crl: also.pem } }",
        expect![[r#"
            error[listener.clients]: listener "edge" can't judge its clients' certificates: also.pem can't be read: it holds no revocation list
              --> routes.yaml:3:82
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    beside(
        tls,
        "{ cert: edge.pem, key: edge.key, clients: { ca: gone.pem, crl: gone.crl } }",
        expect![[r#"
            error[listener.file]: listener "edge" names `gone.pem`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:3:88
            error[listener.file]: listener "edge" names `gone.crl`, which can't be read: No such file or directory (os error 2)
              --> routes.yaml:3:103
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn arrivals() {
    spoilt(
        "edge: {",
        "edge: { redirect: https,",
        expect![[r#"
        error[listener.redirect]: listener "edge" is encrypted and would send its clients to where they are
          --> routes.yaml:3:21      hint: a listener that sends its clients on has no `tls`
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    spoilt(
        "edge: {",
        "edge: { redirect: http,",
        expect![[r#"
        error[listener.value]: listener "edge", `redirect`: invalid value: string "http", expected `https`, or `https:8443` with a port
          --> routes.yaml:3:21
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
    spoilt(
        "edge: {",
        "edge: { proxy_protocol: required,",
        expect![[r#"
            error[listener.proxy_protocol]: listener "edge" takes PROXY headers from nobody: nobody could connect
              --> routes.yaml:3:27      hint: name the balancer's network: `trusted_proxies: [10.0.0.0/8]`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "edge: {",
        "edge: { proxy_protocol: v2, trusted_proxies: [10.0.0.0/8],",
        expect![[r#"
            error[listener.value]: listener "edge", `proxy_protocol`: unknown variant `v2`, expected `required`
              --> routes.yaml:3:27      hint: there is: required
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        "\"127.0.0.1:9440\"",
        "\"127.0.0.1:9440\", hosts: [gateway.internal, \"gateway:9440\", \"a b\"]",
        expect![[r#"
            error[management.host]: `management` can't be asked as `gateway:9440`, which is no host
              --> routes.yaml:4:65      hint: write it without port: `gateway.internal`
            error[management.host]: `management` can't be asked as `a b`, which is no host
              --> routes.yaml:4:81      hint: write it without port: `gateway.internal`
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn upstreams() {
    let targets = "[\"http://127.0.0.1:9081\"]";
    spoilt(
        targets,
        "[\"http://127.0.0.1:9081\"], tls: { ca: edge.pem }",
        expect![[r#"
            error[upstream.tls.unused]: upstream "users" has `tls` and is spoken to in plain HTTP
              --> routes.yaml:7:53      hint: write its targets as `https://host:port`
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    let encrypted = "[\"https://127.0.0.1:9081\"]";
    spoilt(
        targets,
        &format!("{encrypted}, http: h2, tls: {{ ca: edge.pem, cert: edge.pem, key: edge.key }}"),
        expect![[r#"
            routes.yaml: good (3 routes, 0 warnings)
        "#]],
    );
    spoilt(
        targets,
        &format!("{encrypted}, tls: {{ ca: edge.pem, cert: edge.pem }}"),
        expect![[r#"
            error[upstream.certificate.half]: upstream "users" names a `cert` and no `key`
              --> routes.yaml:7:76      hint: add `key`, or leave both out
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        targets,
        &format!("{encrypted}, tls: {{ ca: edge.key, server_name: \"a:443\" }}"),
        expect![[r#"
            error[upstream.server_name]: upstream "users" can't be proven to be `a:443`
              --> routes.yaml:7:83      hint: write a host, `users.internal`, without port
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        targets,
        &format!("{encrypted}, tls: {{ ca: edge.key }}"),
        expect![[r#"
            error[upstream.certificate]: upstream "users" has no good certificate: edge.key can't be read: it holds no certificate
              --> routes.yaml:7:54
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
    spoilt(
        targets,
        &format!("{encrypted}, http: h3, tls: {{ ca: edge.pem, insecure: true }}"),
        expect![[r#"
            error[upstream.value]: upstream "users", `http`: unknown variant `h3`, expected `h1` or `h2`
              --> routes.yaml:7:55      hint: did you mean `h1`?
            error[upstream.key.unknown]: upstream "users" has no key `insecure`
              --> routes.yaml:7:80      hint: there is: ca, cert, key, server_name
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
    spoilt(
        targets,
        "[\"https://users\"]",
        expect![[r#"
        error[upstream.target]: upstream "users" can't reach `https://users`
          --> routes.yaml:7:22      hint: say its port: `https://host:port`
        routes.yaml: refused (1 error, 0 warnings)
    "#]],
    );
}

#[test]
fn websockets_need_http_1() {
    let table = GOOD
        .replacen(
            "[\"http://127.0.0.1:9081\"]",
            "[\"http://127.0.0.1:9081\"], http: h2",
            1,
        )
        .replacen(
            "    auth: user\n",
            "    auth: user\n    websocket: true\n",
            1,
        );
    expect![[r#"
        error[route.websocket]: route "me.read" lets WebSockets through to `users`, which is spoken to in HTTP/2
          --> routes.yaml:42:16      hint: they need an upstream in HTTP/1.1: leave its `http` out
        routes.yaml: refused (1 error, 0 warnings)
    "#]].assert_eq(&super::check(&table));
}
