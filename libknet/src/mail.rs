//! What the workers of one interface hand to each other: parcels of frames, and letters.
//!
//! From each worker to each other one there is a ring for both, with one writer and one reader, and so without a lock. A
//! parcel goes over full and comes back empty: an empty one is the credit for another full one. So that ring is never
//! full, and a worker that does not keep up is felt by whoever has something for it, who then reads less from the TAP.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use knet_io::eventfd::Waker;
use knet_proto::{
    hub_group::TakeOverReason,
    ids::{PeerId, SocketId, WorkerId},
    l2::{
        mac_table::{MacNews, Station},
        multicast::{Heard, ListenerNews},
        neighbor::NeighborNews,
        vlan::VlanId,
    },
    shard::{News, Parcel, PeerFacts},
    status::Port,
    time::{Span, Time},
};
use rtrb::{Consumer, Producer, RingBuffer};

/// Parcels between two workers, in each direction. They are made when they are needed.
const PARCELS: usize = 8;
/// Letters on their way from one worker to another. More wait with the sender.
const LETTERS: usize = 4096;
/// Hints about paths are not sent where this many letters are under way: anybody can cause them.
const LETTERS_BEFORE_HINTS: usize = LETTERS / 2;
/// Addresses of each kind of which a worker has not been told yet because the ring is full. More are not told: they will be again.
const ADDRESSES: usize = 65_536;
/// For so long the TAP is not read while a worker takes nothing. After that it must not hold up the others.
const PATIENCE: Span = Span::from_millis(20);

/// Something that workers tell each other.
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    /// From shard to shard.
    News(News),
    /// A socket can be used or not, and what its device takes in one piece.
    Socket(SocketId, SocketState),
    /// The TAP has this MTU.
    TapMtu(u16),
}

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketState {
    pub(crate) up: bool,
    pub(crate) mtu: Option<u32>,
}

/// What goes back and forth and keeps its memory.
pub(crate) trait Reusable: Default {
    fn is_empty(&self) -> bool;
    fn clear(&mut self);
}

impl Reusable for Parcel {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    fn clear(&mut self) {
        self.clear();
    }
}

/// What one worker has to do with all the others.
pub(crate) struct Mail<P = Parcel> {
    others: Vec<Other<P>>,
}

/// The ends of the rings between this worker and another one.
struct Other<P> {
    worker: WorkerId,
    waker: Waker,
    /// It has something from us that it was not woken for.
    is_owed_a_wake: bool,
    out: Producer<Box<P>>,
    /// Our own, emptied.
    back: Consumer<Box<P>>,
    /// Parcels made for it so far.
    made: usize,
    /// Since when there has been something for it, and no empty parcel.
    blocked_since: Option<Time>,
    letters_out: Producer<Letter>,
    backlog: Backlog,
    inbox: Consumer<Box<P>>,
    /// Its own, emptied.
    empties: Producer<Box<P>>,
    letters_in: Consumer<Letter>,
}

/// Letters that the ring has no room for: of each matter the last one, so that they are bounded.
#[derive(Default)]
struct Backlog {
    macs: BTreeMap<Station, MacNews>,
    neighbors: BTreeMap<(VlanId, IpAddr), NeighborNews>,
    listeners: BTreeMap<(VlanId, Heard, Port), ListenerNews>,
    peers: BTreeMap<PeerId, Box<PeerFacts>>,
    take_overs: BTreeMap<Arc<str>, (PeerId, TakeOverReason)>,
    questions: BTreeMap<PeerId, u32>,
    attached: BTreeMap<PeerId, bool>,
    loops: BTreeMap<PeerId, (Port, u16)>,
    sockets: BTreeMap<SocketId, SocketState>,
    tap_mtu: Option<u16>,
}

