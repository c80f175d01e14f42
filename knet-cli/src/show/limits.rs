//! `show limits`, and what of it is memory: `show memory`.

use knet_api::message::LimitRow;
use serde_json::json;

use crate::{
    document::Document,
    output::clean,
    table::{Align, table},
};

/// One line for each bound.
pub(crate) fn document(rows: &[LimitRow]) -> Document {
    Document::table("limits", json!(rows), lines(rows))
}

/// One line for all of the process, and one for each part whose use is known.
pub(crate) fn memory(mut rows: Vec<LimitRow>) -> Document {
    let of_process = |row: &LimitRow| row.interface.is_none() && row.name.ends_with("memory");
    rows.retain(|row| {
        row.unit == "bytes" && row.used.is_some() && (row.interface.is_some() || of_process(row))
    });
    rows.sort_by_key(|row| !of_process(row));
    Document::table("memory", json!(rows), lines(&rows))
}

fn lines(rows: &[LimitRow]) -> Vec<String> {
    let columns = [
        ("Of", Align::Left),
        ("Bound", Align::Left),
        ("Limit", Align::Right),
        ("Unit", Align::Left),
        ("Used", Align::Right),
        ("Most", Align::Right),
        ("Refused", Align::Right),
        ("Past it", Align::Left),
    ];
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let cells = |row: &LimitRow| {
        vec![
            row.interface.as_deref().map_or("knetd".to_owned(), clean),
            clean(&row.name),
            if row.limit == u64::MAX {
                "none".to_owned()
            } else {
                row.limit.to_string()
            },
            clean(&row.unit),
            number(row.used),
            number(row.most),
            number(row.refused),
            clean(&row.past),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&columns, &cells)
}
