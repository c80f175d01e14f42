//! The table for programs.

use knet_tests::lab::Result;
use serde_json::json;

use crate::{
    promise::broken_in_scene,
    run::{PairResult, PolicyRun, SceneResult, pair_name},
};

/// All runs. Times are milliseconds.
pub(crate) fn render(runs: &[PolicyRun]) -> Result<String> {
    let document = json!({
        "schema": 1,
        "runs": runs.iter().map(|run| json!({
            "policy": run.policy.name(),
            "links": run.links,
            "duration_ms": (run.ended - run.began) / 1000,
            "cuts": run.scenes.iter().map(|result| scene(run, result)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn scene(run: &PolicyRun, result: &SceneResult) -> serde_json::Value {
    json!({
        "cut": result.scene.name(),
        "title": result.scene.title(),
        "policy": run.policy.name(),
        "noticed_ms": result.noticed.map(|us| us as f64 / 1000.0),
        "longest_gap_ms": result.worst_gap_pair().1.wire.longest_gap.millis(),
        "sent": result.sum(|p| p.ping.sent),
        "lost": result.sum(PairResult::lost),
        "duplicates": result.sum(|p| p.ping.duplicates),
        "cut_lasted_ms": (result.restored - result.cut) / 1000,
        "recovered_after_ms": (result.recovered - result.restored) / 1000,
        "machine_stall_ms": result.stall.as_secs_f64() * 1000.0,
        "broken": broken_in_scene(run.policy, result),
        "pairs": result.pairs.iter().enumerate().map(|(pair, p)| json!({
            "pair": pair_name(pair),
            "sent": p.ping.sent,
            "received": p.ping.received,
            "answered_after_ping_ended": p.late(),
            "lost": p.lost(),
            "duplicates": p.ping.duplicates,
            "errors": p.ping.errors,
            "longest_gap_ms": p.wire.longest_gap.millis(),
            "longest_gap_begins_after_cut_ms": (p.wire.longest_gap.from - result.cut) as f64 / 1000.0,
            "worst_rtt_ms": p.wire.worst_rtt as f64 / 1000.0,
        })).collect::<Vec<_>>(),
    })
}
