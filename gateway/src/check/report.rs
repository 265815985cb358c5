use std::io::{self, Write};

use serde_json::{Value as Json, json};

use crate::finding::{Finding, Findings, Level};

/// How findings are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object: `good`, `errors`, `warnings` and the `findings`.
    Json,
    /// SARIF 2.1.0, which code hosts show beside the lines.
    Sarif,
}

/// Writes findings down for programs.
pub(super) fn write(format: Format, findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    let report = match format {
        Format::Text => return write!(out, "{findings}"),
        Format::Json => plain(findings),
        Format::Sarif => sarif(findings),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

fn plain(findings: &Findings) -> Json {
    let (errors, warnings) = findings.count();
    let one = |finding: &Finding| {
        json!({
            "level": level(finding),
            "code": finding.code,
            "message": finding.message,
            "file": finding.place.file.display().to_string(),
            "line": finding.place.line,
            "column": finding.place.column,
            "hint": finding.hint,
        })
    };
    json!({
        "good": !findings.refuse(),
        "errors": errors,
        "warnings": warnings,
        "findings": findings.iter().map(one).collect::<Vec<_>>(),
    })
}

/// The Static Analysis Results Interchange Format, OASIS, version 2.1.0.
fn sarif(findings: &Findings) -> Json {
    let mut codes: Vec<&str> = findings.iter().map(|it| it.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let one = |finding: &Finding| {
        let text = match &finding.hint {
            Some(hint) => format!("{}. Hint: {hint}", finding.message),
            None => finding.message.clone(),
        };
        json!({
            "ruleId": finding.code,
            "level": level(finding),
            "message": { "text": text },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri(finding) },
                "region": { "startLine": finding.place.line, "startColumn": finding.place.column },
            }}],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "gateway check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| json!({ "id": code })).collect::<Vec<_>>(),
            }},
            "results": findings.iter().map(one).collect::<Vec<_>>(),
        }],
    })
}

/// A file's name as a relative reference (RFC 3986 §4.2).
fn uri(finding: &Finding) -> String {
    let name = finding.place.file.display().to_string();
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) => (b as char).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
}

fn level(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;

    fn findings() -> Findings {
        let place = |line| Place {
            file: std::path::Path::new("routes d/my.yaml").into(),
            line,
            column: 5,
        };
        let mut findings = Findings::default();
        findings
            .push(Finding::error("route.auth.missing", place(52), "says nothing").hint("say it"));
        findings.push(Finding::warning("limits.unused", place(9), "is not used"));
        findings
    }

    fn written(format: Format) -> Json {
        let mut out = Vec::new();
        write(format, &findings(), &mut out).expect("a buffer takes everything");
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn a_program_reads_what_a_person_reads() {
        let report = written(Format::Json);
        assert_eq!(
            (&report["good"], &report["errors"]),
            (&json!(false), &json!(1))
        );
        assert_eq!(
            report["findings"][1],
            json!({
                "level": "error", "code": "route.auth.missing", "message": "says nothing",
                "file": "routes d/my.yaml", "line": 52, "column": 5, "hint": "say it",
            })
        );
        let mut empty = Vec::new();
        write(Format::Json, &Findings::default(), &mut empty).expect("a buffer");
        let empty: Json = serde_json::from_slice(&empty).expect("JSON");
        assert_eq!(empty["good"], true);
    }

    #[test]
    fn sarif_names_each_rule_once_and_each_place() {
        let report = written(Format::Sarif);
        let run = &report["runs"][0];
        assert_eq!(report["version"], "2.1.0");
        assert_eq!(
            run["tool"]["driver"]["rules"].as_array().map(Vec::len),
            Some(2)
        );
        let result = &run["results"][1];
        assert_eq!(result["ruleId"], "route.auth.missing");
        assert_eq!(result["message"]["text"], "says nothing. Hint: say it");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "routes%20d/my.yaml");
        assert_eq!(
            place["region"],
            json!({ "startLine": 52, "startColumn": 5 })
        );
    }
}
