//! Further files of a table: `include: [routes.d/*.yaml]`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::document::{Document, Node};
use crate::finding::{Finding, Findings, Place};

/// More files than this are no table any more.
const MAX_FILES: usize = 256;

/// Takes in what the table includes. Gives back every file that it is made of, and the patterns, of
/// which a new file may become part; an error is among the findings when one of them can't be read.
pub(crate) fn include(
    document: &mut Document,
    table: &Path,
    findings: &mut Findings,
) -> BTreeSet<PathBuf> {
    let base = table.parent().unwrap_or(Path::new(""));
    let mut files = BTreeSet::new();
    let mut wanted: Vec<(PathBuf, Place)> = Vec::new();
    for (text, place) in patterns(document, findings) {
        let pattern = base.join(&text);
        let refuse = |fault: &str, hint: &str| {
            let message = format!("`include` names `{text}`, {fault}");
            Finding::error("include.file", place.clone(), message).hint(hint)
        };
        if let Err((fault, hint)) = judge(&text) {
            findings.push(refuse(fault, hint));
            continue;
        }
        if is_wild(&pattern) {
            files.insert(pattern.clone());
        }
        match expand(&pattern) {
            Ok(found) if found.is_empty() => {
                let message = format!("`include` names `{text}`, which no file fits");
                findings.push(Finding::warning("include.empty", place, message));
            }
            Ok(found) => {
                let others = found.into_iter().filter(|file| !same(file, table));
                wanted.extend(others.map(|file| (file, place.clone())));
            }
            Err(error) => {
                let fault = format!("which can't be read: {error}");
                findings.push(refuse(&fault, "the path starts at the table's folder"));
            }
        }
    }
    if wanted.len() > MAX_FILES {
        let (_, place) = &wanted[MAX_FILES];
        let message = format!("`include` comes to {} files", wanted.len());
        let finding = Finding::error("include.many", place.clone(), message);
        findings.push(finding.hint(format!("at most {MAX_FILES}")));
        wanted.truncate(MAX_FILES);
    }
    for (file, place) in wanted {
        // Watched even where it is refused: what is wrong with it may be put right.
        if !files.insert(file.clone()) {
            continue;
        }
        if !lies_below(&file, base) {
            let message = format!(
                "`include` comes to `{}`, which lies elsewhere",
                file.display()
            );
            let finding = Finding::error("include.outside", place, message);
            findings.push(finding.hint("included files lie in the table's folder or below it"));
            continue;
        }
        // A pipe would hold the table up for as long as nobody writes into it.
        if std::fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
            let message = format!("`include` comes to `{}`, which is no file", file.display());
            findings.push(Finding::error("include.file", place, message));
            continue;
        }
        if let Some(other) = Document::open(&file, "the included file", findings) {
            document.take_in(other, findings);
        }
    }
    files
}

/// What a path or pattern stands for now, in order: itself, or the files that fit.
pub(crate) fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    if !is_wild(pattern) {
        // Whether it is there is said when it is read.
        return Ok(vec![pattern.to_owned()]);
    }
    let (Some(folder), Some(shape)) = (pattern.parent(), pattern.file_name()) else {
        return Ok(Vec::new());
    };
    let here = Path::new(".");
    let folder_or_here = if folder == Path::new("") {
        here
    } else {
        folder
    };
    let entries = match std::fs::read_dir(folder_or_here) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let shape = shape.to_string_lossy();
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        // What begins with a dot is an editor's, or a volume's of Kubernetes.
        let hidden = text.starts_with('.') && !shape.starts_with('.');
        if !hidden && fits(&text, &shape) {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a path stands for all files that fit it.
pub(crate) fn is_wild(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().contains('*'))
}

/// Whether a name fits a shape with any number of `*` in it.
fn fits(name: &str, shape: &str) -> bool {
    let mut parts = shape.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn patterns(document: &Document, findings: &mut Findings) -> Vec<(String, Place)> {
    let Some(node) = document.root().get("include") else {
        return Vec::new();
    };
    let whole = document.place(&["include"]);
    let text = |node: &Node, place: Place| match node.to_json() {
        serde_json::Value::String(text) => Ok((text, place)),
        _ => Err(place),
    };
    let listed = node.items().iter().enumerate();
    let mut written: Vec<_> = listed
        .map(|(index, item)| text(item, document.place(&["include", &index.to_string()])))
        .collect();
    if !node.is_list() {
        written.push(text(node, whole));
    }
    let good = written.into_iter().filter_map(|one| match one {
        Ok(good) => Some(good),
        Err(place) => {
            let finding = Finding::error("include.value", place, "`include` must name files");
            findings.push(finding.hint("write `include: [routes.d/*.yaml]`"));
            None
        }
    });
    good.collect()
}

/// Refuses what leads out of the table's folder, or could stand for any number of folders.
fn judge(text: &str) -> Result<(), (&'static str, &'static str)> {
    let path = Path::new(text);
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.is_empty() || !path.components().all(inside) {
        let hint = "a path from the table's folder on, without `..`";
        return Err(("which leads out of the table's folder", hint));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains('*') {
        let hint = "a `*` stands for a part of a file's name: `routes.d/*.yaml`";
        return Err(("which has a `*` in a folder's name", hint));
    }
    Ok(())
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(one).is_some_and(|path| Some(path) == real(other))
}

/// Whether a file lies below a folder once links are followed. What is not there is told elsewhere.
fn lies_below(file: &Path, base: &Path) -> bool {
    let here = Path::new(".");
    let base = if base == Path::new("") { here } else { base };
    match (file.canonicalize(), base.canonicalize()) {
        (Ok(file), Ok(base)) => file.starts_with(base),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_part_of_a_name() {
        for (name, shape, expected) in [
            ("a.yaml", "*.yaml", true),
            ("a.yml", "*.yaml", false),
            (".yaml", "*.yaml", true),
            ("team-a.yaml", "team-*.yaml", true),
            ("team-.yaml", "team-*.yaml", true),
            ("team.yaml", "team-*.yaml", false),
            ("a.b.c", "*.*.*", true),
            ("a.b", "*.*.*", false),
            ("ab", "ab*b", false),
            ("anything", "*", true),
            ("a.yaml~", "*.yaml", false),
        ] {
            assert_eq!(fits(name, shape), expected, "{name} {shape}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for (text, good) in [
            ("routes.d/*.yaml", true),
            ("./routes.d/users.yaml", true),
            ("*.yaml", true),
            ("../other/*.yaml", false),
            ("routes.d/../../x.yaml", false),
            ("/etc/routes/*.yaml", false),
            ("*/x.yaml", false),
            ("", false),
        ] {
            assert_eq!(judge(text).is_ok(), good, "{text}");
        }
    }
}
