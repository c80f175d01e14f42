//! How much of the traffic each link gets where links share it: by the weights given, or as measured (`weight auto`).

use super::Peer;
use crate::{
    ids::{LinkSet, MAX_LINKS},
    link::{Link, capacity::Window},
    shard::env::Env,
};

/// The share of weight 1. Finer than a weight, for what is measured.
const UNIT: u64 = 256;

impl Peer {
    /// A report came. Measures the links that share the traffic, if it is time, and gives each its part.
    pub(super) fn balance(&mut self, env: &Env) {
        let rotation = self.set.rotation;
        let measured = |l: &Link| l.weight.is_none();
        if rotation.len() < 2 || !self.links().any(|l| rotation.contains(l.id) && measured(l)) {
            return;
        }
        let mut ready = true;
        for link in self.sharing() {
            // All of them, also after one is not.
            ready &= link.load.capacity().is_some_and(|c| c.is_ready(env.now));
        }
        if !ready {
            return;
        }
        let windows: [Option<Window>; MAX_LINKS] = core::array::from_fn(|i| {
            let link = self.links.get_mut(i)?.as_deref_mut()?;
            let capacity = link.load.capacity().filter(|_| rotation.contains(link.id))?;
            Some(capacity.close(env.now))
        });
        let full_links = windows.iter().flatten().filter(|w| w.full).count();
        for link in self.sharing() {
            if let Some(window) = windows.get(link.id.index()).copied().flatten()
                && let Some(capacity) = link.load.capacity()
            {
                let others = full_links - usize::from(window.full);
                capacity.learn(window, others > 0);
            }
        }
        self.share_out();
    }

    /// Gives each link its share.
    pub(super) fn share_out(&mut self) {
        let fixed: (u64, u64) =
            self.links()
                .fold((0, 0), |(weights, rates), l| match (l.weight, l.load.rate()) {
                    (Some(weight), Some(rate)) => (weights + u64::from(weight.get()) * UNIT, rates + rate),
                    _ => (weights, rates),
                });
        let automatic = self.links().filter(|l| l.weight.is_none());
        let all = automatic
            .filter_map(|l| l.load.rate())
            .fold((0, 0), |(n, sum), rate| (n + UNIT, sum + rate));
        // What a share is worth: as with the links whose weight is given, or else so that the mean is one unit.
        let (shares, rates) = if fixed.1 > 0 { fixed } else { all };
        for link in self.links.iter_mut().flatten() {
            let share = match (link.weight, link.load.rate()) {
                (Some(weight), _) => u64::from(weight.get()) * UNIT,
                (None, Some(rate)) => rate.saturating_mul(shares) / rates.max(1),
                (None, None) => UNIT,
            };
            link.share = u16::try_from(share).unwrap_or(u16::MAX).max(1);
        }
    }

    /// The part of the traffic that goes over `link`, in percent; 0 where links do not share it.
    pub(super) fn percent(&self, link: &Link) -> u8 {
        let rotation = self.set.rotation;
        let sharing = self.links().filter(|l| rotation.contains(l.id));
        let sum: u32 = sharing.map(|l| u32::from(l.share)).sum();
        if !rotation.contains(link.id) || sum == 0 {
            return 0;
        }
        ((u32::from(link.share) * 100 + sum / 2) / sum) as u8
    }

    fn sharing(&mut self) -> impl Iterator<Item = &mut Link> {
        let rotation: LinkSet = self.set.rotation;
        let links = self.links.iter_mut().flatten().map(|l| &mut **l);
        links.filter(move |l| rotation.contains(l.id))
    }
}
