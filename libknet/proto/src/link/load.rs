//! What is known of a link only while it carries data. Most links of a hub of tens of thousands do not.

use super::{
    capacity::Capacity,
    large_watch::LargeWatch,
    rtt::RttEstimator,
    sent_log::{DataSeq, SentLog},
};
use crate::{
    on_demand::OnDemand,
    time::{Span, Time},
};

/// A link that has carried no data for so long carries none.
const IDLE: Span = Span::from_secs(60);

/// The data of one link.
#[derive(Debug, Default)]
pub struct Load {
    /// The last that was sent on it; the default where none was.
    last: DataSeq,
    measured: OnDemand<Measured>,
}

#[derive(Debug, Default)]
struct Measured {
    /// What was sent and not reported.
    sent: SentLog,
    /// Large datagrams that may be vanishing.
    large: LargeWatch,
    /// How much the link carries.
    capacity: Capacity,
    /// Round trip of data until it is reported: an upper bound that follows a growing queue.
    report_rtt: RttEstimator,
    /// When the last left.
    latest: Time,
}

impl Load {
    /// A datagram of `len` bytes left on the link as `seq`. Marks of the log are kept `spacing` apart; for `floor` see
    /// [`LargeWatch::sent`]. Returns true if it is the only one that waits to be reported.
    pub fn sent(&mut self, now: Time, seq: DataSeq, len: usize, spacing: Span, floor: u16) -> bool {
        // What is sent again may be older than what went before it.
        self.last = self.last.max(seq);
        let measured = self.measured.make();
        measured.latest = now;
        let first = measured.sent.oldest_unreported().is_none();
        measured.sent.sent(now, seq, spacing);
        measured.large.sent(now, seq, len, floor);
        first
    }

    /// Whether `seq` can have been sent on this link.
    pub fn could_have_sent(&self, seq: DataSeq) -> bool {
        self.last > DataSeq::default() && seq <= self.last
    }

    /// See [`SentLog::oldest_unreported`].
    pub fn oldest_unreported(&self) -> Option<Time> {
        self.measured.get()?.sent.oldest_unreported()
    }

    /// See [`SentLog::reported`].
    pub fn reported(&mut self, highest: DataSeq) -> Option<Time> {
        self.measured.get_mut()?.sent.reported(highest)
    }

    /// See [`SentLog::answered`].
    pub fn answered(&mut self, sent: Time) {
        if let Some(measured) = self.measured.get_mut() {
            measured.sent.answered(sent);
        }
    }

    /// The large datagrams that are watched, if there is data.
    pub fn large(&mut self) -> Option<&mut LargeWatch> {
        self.measured.get_mut().map(|m| &mut m.large)
    }

    /// What the link carries, if there is data.
    pub fn capacity(&mut self) -> Option<&mut Capacity> {
        self.measured.get_mut().map(|m| &mut m.capacity)
    }

    /// See [`Capacity::rate`].
    pub fn rate(&self) -> Option<u64> {
        self.measured.get()?.capacity.rate()
    }

    /// Round trip of data until it is reported, if there is data.
    pub fn report_rtt(&mut self) -> Option<&mut RttEstimator> {
        self.measured.get_mut().map(|m| &mut m.report_rtt)
    }

    /// What the time to a report stays below.
    pub fn report_bound(&self) -> Span {
        self.measured.get().map_or(Span::ZERO, |m| m.report_rtt.bound())
    }

    /// Nothing waits to be reported any more, and nothing that was sent so far can be.
    pub fn stop(&mut self) {
        self.last = DataSeq::default();
        if let Some(measured) = self.measured.get_mut() {
            measured.sent = SentLog::default();
        }
    }

    /// Forgets all: the path is another one, or the peer.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether there is data, or was a moment ago.
    pub fn is_measured(&self) -> bool {
        self.measured.get().is_some()
    }

    /// Gives back what a link without data does not need. What it can carry is not learned anew for nothing.
    pub fn shed(&mut self, now: Time) {
        let idle = |m: &Measured| {
            now.since(m.latest) >= IDLE && m.sent.oldest_unreported().is_none() && m.capacity.rate().is_none()
        };
        if self.measured.get().is_some_and(idle) {
            self.measured.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(session: u32, counter: u32) -> DataSeq {
        DataSeq { session, counter }
    }

    #[test]
    fn only_what_was_sent_can_have_been() {
        let mut load = Load::default();
        assert!(!load.could_have_sent(seq(0, 0)));
        assert!(load.sent(Time::ZERO, seq(1, 1_000), 100, Span::ZERO, 548));
        assert!(!load.sent(Time::ZERO, seq(2, 0), 100, Span::ZERO, 548));
        assert!(!load.sent(Time::ZERO, seq(1, 999), 100, Span::ZERO, 548), "again");
        assert!(load.could_have_sent(seq(2, 0)) && !load.could_have_sent(seq(2, 1)));
        load.stop();
        assert!(load.oldest_unreported().is_none() && !load.could_have_sent(seq(1, 0)));
    }

    #[test]
    fn a_link_without_data_has_nothing() {
        let mut load = Load::default();
        let at = |secs| Time::ZERO + Span::from_secs(secs);
        assert!(load.large().is_none() && load.report_bound() == Span::ZERO);
        load.sent(at(0), seq(1, 1), 100, Span::ZERO, 548);
        load.shed(at(100));
        assert!(load.measured.get().is_some(), "one waits");
        load.reported(seq(1, 1));
        load.shed(at(59));
        assert!(load.measured.get().is_some());
        load.shed(at(60));
        assert!(load.measured.get().is_none());
        assert!(load.could_have_sent(seq(1, 1)), "a late report is one of ours");
    }
}