/// The mail of each of the workers that are woken like this, in their order.
pub(crate) fn between<P: Reusable>(wakers: &[Waker]) -> Vec<Mail<P>> {
    let mut mails: Vec<Mail<P>> = wakers.iter().map(|_| Mail { others: Vec::new() }).collect();
    for a in 0..wakers.len() {
        for b in 0..a {
            let (a_to_b, b_from_a) = one_way();
            let (b_to_a, a_from_b) = one_way();
            for (me, other, to, from) in [(a, b, a_to_b, a_from_b), (b, a, b_to_a, b_from_a)] {
                let (Some(mail), Some(waker)) = (mails.get_mut(me), wakers.get(other)) else {
                    continue;
                };
                mail.others
                    .push(Other::new(WorkerId(other as u8), waker.clone(), to, from));
            }
        }
    }
    mails
}

/// The writing worker's ends of the rings of one direction.
struct Sender<P> {
    out: Producer<Box<P>>,
    back: Consumer<Box<P>>,
    letters: Producer<Letter>,
}

/// The reading worker's.
struct Receiver<P> {
    inbox: Consumer<Box<P>>,
    empties: Producer<Box<P>>,
    letters: Consumer<Letter>,
}

fn one_way<P>() -> (Sender<P>, Receiver<P>) {
    let (out, inbox) = RingBuffer::new(PARCELS);
    let (empties, back) = RingBuffer::new(PARCELS);
    let (letters_out, letters_in) = RingBuffer::new(LETTERS);
    let sender = Sender {
        out,
        back,
        letters: letters_out,
    };
    let receiver = Receiver {
        inbox,
        empties,
        letters: letters_in,
    };
    (sender, receiver)
}

impl<P: Reusable> Mail<P> {
    /// How many other workers there are.
    pub(crate) fn others(&self) -> usize {
        self.others.len()
    }

    /// Tells `to`, or all others, unless it is a hint and they have much to read already.
    pub(crate) fn tell(&mut self, to: Option<WorkerId>, letter: &Letter) {
        for other in &mut self.others {
            if to.is_none_or(|to| to == other.worker) {
                other.tell(letter.clone());
            }
        }
    }

    /// Sends what is in `parcels`, which are by worker, and leaves empty ones in their places. Where there is none to be
    /// left, it stays; [`Self::hold_tap_until`] tells.
    pub(crate) fn post(&mut self, now: Time, parcels: &mut [P]) {
        for other in &mut self.others {
            other.catch_up();
            if let Some(parcel) = parcels.get_mut(other.worker.index()) {
                other.post(now, parcel);
            }
        }
    }

    /// Wakes those for whom there is something new.
    pub(crate) fn wake(&mut self) {
        for other in &mut self.others {
            if std::mem::take(&mut other.is_owed_a_wake) {
                other.waker.wake();
            }
        }
    }

    /// The next letter from anybody.
    pub(crate) fn next_letter(&mut self) -> Option<Letter> {
        self.others.iter_mut().find_map(|o| o.letters_in.pop().ok())
    }

    /// The next parcel from the other worker at `place`, which is not its number. Give it back.
    pub(crate) fn take(&mut self, place: usize) -> Option<Box<P>> {
        self.others.get_mut(place)?.inbox.pop().ok()
    }

    /// Gives back a parcel that came from there, emptied.
    pub(crate) fn give_back(&mut self, place: usize, mut parcel: Box<P>) {
        parcel.clear();
        if let Some(other) = self.others.get_mut(place) {
            // There are no more parcels than the ring has places.
            let _ = other.empties.push(parcel);
        }
    }

    /// Whether parcels wait for us.
    pub(crate) fn has_parcels(&self) -> bool {
        self.others.iter().any(|o| !o.inbox.is_empty())
    }

    /// Whether something could not be sent: it is to be tried again soon.
    pub(crate) fn is_blocked(&self) -> bool {
        self.others
            .iter()
            .any(|o| o.blocked_since.is_some() || !o.backlog.is_empty())
    }

    /// Until when the TAP should not be read because a worker takes nothing: a point in the future, or `None`.
    pub(crate) fn hold_tap_until(&self, now: Time) -> Option<Time> {
        self.others
            .iter()
            .filter_map(|o| Some(o.blocked_since? + PATIENCE))
            .filter(|t| *t > now)
            .min()
    }
}

