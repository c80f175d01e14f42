//! A strict reader of Prometheus' text exposition format (version 0.0.4), which knows nothing of how knetd writes it.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, by name.
pub type Labels = BTreeMap<String, String>;

/// A family of samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter` or `gauge`.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Each value with its labels.
    pub samples: Vec<(Labels, f64)>,
}

/// All families of a page, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page(pub BTreeMap<String, Family>);

impl Page {
    /// The one value of `name` whose labels are exactly these.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let family = self.0.get(name)?;
        let found = family.samples.iter().find(|(labels, _)| *labels == wanted)?;
        Some(found.1)
    }
}

/// Reads a page.
///
/// # Errors
/// The first line that breaks a rule of the format or of Prometheus' guide to names, and the rule.
pub fn parse(text: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let mut current: Option<String> = None;
    let mut pending_help: Option<(String, String)> = None;
    let mut seen = BTreeSet::new();
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for (index, line) in text.lines().enumerate() {
        let wrong = |rule: &str| Err(format!("line {}: {rule}: {line}", index + 1));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else {
                return wrong("no help");
            };
            if pending_help.is_some() || page.0.contains_key(name) {
                return wrong("a second HELP, or one of a family that was there already");
            }
            let Some(help) = unescape(help, false) else {
                return wrong("a wrong escape in HELP");
            };
            pending_help = Some((name.to_owned(), help));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (Some((name, kind)), Some((of, help))) = (rest.split_once(' '), pending_help.take()) else {
                return wrong("TYPE without HELP before it");
            };
            if name != of || !is_name(name) || !matches!(kind, "counter" | "gauge") {
                return wrong("TYPE of another family, or of an unknown kind");
            }
            if (kind == "counter") != name.ends_with("_total") {
                return wrong("counters end in _total, and nothing else does");
            }
            let family = Family {
                kind: kind.to_owned(),
                help,
                samples: Vec::new(),
            };
            page.0.insert(name.to_owned(), family);
            current = Some(name.to_owned());
        } else {
            let Some((name, labels, value)) = sample(line) else {
                return wrong("no sample");
            };
            if pending_help.is_some() || current.as_deref() != Some(name) {
                return wrong("a sample outside of its family");
            }
            if !seen.insert((name.to_owned(), labels.clone())) {
                return wrong("a sample that was there already");
            }
            let family = page.0.get_mut(name);
            match family {
                Some(family) if value >= 0.0 || family.kind == "gauge" => {
                    family.samples.push((labels, value));
                }
                _ => return wrong("a counter below zero"),
            }
        }
    }
    match page.0.iter().find(|(_, family)| family.samples.is_empty()) {
        Some((name, _)) => Err(format!("{name} has no samples")),
        None => Ok(page),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"")?;
            let mut escaped = false;
            let end = value.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })?;
            if !is_name(label) || value[..end].is_empty() {
                return None;
            }
            if labels
                .insert(label.to_owned(), unescape(&value[..end], true)?)
                .is_some()
            {
                return None;
            }
            rest = &value[end + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(',')?;
        }
    }
    let value = match rest.strip_prefix(' ')? {
        "+Inf" => f64::INFINITY,
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '-') => digits.parse().ok()?,
        _ => return None,
    };
    is_name(name).then_some((name, labels, value))
}

fn unescape(text: &str, in_label: bool) -> Option<String> {
    let (mut plain, mut characters) = (String::new(), text.chars());
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if in_label => '"',
                _ => return None,
            },
            '"' if in_label => return None,
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let text = "# HELP a_total What \\\\ it is.\n# TYPE a_total counter\na_total{x=\"1\\\"\\n\",y=\"b\"} 7\na_total 0\n\
                    # HELP b B.\n# TYPE b gauge\nb -0.25\n";
        let page = parse(text).expect("a page");
        assert_eq!(page.get("a_total", &[("x", "1\"\n"), ("y", "b")]), Some(7.0));
        assert_eq!(page.get("a_total", &[]), Some(0.0));
        assert_eq!(page.get("b", &[]), Some(-0.25));
        assert_eq!(page.0["a_total"].help, "What \\ it is.");
    }

    #[test]
    fn what_breaks_a_rule_is_found() {
        let of = |name: &str, rest: &str| format!("# HELP {name} H.\n# TYPE {name} gauge\n{rest}");
        for wrong in [
            "b 1\n".to_owned(),
            of("b", ""),
            of("b", "b 1"),
            of("b", "b 1\nb 1\n"),
            of("b", "c 1\n"),
            of("b", "b{x=\"\"} 1\n"),
            of("b", "b{x=\"1\",x=\"2\"} 1\n"),
            of("b", "b{x=\"a\"b\"} 1\n"),
            of("b", "b{x=\"\\t\"} 1\n"),
            of("b", "b{} 1\n"),
            of("b", "b one\n"),
            of("b", "b  1\n"),
            of("b_total", "b_total 1\n"),
            of("1b", "1b 1\n"),
            format!("{}{}", of("b", "b 1\n"), of("b", "b 1\n")),
            "# TYPE b gauge\nb 1\n".to_owned(),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }
}
