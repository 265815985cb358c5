//! The published keys.

use crate::stage::Stage;

#[tokio::test]
async fn the_keys_are_the_same_behind_the_edge_and_on_the_private_port() {
    let stage = Stage::start().await;
    let public = stage.get("/.well-known/jwks.json").await;
    let private = stage.get_private("/.well-known/jwks.json").await;

    assert_eq!(public.status, 200);
    assert_eq!(public.header("cache-control"), "public, max-age=300");
    assert_eq!(public.header("content-type"), "application/json");
    assert_eq!(
        (public.body.clone(), public.header("etag")),
        (private.body.clone(), private.header("etag"))
    );

    let keys = public.body["keys"].as_array().expect("a list");
    assert_eq!(
        keys.len(),
        2,
        "the key that signs, and one that is announced"
    );
    for key in keys {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"]),
            (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into())
        );
        assert!(key.get("d").is_none(), "a private half");
    }
}

#[tokio::test]
async fn who_knows_the_keys_is_not_sent_them_again() {
    let stage = Stage::start().await;
    let etag = stage
        .get("/.well-known/jwks.json")
        .await
        .header("etag")
        .to_owned();
    let answer = stage
        .get_if_none_match("/.well-known/jwks.json", &etag)
        .await;
    assert_eq!((answer.status, answer.header("etag")), (304, etag.as_str()));
    let answer = stage
        .get_if_none_match("/.well-known/jwks.json", "\"another\"")
        .await;
    assert_eq!(answer.status, 200);
}