impl<P: Reusable> Other<P> {
    fn new(worker: WorkerId, waker: Waker, to: Sender<P>, from: Receiver<P>) -> Self {
        Self {
            worker,
            waker,
            is_owed_a_wake: false,
            out: to.out,
            back: to.back,
            made: 0,
            blocked_since: None,
            letters_out: to.letters,
            backlog: Backlog::default(),
            inbox: from.inbox,
            empties: from.empties,
            letters_in: from.letters,
        }
    }

    fn tell(&mut self, letter: Letter) {
        let is_hint = matches!(letter, Letter::News(News::Hint { .. } | News::Ask(_)));
        if is_hint && self.letters_out.slots() <= LETTERS - LETTERS_BEFORE_HINTS {
            return;
        }
        self.is_owed_a_wake = true;
        if !self.backlog.is_empty() || self.letters_out.is_full() {
            self.backlog.add(letter);
            return;
        }
        // There is room: nobody else writes.
        let _ = self.letters_out.push(letter);
    }

    /// Sends letters that there was no room for.
    fn catch_up(&mut self) {
        while !self.backlog.is_empty() && !self.letters_out.is_full() {
            let Some(letter) = self.backlog.take() else { return };
            let _ = self.letters_out.push(letter);
            self.is_owed_a_wake = true;
        }
    }

    fn post(&mut self, now: Time, parcel: &mut P) {
        if parcel.is_empty() {
            return;
        }
        // Letters come first: what they tell was so before this was sent.
        let empty = if self.backlog.is_empty() {
            self.empty_parcel()
        } else {
            None
        };
        let Some(mut empty) = empty else {
            self.blocked_since.get_or_insert(now);
            return;
        };
        std::mem::swap(&mut *empty, parcel);
        // There are no more parcels than the ring has places.
        let _ = self.out.push(empty);
        self.blocked_since = None;
        self.is_owed_a_wake = true;
    }

