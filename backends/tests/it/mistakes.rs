//! Mistakes in the configuration: all at once, each with its place.

use expect_test::expect;

use crate::stage::Stage;

#[tokio::test]
async fn every_mistake_is_told_with_its_place_and_a_hint() {
    let stage = Stage::new().await;
    stage.write("short.key", "0a0a");
    stage.write(
        "backend.yaml",
        r#"private_bind: "localhost:9441"
identity_keys: "$file:short.key"
cursor_key: "1b2b3b4b"
redis: "$file:short.key"
privat: true
pool: { max_connections: 2 }
apps:
  user: {}
  users:
    bnd: "127.0.0.1:9081"
  transactions:
    bind: "127.0.0.1:9081"
    database: "$env:NO_SUCH_VARIABLE"
    settings: {}
"#,
    );
    let told = expect![[r#"
        error: `localhost:9441` is no address
          --> backend.yaml:1:15
              hint: expected IP:PORT such as "127.0.0.1:9081"
        error: the identity keys are not good: line 1: expected 64 hex digits (`openssl rand -hex 32`)
          --> backend.yaml:2:16
        error: a secret stands in the file itself
          --> backend.yaml:3:13
              hint: write "$file:PATH" or "$env:NAME" and keep it there
        error: not an address of Redis
          --> backend.yaml:4:8
              hint: expected redis://:password@host:port
        error: unknown key `privat`
          --> backend.yaml:5:1
              hint: expected one of: private_bind, identity_keys, cursor_key, redis, pool, apps
        error: max_connections is out of range
          --> backend.yaml:6:26
              hint: expected 8 to 1000
        error: unknown app `user`
          --> backend.yaml:8:3
              hint: did you mean `users`?
        error: unknown key `bnd`
          --> backend.yaml:10:5
              hint: did you mean `bind`?
        error: the environment variable NO_SUCH_VARIABLE, which holds the secret, is not set
          --> backend.yaml:13:15
              hint: set it, or write "$file:PATH"
    "#]];
    for verb in [&["check"][..], &["run"], &["migrate"], &["doctor"]] {
        let output = stage.verb(verb);
        assert_eq!(output.status.code(), Some(2), "{verb:?}");
        told.assert_eq(&String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn an_apps_own_settings_are_checked_as_closely() {
    let stage = Stage::new().await;
    stage.write(
        "backend.yaml",
        &stage.config().replace("audience:", "audiense:"),
    );
    expect![[r#"
        error: unknown key `audiense`
          --> backend.yaml:10:7
              hint: did you mean `audience`?
    "#]]
    .assert_eq(&stage.check());
    stage.write(
        "backend.yaml",
        &stage.config().replace("$file:refresh.key", "hush"),
    );
    expect![[r#"
        error: a secret stands in the file itself
          --> backend.yaml:11:20
              hint: write "$file:PATH" or "$env:NAME" and keep it there
    "#]]
    .assert_eq(&stage.check());
    stage.write(
        "backend.yaml",
        &stage.config().replace("$file:refresh.key", "$file:no.key"),
    );
    expect![[r#"
        error: cannot read the secret in no.key: No such file or directory (os error 2)
          --> backend.yaml:11:20
              hint: a path is relative to this file
    "#]]
    .assert_eq(&stage.check());
    stage.write("backend.yaml", "apps: [\n");
    expect![[r#"
        error: unclosed bracket '['
          --> backend.yaml:1:7
              hint: up to here it was YAML that could be read
    "#]]
    .assert_eq(&stage.check());
    stage.write("backend.yaml", "");
    expect![[r#"
        error: unexpected end of input
          --> backend.yaml:1:1
              hint: up to here it was YAML that could be read
    "#]]
    .assert_eq(&stage.check());
}

#[tokio::test]
async fn what_an_app_makes_of_its_settings_is_told_at_its_place() {
    let stage = Stage::new().await;
    let written = stage.config()
        + r#"  notifications:
    bind: "127.0.0.1:0"
    database: "$env:DATABASE_URL"
    settings:
      smtp: "smtp://127.0.0.1:25"
      from: "Vorota <no-reply@localhost>"
      base_url: "nowhere"
"#;
    stage.write("backend.yaml", &written);
    for verb in [&["check"][..], &["run"]] {
        let output = stage.verb(verb);
        assert_eq!(output.status.code(), Some(2), "{verb:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        let expected = "error: notifications cannot be built: reading `base_url`";
        assert!(told.starts_with(expected), "{told}");
        assert!(told.contains("\n  --> backend.yaml:17:3\n"), "{told}");
    }
}

#[tokio::test]
async fn a_good_one_is_said_to_be_good() {
    let stage = Stage::new().await;
    let output = stage.verb(&["check"]);
    let (apps, private) = (stage.apps, stage.private);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("good: users, transactions on {apps}; private port {private}\n")
    );
    assert!(output.status.success());
    let output = stage.verb(&["run", "user"]);
    expect![[r#"
        error: the file has no app `user`
          --> backend.yaml
              hint: did you mean `users`?
    "#]]
    .assert_eq(&String::from_utf8_lossy(&output.stderr));
}
