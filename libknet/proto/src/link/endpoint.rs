//! Where a link leads, and how it follows a peer that moves.
//!
//! A new address is used only after it has answered a random challenge there (RFC 9000 section 9.3), and
//! until then it gets at most three times the bytes that came from it. If the old address still answers,
//! the link stays where it is: then somebody on the path has copied a datagram, and nobody has moved.

use alloc::boxed::Box;

use crate::{
    config::{LinkConfig, Remote},
    crypto::secret::on_erased_stack,
    ids::SocketId,
    on_demand::OnDemand,
    path::{PackedPath, Path},
    rng::Entropy,
    time::{Span, Time},
};

const START_INTERVAL: Span = Span::from_millis(100);
const TRIES: u8 = 3;
/// An address that did not answer gets another chance after this time: its link may have been cut.
const GIVEN_UP: Span = Span::from_secs(1);
const AMPLIFICATION: u64 = 3;

/// A challenge under way.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    path: Path,
    token: [u8; 16],
    old_token: [u8; 16],
    tries: u8,
    next_try: Time,
    bytes_in: u64,
    bytes_out: u64,
    old_answered: bool,
}

/// What to do with a control datagram, by where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// From the link's own address: all of it counts.
    Known,
    /// From the configured address, which the link now uses (again), or from a proven one, where it begins.
    Adopted,
    /// From elsewhere: only challenges and their answers count.
    Elsewhere,
    /// Over a socket that the configuration does not allow for this link.
    WrongSocket,
}

/// A challenge to send.
#[derive(Clone, Copy, Debug)]
pub struct Challenge {
    /// To the candidate.
    pub path: Path,
    /// The random bytes to be returned.
    pub token: [u8; 16],
    /// To the address in use so far.
    pub old: Option<(Path, [u8; 16])>,
}

/// The address of a link.
#[derive(Debug)]
pub struct Endpoint {
    current: Option<PackedPath>,
    /// Most links of a hub, once they are where they are, have none of it.
    moves: OnDemand<Moves>,
    pinned: Option<SocketId>,
    /// When the last validation started: one more than [`Time::wire_micros`]; 0 where none has. Once in 72 minutes one that would
    /// have started waits for no reason, for as long as if there had just been one.
    started: u32,
}

/// Where else the link may lead.
#[derive(Debug, Default)]
struct Moves {
    configured: Option<Path>,
    candidate: Option<Box<Candidate>>,
}

impl Endpoint {
    /// The endpoint that `config` describes.
    pub fn new(config: &LinkConfig) -> Self {
        let configured = match (config.local, config.remote) {
            (Some(socket), Remote::Static(remote)) => Some(Path {
                socket,
                local: None,
                remote,
            }),
            _ => None,
        };
        let mut endpoint = Self {
            current: configured.map(PackedPath::from),
            moves: OnDemand::NONE,
            pinned: config.local,
            started: 0,
        };
        if configured.is_some() {
            endpoint.moves.make().configured = configured;
        }
        endpoint
    }

    /// Where to send.
    #[inline]
    pub fn current(&self) -> Option<Path> {
        self.current.as_ref().map(PackedPath::path)
    }

    /// Whether it is known where to send.
    pub const fn is_known(&self) -> bool {
        self.current.is_some()
    }

    /// Where the configuration says.
    pub fn configured(&self) -> Option<Path> {
        self.moves.get()?.configured
    }

    /// Whether `path` is the address in use.
    pub fn is_current(&self, path: &Path) -> bool {
        self.current().is_some_and(|c| same(&c, path))
    }

    fn candidate(&mut self) -> Option<&mut Candidate> {
        self.moves.get_mut()?.candidate.as_deref_mut()
    }

    /// An authenticated control datagram of this link came over `path`. The peer has been shown to receive at `proven`: there
    /// a link that leads nowhere yet may begin.
    pub fn arrival(&mut self, path: &Path, proven: Option<&Path>) -> Arrival {
        if self.pinned.is_some_and(|socket| socket != path.socket) {
            return Arrival::WrongSocket;
        }
        if let Some(current) = self.current().filter(|c| same(c, path)) {
            // Answers leave from the address that was addressed, which a rebinding may have changed.
            let other = path.local.is_some() && path.local != current.local;
            if other && self.configured().is_none() {
                self.current = Some(PackedPath::from(Path {
                    local: path.local,
                    ..current
                }));
            }
            return Arrival::Known;
        }
        if let Some(moves) = self.moves.get_mut()
            && let Some(configured) = moves.configured.filter(|c| same(c, path))
        {
            moves.candidate = None;
            self.current = Some(configured.into());
            return Arrival::Adopted;
        }
        if !self.is_known() && proven.is_some_and(|proven| same(proven, path)) {
            self.moves.clear();
            self.current = Some(PackedPath::from(*path));
            return Arrival::Adopted;
        }
        Arrival::Elsewhere
    }

