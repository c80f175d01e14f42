//! P14, and the rules hole by hole in the plainest way, against the real thing.

use super::*;

/// What a link has shown in this session.
#[derive(Clone, Copy, Default)]
struct Voter {
    votes: bool,
    delivered: Option<u32>,
    /// It must deliver something above this before it votes again.
    bar: Option<u32>,
}

/// Every missing counter with the time at which it was noticed; every question answered by a search.
#[derive(Default)]
struct Model {
    session: u32,
    first: Time,
    next: u32,
    wait: Span,
    links: [Voter; MAX_LINKS],
    held: BTreeMap<u32, (Item, usize, Time)>,
    noticed: BTreeMap<u32, Time>,
    budget: usize,
    out: Vec<(u32, u32)>,
    skips: [u64; 3],
    late: u64,
    longest_hold: Span,
}

impl Model {
    fn is_near(&self, voter: &Voter) -> bool {
        let stands_at = voter.delivered.max(voter.bar).map_or(0, |c| u64::from(c) + 1);
        u64::from(self.next) <= stands_at + u64::from(VOTE_SPAN)
    }

    fn begin(&mut self, now: Time, session: u32) {
        for index in 0..MAX_LINKS {
            self.links[index] = Voter {
                votes: self.links[index].votes && self.is_near(&self.links[index]),
                ..Voter::default()
            };
        }
        for (counter, (item, _, came)) in core::mem::take(&mut self.held) {
            self.give(counter, item);
            self.longest_hold = self.longest_hold.max(now.since(came));
        }
        self.noticed.clear();
        (self.session, self.first, self.next) = (session, now, 0);
    }

    fn delivered(&mut self, link: LinkId, counter: u32) {
        let voter = &mut self.links[link.index()];
        if Some(counter) > voter.delivered.max(voter.bar) {
            voter.delivered = Some(counter);
            voter.votes = true;
        }
    }

    fn came(&mut self, link: LinkId) {
        let before_next = self.next.checked_sub(1);
        let voter = &mut self.links[link.index()];
        voter.votes = true;
        voter.bar = voter.bar.max(before_next);
    }

    fn arrived(&mut self, now: Time, arrival: &Arrival<'_>, wait: Span) {
        let counter = arrival.counter;
        if arrival.session == self.session
            && let Some(link) = arrival.link
        {
            self.delivered(link, counter);
        }
        if arrival.session != self.session || counter < self.next {
            self.late += 1;
            if arrival.item != Item::Nothing {
                self.out.push((arrival.session, counter));
            }
            return;
        }
        if counter > self.next {
            self.wait = wait.min(MAX_WAIT);
        }
        for missing in self.next..counter {
            if !self.held.contains_key(&missing) {
                self.noticed.entry(missing).or_insert(now);
            }
        }
        self.held
            .insert(counter, (arrival.item, arrival.bytes.len(), now));
        self.release(now);
    }

    fn is_voted_lost(&self, hole: u32) -> bool {
        let voters: Vec<&Voter> = self.links.iter().filter(|v| v.votes && self.is_near(v)).collect();
        !voters.is_empty()
            && voters.iter().all(|v| v.delivered > Some(hole))
            && self.noticed[&hole].since(self.first) >= self.wait
    }

    fn used(&self) -> usize {
        self.held.values().map(|(_, len, _)| len + ITEM_COST).sum()
    }

    fn release(&mut self, now: Time) {
        while let Some((&counter, &(item, _, came))) = self.held.first_key_value() {
            let mut holes = self.next..counter;
            let over = self.used() > MAX_BYTES || self.used() > self.budget || self.held.len() > MAX_ITEMS;
            let reason = if holes.clone().all(|h| self.is_voted_lost(h)) {
                0
            } else if holes.clone().all(|h| now.since(self.noticed[&h]) >= self.wait) {
                1
            } else if over {
                2
            } else {
                break;
            };
            self.skips[reason] += holes.len() as u64;
            if reason == 1
                && let Some(last) = holes.next_back()
            {
                for voter in &mut self.links {
                    if voter.delivered < Some(last) {
                        voter.votes = false;
                        voter.bar = voter.bar.max(Some(last));
                    }
                }
            }
            self.held.remove(&counter);
            self.give(counter, item);
            self.longest_hold = self.longest_hold.max(now.since(came));
            self.next = counter + 1;
        }
    }

