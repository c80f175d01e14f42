//! `show commands` and `find`: what can be typed, from the tables.

use knet_api::reference::{Entry, entries, find};
use serde_json::{Value, json};

use crate::{
    document::Document,
    table::{Align, table},
};

/// Every command and line of the configuration, or those that speak of `word`.
pub(crate) fn document(word: Option<&str>) -> Document {
    let found = word.map_or_else(entries, find);
    let rows: Vec<Value> = found.iter().map(row).collect();
    if found.is_empty() {
        let line = format!(
            "Nothing speaks of {}; `show commands` lists all",
            word.unwrap_or_default()
        );
        return Document::rows("commands", json!(rows), Vec::new()).with_notes(vec![line]);
    }
    let columns = [
        ("Line", Align::Left),
        ("Typed", Align::Left),
        ("By", Align::Left),
        ("Meaning", Align::Left),
    ];
    let cells: Vec<Vec<String>> = found
        .iter()
        .map(|entry| {
            [&entry.syntax, entry.where_typed(), entry.who(), entry.meaning]
                .map(str::to_owned)
                .to_vec()
        })
        .collect();
    Document::table("commands", json!(rows), table(&columns, &cells))
}

fn row(entry: &Entry) -> Value {
    json!({
        "syntax": entry.syntax,
        "typed": entry.where_typed(),
        "by": entry.who(),
        "meaning": entry.meaning,
        "default": entry.default,
        "example": entry.example,
    })
}
