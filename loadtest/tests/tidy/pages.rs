//! What our pages point at is there: links, paths, and the targets of `make`.

use crate::{
    clean, finds,
    tree::{self, FILES, File},
};

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Relative targets of `[…](…)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Words that look like a path into this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    const ENDS: [&str; 8] = [".rs", ".yaml", ".toml", ".json", ".sql", ".sh", ".md", "/"];
    quoted(text).filter(|word| {
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        plain
            && !word.starts_with('/')
            && word.contains('/')
            && ENDS.iter().any(|end| word.ends_with(end))
    })
}

fn dead(page: &File, stands: impl Fn(&str) -> bool) -> Vec<String> {
    let home = page
        .path
        .rsplit_once('/')
        .map_or(String::new(), |(home, _)| format!("{home}/"));
    let links = links(&page.text).map(|link| format!("{home}{link}"));
    let all = links.chain(paths(&page.text).map(str::to_owned));
    all.filter(|target| !stands(target))
        .map(|target| format!("{} points at {target}, which is not there", page.path))
        .collect()
}

/// `make x` where the Makefile has no `x`.
fn unknown_targets(page: &File, makefile: &str) -> Vec<String> {
    let known: Vec<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let said = page
        .text
        .lines()
        .flat_map(|line| line.split("make ").skip(1).map(move |rest| (line, rest)));
    let said = said.filter(|(line, rest)| {
        let before = line[..line.len() - rest.len()].trim_end_matches("make ");
        // A command, not a sentence: at a line's beginning or behind a backtick.
        before.trim().is_empty() || before.ends_with('`')
    });
    let targets = said.filter_map(|(_, rest)| {
        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .next()
    });
    targets
        .filter(|target| {
            !known
                .iter()
                .any(|names| names.split(' ').any(|name| name == *target))
        })
        .map(|target| {
            format!(
                "{} speaks of `make {target}`, which the Makefile does not know",
                page.path
            )
        })
        .collect()
}

/// Tests of attacks and outages that a page names, and that nobody has written.
fn unwritten_tests(page: &File, is_written: impl Fn(&str) -> bool) -> Vec<String> {
    let is_test = |word: &&str| {
        let number = word.strip_prefix("gateway_").and_then(|rest| rest.get(..2));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    quoted(&page.text)
        .filter(is_test)
        .filter(|word| !is_written(word))
        .map(|word| {
            format!(
                "{} names the test {word}, which nobody has written",
                page.path
            )
        })
        .collect()
}

#[test]
fn tests_that_pages_name_are_written() {
    let is_written = |name: &str| {
        let head = format!("fn {name}(");
        tree::rust().any(|file| file.text.contains(&head))
    };
    let pages = FILES.iter().filter(|file| file.path.ends_with(".md"));
    let findings: Vec<_> = pages
        .flat_map(|page| unwritten_tests(page, is_written))
        .collect();
    clean(&findings);
}

#[test]
fn pages_point_at_what_is_there() {
    let root = tree::root();
    // `certs/dev/` and `var/` come with the first run.
    let stands = |target: &str| {
        root.join(target).exists() || target.starts_with("var/") || target.starts_with("certs/dev/")
    };
    let pages = FILES.iter().filter(|file| file.path.ends_with(".md"));
    let findings: Vec<_> = pages.flat_map(|page| dead(page, stands)).collect();
    clean(&findings);
}

#[test]
fn make_knows_what_pages_speak_of() {
    let makefile =
        std::fs::read_to_string(tree::root().join("Makefile")).expect("the Makefile is read");
    let pages = FILES.iter().filter(|file| file.path.ends_with(".md"));
    clean(
        &pages
            .flat_map(|page| unknown_targets(page, &makefile))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_dead_pointer_is_found() {
    let page = |text: &str| File {
        path: "backends/README.md".to_owned(),
        text: text.to_owned(),
    };
    let nothing = |_: &str| false;
    finds(
        &dead(&page("see [there](gone.md#part)"), nothing),
        "backends/gone.md",
    );
    finds(
        &dead(&page("walk `gateway/src/gone.rs`"), nothing),
        "gateway/src/gone.rs",
    );
    clean(&dead(
        &page("[x](https://example.com) [y](#below) `GET /v1/me` `a/b`"),
        nothing,
    ));
    finds(
        &unknown_targets(&page("`make fly`"), "run: build\n"),
        "make fly",
    );
    finds(
        &unknown_targets(&page("    make fly\n"), "run: build\n"),
        "make fly",
    );
    finds(
        &unwritten_tests(
            &page("see `gateway_33_gone` and `gateway_requests`"),
            |_| false,
        ),
        "gateway_33_gone",
    );
    clean(&unknown_targets(
        &page("`make run`, and we make sure"),
        "build run: x\n",
    ));
}
