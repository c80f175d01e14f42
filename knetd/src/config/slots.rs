//! The numbers by which the data plane knows peers.

use libknet::{
    api::persistent_map::PersistentMap,
    proto::ids::{MAX_PEERS, PeerId},
};

/// Names and numbers of the peers of one interface. A peer keeps its number as long as it keeps its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    by_name: PersistentMap<String, PeerId>,
    by_id: PersistentMap<PeerId, String>,
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

    /// The same numbers for the names that stay, the lowest free ones for new names: these are the names of `old`, and
    /// are to be those of `new`, of which there are at most [`MAX_PEERS`]. Validation has seen to that.
    pub(crate) fn updated<V: PartialEq>(
        &self,
        old: &PersistentMap<String, V>,
        new: &PersistentMap<String, V>,
    ) -> Self {
        let mut next = self.clone();
        let mut come = Vec::new();
        for difference in old.differences(new) {
            match (difference.old, difference.new) {
                (None, Some(_)) => come.push(difference.key),
                (Some(_), None) => next.remove(difference.key),
                _ => {}
            }
        }
        let free: Vec<PeerId> = next.free().take(come.len()).collect();
        for (name, id) in come.into_iter().zip(free) {
            next.insert(name, id);
        }
        next
    }

    /// The numbers that nobody has, the lowest first.
    fn free(&self) -> impl Iterator<Item = PeerId> {
        let mut taken = self.by_id.keys().peekable();
        (0..MAX_PEERS)
            .map(|n| PeerId(n as u16))
            .filter(move |id| taken.next_if_eq(&id).is_none())
    }

    fn insert(&mut self, name: &str, id: PeerId) {
        self.by_name.insert(name.into(), id);
        self.by_id.insert(id, name.into());
    }

    fn remove(&mut self, name: &str) {
        if let Some(id) = self.by_name.remove(name) {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> PersistentMap<String, ()> {
        list.iter().map(|name| ((*name).to_owned(), ())).collect()
    }

    #[test]
    fn names_that_stay_keep_their_numbers() {
        let none = PersistentMap::default();
        let (abc, others) = (names(&["a", "b", "c"]), names(&["0", "1", "a", "c"]));
        let first = Slots::default().updated(&none, &abc);
        assert_eq!(
            [first.id("a"), first.id("b"), first.id("c")],
            [0, 1, 2].map(|n| Some(PeerId(n)))
        );
        let second = first.updated(&abc, &others);
        assert_eq!(second.id("a"), Some(PeerId(0)));
        assert_eq!(second.id("c"), Some(PeerId(2)));
        assert_eq!(second.id("0"), Some(PeerId(1)));
        assert_eq!(second.id("1"), Some(PeerId(3)));
        assert_eq!(second.id("b"), None);
        assert_eq!(second.name(PeerId(1)), Some("0"));
        assert_eq!(second.updated(&others, &others), second);
        assert_eq!(second.updated(&others, &none), Slots::default());
    }

    #[test]
    fn all_slots_can_be_used() {
        let all: PersistentMap<String, ()> = (0..MAX_PEERS).map(|n| (n.to_string(), ())).collect();
        let slots = Slots::default().updated(&PersistentMap::default(), &all);
        assert_eq!(slots.by_id.len(), MAX_PEERS);
        let mut other = all.clone();
        other.remove("777");
        other.insert("new".into(), ());
        assert_eq!(slots.updated(&all, &other).id("new"), slots.id("777"));
    }
}
