//! What was probably meant.

use std::cmp::Reverse;

/// Longest word that is compared, in characters: the work grows with the product of both lengths.
const LONGEST: usize = 64;

/// The one of `words` that was probably meant by `typed`: one letter away, from five letters on two; or one that
/// begins like that, as abbreviations do, from four letters on. Of several the nearest, then the one that has the
/// most letters of `typed` at its beginning, then the first.
pub fn nearest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = typed
        .chars()
        .take(LONGEST)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let allowed = match letters.len() {
        0..=1 => return None,
        2..=4 => 1,
        _ => 2,
    };
    words
        .filter_map(|word| {
            let (whole, beginning) = distances(&letters, word);
            let distance = if whole <= allowed && whole < letters.len() {
                whole
            } else if letters.len() >= 4 && beginning <= 1 {
                // An abbreviation says less than a word.
                beginning + 1
            } else {
                return None;
            };
            let same = letters
                .iter()
                .zip(word.chars())
                .take_while(|(a, b)| **a == b.to_ascii_lowercase());
            Some(((distance, Reverse(same.count())), word))
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, word)| word)
}

/// Names that are there, for a message about one that is not: the first few of them, and the one that was probably
/// meant. `None` where there is none.
pub fn names_instead<'a>(missing: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    const SHOWN: usize = 8;
    let mut shown: Vec<&str> = names.clone().take(SHOWN + 1).collect();
    if shown.is_empty() {
        return None;
    }
    if shown.len() > SHOWN {
        shown[SHOWN] = "...";
    }
    let text = shown.join(", ");
    Some(match nearest(missing, names) {
        Some(meant) => format!("{text}; did you mean `{meant}`?"),
        None => text,
    })
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment) that turn `a` into `b`,
/// and into the beginning of `b` that is nearest.
fn distances(a: &[char], b: &str) -> (usize, usize) {
    let b: Vec<char> = b.chars().take(LONGEST).map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    let whole = last.last().copied().unwrap_or(0);
    (whole, last.into_iter().min().unwrap_or(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_guessed() {
        let meant = |typed| {
            nearest(
                typed,
                ["shutdown", "description", "mtu", "timers", "mtu-policy", "no"].into_iter(),
            )
        };
        for (typed, word) in [
            ("shutdwon", "shutdown"),
            ("SHUTDWON", "shutdown"),
            ("mut", "mtu"),
            ("timer5", "timers"),
            ("tmers", "timers"),
            ("desrc", "description"),
            ("descirp", "description"),
            ("mtu_policy", "mtu-policy"),
            ("on", "no"),
        ] {
            assert_eq!(meant(typed), Some(word), "{typed}");
        }
        for typed in ["", "xyz", "q", "description-of-what", "zz"] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }

    #[test]
    fn of_many_names_a_few_are_shown_and_the_nearest() {
        let names: Vec<String> = (0..100).map(|n| format!("host{n}")).collect();
        let instead = |missing| names_instead(missing, names.iter().map(String::as_str));
        assert_eq!(
            instead("hosts77").as_deref(),
            Some("host0, host1, host2, host3, host4, host5, host6, host7, ...; did you mean `host77`?")
        );
        assert_eq!(names_instead("x", std::iter::empty()), None);
        assert_eq!(
            names_instead("xyz", ["ams1"].into_iter()).as_deref(),
            Some("ams1")
        );
    }

    #[test]
    fn long_words_cost_little() {
        let long = "x".repeat(100_000);
        assert_eq!(nearest(&long, ["mtu"].into_iter()), None);
        assert_eq!(nearest("mtu", [long.as_str()].into_iter()), None);
    }
}