    fn give(&mut self, counter: u32, item: Item) {
        if item != Item::Nothing {
            self.out.push((self.session, counter));
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// The counter is relative to the highest so far.
    Arrive {
        ahead: i32,
        old_session: bool,
        over: Option<u8>,
        item: Item,
        len: usize,
        wait_ms: u64,
    },
    Copy(u8, i32),
    Pass(u64),
    Came(u8),
    Gone(u8),
    Begin,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let item = prop_oneof![8 => Just(FRAME), 1 => Just(Item::Fragment), 1 => Just(Item::Nothing)];
    let ahead = prop_oneof![36 => Just(1), 36 => -12..8, 12 => -60..30, 1 => 4_000..4_200];
    let over = prop_oneof![9 => (0_u8..4).prop_map(Some), 1 => Just(None)];
    let arrive = (ahead, 0_u8..40, over, item, 8_usize..200, 0_u64..80).prop_map(
        |(ahead, old, over, item, len, wait_ms)| Op::Arrive {
            ahead,
            old_session: old == 0,
            over,
            item,
            len,
            wait_ms,
        },
    );
    let op = prop_oneof![
        40 => arrive,
        2 => (0_u8..4, -10..3).prop_map(|(l, at)| Op::Copy(l, at)),
        8 => (0_u64..12_000).prop_map(Op::Pass),
        1 => (0_u64..200_000).prop_map(Op::Pass),
        1 => (0_u8..4).prop_map(Op::Came),
        1 => (0_u8..4).prop_map(Op::Gone),
        1 => Just(Op::Begin),
    ];
    collection::vec(op, 1..300)
}

/// What may be asserted without a model.
#[derive(Default)]
struct Promise {
    came: BTreeMap<(u32, u32), Time>,
    delivered: BTreeSet<(u32, u32)>,
    highest: Option<(u32, u32)>,
    disorder: u64,
    longest_wait: Span,
}

impl Promise {
    fn check(&mut self, now: Time, out: &[(u32, u32)]) -> Result<(), TestCaseError> {
        for key in out {
            let came = self.came.get(key);
            prop_assert!(came.is_some(), "{key:?} never came");
            prop_assert!(self.delivered.insert(*key), "{key:?} came out twice");
            let delay = came.map_or(Span::MAX, |t| now.since(*t));
            prop_assert!(
                delay <= self.longest_wait.min(MAX_WAIT),
                "{key:?} was held for {delay:?}"
            );
            if Some(*key) < self.highest {
                self.disorder += 1;
            }
            self.highest = self.highest.max(Some(*key));
        }
        Ok(())
    }
}

fn run(ops: Vec<Op>, budget: usize) -> Result<(), TestCaseError> {
    let mut bed = Bed::bare();
    bed.budget = Budget::new(budget);
    let mut model = Model {
        budget,
        ..Model::default()
    };
    let mut promise = Promise::default();
    let mut taken = BTreeSet::new();
    let (mut session, mut highest) = (0, 0_i64);
    for op in core::iter::once(Op::Begin).chain(ops) {
        match op {
            Op::Arrive {
                ahead,
                old_session,
                over,
                item,
                len,
                wait_ms,
            } => {
                let session = if old_session { session - 1 } else { session };
                let counter = (highest + i64::from(ahead)).max(0) as u32;
                if !taken.insert((session, counter)) {
                    continue;
                }
                if !old_session {
                    highest = highest.max(i64::from(counter));
                }
                if item != Item::Nothing {
                    promise.came.insert((session, counter), bed.now);
                }
                promise.longest_wait = promise.longest_wait.max(ms(wait_ms));
                bed.wait = ms(wait_ms);
                let len = if item == Item::Nothing { 0 } else { len };
                let arrival = Arrival {
                    session,
                    counter,
                    link: over.map(link),
                    item,
                    bytes: &vec![0; len],
                };
                model.arrived(bed.now, &arrival, ms(wait_ms));
                bed.arrive_as(session, arrival.link, counter, item, len);
            }
            Op::Copy(over, at) => {
                let counter = (highest + i64::from(at)).max(0) as u32;
                if !taken.contains(&(session, counter)) {
                    continue;
                }
                model.delivered(link(over), counter);
                bed.r.copy_arrived(session, counter, link(over));
            }
            Op::Pass(micros) => {
                let end = bed.now + Span::from_micros(micros);
                while let Some(at) = bed.r.deadline().filter(|at| *at <= end) {
                    bed.now = at;
                    bed.drain();
                    model.release(at);
                    prop_assert_eq!(&bed.out, &model.out);
                    promise.check(at, &bed.out)?;
                    bed.out.clear();
                    model.out.clear();
                }
                bed.now = end;
            }
            Op::Came(l) => {
                model.came(link(l));
                bed.r.link_came(link(l));
            }
            Op::Gone(l) => {
                model.links[usize::from(l)].votes = false;
                bed.r.link_gone(link(l));
            }
            Op::Begin => {
                session += 1;
                highest = 0;
                model.begin(bed.now, session);
                bed.begin(session);
            }
        }
        bed.drain();
        model.release(bed.now);
        prop_assert_eq!(&bed.out, &model.out);
        promise.check(bed.now, &bed.out)?;
        bed.out.clear();
        model.out.clear();
        let c = bed.counters();
        prop_assert_eq!(
            [
                c.skipped_by_votes,
                c.skipped_by_timer,
                c.skipped_by_overflow,
                c.late
            ],
            [model.skips[0], model.skips[1], model.skips[2], model.late]
        );
        prop_assert_eq!(c.longest_hold, model.longest_hold);
        prop_assert_eq!(bed.r.held_items(), model.held.len());
        prop_assert_eq!(bed.r.held_bytes(), model.used());
    }
    let rest: Vec<Released> = bed.r.flush(bed.now, &mut bed.budget).collect();
    for released in &rest {
        bed.deliver(released);
    }
    promise.check(bed.now, &bed.out)?;
    let c = bed.counters();
    prop_assert_eq!(promise.delivered.len(), promise.came.len(), "something was lost");
    prop_assert!(
        promise.disorder <= c.late,
        "out of order without being counted as late"
    );
    prop_assert!(c.longest_hold <= MAX_WAIT);
    prop_assert_eq!(bed.budget.used(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn p14_what_comes_out_is_what_came_in_in_order_and_in_time(ops in ops()) {
        run(ops, ROOMY)?;
    }

    #[test]
    fn p14_holds_with_hardly_any_memory(ops in ops(), budget in 0_usize..1_500) {
        run(ops, budget)?;
    }
}
