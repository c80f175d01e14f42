//! Pings over the control plane that wait for their answer.

use std::collections::BTreeMap;

use knet_proto::{
    shard::ProbeReply,
    time::{Span, Time},
};

use crate::query::PingResult;

/// Gets the result.
pub(crate) type PingReply = Box<dyn FnOnce(PingResult) + Send>;

/// More than this wait at no time.
const WAITING: usize = 4096;

/// The pings under way.
#[derive(Default)]
pub(crate) struct Pings {
    waiting: BTreeMap<u64, (Time, PingReply)>,
    last_token: u64,
}

impl Pings {
    /// A token for a new ping that ends at `now + timeout`; `None` (and `reply` is dropped) where too many wait.
    pub(crate) fn add(&mut self, now: Time, timeout: Span, reply: PingReply) -> Option<u64> {
        if self.waiting.len() >= WAITING {
            return None;
        }
        self.last_token += 1;
        self.waiting.insert(self.last_token, (now + timeout, reply));
        Some(self.last_token)
    }

    /// Ends one ping.
    pub(crate) fn end(&mut self, token: u64, result: PingResult) {
        if let Some((_, reply)) = self.waiting.remove(&token) {
            reply(result);
        }
    }

    /// Ends the one that was answered.
    pub(crate) fn answered(&mut self, reply: &ProbeReply) {
        self.end(
            reply.token,
            PingResult::Answered {
                link: reply.link,
                rtt: reply.rtt,
            },
        );
    }

    /// Ends those whose time is up.
    pub(crate) fn expire(&mut self, now: Time) {
        while let Some(token) = self
            .waiting
            .iter()
            .find(|(_, (at, _))| *at <= now)
            .map(|(token, _)| *token)
        {
            self.end(token, PingResult::Timeout);
        }
    }

    /// When the next one's time is up.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.waiting.values().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use knet_proto::ids::{LinkId, PeerId};

    use super::*;

    #[test]
    fn each_ping_ends_once() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let reply = |n: u32| -> PingReply {
            let seen = Arc::clone(&seen);
            Box::new(move |r| {
                if let Ok(mut seen) = seen.lock() {
                    seen.push((n, r));
                }
            })
        };
        let mut pings = Pings::default();
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        let a = pings.add(at(0), Span::from_millis(30), reply(1));
        let b = pings.add(at(0), Span::from_millis(10), reply(2));
        let (Some(a), Some(_)) = (a, b) else { panic!() };
        assert_eq!(pings.next_deadline(), Some(at(10)));
        pings.expire(at(9));
        pings.expire(at(10));
        let Some(link) = LinkId::new(3) else { panic!() };
        let rtt = Span::from_micros(7);
        for _ in 0..2 {
            pings.answered(&ProbeReply {
                token: a,
                peer: PeerId(0),
                link,
                rtt,
            });
        }
        pings.expire(at(1000));
        let want = [(2, PingResult::Timeout), (1, PingResult::Answered { link, rtt })];
        assert_eq!(seen.lock().ok().as_deref(), Some(&want.to_vec()));
        assert_eq!(pings.next_deadline(), None);
    }
}
