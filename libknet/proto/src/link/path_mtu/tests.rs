use std::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const RT: Span = Span::from_millis(30);
const RTT: Span = Span::from_millis(5);
const JUMBO: Limits = Limits {
    interface_mtu: Some(9_216),
    largest_datagram: 9_262,
};

/// A path that drops what is longer than `mtu` bytes of IP, and a share of the rest.
struct Model {
    path: PathMtu,
    now: Time,
    mtu: u32,
    ipv6: bool,
    /// Probe exchanges lost, in percent.
    loss: u64,
    random: u64,
    acks: Vec<(Time, MtuProbe)>,
    /// When each probe left, and its size.
    probes: Vec<(Time, u16)>,
    /// Something larger than the floor is sent all the time.
    used: bool,
}

impl Model {
    fn new(mtu: u32, ipv6: bool, limits: Limits) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        Self {
            path: PathMtu::new(now, ipv6, limits),
            now,
            mtu,
            ipv6,
            loss: 0,
            random: 1,
            acks: Vec::new(),
            probes: Vec::new(),
            used: true,
        }
    }

    /// The leap is behind it, and was not answered.
    fn climbing(mut self) -> Self {
        self.path.search.make().leap = false;
        self
    }

    fn payload(&self) -> usize {
        self.mtu as usize - usize::from(headers(self.ipv6))
    }

    fn lost(&mut self) -> bool {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 100 < self.loss
    }

    /// Lets time pass, waking up exactly when the state machine wishes.
    fn run(&mut self, span: Span) {
        let end = self.now + span;
        loop {
            if self.used {
                self.path.used();
            }
            let ack = self.acks.first().map_or(Time::NEVER, |a| a.0);
            let next = self.path.deadline().max(self.now).min(ack);
            if next > end {
                break;
            }
            self.now = next;
            if ack == next {
                let (_, probe) = self.acks.remove(0);
                self.path.acked(next, probe.size, probe.id);
            }
            self.poll();
            assert!(
                self.path.deadline() > self.now,
                "it wants to be called again at once: {:?}",
                self.path
            );
        }
        self.now = end;
    }

    fn poll(&mut self) {
        if let Some(probe) = self.path.poll(self.now, Some(RTT), RT) {
            self.probes.push((self.now, probe.size));
            if usize::from(probe.size) <= self.payload() && !self.lost() {
                self.acks.push((self.now + RTT, probe));
            }
            assert_eq!(self.path.poll(self.now, Some(RTT), RT), None, "one at a time");
        }
    }

    /// Most probes in any second.
    fn most_per_second(&self) -> usize {
        let within = |start: &Time| {
            let end = *start + Span::from_secs(1);
            self.probes
                .iter()
                .filter(|(at, _)| *at >= *start && *at < end)
                .count()
        };
        self.probes.iter().map(|(at, _)| within(at)).max().unwrap_or(0)
    }
}

fn settled(mtu: u32) -> Model {
    let mut model = Model::new(mtu, false, JUMBO);
    model.run(Span::from_secs(10));
    model.probes.clear();
    model
}

#[test]
fn usable_at_once() {
    for (ipv6, datagram, packet) in [(false, 1_200, 1_228), (true, 1_232, 1_280)] {
        let path = PathMtu::new(Time::ZERO, ipv6, JUMBO);
        assert_eq!((path.current(), path.packet()), (datagram, packet));
    }
    assert_eq!((floor(false), floor(true)), (548, 1_232));
}

#[test]
fn every_path_is_measured_to_within_eight_bytes() {
    for ipv6 in [false, true] {
        let least = if ipv6 { 1_280 } else { 576 };
        let usual = [
            1_280, 1_281, 1_399, 1_400, 1_420, 1_472, 1_492, 1_500, 9_000, 9_216,
        ];
        for mtu in (least..=9_216).step_by(29).chain(usual) {
            let mut model = Model::new(mtu, ipv6, JUMBO);
            model.run(Span::from_secs(8));
            let (found, truth) = (model.path.current(), model.payload());
            assert!(found <= truth && truth - found < 8, "{found} of {truth}");
            if usual.contains(&mtu) && mtu != 1_281 && mtu != 1_399 || mtu == 576 {
                assert_eq!(found, truth, "a usual size is found exactly");
            }
            assert!(model.probes.len() <= 50, "{} probes", model.probes.len());
            let largest = *model.probes.iter().map(|(_, size)| size).max().unwrap();
            assert!(
                usize::from(largest) <= 9_216 - usize::from(headers(ipv6)),
                "no more than allowed"
            );
        }
    }
}

const ETHERNET: Limits = Limits {
    interface_mtu: Some(1_500),
    ..JUMBO
};

fn probed(model: &Model) -> Vec<u16> {
    model.probes.iter().map(|(_, size)| *size).collect()
}

