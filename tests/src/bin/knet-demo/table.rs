//! The table for people.

use crate::{promise::broken_in_scene, run::PolicyRun};

/// Prints one row for each cut.
pub(crate) fn print(runs: &[PolicyRun]) {
    println!(
        "{:<44} {:<12} {:>11} {:>12} {:>9} {:>6} {:>5}",
        "cut", "policy", "noticed ms", "longest gap", "sent", "lost", "dup"
    );
    println!("{}", "─".repeat(105));
    for run in runs {
        for result in &run.scenes {
            let noticed = result
                .noticed
                .map_or_else(|| "–".into(), |us| format!("{}", us / 1000));
            let (_, worst) = result.worst_gap_pair();
            let verdict = if broken_in_scene(run.policy, result).is_empty() {
                ""
            } else {
                "  ✗"
            };
            println!(
                "{:<44} {:<12} {noticed:>11} {:>9.1} ms {:>9} {:>6} {:>5}{verdict}",
                result.scene.title(),
                run.policy.name(),
                worst.wire.longest_gap.millis(),
                result.sum(|p| p.ping.sent),
                result.sum(super::run::PairResult::lost),
                result.sum(|p| p.ping.duplicates),
            );
        }
        let total =
            |of: &dyn Fn(&super::run::PairResult) -> u64| run.scenes.iter().map(|s| s.sum(of)).sum::<u64>();
        println!(
            "{:<44} {:<12} {:>11} {:>12} {:>9} {:>6} {:>5}\n",
            "together",
            run.policy.name(),
            "",
            "",
            total(&|p| p.ping.sent),
            total(&super::run::PairResult::lost),
            total(&|p| p.ping.duplicates),
        );
    }
}