    /// A datagram with the highest counter so far came from `path`, which is not the address in use.
    /// Returns the challenges to send, if a validation is due.
    pub fn challenge(
        &mut self,
        now: Time,
        path: &Path,
        bytes: usize,
        entropy: &mut dyn Entropy,
    ) -> Option<Challenge> {
        let old = self.current();
        let moves = self.moves.make();
        if let Some(c) = moves.candidate.as_deref_mut().filter(|c| same(&c.path, path)) {
            c.bytes_in = c.bytes_in.saturating_add(bytes as u64);
            if c.tries < TRIES {
                if now < c.next_try {
                    return None;
                }
                c.tries += 1;
                c.next_try = now + START_INTERVAL;
                return Some(Challenge {
                    path: c.path,
                    token: c.token,
                    old: None,
                });
            }
            if now < c.next_try + GIVEN_UP {
                return None;
            }
        }
        let this_start = now.wire_micros().wrapping_add(1);
        let pause = Span::from_micros(this_start.wrapping_sub(self.started).into());
        if self.started != 0 && pause < START_INTERVAL {
            return None;
        }
        self.started = this_start.max(1);
        let mut token = [0; 16];
        let mut old_token = [0; 16];
        entropy.fill(&mut token);
        entropy.fill(&mut old_token);
        moves.candidate = Some(on_erased_stack(|| {
            Box::new(Candidate {
                path: *path,
                token,
                old_token,
                tries: 1,
                next_try: now + START_INTERVAL,
                bytes_in: bytes as u64,
                bytes_out: 0,
                old_answered: false,
            })
        }));
        Some(Challenge {
            path: *path,
            token,
            old: old.map(|old| (old, old_token)),
        })
    }

    /// Whether `bytes` more may go to `path` before it is validated; counts them if so.
    pub fn may_send_unvalidated(&mut self, path: &Path, bytes: usize) -> bool {
        let Some(c) = self.candidate().filter(|c| same(&c.path, path)) else {
            return false;
        };
        let after = c.bytes_out.saturating_add(bytes as u64);
        if after > c.bytes_in.saturating_mul(AMPLIFICATION) {
            return false;
        }
        c.bytes_out = after;
        true
    }

    /// A `PATH_RESPONSE` came over `path`. Returns the address before, if the link has moved.
    pub fn response(&mut self, path: &Path, token: &[u8; 16]) -> Option<Option<Path>> {
        let before = self.current();
        let moves = self.moves.get_mut()?;
        let candidate = moves.candidate.as_deref_mut()?;
        if *token == candidate.old_token && before.is_some_and(|c| same(&c, path)) {
            candidate.old_answered = true;
            return None;
        }
        if *token != candidate.token || !same(&candidate.path, path) {
            return None;
        }
        let moved = candidate.path;
        let stay = candidate.old_answered;
        moves.candidate = None;
        if stay {
            return None;
        }
        if moves.configured.is_none() {
            self.moves.clear();
        }
        self.current = Some(moved.into());
        Some(before)
    }

    /// The link stopped working where it is: go back to the configured address, if it has moved from there.
    pub fn go_home(&mut self) -> bool {
        match self.configured() {
            Some(home) if self.current() != Some(home) => {
                self.current = Some(home.into());
                true
            }
            _ => false,
        }
    }
}

