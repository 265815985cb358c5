//! Where SQL stands, and whose tables it names.

use crate::{clean, finds, tree};

/// Said by whoever talks to the database with words of their own.
const CALLS: [&str; 8] = [
    "sqlx::query",
    "query!(",
    "query_as!(",
    "query_scalar!(",
    "query_as::<",
    "query_scalar::<",
    "raw_sql(",
    "query_file",
];

/// Every app's schema. The ledger's is written by the ledger alone.
const SCHEMAS: [&str; 4] = ["users", "transactions", "notifications", "ledger"];

/// SQL has one place in a crate, so that a question about a table has one place to look.
fn outside_a_store(path: &str, text: &str) -> Vec<String> {
    let shipped = path.starts_with("backends/") && path.contains("/src/");
    // The crate pg is the store's own ground: pools, outbox and databases for tests.
    if !shipped || path.ends_with("/store.rs") || path.starts_with("backends/pg/") {
        return Vec::new();
    }
    let lines = tree::code(tree::shipped(path, text));
    lines
        .filter(|(_, line)| CALLS.iter().any(|call| line.contains(call)))
        .map(|(number, _)| format!("{path}:{number}: SQL stands in store.rs files only"))
        .collect()
}

/// An app reads and writes its own schema; what it wants of another it hears by an event. The one
/// exception: transactions shows what the ledger has written. It never writes there itself.
fn foreign_tables(path: &str, text: &str) -> Vec<String> {
    let home = SCHEMAS
        .iter()
        .find(|schema| path.starts_with(&format!("backends/{schema}/src/")));
    let Some(home) = home else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (number, line) in tree::code(tree::shipped(path, text)) {
        let words = line
            .split_whitespace()
            .map(|word| word.rsplit(['"', '(']).next().unwrap_or(word));
        let words: Vec<&str> = words.collect();
        for (at, pair) in words.windows(2).enumerate() {
            let [verb @ ("from" | "into" | "update" | "join"), table] = pair else {
                continue;
            };
            let schema = table.split_once('.').map(|(schema, _)| schema);
            let writes =
                matches!(*verb, "into" | "update") || (at > 0 && words[at - 1] == "delete");
            let shows_money = *home == "transactions" && schema == Some("ledger") && !writes;
            if let Some(schema) =
                schema.filter(|it| SCHEMAS.contains(it) && it != home && !shows_money)
            {
                findings.push(format!(
                    "{path}:{number}: {home} reaches into the schema of {schema}"
                ));
            }
        }
    }
    findings
}

#[test]
fn sql_stands_in_stores() {
    clean(
        &tree::rust()
            .flat_map(|file| outside_a_store(&file.path, &file.text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn schemas_are_kept_apart() {
    clean(
        &tree::rust()
            .flat_map(|file| foreign_tables(&file.path, &file.text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn sql_out_of_place_is_found() {
    let call = "sqlx::query!(\"select 1\")";
    finds(
        &outside_a_store("backends/users/src/login.rs", call),
        "store.rs",
    );
    clean(&outside_a_store("backends/users/src/login/store.rs", call));
    clean(&outside_a_store("backends/users/tests/it/login.rs", call));
    clean(&outside_a_store(
        "backends/users/src/login.rs",
        &format!("#[cfg(test)]\nmod tests {{\n{call}"),
    ));
    let reach = "r#\"update ledger.account set posted = 0\"#";
    finds(
        &foreign_tables("backends/transactions/src/store.rs", reach),
        "schema of ledger",
    );
    finds(
        &foreign_tables(
            "backends/users/src/store.rs",
            "select a from transactions.wallet",
        ),
        "transactions",
    );
    finds(
        &foreign_tables(
            "backends/transactions/src/store.rs",
            "delete from ledger.hold",
        ),
        "ledger",
    );
    clean(&foreign_tables(
        "backends/transactions/src/store.rs",
        "select posted from ledger.account",
    ));
    clean(&foreign_tables("backends/ledger/src/store.rs", reach));
}
