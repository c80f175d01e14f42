//! What a flood of pings looked like on the wire: every echo request, when it was sent and when answered.
//!
//! `ping -f` tells how many were lost; only the wire tells when, and how long nothing arrived.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::time::UnixMicros;

/// One echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// When the request went out.
    pub sent: UnixMicros,
    /// When the first reply came.
    pub answered: Option<UnixMicros>,
    /// Further replies.
    pub copies: u32,
}

/// One run of `ping`, seen from its host.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Who is asked.
    pub target: IpAddr,
    /// In the order in which they were sent.
    pub echoes: Vec<Echo>,
    latest_of_sequence: Vec<u32>,
}

/// Time without a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// The last reply before it.
    pub from: UnixMicros,
    /// The first reply after it.
    pub to: UnixMicros,
}

impl Gap {
    /// Its length in milliseconds.
    pub fn millis(self) -> f64 {
        (self.to - self.from) as f64 / 1000.0
    }
}

/// A stretch of a conversation in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Requests.
    pub sent: u64,
    /// Of those, answered at least once.
    pub answered: u64,
    /// Replies beyond the first.
    pub copies: u64,
    /// The longest time between two replies; from the first request on, and to the last request.
    pub longest_gap: Gap,
    /// The same without the time in which no request waited for its reply: on a busy machine `ping` itself may not
    /// have run.
    pub longest_wait: Gap,
    /// The longest time between a request and its reply, in microseconds.
    pub worst_rtt: i64,
}

impl Conversation {
    fn new(target: IpAddr) -> Self {
        Self {
            target,
            echoes: Vec::new(),
            latest_of_sequence: vec![u32::MAX; 1 << 16],
        }
    }

    fn request(&mut self, sequence: u16, at: UnixMicros) {
        self.latest_of_sequence[usize::from(sequence)] = self.echoes.len() as u32;
        self.echoes.push(Echo {
            sent: at,
            answered: None,
            copies: 0,
        });
    }

    fn reply(&mut self, sequence: u16, at: UnixMicros) {
        let latest = self.latest_of_sequence[usize::from(sequence)];
        if let Some(echo) = self.echoes.get_mut(latest as usize) {
            if echo.answered.is_some() {
                echo.copies += 1;
            } else {
                echo.answered = Some(at);
            }
        }
    }

    /// The requests sent from `from` on and before `to`, and their replies.
    pub fn summary(&self, from: UnixMicros, to: UnixMicros) -> Summary {
        let first = self.echoes.partition_point(|e| e.sent < from);
        let end = self.echoes.partition_point(|e| e.sent < to);
        let part = &self.echoes[first..end.max(first)];
        let mut answers: Vec<UnixMicros> = part.iter().filter_map(|e| e.answered).collect();
        answers.sort_unstable();
        let edges = part.first().map(|e| e.sent).into_iter();
        // A flood that ends unanswered has been silent until its last request at least.
        let last = part.last().filter(|e| e.answered.is_none()).map(|e| e.sent);
        let moments: Vec<UnixMicros> = edges.chain(answers.iter().copied()).chain(last).collect();
        let longest_gap = moments
            .windows(2)
            .map(|w| Gap { from: w[0], to: w[1] })
            .max_by_key(|g| g.to - g.from)
            .unwrap_or_default();
        Summary {
            sent: part.len() as u64,
            answered: answers.len() as u64,
            copies: part.iter().map(|e| u64::from(e.copies)).sum(),
            longest_gap,
            longest_wait: longest_wait(part, &moments),
            worst_rtt: part
                .iter()
                .filter_map(|e| Some(e.answered? - e.sent))
                .max()
                .unwrap_or(0),
        }
    }
}