/// The usual case: what is wanted passes.
#[test]
fn an_ethernet_is_measured_with_one_probe() {
    let mut model = Model::new(1_500, false, ETHERNET);
    model.run(Span::from_secs(10));
    assert_eq!(probed(&model), [1_472]);
    assert_eq!(model.path.current(), 1_472);
    assert!(model.path.is_measured());
    assert_eq!(model.path.limit_reason(), LimitReason::Interface { mtu: 1_500 });
}

/// What works takes one round trip per rung, not one timer.
#[test]
fn a_narrow_path_is_measured_in_a_few_round_trips_after_the_leap() {
    let mut model = Model::new(1_492, false, ETHERNET);
    model.run(PROBE_TIMER_MIN + RTT.times(7));
    assert_eq!(model.path.current(), 1_464);
    assert_eq!(
        probed(&model),
        [1_472, 1_200, 1_252, 1_372, 1_392, 1_444, 1_464, 1_472]
    );
    // One probe could have been lost, on a wide path too.
    let mut model = Model::new(1_500, false, ETHERNET);
    model.loss = 100;
    model.run(PROBE_TIMER_MIN - Span::from_nanos(1));
    model.loss = 0;
    model.run(RTT.times(8));
    assert_eq!(model.path.current(), 1_472);
    // An answer that comes late ends the search as well.
    let mut model = Model::new(1_500, false, ETHERNET);
    model.loss = 100;
    model.run(PROBE_TIMER_MIN);
    let leap = MtuProbe { size: 1_472, id: 0 };
    model.path.acked(model.now, leap.size, leap.id);
    model.run(Span::from_secs(10));
    assert_eq!(probed(&model), [1_472, 1_200]);
    assert!(model.path.is_measured());
}

#[test]
fn a_path_leaps_once_and_again_when_it_is_another_one() {
    let mut model = settled(1_400);
    model.path.restart();
    model.run(Span::from_secs(1));
    assert_eq!(
        probed(&model)[..2],
        [1_372, 1_377],
        "up again: what did not pass before"
    );
    model.probes.clear();
    model.path.reset(model.now, false);
    model.run(Span::from_secs(1));
    assert_eq!(probed(&model)[..2], [9_188, 1_200]);
}

#[test]
fn a_link_at_rest_costs_nothing_and_one_in_use_a_probe_each_half_minute() {
    let mut model = settled(1_500);
    model.used = false;
    model.run(Span::from_secs(100));
    model.probes.clear();
    model.run(Span::from_secs(3_600));
    assert!(model.probes.is_empty(), "an idle link is not probed");
    assert_eq!(model.path.deadline(), Time::NEVER);
    assert!(model.path.used(), "the deadline comes closer");
    assert!(!model.path.used());
    model.used = true;
    model.run(Span::from_secs(3_600));
    let confirmations = model.probes.iter().filter(|(_, size)| *size == 1_472).count();
    assert!((115..=121).contains(&confirmations), "{confirmations} an hour");
    // The smallest refused size, three times: after 30 s, 60, 120, 240, 480, then every 600 s.
    let raises = model.probes.iter().filter(|(_, size)| *size > 1_472).count();
    assert!((24..=33).contains(&raises), "{raises} an hour");
}

#[test]
fn a_path_that_has_become_wider_is_noticed() {
    let mut model = settled(1_400);
    model.mtu = 9_216;
    model.run(Span::from_secs(31));
    assert_eq!(model.path.current(), 9_216 - 28);
    let mut model = settled(1_400);
    model.run(Span::from_secs(7_200));
    model.mtu = 1_500;
    model.run(Span::from_secs(601));
    assert_eq!(model.path.current(), 1_472, "no later than the raise timer");
}

#[test]
fn a_path_that_has_become_narrower_is_noticed_without_help() {
    let mut model = settled(1_500);
    for mtu in [1_400, 1_280, 576] {
        model.mtu = mtu;
        model.run(Span::from_secs(45));
        let (found, truth) = (model.path.current(), model.payload());
        assert!(found <= truth && truth - found < 8, "{found} of {truth}");
    }
}

/// The table of [`PathMtu`]: three probes RT apart, the base, and then as many round trips as there are rungs.
#[test]
fn vanished_data_makes_it_fall_within_three_rt() {
    let mut model = settled(9_000);
    for mtu in [1_500, 1_400, 1_280, 576] {
        model.run(Span::from_secs(2));
        model.mtu = mtu;
        let before = model.path.current();
        model.path.black_hole(model.now);
        model.run(RT.times(3) - Span::from_nanos(1));
        assert_eq!(model.path.current(), before, "three chances");
        model.run(Span::from_nanos(1));
        assert_eq!(model.path.current(), 1_200);
        let at = before as u32 + 28;
        assert_eq!(model.path.limit_reason(), LimitReason::BlackHole { at });
        model.run(RT.times(3));
        if mtu == 576 {
            assert_eq!(model.path.current(), 548, "the base was not answered either");
        } else {
            assert!(model.path.current() >= 1_252);
        }
        model.run(Span::from_secs(5));
        let (found, truth) = (model.path.current(), model.payload());
        assert!(found <= truth && truth - found < 8, "{found} of {truth}");
    }
}

