//! The tables, in Markdown.

use std::fmt::Write;

use crate::{
    contender::Group,
    metric::Metric,
    results::{Results, Sample},
    target::TARGETS,
};

/// One round in a line.
pub(crate) fn brief(sample: &Sample) -> String {
    let show = |(metric, value): (&Metric, &f64)| format!("{} {}", metric.title(), metric.show(*value));
    sample.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// Everything: what was measured, by policy and links, and against the targets.
pub(crate) fn render(results: &Results) -> String {
    let mut text = format!(
        "{}, {}; `{}`, medians of {} rounds. TCP in Gbit/s, round trips in µs.\n",
        results.date, results.machine, results.command, results.repetitions
    );
    main_table(&mut text, results);
    links_table(&mut text, results);
    targets_table(&mut text, results);
    text
}

// Writing to a String cannot fail: the results of `write!` below say nothing.

fn main_table(text: &mut String, results: &Results) {
    let rows: Vec<_> = results
        .contenders
        .iter()
        .filter(|c| c.group != Group::Links)
        .collect();
    if rows.is_empty() {
        return;
    }
    let titles: Vec<_> = Metric::ALL.iter().map(|m| m.title()).collect();
    let _ = writeln!(
        text,
        "\n| | {} |\n|---|{}",
        titles.join(" | "),
        "---:|".repeat(titles.len())
    );
    for contender in rows {
        let cells = Metric::ALL.iter().map(|m| cell(results, contender.name, *m));
        let _ = writeln!(
            text,
            "| {} | {} |",
            contender.title,
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

fn cell(results: &Results, name: &str, metric: Metric) -> String {
    results
        .median(name, metric)
        .map_or_else(|| "–".into(), |value| metric.show(value))
}

fn links_table(text: &mut String, results: &Results) {
    let rows: Vec<_> = results
        .contenders
        .iter()
        .filter(|c| c.group == Group::Links)
        .collect();
    if rows.is_empty() {
        return;
    }
    let metrics = [Metric::Tcp, Metric::Cost];
    let titles = metrics.map(Metric::title).join(" | ");
    let _ = writeln!(text, "\n| knet: policy, links | {titles} |\n|---|---:|---:|");
    for contender in rows {
        let cells = metrics.map(|m| cell(results, contender.name, m)).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", contender.title);
    }
}

fn targets_table(text: &mut String, results: &Results) {
    let judged: Vec<_> = TARGETS
        .iter()
        .filter_map(|t| Some((t, t.judge(results)?)))
        .collect();
    if judged.is_empty() {
        return;
    }
    text.push_str("\n| in the same round | seen | target | |\n|---|---:|---:|---|\n");
    for (target, verdict) in judged {
        let mark = if verdict.reached { "reached" } else { "**missed**" };
        let digits = if verdict.seen < 20.0 { 2 } else { 0 };
        let _ = writeln!(
            text,
            "| {} | {:.digits$} | {} | {mark} |",
            target.title,
            verdict.seen,
            target.bound()
        );
    }
}
