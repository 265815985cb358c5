use std::time::Duration;

use crate::bank::Bank;

async fn metric(bank: &Bank, line: &str) -> Option<i64> {
    let metrics = bank.app.private("/metrics").send().await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    text.lines()
        .find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[tokio::test]
async fn the_books_are_proven_at_the_start_and_shown() {
    let bank = Bank::open().await;
    let proven = async {
        while metric(&bank, "ledger_proof_timestamp_seconds")
            .await
            .unwrap_or(0)
            == 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), proven)
        .await
        .expect("a proof in time");
    for invariant in ledger::Invariant::ALL {
        let line = format!("ledger_violations{{invariant=\"{}\"}}", invariant.name());
        assert_eq!(metric(&bank, &line).await, Some(0), "{line}");
    }
}
