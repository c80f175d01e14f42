//! The results for programs.

use serde_json::{Value, json};

use crate::{args::Args, course::Course, modes::Findings, usage::Usage};

/// Everything that was found, the parts of the course, and how things were as time passed.
pub(crate) fn render(course: &Course, args: &Args, findings: &Findings) -> String {
    let phases: Vec<Value> = course
        .phases
        .iter()
        .map(|p| {
            json!({
                "name": p.name,
                "from": p.from,
                "to": p.to,
                "hub": usage(&p.hub),
                "swarm": usage(&p.swarm),
                "datagrams_to_the_hub": p.sent,
                "datagrams_from_the_hub": p.received,
            })
        })
        .collect();
    let samples: Vec<Value> = course
        .samples
        .iter()
        .map(|s| {
            json!({
                "at": s.at,
                "joined": s.counts.joined,
                "sessions": s.counts.sessions,
                "links": s.counts.links,
                "complete": s.counts.complete,
                "hub": s.hub.as_ref().map(usage),
                "swarm": usage(&s.swarm),
            })
        })
        .collect();
    let document = json!({
        "schema": 1,
        "mode": args.mode.name(),
        "peers": args.peers(),
        "links": args.links,
        "as_it_should_be": !findings.failed,
        "findings": findings.fields,
        "phases": phases,
        "samples": samples,
    });
    format!("{document:#}\n")
}

fn usage(usage: &Usage) -> Value {
    json!({
        "cpu_seconds": usage.cpu.as_secs_f64(),
        "data_cpu_seconds": usage.data.as_secs_f64(),
        "handshake_cpu_seconds": usage.handshakes.as_secs_f64(),
        "resident_bytes": usage.resident,
    })
}
