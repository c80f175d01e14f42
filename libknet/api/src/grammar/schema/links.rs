//! Help for the lines about how links are used and judged: in a link, and for all links of an id in a mesh or a group.

pub(super) const PRIORITY: (&str, &str) = ("priority", "Preference under the passive policy");
pub(super) const WEIGHT: (&str, &str) = (
    "weight",
    "Share where links share the traffic (round-robin, flow-hash)",
);
pub(super) const COST: (&str, &str) = (
    "cost",
    "What its bytes cost: used only while no link that costs less is up",
);
pub(super) const TIMERS: (&str, &str) = ("timers", "Heartbeats: interval and timeout");
pub(super) const PONG_COUNT: (&str, &str) = ("pong-count", "Answers that bring the link back up");
pub(super) const LIMIT: (&str, &str) = ("limit", "When the link is avoided while another one is up");
pub(super) const LOSS: (&str, &str) = (
    "loss",
    "Loss above this for two seconds; used again after thirty clean ones",
);
pub(super) const RTT: (&str, &str) = (
    "rtt",
    "Round trip above this for two seconds; used again after thirty good ones",
);
