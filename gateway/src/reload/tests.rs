use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::check::tests::GOOD;
use crate::env;
use crate::testing::Folder;

fn start(folder: &Folder, config: &str) -> Watch {
    let config = folder.path(config);
    let env = env::inert(&config);
    let loaded = plan::load(&config, plugins::BUILTIN, &env)
        .map_err(|refused| refused.findings.to_string())
        .expect("a good table");
    Watch::new(config, plugins::BUILTIN, env, &loaded)
}

async fn next(watch: &mut Watch) -> Result<usize, String> {
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, watch.changed())
        .await
        .expect("the edit is seen");
    let loaded = watch.load().await;
    loaded
        .map(|loaded| loaded.plan.routes.len())
        .map_err(|refused| refused.findings.to_string())
}

fn without_rates() -> String {
    let start = GOOD.find("  - id: rates.list").expect("a route");
    let end = GOOD.find("  - id: me.read").expect("a route");
    format!("{}{}", &GOOD[..start], &GOOD[end..])
}

#[tokio::test]
async fn an_edit_is_taken_and_a_bad_one_is_not() {
    let folder = Folder::new();
    folder.write("routes.yaml", GOOD);
    let mut watch = start(&folder, "routes.yaml");
    folder.write("routes.yaml", &without_rates());
    assert_eq!(next(&mut watch).await, Ok(2));
    folder.write("routes.yaml", &GOOD.replace("to: users", "to: nowhere"));
    let refusal = next(&mut watch).await.expect_err("an unknown upstream");
    assert!(refusal.contains("upstream"), "{refusal}");
    // An editor writes beside and renames.
    fs::rename(
        folder.write("routes.yaml~", GOOD),
        folder.path("routes.yaml"),
    )
    .expect("a rename");
    assert_eq!(next(&mut watch).await, Ok(3));
}

#[tokio::test]
async fn what_the_table_names_is_watched_too() {
    let folder = Folder::new();
    folder.write("routes.yaml", GOOD);
    let mut watch = start(&folder, "routes.yaml");
    let key = fs::read_to_string(folder.path("identity.key")).expect("a key");
    fs::remove_file(folder.path("identity.key")).expect("a removal");
    let refusal = next(&mut watch).await.expect_err("no key");
    assert!(refusal.contains("identity.key"), "{refusal}");
    // What was missing is looked for, although no good table ever named it.
    folder.write("identity.key", &key);
    assert_eq!(next(&mut watch).await, Ok(3));
}

#[tokio::test]
async fn swapped_links_are_an_edit() {
    let folder = Folder::new();
    for name in ["edge.pem", "edge.key", "identity.key", "openapi.json"] {
        for version in ["v1", "v2"] {
            let text = fs::read_to_string(folder.path(name)).expect("a file");
            folder.write(&format!("{version}/{name}"), &text);
        }
    }
    folder.write("v1/routes.yaml", GOOD);
    folder.write("v2/routes.yaml", &without_rates());
    symlink("v1", folder.path("data")).expect("a link");
    let mut watch = start(&folder, "data/routes.yaml");
    symlink("v2", folder.path("data~")).expect("a link");
    fs::rename(folder.path("data~"), folder.path("data")).expect("a swap");
    assert_eq!(next(&mut watch).await, Ok(2));
}

#[tokio::test]
async fn included_files_come_and_go() {
    let folder = Folder::new();
    let (start, end) = (
        GOOD.find("  - id: rates.list").expect("a route"),
        GOOD.find("  - id: me.read").expect("a route"),
    );
    let include = without_rates().replace("version: 1", "version: 1\ninclude: [routes.d/*.yaml]");
    let rates = format!("routes:\n{}", &GOOD[start..end]);
    folder.write("routes.d/rates.yaml", &rates);
    folder.write("routes.yaml", &include);
    let mut watch = self::start(&folder, "routes.yaml");
    // An edit of it, a new one beside it, and one less.
    folder.write(
        "routes.d/rates.yaml",
        &rates.replace("id: rates.list", "id: rates.all"),
    );
    assert_eq!(next(&mut watch).await, Ok(3));
    let other = rates
        .replace("rates.list", "other")
        .replace("/v1/rates", "/v1/other");
    folder.write("routes.d/other.yaml", &other);
    assert_eq!(next(&mut watch).await, Ok(4));
    fs::remove_file(folder.path("routes.d/rates.yaml")).expect("a removal");
    assert_eq!(next(&mut watch).await, Ok(3));
    folder.write("routes.d/bad.yaml", "routes: [");
    let refusal = next(&mut watch).await.expect_err("no YAML");
    assert!(refusal.contains("routes.d/bad.yaml:1:"), "{refusal}");
    fs::remove_file(folder.path("routes.d/bad.yaml")).expect("a removal");
    assert_eq!(next(&mut watch).await, Ok(3));
}

/// Whether an edit is taken at once, which is within a second.
async fn at_once(watch: &mut Watch) -> bool {
    let soon = Duration::from_secs(1);
    tokio::time::timeout(soon, watch.changed()).await.is_ok()
}

/// Security case 40: a writer truncates the file, writes some of it and stalls.
#[tokio::test]
async fn gateway_40_a_half_written_table_is_not_taken_easily() {
    let folder = Folder::new();
    let marked = format!("{GOOD}...\n");
    folder.write("routes.yaml", &marked);
    let mut watch = start(&folder, "routes.yaml");
    // Good as far as it goes, but its last line has no end.
    let whole = without_rates() + "...\n";
    let tests = whole.find("tests:\n").expect("tests");
    folder.write("routes.yaml", whole[..tests].trim_end());
    assert!(!at_once(&mut watch).await, "half a line was taken");
    // The line has its end now, and the table does not: the mark is not there.
    folder.write("routes.yaml", &whole[..tests]);
    assert!(!at_once(&mut watch).await, "half a table was taken");
    let refused = watch.load().await.err().expect("half a table");
    let said = refused.findings.to_string();
    assert!(said.contains("error[file.cut]"), "{said}");
    folder.write("routes.yaml", &whole);
    assert_eq!(next(&mut watch).await, Ok(2));
}

#[test]
fn what_is_being_written_is_left_alone() {
    let (short, long) = (PAUSE, CUT);
    for (judged, now, cut, still, taken) in [
        ("whole", "whole", false, long, false),
        ("whole", "more", false, Duration::ZERO, false),
        ("whole", "more", false, short, true),
        ("whole", "half", true, short, false),
        ("whole", "half", true, long, true),
    ] {
        let look = Look {
            version: now.into(),
            cut,
        };
        let told = lies_still(judged, &look, still);
        assert_eq!(told, taken, "{judged} {now} {cut} {still:?}");
    }
}

#[test]
fn a_mark_is_a_line_of_its_own() {
    for (text, mark) in [
        ("a: 1\n...\n", true),
        ("a: 1\n...", true),
        ("a: 1\n...\n\n", true),
        ("a: 1...\n", false),
        ("a: 1\n", false),
        ("", false),
    ] {
        assert_eq!(ends_with_mark(text.as_bytes()), mark, "{text:?}");
    }
}
