//! The numbers by which the data plane knows peers.

use std::collections::BTreeMap;

use libknet::proto::ids::{MAX_PEERS, PeerId};

/// Names and numbers of the peers of one interface. A peer keeps its number as long as it keeps its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    by_name: BTreeMap<String, PeerId>,
    by_id: BTreeMap<PeerId, String>,
}

impl Slots {
    /// The number of `name`, if it has one.
    pub(crate) fn id(&self, name: &str) -> Option<PeerId> {
        self.by_name.get(name).copied()
    }

    /// The name of a number.
    pub(crate) fn name(&self, id: PeerId) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }

    /// The same numbers for the names that stay, the lowest free ones for new names. There are at most
    /// [`MAX_PEERS`] names, which validation has seen to.
    pub(crate) fn updated<'a>(&self, names: impl Iterator<Item = &'a String> + Clone) -> Self {
        let mut next = Self::default();
        for name in names.clone() {
            if let Some(id) = self.id(name) {
                next.insert(name, id);
            }
        }
        let mut free = (0..MAX_PEERS).map(|n| PeerId(n as u16));
        for name in names {
            if next.by_name.contains_key(name) {
                continue;
            }
            let taken = |id: &PeerId| next.by_id.contains_key(id);
            if let Some(id) = free.find(|id| !taken(id)) {
                next.insert(name, id);
            }
        }
        next
    }

    fn insert(&mut self, name: &str, id: PeerId) {
        self.by_name.insert(name.into(), id);
        self.by_id.insert(id, name.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stay_keep_their_numbers() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let first = Slots::default().updated(names(&["a", "b", "c"]).iter());
        assert_eq!(
            [first.id("a"), first.id("b"), first.id("c")],
            [0, 1, 2].map(|n| Some(PeerId(n)))
        );
        let second = first.updated(names(&["0", "1", "c", "a"]).iter());
        assert_eq!(second.id("a"), Some(PeerId(0)));
        assert_eq!(second.id("c"), Some(PeerId(2)));
        assert_eq!(second.id("0"), Some(PeerId(1)));
        assert_eq!(second.id("1"), Some(PeerId(3)));
        assert_eq!(second.id("b"), None);
        assert_eq!(second.name(PeerId(1)), Some("0"));
        assert_eq!(second.updated(names(&["0", "1", "a", "c"]).iter()), second);
    }

    #[test]
    fn all_slots_can_be_used() {
        let names: Vec<_> = (0..MAX_PEERS).map(|n| n.to_string()).collect();
        let slots = Slots::default().updated(names.iter());
        assert_eq!(slots.by_id.len(), MAX_PEERS);
        assert_eq!(
            slots
                .updated(names.iter().skip(1).chain([&"new".to_string()]))
                .id("new"),
            slots.id("0")
        );
    }
}
