//! What was probably meant.

use std::cmp::Reverse;

/// Longest word that is compared, in characters: the work grows with the product of both lengths.
const LONGEST: usize = 64;
/// Nothing was meant that is further away.
const FAR: usize = 2;

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
        _ => FAR,
    };
    let abbreviates = letters.len() >= 4;
    let typed = Letters::of(letters.iter().copied());
    let mut rows = Rows::default();
    words
        .filter_map(|word| {
            // Most are told apart by their letters alone.
            let of_word = Letters::of(word.chars());
            let (left_out, added) = (typed.missing_in(of_word), of_word.missing_in(typed));
            if left_out.max(added) > allowed && !(abbreviates && left_out <= 1) {
                return None;
            }
            let (whole, beginning) = rows.distances(&letters, word)?;
            let distance = if whole <= allowed && whole < letters.len() {
                whole
            } else if abbreviates && beginning <= 1 {
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

/// Which letters a word has, whatever their case: a bit for each, which it may share with rare ones.
#[derive(Clone, Copy)]
struct Letters(u64);

impl Letters {
    fn of(word: impl Iterator<Item = char>) -> Self {
        let bit = |c: char| 1 << (u32::from(c.to_ascii_uppercase()) % u64::BITS);
        Self(word.take(LONGEST).fold(0, |bits, c| bits | bit(c)))
    }

    /// How many letters there are, at least, that are nowhere in the other word: each of them is a step on the way to it, and
    /// to any beginning of it.
    const fn missing_in(self, word: Self) -> usize {
        (self.0 & !word.0).count_ones() as usize
    }
}

/// The last rows of a table of distances, used for one word after the other.
#[derive(Default)]
struct Rows {
    /// The word, as far as it is compared.
    word: Vec<char>,
    before: Vec<usize>,
    last: Vec<usize>,
    row: Vec<usize>,
}

impl Rows {
    /// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment) that turn `a` into `b`,
    /// and into the beginning of `b` that is nearest. `None` where both are more than [`FAR`].
    fn distances(&mut self, a: &[char], b: &str) -> Option<(usize, usize)> {
        let Self {
            word,
            before,
            last,
            row,
        } = self;
        word.clear();
        word.extend(b.chars().take(LONGEST).map(|c| c.to_ascii_lowercase()));
        if a.len() > word.len() + FAR {
            return None;
        }
        last.clear();
        last.extend(0..=word.len());
        let mut nearest = (0, 0);
        for (i, x) in a.iter().enumerate() {
            row.clear();
            row.push(i + 1);
            for (j, y) in word.iter().enumerate() {
                let mut best = (last[j] + usize::from(x != y))
                    .min(last[j + 1] + 1)
                    .min(row[j] + 1);
                if i > 0 && j > 0 && *x == word[j - 1] && a[i - 1] == *y {
                    best = best.min(before[j - 1] + 1);
                }
                row.push(best);
            }
            // Both rows that the next one comes from are too far already: so is all that follows.
            nearest = (nearest.1, row.iter().copied().min().unwrap_or(0));
            if nearest.0 > FAR && nearest.1 > FAR {
                return None;
            }
            std::mem::swap(before, last);
            std::mem::swap(last, row);
        }
        let whole = last.last().copied().unwrap_or(0);
        Some((whole, last.iter().copied().min().unwrap_or(whole)))
    }
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

    /// What is given up early is far, and nothing else is.
    #[test]
    fn only_what_is_far_is_given_up() {
        let mut random = 1_u32;
        let mut word = || -> String {
            let mut letter = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random >> 24
            };
            (0..letter() % 12)
                .map(|_| char::from(b'a' + (letter() % 3) as u8))
                .collect()
        };
        let mut near = 0;
        for _ in 0..20_000 {
            let (a, b) = (word(), word());
            let letters: Vec<char> = a.chars().collect();
            let expected = table(&letters, &b.chars().collect::<Vec<_>>());
            let (of_a, of_b) = (Letters::of(a.chars()), Letters::of(b.chars()));
            assert!(
                of_a.missing_in(of_b) <= expected.0.min(expected.1),
                "{a} {b}: {expected:?}"
            );
            assert!(of_b.missing_in(of_a) <= expected.0, "{a} {b}: {expected:?}");
            let found = Rows::default().distances(&letters, &b);
            match found {
                Some(found) => assert_eq!(found, expected, "{a} {b}"),
                None => assert!(expected.0 > FAR && expected.1 > FAR, "{a} {b}: {expected:?}"),
            }
            near += usize::from(found.is_some_and(|(whole, _)| whole <= FAR));
        }
        assert!(near > 100, "{near}");
    }

    /// The whole table, by its definition.
    fn table(a: &[char], b: &[char]) -> (usize, usize) {
        let mut t = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                t[i][j] = match (i, j) {
                    (0, n) | (n, 0) => n,
                    _ => {
                        let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                        let swap = if swapped { t[i - 2][j - 2] + 1 } else { usize::MAX };
                        (t[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]))
                            .min(t[i - 1][j] + 1)
                            .min(t[i][j - 1] + 1)
                            .min(swap)
                    }
                };
            }
        }
        let last = &t[a.len()];
        (last[b.len()], last.iter().copied().min().unwrap_or(0))
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
