//! What differs between two configurations, with the objects that it is in.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{document::Document, output::clean};

/// A line with the lines of the objects that it is in.
type Place<'a> = Vec<&'a str>;

/// The lines that are gone (`-`) and new (`+`), each below the objects that it is in.
pub(crate) fn document(before: &str, after: &str, revision: u64) -> Document {
    let (old, new) = (places(before), places(after));
    let known = |places: &[Place<'_>]| places.iter().cloned().map(owned).collect::<BTreeSet<_>>();
    let (old_set, new_set) = (known(&old), known(&new));
    let gone = old
        .into_iter()
        .filter(|place| !new_set.contains(&owned(place.clone())));
    let added = new
        .into_iter()
        .filter(|place| !old_set.contains(&owned(place.clone())));
    let (gone, added): (Vec<_>, Vec<_>) = (gone.collect(), added.collect());
    let mut lines = Vec::new();
    tell(&gone, '-', &mut lines);
    tell(&added, '+', &mut lines);
    if lines.is_empty() {
        lines.push("Nothing has changed".to_owned());
    }
    lines.push(format!("Revision {revision}"));
    let value = json!({
        "revision": revision,
        "removed": gone.iter().map(|place| trimmed(place)).collect::<Vec<_>>(),
        "added": added.iter().map(|place| trimmed(place)).collect::<Vec<_>>(),
    });
    Document::object("reloaded", value, lines)
}

fn owned(place: Place<'_>) -> Vec<String> {
    place.into_iter().map(str::to_owned).collect()
}

fn trimmed(place: &Place<'_>) -> Vec<String> {
    place.iter().map(|line| line.trim().to_owned()).collect()
}

/// Each line that says something, with those around it.
fn places(text: &str) -> Vec<Place<'_>> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut around: Place<'_> = Vec::new();
    let mut places = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('!') && !line.trim().is_empty())
    {
        while around.last().is_some_and(|outer| indent(outer) >= indent(line)) {
            around.pop();
        }
        around.push(line);
        places.push(around.clone());
    }
    places
}

fn tell(places: &[Place<'_>], mark: char, lines: &mut Vec<String>) {
    let mut told: Place<'_> = Vec::new();
    for place in places {
        let Some((line, around)) = place.split_last() else {
            continue;
        };
        let same = told.iter().zip(around).take_while(|(a, b)| a == b).count();
        lines.extend(around.iter().skip(same).map(|outer| format!(" {}", clean(outer))));
        lines.push(format!("{mark}{}", clean(line)));
        told.clone_from(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Format;

    #[test]
    fn lines_are_told_with_the_objects_that_they_are_in() {
        let before = "hostname a\n!\ninterface k\n mtu 1400\n peer x\n  policy active\n peer y\n";
        let after = "hostname a\n!\ninterface k\n peer x\n  policy passive\n peer z\n  isolate\n";
        let document = document(before, after, 7);
        assert_eq!(
            document.write(Format::Text).expect("text"),
            " interface k\n- mtu 1400\n  peer x\n-  policy active\n- peer y\n interface k\n  peer x\n+  policy \
             passive\n+ peer z\n+  isolate\nRevision 7\n"
        );
        assert!(
            document
                .write(Format::Json)
                .expect("JSON")
                .contains(r#""added":[["interface k","peer x","policy passive"],["interface k","peer z"]"#)
        );
    }

    #[test]
    fn the_same_is_no_change() {
        let text = "interface k\n peer x\n";
        let document = document(text, text, 1);
        assert_eq!(document.lines(), ["Nothing has changed", "Revision 1"]);
    }
}
