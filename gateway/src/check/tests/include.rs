use expect_test::{Expect, expect};

use super::*;

/// What is said of a table that includes these files.
fn included(include: &str, files: &[(&str, &str)], expected: Expect) {
    let folder = Folder::new();
    let table = GOOD.replace("version: 1\n", &format!("version: 1\ninclude: {include}\n"));
    let path = folder.write("routes.yaml", &table);
    for (name, text) in files {
        folder.write(name, text);
    }
    expected.assert_eq(&said(&folder, &path));
}

const TEAM: &str = "upstreams:
  team: { targets: [\"http://127.0.0.1:9083\"] }
limits:
  team: { per: ip, rate: 5/1m }
routes:
  - id: team.list
    match: { method: GET, path: /v1/team }
    to: team
    auth: none
    why_public: a test
    limits: [team]
tests:
  - { request: GET /v1/team, expect: { route: team.list } }
";

#[test]
fn further_files_are_taken_in() {
    included(
        "[routes.d/*.yaml]",
        &[
            ("routes.d/team.yaml", TEAM),
            ("routes.d/empty.yml", "no YAML: ["),
            ("routes.d/.hidden.yaml", "no YAML: ["),
        ],
        expect![[r#"
            routes.yaml: good (4 routes, 0 warnings)
        "#]],
    );
}

#[test]
fn what_is_no_file_is_not_read() {
    included(
        "[routes.d/*]",
        &[("routes.d/folder/x.yaml", "")],
        expect![[r#"
            error[include.file]: `include` comes to `routes.d/folder`, which is no file
              --> routes.yaml:2:11
            routes.yaml: refused (1 error, 0 warnings)
        "#]],
    );
}

#[test]
fn mistakes_are_told_where_they_stand() {
    included(
        "[routes.d/*.yaml, one.yaml]",
        &[
            (
                "routes.d/team.yaml",
                &TEAM.replace("to: team", "to: nobody"),
            ),
            (
                "one.yaml",
                "listeners: {}\ninclude: [x.yaml]\nlimts: {}\nroutes: {}\n",
            ),
        ],
        expect![[r#"
            error[include.key]: an included file has no key `listeners`
              --> one.yaml:1:1      hint: there is: upstreams, auth, limits, caches, plugins, routes, tests
            error[include.key]: an included file has no key `include`
              --> one.yaml:2:1      hint: the table itself names all files
            error[include.key]: an included file has no key `limts`
              --> one.yaml:3:1      hint: did you mean `limits`?
            error[routes.value]: `routes` must be a list
              --> one.yaml:4:1
            warning[upstreams.unused]: no route uses the upstream `team`
              --> routes.d/team.yaml:2:3
            error[route.name.unknown]: route "team.list" names `nobody`, which is not in `upstreams`
              --> routes.d/team.yaml:8:9      hint: there is: users, team
            routes.yaml: refused (5 errors, 1 warning)
        "#]],
    );
}

#[test]
fn a_name_stands_in_one_file() {
    let users = "upstreams:\n  users: { targets: [\"http://127.0.0.1:9083\"] }\n";
    let twice = TEAM.replace("team.list", "rates.list");
    let tied = TEAM
        .replace("team", "other")
        .replace("path: /v1/other", "path: /v1/team");
    included(
        "[routes.d/*.yaml]",
        &[
            ("routes.d/a.yaml", users),
            ("routes.d/b.yaml", &twice),
            ("routes.d/c.yaml", &tied),
        ],
        expect![[r#"
            error[include.twice]: `users` stands in `upstreams` twice, first in routes.yaml on line 8
              --> routes.d/a.yaml:2:3
            error[route.id.twice]: route "rates.list" has the same id as the route in routes.yaml on line 33
              --> routes.d/b.yaml:6:9
            error[route.tie]: route "other.list" takes the same requests as route "rates.list" in routes.d/b.yaml on line 7
              --> routes.d/c.yaml:7:12      hint: the order in the file never counts: tell them apart by host, path, method, headers or query
            routes.yaml: refused (3 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn what_can_not_be_included() {
    included(
        "[nothing.d/*.yaml, missing.yaml]",
        &[],
        expect![[r#"
        error[file]: the included file can't be read: No such file or directory (os error 2)
          --> missing.yaml:1:1
        warning[include.empty]: `include` names `nothing.d/*.yaml`, which no file fits
          --> routes.yaml:2:11
        routes.yaml: refused (1 error, 1 warning)
    "#]],
    );
    included(
        "[../*.yaml, /etc/x.yaml, '*/x.yaml', 7]",
        &[],
        expect![[r#"
            error[include.file]: `include` names `../*.yaml`, which leads out of the table's folder
              --> routes.yaml:2:11      hint: a path from the table's folder on, without `..`
            error[include.file]: `include` names `/etc/x.yaml`, which leads out of the table's folder
              --> routes.yaml:2:22      hint: a path from the table's folder on, without `..`
            error[include.file]: `include` names `*/x.yaml`, which has a `*` in a folder's name
              --> routes.yaml:2:35      hint: a `*` stands for a part of a file's name: `routes.d/*.yaml`
            error[include.value]: `include` must name files
              --> routes.yaml:2:47      hint: write `include: [routes.d/*.yaml]`
            routes.yaml: refused (4 errors, 0 warnings)
        "#]],
    );
    included(
        "[routes.d/*.yaml]",
        &[
            ("routes.d/a.yaml", "routes: ["),
            ("routes.d/b.yaml", "- a\n"),
        ],
        expect![[r#"
            error[yaml.syntax]: unclosed bracket '['
              --> routes.d/a.yaml:1:9
            error[include.value]: the included file must be a map of sections
              --> routes.d/b.yaml:1:1
            routes.yaml: refused (2 errors, 0 warnings)
        "#]],
    );
}

#[test]
fn a_link_leads_nowhere_else() {
    let (folder, other) = (Folder::new(), Folder::new());
    let table = GOOD.replace("version: 1\n", "version: 1\ninclude: [\"*.yaml\"]\n");
    let path = folder.write("routes.yaml", &table);
    let outside = other.write("team.yaml", TEAM);
    std::os::unix::fs::symlink(outside, folder.path("team.yaml")).expect("a link");
    // The table fits its own pattern, and is taken once.
    expect![[r#"
        error[include.outside]: `include` comes to `team.yaml`, which lies elsewhere
          --> routes.yaml:2:11      hint: included files lie in the table's folder or below it
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&said(&folder, &path));
}

#[test]
fn more_files_than_anybody_reads() {
    let folder = Folder::new();
    let table = GOOD.replace("version: 1\n", "version: 1\ninclude: [routes.d/*.yaml]\n");
    let path = folder.write("routes.yaml", &table);
    for number in 0..257 {
        folder.write(&format!("routes.d/{number}.yaml"), "tests: []\n");
    }
    expect![[r#"
        error[include.many]: `include` comes to 257 files
          --> routes.yaml:2:11      hint: at most 256
        routes.yaml: refused (1 error, 0 warnings)
    "#]]
    .assert_eq(&said(&folder, &path));
}