/// What people and the TAP are told to rely on.
#[test]
fn it_is_measured_when_a_search_has_ended_and_until_it_is_disproved() {
    let mut model = Model::new(1_400, false, JUMBO);
    model.run(PROBE_TIMER_MIN + RTT.times(4));
    assert_eq!((model.path.current(), model.path.is_measured()), (1_372, false));
    model.run(Span::from_secs(5));
    assert!(model.path.is_measured());
    // Trying once more what did not pass is no doubt in what does.
    let probed = model.probes.len();
    while model.probes.len() == probed || !model.path.is_searching() {
        model.run(Span::from_secs(1));
        assert!(model.path.is_measured());
    }
    model.run(Span::from_secs(5));
    // Of a black hole it is known that less passes, and soon how much less.
    model.mtu = 1_280;
    model.path.black_hole(model.now);
    model.run(RT.times(3));
    assert_eq!((model.path.current(), model.path.is_measured()), (1_200, true));
    model.run(RTT.times(2));
    assert_eq!((model.path.current(), model.path.is_measured()), (1_252, true));
    model.run(Span::from_secs(5));
    assert!(model.path.is_measured());

    // There is use for more than was asked for: that has not been looked for yet.
    let narrow = Limits {
        largest_datagram: 1_000,
        ..JUMBO
    };
    let mut model = Model::new(1_400, false, narrow);
    model.run(Span::from_secs(1));
    assert!(model.path.is_measured());
    model.path.set_limits(JUMBO);
    assert!(!model.path.is_measured());
    model.run(Span::from_secs(5));
    assert!(model.path.is_measured());
    model.path.too_big(1_372);
    assert_eq!((model.path.current(), model.path.is_measured()), (1_200, false));
    model.path.reset(model.now, false);
    assert!(!model.path.is_measured());
}

#[test]
fn a_false_alarm_changes_nothing_and_cannot_be_repeated_at_will() {
    let mut model = settled(1_500);
    for _ in 0..10_000 {
        model.path.black_hole(model.now);
        model.run(Span::from_millis(1));
        assert_eq!(model.path.current(), 1_472);
    }
    assert!(
        model.probes.len() <= 51,
        "{} probes in ten seconds",
        model.probes.len()
    );
}

/// N33: everybody can send these.
#[test]
fn forged_hints_never_lower() {
    let mut model = settled(1_500);
    for n in 0..6_000_u32 {
        let claim = [0, 27, 28, 68, 576, 1_280, 1_499, 1_500, 9_000, u32::MAX][n as usize % 10];
        model.path.hint(model.now, claim);
        model.run(Span::from_millis(10));
        assert_eq!(model.path.current(), 1_472);
    }
    let verifications = model.probes.iter().filter(|(_, size)| *size == 1_472).count();
    assert!(verifications <= 61, "{verifications} in a minute");
    assert!(model.probes.iter().all(|(_, size)| *size >= 1_472));
    // One that claims nothing new does not even cause a probe.
    let mut model = settled(1_500);
    model.path.hint(model.now, 1_500);
    model.run(Span::from_secs(1));
    assert!(model.probes.is_empty());
}

#[test]
fn a_true_hint_is_quick() {
    let mut model = settled(1_500);
    model.mtu = 1_400;
    model.path.hint(model.now, 1_400);
    model.run(RT.times(3) + RTT.times(3));
    assert_eq!(model.path.current(), 1_372);
}

/// An hour at 30 % loss of probes, for each of thirty seeds.
#[test]
fn a_lossy_path_converges_and_stays_above_the_base() {
    let (mut at_best, mut above, mut samples) = (0, 0, 0);
    for seed in 1..=30 {
        let mut model = Model::new(1_500, false, JUMBO);
        (model.loss, model.random) = (30, seed * 7_919);
        let mut below_since = None;
        for second in 0..3_600 {
            model.run(Span::from_secs(1));
            let found = model.path.current();
            assert!((548..=1_472).contains(&found));
            samples += 1;
            at_best += u32::from(found >= 1_465);
            above += u32::from(found >= 1_200);
            below_since = (found < 1_200).then(|| below_since.unwrap_or(second));
            assert!(
                below_since.is_none_or(|since| second - since < 300),
                "five minutes below the base, seed {seed}"
            );
        }
    }
    assert!(at_best * 100 >= samples * 85, "{at_best} of {samples}");
    assert!(above * 100 >= samples * 98, "{above} of {samples}");
}

