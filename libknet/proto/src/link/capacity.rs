//! What a link carries, as far as its traffic shows: the share of a link with `weight auto`.
//!
//! A link is *full* while data queues in front of it: then reports come later than the fastest ones did. A full link
//! delivers what it carries. One that is not full could carry more, nobody knows how much: while another link is
//! full its estimate grows, so that it gets more of what is too much there, until it is full itself. While no link is
//! full there is nothing to learn, and nothing changes.

use crate::time::{Span, Time};

/// Shortest time over which is measured.
const WINDOW: Span = Span::from_millis(200);
/// With so little in the longest it is not worth a measurement, and another one begins.
const ENOUGH: u32 = 64;
const LONGEST: Span = Span::from_secs(2);
/// Fewest reports that tell of the delay.
const REPORTS: u32 = 4;
/// A longer queue than this, and an eighth of the delay without any, makes a link full. How exactly the delay is
/// known stays below it: marks of the sent log are up to two milliseconds apart, a sixteenth on long paths.
const QUEUE: Span = Span::from_millis(4);
/// The fastest report counts for so long once, and at most twice.
const MEMORY: Span = Span::from_secs(30);

/// What one window showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Datagrams per second that arrived.
    pub delivered: u64,
    /// Whether data queued in front of it.
    pub full: bool,
}

/// The measurement of one link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacity {
    /// Datagrams per second; 0 while nothing is known.
    rate: u64,
    since: Time,
    /// The peer's count of datagrams at the begin of the window, and now.
    counted: Option<(u32, u32)>,
    delays: Span,
    reports: u32,
    /// The fastest report of this period and of the one before.
    fastest: [Option<Span>; 2],
    period: Time,
}

impl Capacity {
    /// A report came `delay` after what it tells of had left.
    pub fn delay(&mut self, now: Time, delay: Span) {
        if now.since(self.period) >= MEMORY {
            let [current, _] = self.fastest;
            self.fastest = [None, current];
            self.period = now;
        }
        let [current, _] = &mut self.fastest;
        *current = Some(current.map_or(delay, |d| d.min(delay)));
        self.delays = self.delays + delay;
        self.reports += 1;
    }

    /// A report says that `total` datagrams have arrived over the link in all (modulo 2^32).
    pub fn delivered(&mut self, total: u32) {
        let (first, _) = self.counted.unwrap_or((total, total));
        self.counted = Some((first, total));
    }

    /// Whether the window is long enough to tell something. One that does not become so begins anew.
    pub fn is_ready(&mut self, now: Time) -> bool {
        let age = now.since(self.since);
        let ready = age >= WINDOW && self.arrived() >= ENOUGH && self.reports >= REPORTS;
        if !ready && age >= LONGEST {
            self.begin(now);
        }
        ready
    }

    /// Ends the window, and begins the next one.
    pub fn close(&mut self, now: Time) -> Window {
        let age = now.since(self.since).as_micros().max(1);
        let arrived = self.arrived();
        let mean = self.delays.divided_by(u64::from(self.reports.max(1)));
        let fastest = self.fastest.into_iter().flatten().min().unwrap_or(mean);
        let full = mean - fastest >= QUEUE + fastest.divided_by(8);
        self.begin(now);
        Window {
            delivered: u64::from(arrived) * 1_000_000 / age,
            full,
        }
    }

    /// Takes in what a window showed; `another_is_full`: at the same time there was another link on which data queued.
    pub fn learn(&mut self, window: Window, another_is_full: bool) {
        let delivered = window.delivered.max(1);
        self.rate = match (self.rate, window.full) {
            (0, _) => delivered,
            (rate, true) => (rate * 3 + delivered) / 4,
            // By a tenth: the double is reached in one and a half seconds.
            (rate, false) if another_is_full => {
                let rate = rate.max(delivered);
                rate + (rate / 10).max(1)
            }
            (rate, false) => rate.max(delivered),
        };
    }

    /// Datagrams per second that it can carry; `None` while nothing is known.
    pub const fn rate(&self) -> Option<u64> {
        match self.rate {
            0 => None,
            rate => Some(rate),
        }
    }

    /// Datagrams that arrived in this window.
    fn arrived(&self) -> u32 {
        self.counted.map_or(0, |(first, last)| last.wrapping_sub(first))
    }