/// The local address may differ: it is what the kernel tells about each datagram, not part of the identity.
fn same(a: &Path, b: &Path) -> bool {
    a.socket == b.socket && a.remote == b.remote
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::rng::SeededEntropy;

    fn path(remote: &str) -> Path {
        Path {
            socket: SocketId(0),
            local: None,
            remote: remote.parse::<SocketAddr>().expect("an address"),
        }
    }

    fn dynamic() -> Endpoint {
        Endpoint::new(&LinkConfig::new(None, Remote::Dynamic))
    }

    fn pinned_to(home: Path) -> Endpoint {
        Endpoint::new(&LinkConfig::new(Some(home.socket), Remote::Static(home.remote)))
    }

    #[test]
    fn a_new_address_is_used_only_after_it_answered() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let a = path("192.0.2.1:7");
        assert_eq!(e.arrival(&a, None), Arrival::Elsewhere);
        let c = e.challenge(Time::ZERO, &a, 66, &mut rng).expect("a challenge");
        assert!(e.current().is_none());
        assert!(
            e.response(&path("192.0.2.2:7"), &c.token).is_none(),
            "from another address"
        );
        assert!(e.response(&a, &[0; 16]).is_none(), "another token");
        assert_eq!(e.response(&a, &c.token), Some(None));
        assert!(e.is_current(&a));
        assert!(e.response(&a, &c.token).is_none(), "an old challenge");
    }

    #[test]
    fn it_begins_at_a_proven_address_where_it_leads_nowhere_and_only_then() {
        let (a, b) = (path("192.0.2.1:1000"), path("192.0.2.2:1000"));
        let mut rng = SeededEntropy::new([1; 32]);
        let mut e = dynamic();
        let c = e.challenge(Time::ZERO, &a, 66, &mut rng).expect("a challenge");
        assert_eq!(
            e.arrival(&a, Some(&b)),
            Arrival::Elsewhere,
            "another has been proven"
        );
        assert_eq!(e.current(), None);
        assert_eq!(e.arrival(&a, Some(&a)), Arrival::Adopted);
        assert_eq!(e.current(), Some(a));
        assert!(e.response(&a, &c.token).is_none(), "nobody is asked any more");
        for mut known in [e, pinned_to(a)] {
            assert_eq!(known.arrival(&b, Some(&b)), Arrival::Elsewhere);
            assert_eq!(known.current(), Some(a));
        }
    }

    /// Each move has everything measured anew, and what is under way sent again.
    #[test]
    fn a_peer_that_moves_all_the_time_moves_ten_times_a_second() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let places = [path("192.0.2.1:7"), path("192.0.2.1:8")];
        let mut moves = 0;
        for ms in 0..1_000 {
            let (now, place) = (Time::ZERO + Span::from_millis(ms), &places[moves % 2]);
            if let Some(c) = e.challenge(now, place, 66, &mut rng) {
                assert!(e.response(place, &c.token).is_some());
                moves += 1;
            }
        }
        assert_eq!(moves, 10);
    }

    #[test]
    fn the_link_stays_if_the_old_address_answers_too() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let (a, b) = (path("192.0.2.1:7"), path("192.0.2.2:7"));
        let c = e.challenge(Time::ZERO, &a, 66, &mut rng).expect("a challenge");
        e.response(&a, &c.token);
        let later = Time::ZERO + Span::from_secs(1);
        let c = e.challenge(later, &b, 66, &mut rng).expect("a challenge");
        let (old, old_token) = c.old.expect("the old address is asked too");
        assert_eq!(old, a);
        assert!(e.response(&a, &old_token).is_none());
        assert!(e.response(&b, &c.token).is_none());
        assert!(e.is_current(&a));
    }

    #[test]
    fn starts_are_rare_tries_are_few_and_bytes_are_bounded() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let (a, b) = (path("192.0.2.1:7"), path("192.0.2.2:7"));
        assert!(e.challenge(Time::ZERO, &a, 66, &mut rng).is_some());
        assert!(
            e.challenge(Time::ZERO + Span::from_millis(50), &b, 66, &mut rng)
                .is_none()
        );
        assert!(e.may_send_unvalidated(&a, 66 * 3));
        assert!(!e.may_send_unvalidated(&a, 1));
        assert!(!e.may_send_unvalidated(&b, 1));
        let tries = (1..100_u64)
            .filter(|i| {
                e.challenge(Time::ZERO + START_INTERVAL.times(*i), &a, 66, &mut rng)
                    .is_some()
            })
            .count();
        assert_eq!(tries, 23, "three, a rest of a second, and three again");
    }

    #[test]
    fn an_address_that_does_not_answer_is_asked_three_times_and_again_after_a_second() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let (a, b) = (path("192.0.2.1:7"), path("192.0.2.2:7"));
        let mut asked = |ms: u64, path: &Path| {
            e.challenge(Time::ZERO + Span::from_millis(ms), path, 66, &mut rng)
                .map(|c| c.token)
        };
        let first = asked(0, &a);
        assert!(first.is_some());
        for (ms, again) in [(99, None), (100, first), (150, None), (200, first), (1_299, None)] {
            assert_eq!(asked(ms, &a), again, "{ms} ms");
        }
        let second = asked(1_300, &a);
        assert!(second.is_some() && second != first);
        // Another one has its turn as soon as the pace allows.
        assert_eq!(asked(1_399, &b), None);
        assert!(asked(1_400, &b).is_some());
    }

    #[test]
    fn what_comes_in_later_adds_to_what_may_go_out() {
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let (a, b) = (path("192.0.2.1:7"), path("192.0.2.2:7"));
        e.challenge(Time::ZERO, &a, 66, &mut rng);
        assert!(e.may_send_unvalidated(&a, 100));
        assert!(!e.may_send_unvalidated(&a, 99));
        assert!(
            e.may_send_unvalidated(&a, 98),
            "what did not go out was not counted"
        );
        e.challenge(Time::ZERO, &a, 10, &mut rng);
        e.challenge(Time::ZERO, &b, 1_000, &mut rng);
        assert!(!e.may_send_unvalidated(&a, 31));
        assert!(e.may_send_unvalidated(&a, 30));
    }

    #[test]
    fn only_the_old_address_can_say_that_it_is_still_there() {
        let (a, b) = (path("192.0.2.1:7"), path("192.0.2.2:7"));
        for (answers, old_token, moves) in [(a, true, false), (b, true, true), (a, false, true)] {
            let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
            let c = e.challenge(Time::ZERO, &a, 66, &mut rng).expect("a challenge");
            assert!(c.old.is_none(), "there is none yet");
            e.response(&a, &c.token);
            let later = Time::ZERO + START_INTERVAL;
            let c = e.challenge(later, &b, 66, &mut rng).expect("a challenge");
            let (_, old) = c.old.expect("the old address is asked too");
            assert_eq!(
                e.response(&answers, if old_token { &old } else { &c.token }),
                None
            );
            assert_eq!(e.response(&b, &c.token), moves.then_some(Some(a)));
        }
    }

    #[test]
    fn a_configured_address_needs_no_challenge_and_ends_the_one_under_way() {
        let [home, away, third] = ["192.0.2.1:7", "192.0.2.2:7", "192.0.2.3:7"].map(path);
        let (mut e, mut rng) = (pinned_to(home), SeededEntropy::new([1; 32]));
        assert_eq!((e.current(), e.configured()), (Some(home), Some(home)));
        assert_eq!(e.arrival(&away, None), Arrival::Elsewhere);
        let c = e.challenge(Time::ZERO, &away, 66, &mut rng).expect("a challenge");
        assert_eq!(e.response(&away, &c.token), Some(Some(home)));
        assert_eq!((e.current(), e.configured()), (Some(away), Some(home)));
        assert_eq!(e.arrival(&away, None), Arrival::Known);
        let c = e
            .challenge(Time::ZERO + START_INTERVAL, &third, 66, &mut rng)
            .expect("a challenge");
        assert_eq!(e.arrival(&home, None), Arrival::Adopted);
        assert_eq!(e.response(&third, &c.token), None);
        assert!(e.is_current(&home));
    }

    #[test]
    fn a_link_that_moved_and_died_goes_home() {
        let [home, away] = ["192.0.2.1:7", "192.0.2.2:7"].map(path);
        let (mut e, mut rng) = (pinned_to(home), SeededEntropy::new([1; 32]));
        assert!(!e.go_home(), "it is there");
        let c = e.challenge(Time::ZERO, &away, 66, &mut rng).expect("a challenge");
        assert!(e.response(&away, &c.token).is_some());
        assert!(e.go_home() && e.is_current(&home) && !e.is_current(&away));
        assert!(!e.go_home());
        let mut homeless = dynamic();
        assert!(!homeless.go_home() && homeless.configured().is_none());
    }

    #[test]
    fn answers_leave_from_the_address_that_was_addressed() {
        let local = |n: u8| Some([192, 0, 2, n].into());
        let (mut e, mut rng) = (dynamic(), SeededEntropy::new([1; 32]));
        let a = path("192.0.2.1:7");
        let c = e.challenge(Time::ZERO, &a, 66, &mut rng).expect("a challenge");
        e.response(&a, &c.token);
        for (told, used) in [(local(8), local(8)), (None, local(8)), (local(9), local(9))] {
            assert_eq!(e.arrival(&Path { local: told, ..a }, None), Arrival::Known);
            assert_eq!(e.current().and_then(|p| p.local), used);
        }
        // Where the address is configured, the kernel chooses.
        let mut e = pinned_to(a);
        assert_eq!(e.arrival(&Path { local: local(8), ..a }, None), Arrival::Known);
        assert_eq!(e.current(), Some(a));
    }

    #[test]
    fn a_pinned_link_takes_nothing_from_another_socket() {
        let home = path("192.0.2.1:7");
        let other = Path {
            socket: SocketId(1),
            ..home
        };
        let mut e = pinned_to(other);
        assert_eq!(e.arrival(&home, None), Arrival::WrongSocket);
        assert_eq!(e.arrival(&other, None), Arrival::Known);
    }
}