#[test]
fn the_pace_is_bounded_whatever_happens() {
    let mut model = settled(1_500);
    model.loss = 50;
    for n in 0_u64..20_000 {
        match n % 7 {
            0 => model.path.black_hole(model.now),
            1 => model.path.hint(model.now, 68),
            2 => model.path.restart(),
            3 => model.path.too_big(1_472),
            4 => model.path.reset(model.now, false),
            _ => {}
        }
        model.run(Span::from_millis(1));
    }
    assert!(model.most_per_second() <= 16 + 10);
    let seconds = 20;
    assert!(
        model.probes.len() <= 16 + seconds * 10,
        "{} probes in {seconds} s",
        model.probes.len()
    );
}

#[test]
fn what_the_kernel_refuses_counts_at_once() {
    // A probe: the search goes on with something smaller.
    let mut model = Model::new(1_500, false, JUMBO);
    model.run(PROBE_TIMER_MIN + RTT.times(7));
    assert_eq!(model.path.current(), 1_472);
    let (_, size) = *model.probes.last().unwrap();
    assert_eq!(size, 8_972);
    model.path.too_big(8_972);
    model.poll();
    assert_eq!(model.probes.last().unwrap().1, 1_472 + (8_972 - 1_472) / 2);
    // Another size: what is under way goes on as long as it may still pass.
    let mut model = Model::new(1_500, false, JUMBO);
    model.run(PROBE_TIMER_MIN + RTT.times(7));
    for (refused, goes_on) in [(8_973, true), (5_000, false)] {
        model.path.too_big(refused);
        assert_eq!(model.path.pending().is_some(), goes_on);
    }
    // Data: what is in use falls, to the base and then to the floor.
    let mut model = settled(1_500);
    model.path.too_big(1_472);
    assert_eq!(model.path.current(), 1_200);
    model.mtu = 1_400;
    model.run(Span::from_secs(5));
    assert_eq!(model.path.current(), 1_372);
    model.path.too_big(1_100);
    assert_eq!(model.path.current(), 548);
    model.path.too_big(500);
    assert_eq!(model.path.current(), 548, "there is nothing below");
}

#[test]
fn limits_are_obeyed_and_explained() {
    let mut model = Model::new(9_216, false, JUMBO).climbing();
    assert_eq!(format!("{}", model.path.limit_reason()), "base");
    model.run(RTT + RTT);
    assert_eq!(format!("{}", model.path.limit_reason()), "searching");
    model.run(Span::from_secs(5));
    assert_eq!(format!("{}", model.path.limit_reason()), "local interface 9216");
    let limits = |interface_mtu, largest_datagram| Limits {
        interface_mtu,
        largest_datagram,
    };
    model.path.set_limits(limits(Some(1_500), 9_262));
    assert_eq!(model.path.current(), 1_472, "proven, as it is less than what was");
    assert_eq!(format!("{}", model.path.limit_reason()), "local interface 1500");
    model.path.set_limits(limits(Some(65_536), 1_442));
    assert_eq!(model.path.current(), 1_442);
    assert_eq!(format!("{}", model.path.limit_reason()), "the largest frame fits");
    model.path.set_limits(limits(None, 9_262));
    assert_eq!(model.path.current(), 1_442, "more must be proven");
    model.run(Span::from_secs(9));
    assert_eq!(
        model.path.current() / 8,
        9_188 / 8,
        "what the path carries, about"
    );
    let reason = format!("{}", model.path.limit_reason());
    assert!(
        reason.starts_with("path: 92") && reason.ends_with(" does not"),
        "{reason}"
    );
    model.path.set_limits(limits(Some(1_000), 9_262));
    assert_eq!(model.path.current(), 972);
    model.path.set_limits(limits(Some(300), 9_262));
    assert_eq!(model.path.current(), 272);
    model.path.set_limits(limits(Some(0), 9_262));
    assert_eq!(model.path.current(), 0);
    model.path.set_limits(limits(Some(1_500), 9_262));
    assert_eq!(model.path.current(), 548, "as if it were new");
    model.run(Span::from_secs(1));
    assert_eq!(model.path.current(), 1_472);
    model.mtu = 1_450;
    model.path.black_hole(model.now);
    model.run(RT.times(3));
    assert_eq!(format!("{}", model.path.limit_reason()), "black hole at 1500");
}

#[test]
fn a_late_answer_is_an_answer() {
    let mut path = PathMtu::new(Time::ZERO, false, JUMBO);
    path.search.make().leap = false;
    let mut now = Time::from_nanos(1_000_000_000);
    let first = path.poll(now, None, RT).unwrap();
    assert_eq!(first.size, 1_200);
    now = now + RT.times(3);
    let mut probes = Vec::new();
    while path.current() == 1_200 {
        probes.extend(path.poll(now, None, RT));
        now = now + RT;
    }
    assert_eq!((path.current(), probes.len()), (548, 3));
    // The second of the tries that were given up.
    path.acked(now, 1_200, probes[0].id);
    assert_eq!(path.current(), 1_200);
    assert_eq!(path.limit_reason(), LimitReason::Searching);
    path.acked(now, 1_200, probes[0].id);
    assert_eq!(path.current(), 1_200);
}

