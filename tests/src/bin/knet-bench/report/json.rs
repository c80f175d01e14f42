//! The results for programs.

use knet_tests::lab::Result;
use serde_json::{Map, Value, json};

use crate::{
    metric::Metric,
    results::{Results, Sample},
    target::TARGETS,
};

/// All rounds, their medians, and the targets.
pub(crate) fn render(results: &Results) -> Result<String> {
    let contenders: Vec<Value> = results
        .contenders
        .iter()
        .map(|c| {
            let median: Map<String, Value> = Metric::ALL
                .iter()
                .filter_map(|m| Some((m.name().to_owned(), json!(results.median(c.name, *m)?))))
                .collect();
            let rounds: Vec<Value> = results.rounds(c.name).iter().map(sample).collect();
            json!({ "name": c.name, "title": c.title.replace('*', ""), "median": median, "rounds": rounds })
        })
        .collect();
    let targets: Vec<Value> = TARGETS
        .iter()
        .filter_map(|t| {
            let verdict = t.judge(results)?;
            Some(json!({
                "title": t.title,
                "seen": verdict.seen,
                "bound": t.bound(),
                "reached": verdict.reached,
            }))
        })
        .collect();
    let document = json!({
        "schema": 1,
        "date": results.date,
        "machine": results.machine,
        "command": results.command,
        "contenders": contenders,
        "targets": targets,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn sample(sample: &Sample) -> Value {
    let fields: Map<String, Value> = sample
        .iter()
        .map(|(metric, value)| (metric.name().to_owned(), json!(value)))
        .collect();
    Value::Object(fields)
}
