//! What a newcomer reads when everything runs.

use std::{fmt::Write, path::Path};

use crate::product::Product;

/// The banner of a running product. Paths are told as seen from `here`.
#[must_use]
pub fn text(product: &Product, here: &Path) -> String {
    let url = product.url();
    let place = product.place();
    let shown = |path: &Path| {
        path.strip_prefix(here)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let ca = shown(&place.ca());
    let management = product.ports().management;
    let mut text =
        format!("\nVorota runs at {url}   (its certificate authority: {ca})\n\nDemo accounts");
    // A String takes all that is written.
    let _ = writeln!(text, ", also in {}:", shown(&place.demo()));
    for person in product.people() {
        let _ = writeln!(
            text,
            "  {:<20} {}   {}",
            person.email, person.password, person.role
        );
    }
    let curl = format!("curl --cacert {ca}");
    let json = "-H 'content-type: application/json'";
    text.push_str("\nTry, from another terminal in this directory:\n");
    if let Some(person) = product.people().first() {
        let (email, password) = (&person.email, &person.password);
        let body = format!(r#"'{{"email":"{email}","password":"{password}"}}'"#);
        let _ = write!(
            text,
            r#"  {curl} -i {url}/v1/currencies
  {curl} -i {url}/v1/me
  TOKEN=$({curl} -s {json} -d {body} {url}/v1/auth/login | jq -r .access_token)
  {curl} -H "authorization: Bearer $TOKEN" {url}/v1/wallets
  {curl} {json} -d '{{"email":"you@example.com","password":"a long enough one"}}' {url}/v1/auth/register
"#
        );
    }
    let _ = write!(
        text,
        "
Mail and texts land in {inbox}
Metrics       http://127.0.0.1:{management}/metrics
Logs          {logs}

`make demo` plays the whole story. Ctrl-C stops everything and keeps the data.
",
        inbox = product.inbox().url(),
        logs = shown(&place.var().join("log")),
    );
    match product.cluster() {
        None => text.push_str("The data lie in the database that DATABASE_URL names.\n"),
        Some(cluster) if !cluster.data().starts_with(place.var()) => {
            let _ = writeln!(
                text,
                "The data lie in {}: PostgreSQL does not run as root, and its user cannot reach this directory.",
                cluster.data().display()
            );
        }
        Some(_) => {}
    }
    text
}
