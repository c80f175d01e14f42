//! Datagrams that wait for room in a socket's send buffer.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use knet_proto::{
    path::Path,
    shard::Class,
    time::{Span, Time},
};

/// Datagrams, at most: one reading of the TAP, each frame in as many pieces as it may have.
const DATAGRAMS: usize = 4096;
/// How long data waits. Whoever waits for it would have it sent again by then, and what comes behind it has to wait too.
const PATIENCE: Span = Span::from_millis(50);

/// Control first, then data; each in the order in which it came: heartbeats that wait behind the data that they watch
/// over would make a busy link look dead.
#[derive(Default)]
pub(super) struct Queue {
    control: VecDeque<Waiting>,
    data: VecDeque<Waiting>,
}

/// One datagram.
pub(super) struct Waiting {
    pub(super) remote: SocketAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) class: Class,
    pub(super) bytes: Box<[u8]>,
    since: Time,
}

impl Queue {
    /// Puts a datagram at the end of its class; false if there is no room.
    pub(super) fn push(&mut self, now: Time, path: &Path, class: Class, bytes: &[u8]) -> bool {
        let list = match class {
            Class::Control => &mut self.control,
            Class::Data => &mut self.data,
        };
        let has_room = list.len() < DATAGRAMS;
        if has_room {
            list.push_back(Waiting {
                remote: path.remote,
                local: path.local,
                class,
                bytes: bytes.into(),
                since: now,
            });
        }
        has_room
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.control.len() + self.data.len()
    }

    /// The datagram at a position, counted from the next one to send.
    pub(super) fn get(&self, position: usize) -> Option<&Waiting> {
        match position.checked_sub(self.control.len()) {
            None => self.control.get(position),
            Some(position) => self.data.get(position),
        }
    }

    /// Takes the next `count` out: they are sent.
    pub(super) fn advance(&mut self, count: usize) {
        let control = count.min(self.control.len());
        self.control.drain(..control);
        self.data.drain(..(count - control).min(self.data.len()));
    }

    /// Takes out the data that has waited for too long, and tells how many.
    pub(super) fn expire(&mut self, now: Time) -> usize {
        let late = self.data.partition_point(|w| w.since + PATIENCE <= now);
        self.data.drain(..late);
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use knet_proto::ids::SocketId;

    fn path() -> Path {
        Path {
            socket: SocketId(0),
            local: None,
            remote: SocketAddr::from(([192, 0, 2, 1], 6001)),
        }
    }

    fn filled(entries: &[(u64, Class, u8)]) -> Queue {
        let mut queue = Queue::default();
        for (ms, class, byte) in entries {
            assert!(queue.push(at(*ms), &path(), *class, &[*byte]));
        }
        queue
    }

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    fn left(queue: &Queue) -> Vec<u8> {
        (0..queue.len())
            .map(|i| queue.get(i).expect("there").bytes[0])
            .collect()
    }

    #[test]
    fn control_goes_first_and_order_is_kept() {
        let mut queue = filled(&[
            (0, Class::Data, 1),
            (1, Class::Control, 2),
            (2, Class::Data, 3),
            (3, Class::Control, 4),
        ]);
        assert_eq!(left(&queue), [2, 4, 1, 3]);
        queue.advance(3);
        assert_eq!(left(&queue), [3]);
        assert!(queue.get(1).is_none());
        queue.advance(7);
        assert!(queue.is_empty());
    }

    #[test]
    fn data_that_has_waited_too_long_is_given_up_and_control_is_not() {
        let mut queue = filled(&[(0, Class::Control, 1), (0, Class::Data, 2), (30, Class::Data, 3)]);
        assert_eq!(queue.expire(at(49)), 0);
        assert_eq!(queue.expire(at(50)), 1);
        assert_eq!(left(&queue), [1, 3]);
    }

    #[test]
    fn it_is_bounded_for_each_class() {
        let mut queue = Queue::default();
        for class in [Class::Data, Class::Control] {
            for _ in 0..DATAGRAMS {
                assert!(queue.push(at(0), &path(), class, &[0]));
            }
            assert!(!queue.push(at(0), &path(), class, &[0]));
        }
        assert_eq!(queue.len(), 2 * DATAGRAMS);
    }
}
