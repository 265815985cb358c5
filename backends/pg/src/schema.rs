//! Schema names that go into a statement's text.

use sqlx::AssertSqlSafe;

/// A statement with `{schema}` replaced.
///
/// A schema cannot be a bind parameter. The name is written in our own source (`&'static`) and
/// held to the letters of a plain identifier, so nothing that a client sends gets here.
///
/// # Panics
///
/// When the name is not a plain lower-case identifier.
pub(crate) fn statement(template: &str, schema: &'static str) -> AssertSqlSafe<String> {
    assert!(is_plain(schema), "not a plain schema name: {schema:?}");
    AssertSqlSafe(template.replace("{schema}", schema))
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "not a plain schema name")]
    fn a_name_that_would_change_the_statement_is_refused() {
        let _ = super::statement("select 1 from {schema}.outbox", "a; drop table b; --");
    }
}