    fn empty_parcel(&mut self) -> Option<Box<P>> {
        if let Ok(parcel) = self.back.pop() {
            return Some(parcel);
        }
        if self.made >= PARCELS {
            return None;
        }
        self.made += 1;
        Some(Box::default())
    }
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.macs.is_empty()
            && self.neighbors.is_empty()
            && self.listeners.is_empty()
            && self.peers.is_empty()
            && self.attached.is_empty()
            && self.loops.is_empty()
            && self.take_overs.is_empty()
            && self.questions.is_empty()
            && self.sockets.is_empty()
            && self.tap_mtu.is_none()
    }

    fn add(&mut self, letter: Letter) {
        match letter {
            Letter::News(News::Mac(news)) => {
                if self.macs.len() < ADDRESSES || self.macs.contains_key(&news.station) {
                    self.macs.insert(news.station, news);
                }
            }
            Letter::News(News::Neighbor(news)) => {
                let whose = (news.vlan, news.claim.ip);
                if self.neighbors.len() < ADDRESSES || self.neighbors.contains_key(&whose) {
                    self.neighbors.insert(whose, news);
                }
            }
            Letter::News(News::Listener(news)) => {
                let what = (news.vlan, news.heard, news.port);
                if self.listeners.len() < ADDRESSES || self.listeners.contains_key(&what) {
                    self.listeners.insert(what, news);
                }
            }
            Letter::News(News::Peer(facts)) => {
                self.peers.insert(facts.peer, facts);
            }
            Letter::News(News::Attached { peer, attached }) => {
                self.attached.insert(peer, attached);
            }
            Letter::News(News::TakeOver { group, to, reason }) => {
                self.take_overs.insert(group, (to, reason));
            }
            Letter::News(News::Prove { peer, question }) => {
                self.questions.insert(peer, question);
            }
            Letter::News(News::LoopFound {
                peer,
                other,
                generation,
            }) => {
                self.loops.insert(peer, (other, generation));
            }
            Letter::News(
                News::Hint { .. } | News::Ask(_) | News::LoopProbe { .. } | News::PassProbe { .. },
            ) => {}
            Letter::Socket(id, state) => {
                self.sockets.insert(id, state);
            }
            Letter::TapMtu(mtu) => self.tap_mtu = Some(mtu),
        }
    }

    fn take(&mut self) -> Option<Letter> {
        if let Some(mtu) = self.tap_mtu.take() {
            return Some(Letter::TapMtu(mtu));
        }
        if let Some((id, state)) = self.sockets.pop_first() {
            return Some(Letter::Socket(id, state));
        }
        if let Some((_, facts)) = self.peers.pop_first() {
            return Some(Letter::News(News::Peer(facts)));
        }
        if let Some((group, (to, reason))) = self.take_overs.pop_first() {
            return Some(Letter::News(News::TakeOver { group, to, reason }));
        }
        if let Some((peer, question)) = self.questions.pop_first() {
            return Some(Letter::News(News::Prove { peer, question }));
        }
        if let Some((peer, attached)) = self.attached.pop_first() {
            return Some(Letter::News(News::Attached { peer, attached }));
        }
        if let Some((peer, (other, generation))) = self.loops.pop_first() {
            return Some(Letter::News(News::LoopFound {
                peer,
                other,
                generation,
            }));
        }
        if let Some((_, news)) = self.macs.pop_first() {
            return Some(Letter::News(News::Mac(news)));
        }
        if let Some((_, news)) = self.neighbors.pop_first() {
            return Some(Letter::News(News::Neighbor(news)));
        }
        let (_, news) = self.listeners.pop_first()?;
        Some(Letter::News(News::Listener(news)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    impl Reusable for Vec<u32> {
        fn is_empty(&self) -> bool {
            self.is_empty()
        }

        fn clear(&mut self) {
            self.clear();
        }
    }

    fn workers(n: usize) -> (Vec<Mail<Vec<u32>>>, Vec<Waker>) {
        let wakers: Vec<Waker> = (0..n).filter_map(|_| Waker::new().ok()).collect();
        (between(&wakers), wakers)
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::from_millis(millis)
    }

    /// Three threads send to each other as fast as they can: all arrives, in order, in at most eight parcels that go back
    /// and forth.
    #[test]
    fn parcels_between_threads_arrive_in_order_and_come_back() {
        const EACH: u32 = 200_000;
        let (mails, _wakers) = workers(3);
        let start = Barrier::new(3);
        std::thread::scope(|s| {
            for (me, mut mail) in mails.into_iter().enumerate() {
                let start = &start;
                s.spawn(move || {
                    let mut outgoing = vec![Vec::new(); 3];
                    let (mut sent, mut received) = ([0; 3], [0; 3]);
                    start.wait();
                    let all = |counts: &[u32; 3]| counts.iter().sum::<u32>() == 2 * EACH;
                    while !all(&sent) || !all(&received) || outgoing.iter().any(|p| !p.is_empty()) {
                        for to in (0..3).filter(|to| *to != me) {
                            // As a worker that reads from the TAP: more and more while nothing is taken, to a bound.
                            while sent[to] < EACH && outgoing[to].len() < 100 {
                                outgoing[to].push(sent[to]);
                                sent[to] += 1;
                            }
                        }
                        mail.post(at(0), &mut outgoing);
                        for place in 0..mail.others() {
                            let from = mail.others[place].worker.index();
                            while let Some(parcel) = mail.take(place) {
                                assert!(!parcel.is_empty());
                                for n in &*parcel {
                                    assert_eq!(*n, received[from]);
                                    received[from] += 1;
                                }
                                mail.give_back(place, parcel);
                            }
                        }
                    }
                    assert!(
                        mail.others
                            .iter()
                            .all(|o| o.made <= PARCELS && o.blocked_since.is_none())
                    );
                });
            }
        });
    }

    #[test]
    fn who_takes_nothing_is_felt_for_a_while() {
        let (mut mails, _wakers) = workers(2);
        let [a, b] = &mut mails[..] else { panic!() };
        let mut outgoing = vec![Vec::new(), Vec::new()];
        for n in 0..PARCELS as u32 {
            outgoing[1].push(n);
            a.post(at(1), &mut outgoing);
            assert!(outgoing[1].is_empty() && !a.is_blocked());
        }
        outgoing[1].push(8);
        a.post(at(5), &mut outgoing);
        outgoing[1].push(9);
        a.post(at(7), &mut outgoing);
        assert_eq!(outgoing[1], [8, 9], "nothing is lost, and nothing overtakes it");
        assert!(a.is_blocked());
        assert_eq!(a.hold_tap_until(at(7)), Some(at(25)));
        assert_eq!(a.hold_tap_until(at(25)), None, "the others go on");

        assert!(b.has_parcels());
        let first = b.take(0);
        assert_eq!(first.as_deref(), Some(&vec![0]));
        a.post(at(30), &mut outgoing);
        assert!(a.is_blocked(), "taken, and not given back");
        if let Some(parcel) = first {
            b.give_back(0, parcel);
        }
        a.post(at(31), &mut outgoing);
        assert!(outgoing[1].is_empty() && !a.is_blocked());
        for n in 1..PARCELS as u32 {
            let parcel = b.take(0);
            assert_eq!(parcel.as_deref(), Some(&vec![n]));
            if let Some(parcel) = parcel {
                b.give_back(0, parcel);
            }
        }
        assert_eq!(b.take(0).as_deref(), Some(&vec![8, 9]));
        assert!(!b.has_parcels());
    }

    /// A hint more or less does not matter; of everything else the last word arrives, and before what is sent later.
    #[test]
    fn letters_past_the_ring_wait_and_the_last_word_counts() {
        let (mut mails, _wakers) = workers(3);
        let [a, b, c] = &mut mails[..] else { panic!() };
        let hint = Letter::News(News::Hint {
            socket: SocketId(0),
            remote: ([192, 0, 2, 1], 7).into(),
            mtu: None,
        });
        for _ in 0..LETTERS {
            a.tell(None, &hint);
        }
        let hints = std::iter::from_fn(|| b.next_letter()).count();
        assert_eq!(hints, LETTERS_BEFORE_HINTS);

        let state = |mtu| SocketState {
            up: true,
            mtu: Some(mtu),
        };
        for n in 0..LETTERS as u32 + 300 {
            a.tell(
                Some(WorkerId(1)),
                &Letter::Socket(SocketId((n % 100) as u8), state(n)),
            );
        }
        a.tell(Some(WorkerId(1)), &Letter::TapMtu(1400));
        a.tell(Some(WorkerId(1)), &Letter::TapMtu(1500));
        assert!(a.is_blocked());
        let mut outgoing = vec![vec![], vec![1], vec![2]];
        a.post(at(0), &mut outgoing);
        assert_eq!(
            outgoing,
            [vec![], vec![1], vec![]],
            "it waits for the letters before it"
        );
        let (mut last, mut mtus) = ([0; 100], Vec::new());
        let mut read = |b: &mut Mail<Vec<u32>>| {
            while let Some(letter) = b.next_letter() {
                match letter {
                    Letter::Socket(id, state) => last[usize::from(id.0)] = state.mtu.unwrap_or(0),
                    Letter::TapMtu(mtu) => mtus.push(mtu),
                    Letter::News(_) => panic!("{letter:?}"),
                }
            }
        };
        while a.is_blocked() || !outgoing[1].is_empty() {
            assert!(!b.has_parcels());
            read(b);
            a.post(at(1), &mut outgoing);
        }
        read(b);
        let count = LETTERS as u32 + 300;
        let latest = |id| (count - 100..count).find(|n| n % 100 == id).unwrap_or(0);
        let want: Vec<u32> = (0..100).map(latest).collect();
        assert_eq!(last.to_vec(), want);
        assert_eq!(mtus, [1500]);
        assert!(!a.is_blocked() && b.has_parcels() && c.has_parcels());
    }

    #[test]
    fn others_are_woken_for_what_is_new() {
        let (mut mails, _wakers) = workers(2);
        let [a, _] = &mut mails[..] else { panic!() };
        let is_owed = |a: &Mail<Vec<u32>>| a.others[0].is_owed_a_wake;
        a.post(at(0), &mut [vec![], vec![]]);
        assert!(!is_owed(a));
        a.tell(None, &Letter::TapMtu(1400));
        assert!(is_owed(a));
        a.wake();
        assert!(!is_owed(a));
        a.post(at(0), &mut [vec![], vec![7]]);
        assert!(is_owed(a));
    }
}
