//! Each attack of the lists that the guard and its people are held against has a test of its number.

use std::collections::BTreeSet;

use crate::tree::FILES;
use crate::{clean, finds};

/// A list of attacks: whom they are on, how many there are, and which have nothing to attack yet.
struct List {
    on: &'static str,
    last: u32,
    absent: &'static [u32],
}

const LISTS: [List; 2] = [
    // 37 attacks plugins that run as services of their own.
    List {
        on: "gateway",
        last: 42,
        absent: &[37],
    },
    // 27 attacks webhooks, 29 the pages of admin.
    List {
        on: "users",
        last: 30,
        absent: &[27, 29],
    },
];

fn attacks_without_a_test<'a>(list: &List, sources: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (on, head) = (list.on, format!("fn {}_", list.on));
    let mut tested = BTreeSet::new();
    for text in sources {
        for name in text.split(head.as_str()).skip(1) {
            // A test may stand for several: `gateway_19_20_…`.
            tested.extend(name.split('_').map_while(|word| word.parse::<u32>().ok()));
        }
    }
    let attacks = (1..=list.last).filter(|attack| !list.absent.contains(attack));
    attacks
        .filter(|attack| !tested.contains(attack))
        .map(|attack| format!("no test is named `{on}_{attack:02}_…`"))
        .collect()
}

#[test]
fn each_attack_has_its_test() {
    let rust = FILES.iter().filter(|file| file.path.ends_with(".rs"));
    let texts: Vec<&str> = rust.map(|file| file.text.as_str()).collect();
    let missing = LISTS
        .iter()
        .flat_map(|list| attacks_without_a_test(list, texts.iter().copied()));
    clean(&missing.collect::<Vec<_>>());
}

#[test]
fn an_attack_without_a_test_is_found() {
    let missing =
        |names: &[String]| attacks_without_a_test(&LISTS[0], names.iter().map(String::as_str));
    let mut names: Vec<String> = (1..=42)
        .map(|attack| format!("async fn gateway_{attack:02}_is_refused() {{}}"))
        .collect();
    names[11] = "fn gateway_11_of_old() {} fn gateway_13_12_at_once() {}".into();
    assert!(missing(&names).is_empty());
    names[11].clear();
    finds(&missing(&names), "gateway_12_");
}
