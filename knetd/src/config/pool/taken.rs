//! The addresses of an interface that somebody has, and the first that nobody has.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::number;

/// Addresses with the number of those who have each of them. Each change, and each question, takes as many steps as the
/// logarithm of how many there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    holders: HashMap<IpAddr, u32>,
    v4: Runs,
    v6: Runs,
}

impl Taken {
    /// One more has it.
    pub(crate) fn insert(&mut self, address: IpAddr) {
        let holders = self.holders.entry(address).or_default();
        *holders += 1;
        if *holders == 1 {
            self.runs_mut(address.is_ipv6()).insert(number(address));
        }
    }

    /// One of those who have it does not any more.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        let Some(holders) = self.holders.get_mut(&address) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.holders.remove(&address);
            self.runs_mut(address.is_ipv6()).remove(number(address));
        }
    }

    /// Whether somebody has it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.holders.contains_key(&address)
    }

    /// The first of these addresses, given as numbers, that nobody has.
    pub(super) fn first_free(&self, is_v6: bool, first: u128, last: u128) -> Option<u128> {
        let run = self.runs(is_v6).around(first);
        let free = match run {
            Some((_, end)) => end.checked_add(1)?,
            None => first,
        };
        (free <= last).then_some(free)
    }

    /// How many of these somebody has.
    pub(super) fn count(&self, is_v6: bool, first: u128, last: u128) -> u128 {
        let runs = &self.runs(is_v6).0;
        let begin = self.runs(is_v6).around(first).map_or(first, |(begin, _)| begin);
        let runs = runs.range(begin..=last);
        runs.map(|(begin, end)| (*end).min(last) - (*begin).max(first) + 1)
            .sum()
    }

    const fn runs(&self, is_v6: bool) -> &Runs {
        if is_v6 { &self.v6 } else { &self.v4 }
    }

    const fn runs_mut(&mut self, is_v6: bool) -> &mut Runs {
        if is_v6 { &mut self.v6 } else { &mut self.v4 }
    }
}

/// Numbers, as the first and the last of each run of such that follow each other. Between two runs there is a gap.
#[derive(Clone, Debug, Default)]
struct Runs(BTreeMap<u128, u128>);

impl Runs {
    /// The run that `number` is in.
    fn around(&self, number: u128) -> Option<(u128, u128)> {
        let (begin, end) = self.0.range(..=number).next_back()?;
        (*end >= number).then_some((*begin, *end))
    }

    /// One that is in no run.
    fn insert(&mut self, number: u128) {
        let before = number.checked_sub(1).and_then(|n| self.around(n));
        let behind = number.checked_add(1).and_then(|n| self.0.remove(&n));
        let begin = before.map_or(number, |(begin, _)| begin);
        self.0.insert(begin, behind.unwrap_or(number));
    }

    /// One that is in a run.
    fn remove(&mut self, number: u128) {
        let Some((begin, end)) = self.around(number) else {
            return;
        };
        self.0.remove(&begin);
        if begin < number {
            self.0.insert(begin, number - 1);
        }
        if number < end {
            self.0.insert(number + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Whatever comes and goes, it is as if each address were looked at.
    #[test]
    fn it_is_what_a_plain_list_would_say() {
        // Of a linear congruential generator (Knuth's MMIX) the upper bits.
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below) as u8
        };
        let of = |n: u8| number(IpAddr::from([10, 0, 0, n]));
        for _ in 0..200 {
            let mut taken = Taken::default();
            let mut all: Vec<u8> = Vec::new();
            for _ in 0..60 {
                let (n, insert) = (random(24), random(5) < 3);
                let address = IpAddr::from([10, 0, 0, n]);
                if insert {
                    taken.insert(address);
                    all.push(n);
                } else {
                    taken.remove(address);
                    if let Some(at) = all.iter().position(|known| *known == n) {
                        all.remove(at);
                    }
                }
                assert_eq!(taken.contains(address), all.contains(&n));
                let set: BTreeSet<u8> = all.iter().copied().collect();
                let from = random(24);
                let last = from + random(24);
                let free = (from..=last).find(|n| !set.contains(n)).map(of);
                assert_eq!(taken.first_free(false, of(from), of(last)), free);
                let count = set.range(from..=last).count() as u128;
                assert_eq!(taken.count(false, of(from), of(last)), count);
                let runs = set.iter().filter(|n| !set.contains(&(**n + 1))).count();
                assert_eq!((taken.v4.0.len(), taken.v6.0.len()), (runs, 0));
            }
        }
    }

    #[test]
    fn the_last_address_of_all_is_one_like_any_other() {
        let mut taken = Taken::default();
        let last = IpAddr::from([0xff; 16]);
        taken.insert(last);
        assert_eq!(taken.first_free(true, u128::MAX, u128::MAX), None);
        assert_eq!(
            taken.first_free(true, u128::MAX - 1, u128::MAX),
            Some(u128::MAX - 1)
        );
        taken.remove(last);
        assert_eq!(taken.first_free(true, u128::MAX, u128::MAX), Some(u128::MAX));
        taken.remove(last);
    }
}