/// The longest time between two of `moments` from the first request on that was not answered before.
fn longest_wait(part: &[Echo], moments: &[UnixMicros]) -> Gap {
    let mut waiting = part.iter().peekable();
    let mut longest = Gap::default();
    for pair in moments.windows(2) {
        while waiting
            .next_if(|e| e.answered.is_some_and(|at| at <= pair[0]))
            .is_some()
        {}
        let from = waiting.peek().map_or(pair[1], |e| e.sent).clamp(pair[0], pair[1]);
        if pair[1] - from > longest.to - longest.from {
            longest = Gap { from, to: pair[1] };
        }
    }
    longest
}

/// All conversations of one host.
#[derive(Clone, Debug, Default)]
pub struct Record {
    conversations: BTreeMap<(IpAddr, u16), Conversation>,
    /// The time of the last packet seen, echo or not.
    pub latest: UnixMicros,
}

impl Record {
    /// Takes in an Ethernet frame as seen at `at` on the host that pings. What is no echo is ignored.
    pub fn frame(&mut self, at: UnixMicros, frame: &[u8]) {
        self.latest = self.latest.max(at);
        match parse(frame) {
            Some(Message::Request {
                target,
                ident,
                sequence,
            }) => self
                .conversations
                .entry((target, ident))
                .or_insert_with(|| Conversation::new(target))
                .request(sequence, at),
            Some(Message::Reply {
                source,
                ident,
                sequence,
            }) => {
                if let Some(conversation) = self.conversations.get_mut(&(source, ident)) {
                    conversation.reply(sequence, at);
                }
            }
            None => {}
        }
    }

    /// All conversations with `target`, one after the other.
    pub fn with(&self, target: IpAddr) -> impl Iterator<Item = &Conversation> {
        self.conversations.values().filter(move |c| c.target == target)
    }

    /// All echoes with `target` in the order in which they were sent.
    pub fn echoes(&self, target: IpAddr) -> Vec<Echo> {
        let mut all: Vec<Echo> = self.with(target).flat_map(|c| c.echoes.iter().copied()).collect();
        all.sort_by_key(|e| e.sent);
        all
    }
}

