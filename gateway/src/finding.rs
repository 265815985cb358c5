//! What is wrong with a route table, and where. All of it is gathered before anything is refused.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A fault in a route table, or something that looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the table is refused for it.
    pub level: Level,
    /// Stable, for programs: `route.auth.missing`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What would be right.
    pub hint: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The table is refused.
    Error,
    /// The table is taken.
    Warning,
}

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<Path>,
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// All that was found, errors and warnings, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Finding {
    /// A fault for which the table is refused.
    pub fn error(code: impl Into<String>, place: Place, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            code: code.into(),
            message: message.into(),
            place,
            hint: None,
        }
    }

    /// Something to look at; the table is taken all the same.
    pub fn warning(code: impl Into<String>, place: Place, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(code, place, message)
        }
    }

    /// Says what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Findings {
    /// Adds one at its place.
    pub fn push(&mut self, finding: Finding) {
        let after = self.0.partition_point(|known| known.place <= finding.place);
        self.0.insert(after, finding);
    }

    /// Adds some, each at its place.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// Whether the table is to be refused.
    pub fn refuse(&self) -> bool {
        self.0.iter().any(|finding| finding.level == Level::Error)
    }

    /// How many errors and how many warnings there are.
    pub fn count(&self) -> (usize, usize) {
        let errors = self.iter().filter(|f| f.level == Level::Error).count();
        (errors, self.0.len() - errors)
    }

    /// Them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }
}

impl Place {
    /// Where it is, for a reader of another place: `on line 7`, or `in routes.d/a.yaml on line 7`.
    pub(crate) fn from(&self, reader: &Self) -> String {
        if self.file == reader.file {
            return format!("on line {}", self.line);
        }
        format!("in {} on line {}", self.file.display(), self.line)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        writeln!(f, "{level}[{}]: {}", self.code, self.message)?;
        write!(f, "  --> {}", self.place)?;
        if let Some(hint) = &self.hint {
            write!(f, "      hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