#[test]
fn another_path_begins_anew() {
    let mut model = settled(1_500);
    model.path.black_hole(model.now + Span::from_secs(1));
    let old = model.path.poll(model.now, Some(RTT), RT).unwrap();
    model.path.reset(model.now, false);
    assert_eq!(model.path.current(), 1_200);
    model.path.acked(model.now, old.size, old.id);
    assert_eq!(model.path.current(), 1_200, "that was another path");
    model.path.reset(model.now, true);
    assert_eq!(model.path.current(), 1_232);
    assert_eq!(model.path.poll(model.now, Some(RTT), RT).unwrap().id, old.id + 1);
}

#[test]
fn a_link_that_was_down_is_verified_and_searched_again() {
    let mut model = settled(1_400);
    model.mtu = 1_500;
    model.path.restart();
    assert_eq!(model.path.current(), 1_372);
    model.run(Span::from_secs(5));
    assert_eq!(model.probes[0].1, 1_372, "first of all what is in use");
    assert_eq!(model.path.current(), 1_472);
    // The raise timer is as short as at the beginning.
    model.run(Span::from_secs(2_000));
    model.path.restart();
    model.run(Span::from_secs(5));
    model.probes.clear();
    model.run(Span::from_secs(28));
    assert!(model.probes.iter().any(|(_, size)| *size > 1_472));
}

#[test]
fn what_is_lost_while_the_link_is_down_counts_for_nothing() {
    let mut model = settled(1_500);
    model.path.black_hole(model.now);
    let far = Span::from_secs(60);
    for _ in 0..10 {
        let probe = model.path.poll(model.now, Some(RTT), RT);
        assert_eq!(probe.map(|p| p.size), Some(1_472));
        model.path.pause();
        model.now = model.now + far;
    }
    let probe = model.path.poll(model.now, Some(RTT), RT);
    assert!(probe.is_some());
    model.path.restart();
    model.now = model.now + far;
    for _ in 0..3 {
        let probe = model.path.poll(model.now, Some(RTT), RT);
        assert_eq!(probe.map(|p| p.size), Some(1_472));
        model.now = model.now + far;
    }
    model.path.poll(model.now, Some(RTT), RT);
    assert_eq!(
        model.path.current(),
        1_200,
        "three that were lost while it was up"
    );
}

/// `path` is polled until it wants to wait; the sizes that it sends.
fn sizes(path: &mut PathMtu, now: Time) -> Vec<u16> {
    core::iter::from_fn(|| path.poll(now, Some(RTT), RT))
        .map(|p| p.size)
        .collect()
}

#[test]
fn a_probe_of_the_search_waits_as_long_as_an_answer_may_take() {
    let ms = Span::from_millis;
    for (srtt, rt, wait) in [
        (Some(ms(1)), ms(10), ms(100)),
        (None, ms(10), ms(100)),
        (Some(ms(50)), ms(60), ms(150)),
        (Some(ms(50)), ms(400), ms(400)),
    ] {
        let now = Time::from_nanos(1_000_000_000);
        for (leap, size) in [(true, 9_168), (false, 1_352)] {
            let mut path = PathMtu::new(Time::ZERO, true, JUMBO);
            path.search.make().leap = leap;
            assert_eq!(path.poll(now, srtt, rt).map(|p| p.size), Some(size));
            assert_eq!(path.deadline(), now + wait);
        }
    }
    // What is in use waits for RT only.
    let mut path = PathMtu::new(Time::ZERO, false, JUMBO);
    path.search.make().leap = false;
    assert!(path.poll(Time::ZERO, Some(ms(50)), ms(60)).is_some());
    assert_eq!(path.deadline(), Time::ZERO + ms(60));
}

#[test]
fn giving_up_a_size_needs_no_allowance() {
    let mut model = settled(1_500);
    model.mtu = 1_400;
    model.path.black_hole(model.now);
    model.run(RT.times(2));
    model.path.search.make().paid = model.now + Span::from_secs(60);
    model.run(RT);
    assert_eq!(model.path.current(), 1_200);
}

#[test]
fn only_an_answer_for_the_size_in_use_settles_a_doubt() {
    let mut model = settled(1_500);
    let at = model.now;
    // An answer to something smaller, which came late, and one that is counted a second time.
    model.path.search.make().sent[1] = Size::of(1_464);
    model.path.black_hole(at);
    let probe = model.path.poll(at, Some(RTT), RT).unwrap();
    model.path.acked(at, 1_464, model.path.next_id.wrapping_sub(3));
    assert!(model.path.doubt);
    model.path.acked(at, probe.size, probe.id);
    assert!(!model.path.doubt);
    model.path.black_hole(at + DATA_GRACE - Span::from_nanos(1));
    assert!(!model.path.doubt, "proven a moment ago");
    model.path.black_hole(at + DATA_GRACE);
    assert!(model.path.doubt);
    model.path.acked(at + DATA_GRACE, probe.size, probe.id);
    assert!(model.path.doubt, "that answer was used");
}

