use std::sync::Arc;

use crate::plan::Upstream;

/// One upstream's part of a route's requests.
#[derive(Debug, Clone)]
pub struct Share {
    /// Where they go.
    pub upstream: Arc<Upstream>,
    /// How many, beside the others' weights. 0 is none.
    pub weight: u32,
}

/// The upstream that somebody's requests go to: always the same one while the weights stay, on every
/// gateway. Where weights change, only those move whose new upstream gained (weighted rendezvous
/// hashing: <https://doi.org/10.1109/90.663936>, the weights by -w/ln u).
pub fn choose<'a>(shares: &'a [Share], who: &[u8]) -> Option<&'a Arc<Upstream>> {
    if let [only] = shares {
        return Some(&only.upstream);
    }
    let score = |share: &Share| {
        let draw = spread(&[who, share.upstream.name.as_bytes()]);
        // 53 bits are what a double holds; half a step more keeps 0 and 1 out.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let even = ((draw >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(share.weight) / even.ln()
    };
    let drawing = shares.iter().filter(|share| share.weight > 0);
    let best = drawing.max_by(|one, other| score(one).total_cmp(&score(other)));
    best.map(|share| &share.upstream)
}

/// A number that depends on all bits of its parts, the same in each process (FNV-1a, then the end of
/// SplitMix64). No secret: who can choose their key can choose their version, and may.
pub(super) fn spread(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn shares(weights: &[(&str, u32)]) -> Vec<Share> {
        let share = |(name, weight): &(&str, u32)| Share {
            upstream: Arc::new(Upstream {
                name: Arc::from(*name),
                targets: vec![],
                tls: None,
                h2: false,
                connect_timeout: Duration::from_secs(1),
                health: None,
            }),
            weight: *weight,
        };
        weights.iter().map(share).collect()
    }

    fn all(weights: &[(&str, u32)]) -> Vec<String> {
        let shares = shares(weights);
        let name = |n: usize| {
            choose(&shares, format!("user-{n}").as_bytes()).map(|one| one.name.to_string())
        };
        (0..10_000).filter_map(name).collect()
    }

    /// Gateway API: `httproute-weight` wants each backend within five percent of its part.
    #[test]
    fn everybody_gets_their_part() {
        let mut count = BTreeMap::<String, i32>::new();
        for name in all(&[("v1", 70), ("v2", 30), ("v3", 0)]) {
            *count.entry(name).or_default() += 1;
        }
        assert!((count["v1"] - 7_000).abs() < 200, "{count:?}");
        assert!((count["v2"] - 3_000).abs() < 200, "{count:?}");
        assert_eq!(count.get("v3"), None);
    }

    #[test]
    fn who_moves_moves_to_what_gained() {
        let (before, after) = (
            all(&[("v1", 95), ("v2", 5)]),
            all(&[("v1", 90), ("v2", 10)]),
        );
        let moved: Vec<_> = before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one != other)
            .collect();
        assert!(moved.iter().all(|(_, to)| *to == "v2"));
        assert!((400..600).contains(&moved.len()), "{}", moved.len());
        // The order in the file never counts.
        assert_eq!(all(&[("v2", 10), ("v1", 90)]), after);
    }
}
