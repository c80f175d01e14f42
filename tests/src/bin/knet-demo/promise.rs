//! What knet promises, and where a run breaks it.

use knet_tests::lab::mesh::NAMES;

use crate::{
    args::Policy,
    run::{PairResult, PolicyRun, SceneResult, pair_name},
    scene::{KILLED, Scene},
};

/// Longest gap after a silent cut under flood, in milliseconds.
const SILENT_GAP_MS: f64 = 60.0;
/// Longest gap after the carrier was lost, in milliseconds.
const CARRIER_GAP_MS: f64 = 20.0;
/// A killed daemon's traffic is back within this, in milliseconds.
const RESTART_MS: f64 = 4000.0;

/// Every broken promise in a line of its own.
pub(crate) fn broken(run: &PolicyRun) -> Vec<String> {
    run.scenes
        .iter()
        .flat_map(|result| broken_in_scene(run.policy, result))
        .collect()
}

/// As [`broken`], for one cut.
pub(crate) fn broken_in_scene(policy: Policy, result: &SceneResult) -> Vec<String> {
    let mut lines = Vec::new();
    for (pair, measured) in result.pairs.iter().enumerate() {
        let mut complain = |what: String| {
            lines.push(format!(
                "{} · {} · {}: {what}",
                policy.name(),
                result.scene.title(),
                pair_name(pair)
            ));
        };
        let touched = result.scene == Scene::Killed && result.scene.touches(pair);
        if measured.ping.sent == 0 || measured.wire.sent != measured.ping.sent {
            complain(format!(
                "{} pings sent, {} captured",
                measured.ping.sent, measured.wire.sent
            ));
        }
        if measured.ping.duplicates > 0 {
            complain(format!("{} duplicates", measured.ping.duplicates));
        }
        if !touched && measured.lost() > 0 {
            complain(format!("{} of {} lost", measured.lost(), measured.ping.sent));
        }
        if let Some(limit) = gap_limit(policy, result.scene, touched).filter(|_| result.scene.touches(pair))
            && measured.wire.longest_gap.millis() > limit
        {
            complain(too_long(result, measured, limit));
        }
    }
    lines
}

fn gap_limit(policy: Policy, scene: Scene, touched: bool) -> Option<f64> {
    match scene {
        Scene::Killed if touched => Some(RESTART_MS),
        // Under the active policy and beside a killed host there is nothing to wait for.
        _ if policy == Policy::Active => None,
        Scene::Killed => None,
        Scene::Carrier => Some(CARRIER_GAP_MS),
        _ => Some(SILENT_GAP_MS),
    }
}

fn too_long(result: &SceneResult, measured: &PairResult, limit: f64) -> String {
    let stall = result.stall.as_secs_f64() * 1000.0;
    let excuse = if stall > 5.0 {
        format!(" (this machine itself stood still for {stall:.0} ms)")
    } else {
        String::new()
    };
    let gap = measured.wire.longest_gap.millis();
    let who = if result.scene == Scene::Killed {
        NAMES[KILLED.0]
    } else {
        "nothing arrived"
    };
    format!("{who}: gap of {gap:.1} ms, at most {limit:.0} ms are promised{excuse}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::run;

    #[test]
    fn kept() {
        assert_eq!(broken(&run(Policy::Active, 0)), Vec::<String>::new());
        assert_eq!(broken(&run(Policy::Passive, 19)), Vec::<String>::new());
    }

    #[test]
    fn a_long_gap_breaks_it() {
        // Over 20 ms: the carrier, as the three pairs of its host see it. Over 60 ms: all cuts of that host, and the
        // one that four pairs see. Over four seconds: the killed daemon too, which one pair sees.
        assert_eq!(broken(&run(Policy::Passive, 40)).len(), 3);
        assert_eq!(broken(&run(Policy::Passive, 80)).len(), 4 * 3 + 4);
        assert_eq!(broken(&run(Policy::Passive, 4100)).len(), 4 * 3 + 4 + 1);
    }

    #[test]
    fn a_loss_breaks_any_policy() {
        for policy in [Policy::Active, Policy::Passive] {
            let mut run = run(policy, 0);
            for result in &mut run.scenes {
                result.pairs[0].ping.received -= 1;
                result.pairs[0].wire.answered -= 1;
            }
            // But between a killed host and its peers.
            assert_eq!(broken(&run).len(), 6);
        }
    }

    #[test]
    fn an_answer_that_ping_did_not_wait_for_is_not_lost() {
        let mut run = run(Policy::Active, 0);
        run.scenes[0].pairs[0].ping.received -= 1;
        assert_eq!(broken(&run).len(), 0);
    }

    #[test]
    fn a_duplicate_or_an_incomplete_capture_breaks_any() {
        let mut run = run(Policy::Passive, 0);
        run.scenes[0].pairs[0].ping.duplicates = 1;
        run.scenes[1].pairs[1].wire.sent -= 1;
        run.scenes[2].pairs[2].ping.sent = 0;
        assert_eq!(broken(&run).len(), 3);
    }
}
