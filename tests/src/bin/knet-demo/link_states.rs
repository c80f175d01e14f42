//! The states of a link over time, from the events.

use knet_tests::lab::{HostId, mesh::NAMES, time::UnixMicros};

use crate::run::PolicyRun;

/// A stretch of time in one state.
pub(crate) struct Stretch {
    pub(crate) from: UnixMicros,
    pub(crate) to: UnixMicros,
    pub(crate) state: String,
}

/// The states of `link` from `host` to `peer` in a window of time.
pub(crate) fn stretches(
    run: &PolicyRun,
    (host, peer): (HostId, HostId),
    link: usize,
    (from, to): (UnixMicros, UnixMicros),
) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    // A run begins only when every link is up.
    let (mut since, mut state) = (from, "up".to_owned());
    for event in run.events.get(&host).into_iter().flatten() {
        let ours = event.peer.as_deref() == Some(NAMES[peer.0]) && event.link == Some(link);
        let Some(next) = event.detail("to").filter(|_| ours && event.kind == "link-state") else {
            continue;
        };
        if event.at >= to {
            break;
        }
        if event.at > since {
            stretches.push(Stretch {
                from: since,
                to: event.at,
                state: std::mem::take(&mut state),
            });
            since = event.at;
        }
        next.clone_into(&mut state);
    }
    stretches.push(Stretch {
        from: since,
        to,
        state,
    });
    stretches
}

/// The colour of a state.
pub(crate) fn colour(state: &str) -> &'static str {
    match state {
        "up" => "#4ade80",
        "suspect" => "#f59e0b",
        "probing" => "#60a5fa",
        "down" => "#ef4444",
        "local-down" => "#991b1b",
        _ => "#94a3b8",
    }
}

/// What the legend explains, in order.
pub(crate) const STATES: [&str; 5] = ["up", "suspect", "down", "local-down", "probing"];