#[test]
fn a_hint_is_compared_with_what_is_in_use() {
    for (claim, news) in [(1_500, false), (1_499, true)] {
        let mut model = settled(1_500);
        model.path.hint(model.now, claim);
        assert_eq!(
            sizes(&mut model.path, model.now),
            if news { &[1_472][..] } else { &[] }
        );
    }
}

#[test]
fn vanished_data_does_not_wait_for_the_search() {
    let mut model = settled(1_500);
    model.path.restart();
    model.run(RTT.times(2));
    assert!(model.path.pending().is_some_and(|p| p.size > 1_472));
    model.now = model.now + DATA_GRACE;
    model.path.black_hole(model.now);
    assert_eq!(sizes(&mut model.path, model.now), [1_472]);
}

#[test]
fn a_late_answer_goes_beyond_what_was_given_up() {
    let mut model = Model::new(9_216, false, JUMBO).climbing();
    model.run(RTT.times(7));
    let probe = model.acks.pop().unwrap().1;
    assert_eq!(probe.size, 8_972);
    model.loss = 100;
    model.run(Span::from_millis(300));
    assert_eq!(model.path.refused(), Some(8_972));
    model
        .path
        .acked(model.now, probe.size, model.path.next_id.wrapping_sub(4));
    model.loss = 0;
    model.run(RTT.times(2));
    assert_eq!((model.path.current(), model.path.refused()), (9_188, None));

    // And a hole that was none is not spoken of any more.
    model.path.black_hole(model.now + Span::from_secs(1));
    let probe = model.path.poll(model.now, Some(RTT), RT).unwrap();
    model.loss = 100;
    model.now = model.now + RT;
    model.run(RT.times(2));
    assert_eq!(model.path.limit_reason(), LimitReason::BlackHole { at: 9_216 });
    model.path.acked(model.now, probe.size, probe.id);
    assert_eq!(model.path.current(), 9_188);
    assert_eq!(model.path.limit_reason(), LimitReason::Interface { mtu: 9_216 });
}

#[test]
fn a_limit_that_passes_leaves_nothing_to_remember() {
    assert!(size_of::<PathMtu>() <= 32, "{}", size_of::<PathMtu>());
    let mut model = Model::new(9_216, false, JUMBO);
    model.run(RTT.times(3));
    assert!(model.path.search.get().is_none() && model.path.is_measured());
    model.path.black_hole(model.now + Span::from_secs(1));
    model.run(RTT.times(3));
    assert!(model.path.search.get().is_none() && model.path.proven && !model.path.doubt);
    assert_eq!(model.probes.len(), 2);
    let mut model = Model::new(1_492, false, JUMBO);
    model.run(Span::from_secs(100));
    model.path.shed(model.now);
    assert!(model.path.search.get().is_some() && model.path.is_measured());
}

#[test]
fn after_a_fall_the_raise_timer_is_short_again() {
    let mut model = settled(1_500);
    model.run(Span::from_secs(7_200));
    model.path.too_big(1_472);
    model.mtu = 1_200 + 28;
    model.run(Span::from_secs(5));
    assert_eq!(model.path.current(), 1_200);
    model.mtu = 1_500;
    model.run(Span::from_secs(31));
    assert_eq!(model.path.current(), 1_472);
}

#[test]
fn a_hole_is_forgotten_when_what_passes_is_known() {
    let mut model = settled(1_500);
    model.mtu = 1_400;
    model.path.black_hole(model.now);
    model.run(Span::from_secs(5));
    assert!(matches!(model.path.limit_reason(), LimitReason::Path { .. }));
    model.path.restart();
    assert_eq!(model.path.limit_reason(), LimitReason::Searching);
}

#[test]
fn raising_begins_with_what_failed_and_at_once_after_a_success() {
    let mut model = settled(1_400);
    model.run(Span::from_secs(7_200));
    let refused = model.path.refused().unwrap();
    model.mtu = 1_500;
    model.probes.clear();
    while model.path.current() == 1_372 {
        model.run(Span::from_secs(1));
    }
    let first = model.probes.iter().find(|(_, size)| *size > 1_372).unwrap();
    assert_eq!(first.1, refused);
    model.run(Span::from_secs(5));
    assert_eq!(model.path.current(), 1_472);
    model.probes.clear();
    model.run(Span::from_secs(31));
    assert!(
        model.probes.iter().any(|(_, size)| *size > 1_472),
        "again after 30 s"
    );
}

