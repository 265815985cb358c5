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

#[test]
fn what_is_being_written_is_left_alone() {
    for (judged, before, now, still) in [
        ("whole", "whole", "whole", false),
        ("whole", "whole", "half", false),
        ("whole", "half", "more", false),
        ("whole", "more", "more", true),
        ("whole", "half", "whole", false),
    ] {
        assert_eq!(
            lies_still(judged, before, now),
            still,
            "{judged} {before} {now}"
        );
    }
}
