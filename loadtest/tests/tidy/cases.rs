//! Each attack of the list that the guard is held against has a test of its number.

use std::collections::BTreeSet;

use crate::tree::FILES;
use crate::{clean, finds};

/// The attacks on the gateway are numbered from 1 to here.
const LAST: u32 = 42;
/// What this one attacks is not there: plugins that run as services of their own.
const ABSENT: [u32; 1] = [37];

fn attacks_without_a_test<'a>(sources: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tested = BTreeSet::new();
    for text in sources {
        for name in text.split("fn gateway_").skip(1) {
            // A test may stand for several: `gateway_19_20_…`.
            tested.extend(name.split('_').map_while(|word| word.parse::<u32>().ok()));
        }
    }
    let mut attacks = (1..=LAST).filter(|attack| !ABSENT.contains(attack));
    let mut missing = Vec::new();
    while let Some(attack) = attacks.find(|attack| !tested.contains(attack)) {
        missing.push(format!("no test is named `gateway_{attack:02}_…`"));
    }
    missing
}

#[test]
fn each_attack_has_its_test() {
    let rust = FILES.iter().filter(|file| file.path.ends_with(".rs"));
    clean(&attacks_without_a_test(rust.map(|file| file.text.as_str())));
}

#[test]
fn an_attack_without_a_test_is_found() {
    let mut names: Vec<String> = (1..=LAST)
        .map(|attack| format!("async fn gateway_{attack:02}_is_refused() {{}}"))
        .collect();
    names[11] = "fn gateway_11_of_old() {} fn gateway_13_12_at_once() {}".into();
    assert!(attacks_without_a_test(names.iter().map(String::as_str)).is_empty());
    names[11].clear();
    finds(
        &attacks_without_a_test(names.iter().map(String::as_str)),
        "gateway_12_",
    );
}