#[test]
fn at_the_limit_there_is_nothing_to_raise() {
    let mut model = Model::new(1_500, false, JUMBO);
    model.path.set_limits(Limits {
        interface_mtu: Some(1_500),
        ..JUMBO
    });
    model.used = false;
    model.run(Span::from_secs(100));
    assert_eq!(model.path.deadline(), Time::NEVER);
    model.path.used();
    model.run(RTT.times(2));
    assert_eq!(model.path.deadline(), Time::NEVER, "confirmed");
    let confirmed = model.path.confirmed;
    model.path.search.make().raise_at = confirmed;
    model.path.used();
    assert_eq!(model.path.deadline(), confirmed + CONFIRM);
}

#[test]
fn what_the_kernel_says_is_remembered() {
    // The limit itself, and a byte above a rung.
    for (refused, next) in [(1_472, 1_464), (1_465, 1_464), (1_461, 1_452)] {
        let mut model = Model::new(1_472, false, ETHERNET).climbing();
        model.run(RTT.times(5));
        assert_eq!(model.path.current(), 1_444);
        model.path.pause();
        model.path.too_big(refused);
        assert_eq!(model.path.refused(), Some(refused));
        assert_eq!(sizes(&mut model.path, model.now), [next]);
        model.path.too_big(next + 1);
        model.path.too_big(1_472);
        assert_eq!(model.path.refused(), Some(next + 1), "the smallest counts");
    }
    // The size that a search begins with.
    let mut model = settled(1_500);
    let retry = model.path.refused().unwrap();
    model.path.restart();
    model.path.too_big(retry + 1);
    assert_eq!(
        model.path.search.make().retry.get(),
        Some(retry),
        "it may pass still"
    );
    model.path.too_big(retry);
    model.run(RTT.times(2));
    assert!(model.probes.iter().all(|(_, size)| *size < retry));
    // What is in use: nothing is taken for granted, and nothing refused is tried.
    let mut model = settled(1_500);
    model.run(Span::from_secs(2_000));
    model.path.restart();
    assert!(model.path.search.make().retry.get().is_some());
    model.path.too_big(1_464);
    assert_eq!(model.path.limit_reason(), LimitReason::Base);
    assert_eq!(model.path.search.make().retry.get(), None);
    model.probes.clear();
    model.run(Span::from_secs(5));
    assert_eq!(model.probes[0].1, 1_200);
    assert!(model.probes.iter().all(|(_, size)| *size < 1_464));
    model.probes.clear();
    model.run(Span::from_secs(28));
    assert!(
        model.probes.iter().any(|(_, size)| *size >= 1_464),
        "after 30 s, again"
    );
    // A larger one that is under way is of no interest any more.
    let mut model = settled(1_500);
    model.run(Span::from_secs(2_000));
    model.path.restart();
    model.run(RTT.times(2));
    assert!(model.path.pending().is_some_and(|p| p.size > 1_472));
    model.path.too_big(1_472);
    assert_eq!(sizes(&mut model.path, model.now), [1_200]);
    // The floor: the search goes on from there.
    let mut model = settled(1_500);
    model.path.too_big(548);
    assert_eq!((model.path.current(), model.path.refused()), (548, None));
    model.run(RTT);
    assert_eq!(model.probes[0].1, 1_200, "there is nothing below to be verified");
}

#[test]
fn the_search_ends_below_eight_bytes() {
    for (refused, next) in [(1_480, &[1_476][..]), (1_479, &[])] {
        let mut model = settled(1_500);
        let search = model.path.search.make();
        (search.refused, search.active) = (Size::of(refused), true);
        assert_eq!(sizes(&mut model.path, model.now), next);
    }
}

#[test]
fn a_limit_that_moves_does_not_restart_the_search() {
    let limit = |mtu: u16| Limits {
        interface_mtu: Some(u32::from(mtu) + 28),
        ..JUMBO
    };
    let mut model = settled(1_500);
    let refused = model.path.refused().unwrap();
    model.path.set_limits(limit(refused));
    assert!(!model.path.is_searching(), "that size was refused already");
    model.path.set_limits(limit(refused - 1));
    assert!(model.path.is_searching(), "nothing below it was");
    // What is under way stays if it is still allowed, and goes otherwise.
    for (moved, stays) in [(0, true), (1, false)] {
        let mut model = settled(1_500);
        let refused = model.path.refused().unwrap();
        model.path.restart();
        model.path.set_limits(limit(refused - moved));
        assert_eq!(model.path.search.make().retry.get().is_some(), stays);
        model.path.set_limits(JUMBO);
        model.run(RTT.times(2));
        let pending = model.path.pending().unwrap().size;
        model.path.set_limits(limit(pending - moved));
        assert_eq!(model.path.pending().is_some(), stays);
    }
}