    fn begin(&mut self, now: Time) {
        self.since = now;
        self.counted = self.counted.map(|(_, last)| (last, last));
        self.delays = Span::ZERO;
        self.reports = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Link, sent_log::DataSeq, tests::link};

    const MS: fn(u64) -> Time = |n| Time::from_nanos(n * 1_000_000);

    /// Sends `sent` per second for a window over a link that carries `carries`, with `queue` in front of it if that
    /// is too much.
    fn window(c: &mut Capacity, at: &mut u64, total: &mut u32, sent: u64, carries: u64) -> Window {
        let delay = Span::from_millis(if sent > carries { 20 } else { 2 });
        for _ in 0..20 {
            *at += 10;
            *total = total.wrapping_add((sent.min(carries) / 100) as u32);
            c.delivered(*total);
            c.delay(MS(*at), delay);
        }
        assert!(c.is_ready(MS(*at)));
        c.close(MS(*at))
    }

    #[test]
    fn shares_end_where_all_links_are_full() {
        // 200, 100 and 50 Mbit/s in datagrams of 1250 bytes, and more to send than they carry together.
        let carries = [20_000, 10_000, 5_000];
        let mut links = [Capacity::default(); 3];
        let (mut at, mut totals) = (0, [u32::MAX - 500; 3]);
        for (link, total) in links.iter_mut().zip(&mut totals) {
            // Before there was much to send the delay was small.
            window(link, &mut at, total, 1000, 10_000);
        }
        for round in 0..60 {
            // TCP: the narrowest link decides how much is sent over all.
            let rates = links.map(|l| l.rate().unwrap_or(1));
            let sum: u64 = rates.iter().sum();
            let fits = |i: usize| carries[i] * sum / rates[i];
            let sent = (0..3).map(fits).min().unwrap_or(0) * 21 / 20;
            let begin = at;
            let mut windows = [Window {
                delivered: 0,
                full: false,
            }; 3];
            for i in 0..3 {
                at = begin;
                let share = sent * rates[i] / sum;
                windows[i] = window(&mut links[i], &mut at, &mut totals[i], share, carries[i]);
            }
            for i in 0..3 {
                let another = (0..3).any(|j| j != i && windows[j].full);
                links[i].learn(windows[i], another);
            }
            if round >= 30 {
                assert!(sent >= 35_000 * 85 / 100, "round {round}: {sent} {rates:?}");
            }
        }
    }

    #[test]
    fn without_a_queue_anywhere_nothing_changes() {
        let (mut c, mut at, mut total) = (Capacity::default(), 0, 0);
        for sent in [5_000, 9_000, 1_000, 2_000] {
            let w = window(&mut c, &mut at, &mut total, sent, 10_000);
            assert!(!w.full);
            c.learn(w, false);
        }
        assert!(c.rate().is_some_and(|r| (8_900..=9_000).contains(&r)), "{c:?}");
    }

    #[test]
    fn an_idle_link_tells_nothing() {
        let mut c = Capacity::default();
        for n in 0..50 {
            c.delivered(n);
            c.delay(MS(u64::from(n) * 100), Span::from_millis(2));
            assert!(!c.is_ready(MS(u64::from(n) * 100)));
        }
        assert_eq!(c.rate(), None);
    }

    #[test]
    fn nothing_is_kept_across_a_restart_of_the_peer_or_another_path() {
        let forget: [fn(&mut Link); 2] = [
            |l| {
                l.session_begins(MS(10_000), true);
            },
            |l| l.path_changed(MS(10_000), false),
        ];
        for forget in forget {
            let mut link = link();
            let (mut at, mut total) = (0, 1_000_000);
            let data = DataSeq {
                session: 1,
                counter: 1,
            };
            link.data_sent(MS(0), data, 100);
            let capacity = link.load.capacity().expect("there is data");
            let w = window(capacity, &mut at, &mut total, 5_000, 10_000);
            capacity.learn(w, false);
            assert!(link.load.rate().is_some());
            forget(&mut link);
            assert_eq!(link.load.rate(), None);
            link.data_sent(MS(10_000), data, 100);
            let capacity = link.load.capacity().expect("there is data");
            // The peer counts from zero: less than before is no round of the counter.
            let (mut at, mut total) = (10_000, 0);
            let w = window(capacity, &mut at, &mut total, 5_000, 10_000);
            assert!(w.delivered <= 5_000, "{w:?}");
        }
    }
}