/// Identifier and sequence number of an echo request.
pub fn request(frame: &[u8]) -> Option<(u16, u16)> {
    match parse(frame)? {
        Message::Request { ident, sequence, .. } => Some((ident, sequence)),
        Message::Reply { .. } => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Message {
    Request {
        target: IpAddr,
        ident: u16,
        sequence: u16,
    },
    Reply {
        source: IpAddr,
        ident: u16,
        sequence: u16,
    },
}

fn parse(frame: &[u8]) -> Option<Message> {
    let (source, target, icmp, request, reply) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let packet = frame.get(14..)?;
            let header = usize::from(packet.first()? & 15) * 4;
            let fragment = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?) & 0x1fff;
            if *packet.get(9)? != 1 || fragment != 0 {
                return None;
            }
            let address = |at: usize| {
                Some(IpAddr::V4(Ipv4Addr::from(
                    <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?,
                )))
            };
            (address(12)?, address(16)?, packet.get(header..)?, 8, 0)
        }
        [0x86, 0xdd] => {
            let packet = frame.get(14..)?;
            if *packet.get(6)? != 58 {
                return None;
            }
            let address = |at: usize| {
                Some(IpAddr::V6(Ipv6Addr::from(
                    <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?,
                )))
            };
            (address(8)?, address(24)?, packet.get(40..)?, 128, 129)
        }
        _ => return None,
    };
    let word = |at: usize| Some(u16::from_be_bytes(icmp.get(at..at + 2)?.try_into().ok()?));
    let (ident, sequence) = (word(4)?, word(6)?);
    match *icmp.first()? {
        kind if kind == request => Some(Message::Request {
            target,
            ident,
            sequence,
        }),
        kind if kind == reply => Some(Message::Reply {
            source,
            ident,
            sequence,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(kind: u8, from: [u8; 4], to: [u8; 4], sequence: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0]);
        frame.extend(from);
        frame.extend(to);
        frame.extend([kind, 0, 0, 0, 0, 77]);
        frame.extend(sequence.to_be_bytes());
        frame
    }

    #[test]
    fn counts_lost_copies_and_the_longest_gap() {
        let (us, them) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut record = Record::default();
        for (sequence, at) in [(1, 1_000), (2, 2_000), (3, 12_000), (4, 22_000)] {
            record.frame(at, &echo(8, us, them, sequence));
        }
        record.frame(1_200, &echo(0, them, us, 1));
        record.frame(22_300, &echo(0, them, us, 4));
        record.frame(22_400, &echo(0, them, us, 4));
        record.frame(22_500, &echo(0, them, us, 3));
        let conversation = record.with(IpAddr::from(them)).next().expect("a conversation");
        let summary = conversation.summary(0, 30_000);
        assert_eq!((summary.sent, summary.answered, summary.copies), (4, 3, 1));
        assert_eq!(
            summary.longest_gap,
            Gap {
                from: 1_200,
                to: 22_300
            }
        );
        assert_eq!(summary.worst_rtt, 10_500);
    }

    #[test]
    fn the_sequence_wraps() {
        let (us, them) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut record = Record::default();
        for n in 0..70_000_i64 {
            record.frame(n * 10, &echo(8, us, them, n as u16));
            record.frame(n * 10 + 5, &echo(0, them, us, n as u16));
        }
        let summary = record
            .with(IpAddr::from(them))
            .next()
            .expect("a conversation")
            .summary(0, i64::MAX);
        assert_eq!(
            (summary.sent, summary.answered, summary.copies),
            (70_000, 70_000, 0)
        );
        assert_eq!(summary.longest_gap.to - summary.longest_gap.from, 10);
    }

    #[test]
    fn a_flood_that_ends_in_silence_has_that_gap() {
        let (us, them) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut record = Record::default();
        for n in 0..100 {
            record.frame(i64::from(n) * 10_000, &echo(8, us, them, n));
            if n < 50 {
                record.frame(i64::from(n) * 10_000 + 100, &echo(0, them, us, n));
            }
        }
        let summary = record
            .with(IpAddr::from(them))
            .next()
            .expect("a conversation")
            .summary(0, i64::MAX);
        assert_eq!(
            summary.longest_gap,
            Gap {
                from: 490_100,
                to: 990_000
            }
        );
    }

    #[test]
    fn a_pause_of_ping_itself_is_no_wait() {
        let (us, them) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut record = Record::default();
        // Answered in 200 us; then `ping` does nothing for 30 ms; then an answer takes 5 ms.
        for (sequence, sent, took) in [(1, 0, 200), (2, 30_000, 5000), (3, 35_100, 100)] {
            record.frame(sent, &echo(8, us, them, sequence));
            record.frame(sent + took, &echo(0, them, us, sequence));
        }
        let conversation = record.with(IpAddr::from(them)).next().expect("a conversation");
        let summary = conversation.summary(0, 50_000);
        assert_eq!(
            summary.longest_gap,
            Gap {
                from: 200,
                to: 35_000
            }
        );
        assert_eq!(
            summary.longest_wait,
            Gap {
                from: 30_000,
                to: 35_000
            }
        );
        // A request that is never answered waits for ever.
        record.frame(35_300, &echo(8, us, them, 4));
        record.frame(65_300, &echo(8, us, them, 5));
        record.frame(65_400, &echo(0, them, us, 5));
        let conversation = record.with(IpAddr::from(them)).next().expect("a conversation");
        let wait = conversation.summary(0, 90_000).longest_wait;
        assert_eq!(
            wait,
            Gap {
                from: 35_300,
                to: 65_400
            }
        );
    }

    #[test]
    fn anything_else_is_ignored() {
        let mut record = Record::default();
        let good = echo(8, [10, 0, 0, 1], [10, 0, 0, 2], 1);
        for length in 0..good.len() - 2 {
            record.frame(1, &good[..length]);
        }
        record.frame(1, &[0; 64]);
        assert_eq!(request(&good), Some((77, 1)));
        assert_eq!(request(&echo(0, [10, 0, 0, 2], [10, 0, 0, 1], 1)), None);
        assert_eq!(record.conversations.len(), 0);
    }
}