#[test]
fn a_doubt_outlives_a_limit_unless_it_leaves_nothing_to_fall_to() {
    for (mtu, probes) in [(1_400, &[1_372][..]), (576, &[])] {
        let mut model = settled(1_500);
        model.path.black_hole(model.now);
        model.path.set_limits(Limits {
            interface_mtu: Some(mtu),
            ..JUMBO
        });
        assert_eq!(sizes(&mut model.path, model.now), probes);
    }
}

/// An operation of somebody who does not mean well, or of chance.
#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    /// The answer to the n-th probe from the end; with another id if `forged`.
    Ack {
        nth: usize,
        forged: bool,
    },
    TooBig(u16),
    Hint(u32),
    BlackHole,
    Limits(u32),
    Pause,
    Restart,
    Reset,
    Used,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u64..400).prop_map(Op::Wait),
        1 => (0_u64..700_000).prop_map(Op::Wait),
        6 => (0_usize..6, prop::bool::weighted(0.2)).prop_map(|(nth, forged)| Op::Ack { nth, forged }),
        1 => any::<u16>().prop_map(Op::TooBig),
        1 => (0_u32..10_000).prop_map(Op::Hint),
        1 => Just(Op::BlackHole),
        1 => (0_u32..10_000).prop_map(Op::Limits),
        1 => Just(Op::Pause),
        1 => Just(Op::Restart),
        1 => Just(Op::Reset),
        1 => Just(Op::Used),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// What is used is the base, the floor, or was acknowledged on this path; hints lower nothing; nothing makes
    /// it spin.
    #[test]
    fn it_rises_by_proof_only(ipv6: bool, ops in prop::collection::vec(any_op(), 1..300)) {
        let mut now = Time::from_nanos(1_000_000_000);
        let mut path = PathMtu::new(now, ipv6, JUMBO);
        let mut limits = JUMBO;
        let mut probes: Vec<MtuProbe> = Vec::new();
        let mut proven = base(ipv6);
        for op in ops {
            let before = path.current();
            let mut lowered_by_hearsay = false;
            match op {
                Op::Wait(ms) => now = now + Span::from_millis(ms),
                Op::Ack { nth, forged } => {
                    if let Some(probe) = probes.iter().rev().nth(nth) {
                        path.acked(now, probe.size, if forged { probe.id + 1_000 } else { probe.id });
                        proven = if forged { proven } else { proven.max(probe.size) };
                        prop_assert!(path.current() >= before);
                    }
                }
                Op::TooBig(size) => path.too_big(size),
                Op::Hint(mtu) => {
                    path.hint(now, mtu);
                    lowered_by_hearsay = path.current() != before;
                }
                Op::BlackHole => {
                    path.black_hole(now);
                    lowered_by_hearsay = path.current() != before;
                }
                Op::Limits(mtu) => {
                    limits.interface_mtu = Some(mtu);
                    path.set_limits(limits);
                }
                Op::Pause => path.pause(),
                Op::Restart => path.restart(),
                Op::Reset => {
                    path.reset(now, ipv6);
                    probes.clear();
                    proven = base(ipv6);
                }
                Op::Used => {
                    path.used();
                }
            }
            prop_assert!(!lowered_by_hearsay);
            if let Some(probe) = path.poll(now, None, RT) {
                prop_assert!(probes.iter().all(|p| p.id != probe.id));
                prop_assert!(probe.size <= path.limit() && usize::from(probe.size) >= path.current());
                probes.push(probe);
            }
            prop_assert_eq!(path.poll(now, None, RT), None);
            prop_assert!(path.deadline() > now, "{:?}", path);
            prop_assert!(path.current() <= usize::from(proven.min(path.limit())));
            prop_assert!(path.current() >= usize::from(path.floor()));
            let _ = path.limit_reason();
        }
    }

    /// Whatever happened: left alone on a path that answers, it finds out what the path carries.
    #[test]
    fn it_recovers_from_anything(
        mtu in 576_u32..=9_216, ops in prop::collection::vec(any_op(), 0..100),
    ) {
        let mut model = Model::new(mtu, false, JUMBO);
        for op in ops {
            match op {
                Op::Wait(ms) => {
                    model.loss = ms % 101;
                    model.run(Span::from_millis(ms));
                }
                Op::TooBig(size) => model.path.too_big(size),
                Op::Hint(mtu) => model.path.hint(model.now, mtu),
                Op::BlackHole => model.path.black_hole(model.now),
                Op::Limits(mtu) => {
                    model.path.set_limits(Limits { interface_mtu: Some(mtu), ..JUMBO });
                }
                Op::Pause => model.path.pause(),
                Op::Restart => model.path.restart(),
                Op::Reset => model.path.reset(model.now, false),
                Op::Ack { .. } | Op::Used => {}
            }
        }
        model.loss = 0;
        model.path.set_limits(JUMBO);
        model.run(Span::from_secs(1_300));
        let (found, truth) = (model.path.current(), model.payload());
        prop_assert!(found <= truth && truth - found < 8, "{} of {}", found, truth);
    }
}
