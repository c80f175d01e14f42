//! How links are used and judged: what a link says of it, and what all links of an id in a mesh or a group have in common.

use crate::model::Weight;

/// The settings of a link. `None`: as the mesh or the group of its peer says, or the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// For the passive policy: the highest wins, 0..=255.
    pub priority: Option<u8>,
    /// Share of the frames where links share the traffic.
    pub weight: Option<Weight>,
    /// What it costs to use it, 0..=255: it carries frames only while no link that costs less is up.
    pub cost: Option<u8>,
    /// Milliseconds between heartbeats of the idle link, 100..=60000, and milliseconds of silence after which the last
    /// usable link is down: at least three intervals.
    pub timers_ms: Option<(u32, u32)>,
    /// Answers in a row that bring the link back up, 1..=100.
    pub pong_count: Option<u8>,
    /// Percent of loss beyond which it is avoided while another link is up, 1..=99. There is none by default.
    pub limit_loss: Option<u8>,
    /// Milliseconds of round trip beyond which it is avoided while another link is up, 1..=10000. There is none by default.
    pub limit_rtt: Option<u16>,
}

impl LinkSettings {
    /// These, and where they say nothing `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            priority: self.priority.or(others.priority),
            weight: self.weight.or(others.weight),
            cost: self.cost.or(others.cost),
            timers_ms: self.timers_ms.or(others.timers_ms),
            pong_count: self.pong_count.or(others.pong_count),
            limit_loss: self.limit_loss.or(others.limit_loss),
            limit_rtt: self.limit_rtt.or(others.limit_rtt),
        }
    }

    /// The same with every default said.
    #[must_use]
    pub fn spelled_out(self) -> Self {
        Self {
            priority: Some(self.priority()),
            weight: Some(self.weight()),
            cost: Some(self.cost()),
            timers_ms: Some(self.timers_ms()),
            pong_count: Some(self.pong_count()),
            ..self
        }
    }

    /// The priority, or the default.
    pub fn priority(self) -> u8 {
        self.priority.unwrap_or(100)
    }

    /// The weight, or the default.
    pub fn weight(self) -> Weight {
        self.weight.unwrap_or_default()
    }

    /// The cost, or the default.
    pub fn cost(self) -> u8 {
        self.cost.unwrap_or_default()
    }

    /// Interval and timeout in milliseconds, or the default.
    pub fn timers_ms(self) -> (u32, u32) {
        self.timers_ms.unwrap_or((1000, 3000))
    }

    /// The pong count, or the default.
    pub fn pong_count(self) -> u8 {
        self.pong_count.unwrap_or(5)
    }
}
