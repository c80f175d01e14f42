//! Four links of different delay, each of which keeps its order, under weighted round robin.

use core::ops::Range;

use super::*;

#[derive(Clone, Debug)]
struct Wire {
    delay_us: u64,
    jitter_us: u64,
    weight: u32,
}

#[derive(Clone, Debug)]
struct Bundle {
    wires: Vec<Wire>,
    /// Time between two frames of the sender.
    spacing_us: u64,
    loss_percent: u32,
    lossy: Range<u32>,
    seed: u64,
}

struct Ran {
    out: Vec<u32>,
    lost: BTreeSet<u32>,
    arrived_at: BTreeMap<u32, Time>,
    longest: Span,
    late: BTreeSet<u32>,
    counters: Counters,
}

const FRAMES: u32 = 1_500;

impl Bundle {
    /// The most that any two datagrams can differ in delay.
    fn skew(&self) -> Span {
        let slowest = self.wires.iter().map(|w| w.delay_us + w.jitter_us).max();
        let fastest = self.wires.iter().map(|w| w.delay_us).min();
        Span::from_micros(slowest.unwrap_or(0) - fastest.unwrap_or(0))
    }

    fn run(&self, wait: Span) -> Ran {
        let mut state = self.seed | 1;
        let mut random = |n: u64| {
            // xorshift64 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % n
        };
        let mut free_at = vec![START; self.wires.len()];
        let mut credit = vec![0; self.wires.len()];
        let total: u32 = self.wires.iter().map(|w| w.weight).sum();
        let mut lost = BTreeSet::new();
        let mut arrivals = Vec::new();
        for counter in 0..FRAMES {
            credit
                .iter_mut()
                .zip(&self.wires)
                .for_each(|(c, w)| *c += w.weight as i32);
            let turn = (0..credit.len()).max_by_key(|i| credit[*i]).expect("a link");
            credit[turn] -= total as i32;
            let wire = &self.wires[turn];
            let sent = START + Span::from_micros(u64::from(counter) * self.spacing_us);
            let delay = Span::from_micros(wire.delay_us + random(wire.jitter_us + 1));
            free_at[turn] = free_at[turn].max(sent + delay);
            if random(100) < u64::from(self.loss_percent) && self.lossy.contains(&counter) {
                lost.insert(counter);
            } else {
                arrivals.push((free_at[turn], turn as u8, counter));
            }
        }
        arrivals.sort_unstable();
        let mut bed = Bed::bare();
        bed.now = arrivals[0].0;
        bed.wait = wait;
        bed.begin(1);
        (0..4).for_each(|l| bed.r.link_came(link(l)));
        let mut ran = Ran {
            out: Vec::new(),
            lost,
            arrived_at: arrivals.iter().map(|(at, _, counter)| (*counter, *at)).collect(),
            longest: Span::ZERO,
            late: BTreeSet::new(),
            counters: Counters::default(),
        };
        for (at, over, counter) in arrivals {
            while let Some(due) = bed.r.deadline().filter(|due| *due <= at) {
                bed.now = due;
                bed.drain();
                ran.note(&mut bed);
            }
            bed.now = at;
            let late = bed.counters().late;
            bed.arrive(over, counter);
            if bed.counters().late > late {
                ran.late.insert(counter);
            }
            ran.note(&mut bed);
        }
        while let Some(due) = bed.r.deadline() {
            bed.now = due;
            bed.drain();
            ran.note(&mut bed);
        }
        ran.counters = bed.counters();
        ran
    }
}

impl Ran {
    fn note(&mut self, bed: &mut Bed) {
        for counter in bed.take() {
            self.longest = self.longest.max(bed.now.since(self.arrived_at[&counter]));
            self.out.push(counter);
        }
    }
}

fn bundles(loss: impl Strategy<Value = u32>) -> impl Strategy<Value = Bundle> {
    let wire = (0_u64..25_000, 0_u64..5_000, 1_u32..20).prop_map(|(delay_us, jitter_us, weight)| Wire {
        delay_us,
        jitter_us,
        weight,
    });
    // As fast as MAX_ITEMS permit at the greatest skew: 30 ms / 40 us = 750 frames.
    (collection::vec(wire, 4), 40_u64..2_000, loss, any::<u64>()).prop_map(
        |(wires, spacing_us, loss_percent, seed)| Bundle {
            wires,
            spacing_us,
            loss_percent,
            lossy: 0..FRAMES,
            seed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn without_loss_everything_comes_out_in_order(bundle in bundles(Just(0))) {
        let ran = bundle.run(bundle.skew() + Span::from_micros(1));
        prop_assert_eq!(ran.out, (0..FRAMES).collect::<Vec<_>>());
        prop_assert!(ran.longest <= bundle.skew());
        let expected = Counters { held: ran.counters.held, longest_hold: ran.longest, ..Counters::default() };
        prop_assert_eq!(ran.counters, expected);
    }

    #[test]
    fn with_loss_the_delay_is_bounded_and_only_late_ones_are_out_of_order(bundle in bundles(1_u32..20)) {
        let wait = bundle.skew() + bundle.skew().divided_by(2) + ms(1);
        let ran = bundle.run(wait);
        let in_order: Vec<u32> = ran.out.iter().copied().filter(|c| !ran.late.contains(c)).collect();
        prop_assert!(in_order.is_sorted());
        let all: BTreeSet<u32> = ran.out.iter().copied().collect();
        prop_assert_eq!(all.len(), ran.out.len(), "nothing comes out twice");
        prop_assert_eq!(all.len() + ran.lost.len(), FRAMES as usize, "nothing is lost but by the links");
        prop_assert!(ran.longest <= wait.min(MAX_WAIT));
    }
}

#[test]
fn at_a_high_rate_a_loss_is_known_by_votes_before_the_timer() {
    let wires = [1_000, 4_000, 9_000, 21_000].map(|delay_us| Wire {
        delay_us,
        jitter_us: 500,
        weight: 1,
    });
    let bundle = Bundle {
        wires: wires.to_vec(),
        spacing_us: 100,
        loss_percent: 5,
        lossy: 400..1_200,
        seed: 7,
    };
    let ran = bundle.run(ms(33));
    assert!(ran.lost.len() > 20);
    let expected = Counters {
        held: ran.counters.held,
        skipped_by_votes: ran.lost.len() as u64,
        longest_hold: ran.longest,
        ..Counters::default()
    };
    assert_eq!(ran.counters, expected);
    assert!(
        ran.longest <= ms(23),
        "skew and a few turns, not the timer: {:?}",
        ran.longest
    );
}

#[test]
fn a_link_that_dies_delays_the_others_once() {
    let mut bed = Bed::settled(&[0, 1, 2, 3]);
    let mut counter = 4;
    // Link 3 is dead: every fourth counter is missing, one frame a millisecond.
    while counter < 400 {
        if counter % 4 != 3 {
            bed.arrive((counter % 4) as u8, counter);
        }
        counter += 1;
        bed.pass_time(ms(1));
    }
    bed.pass_time(ms(20));
    let expected: Vec<u32> = (4..400).filter(|c| c % 4 != 3).collect();
    assert_eq!(bed.take(), expected);
    assert_eq!(bed.counters().skipped_by_timer, 1);
    assert_eq!(bed.counters().longest_hold, ms(20));
    assert!(bed.counters().held < 400, "{:?}", bed.counters());
}
