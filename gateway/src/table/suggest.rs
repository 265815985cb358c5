use super::size::{self, Size};

/// The name that was probably meant, out of those that there are.
pub(crate) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = |name: &&'a str| distance(wrong, name);
    let nearest = known.into_iter().min_by_key(near)?;
    // A third of the letters may be wrong: beyond that it is a guess, not a slip.
    (distance(wrong, nearest) <= wrong.chars().count().max(3) / 3).then_some(nearest)
}

/// `did you mean …`, or else what there is to choose from.
pub(crate) fn hint<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none yet".into(),
        None => format!("there is: {}", known.join(", ")),
    }
}

/// What a value was probably meant to be that lacks its unit or has a foreign one.
pub(crate) fn with_unit(written: &str, message: &str) -> Option<String> {
    if message.contains("socket address") {
        return Some("write it as `127.0.0.1:9440`".into());
    }
    let number: String = written.chars().take_while(char::is_ascii_digit).collect();
    let unit = written[number.len()..].trim().to_lowercase();
    let number: u64 = number.parse().ok()?;
    let meant = if message.contains("a length of time") {
        match unit.as_str() {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => format!("{number}s"),
            "ms" | "milliseconds" => format!("{number}ms"),
            "m" | "min" | "mins" | "minute" | "minutes" => format!("{number}m"),
            "h" | "hour" | "hours" => format!("{number}h"),
            "d" | "day" | "days" => format!("{number}d"),
            "w" | "week" | "weeks" => format!("{}d", number.checked_mul(7)?),
            _ => return None,
        }
    } else if message.contains(size::EXPECTED) {
        match unit.as_str() {
            "" => Size(number).to_string(),
            "b" | "byte" | "bytes" => format!("{number}B"),
            "k" | "kb" | "kib" => format!("{number}KiB"),
            "m" | "mb" | "mib" => format!("{number}MiB"),
            "g" | "gb" | "gib" => format!("{number}GiB"),
            _ => return None,
        }
    } else {
        return None;
    };
    Some(format!("did you mean `{meant}`?"))
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = match (i, j) {
                (0, j) => j,
                (i, 0) => i,
                (i, j) => {
                    let differ = usize::from(one[i - 1] != other[j - 1]);
                    let mut best = (rows[i - 1][j] + 1)
                        .min(rows[i][j - 1] + 1)
                        .min(rows[i - 1][j - 1] + differ);
                    let swapped =
                        i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                    if swapped {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not_made() {
        let known = ["timeout", "max_body", "limits", "to"];
        for (wrong, meant) in [
            ("timout", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("limit", Some("limits")),
            ("ot", Some("to")),
            ("maxbody", Some("max_body")),
            ("canary", None),
        ] {
            assert_eq!(nearest(wrong, known), meant, "{wrong}");
        }
    }
}
