//! A persistent map (in the sense of persistent data structures): copies share what they have in common.
//!
//! Each change of a configuration is made on a copy, which is then compared with what is in force. With 65,536 peers
//! both must cost what the change is, not what the configuration is: a copy shares all chunks but those that are changed
//! in it, and chunks that are shared need not be compared.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    ops::{Bound, Index},
    sync::Arc,
};

/// Most entries of a chunk: what is copied for a change, and 512 references for a copy of 65,536 entries.
const CHUNK: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// An ordered map of which a copy costs little, and so does telling two copies apart.
#[derive(Clone)]
pub struct PersistentMap<K, V> {
    /// In ascending order, none of them empty.
    chunks: Vec<Chunk<K, V>>,
    len: usize,
}

/// An entry that is not the same in two maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'a, K, V> {
    /// Which.
    pub key: &'a K,
    /// In the older map.
    pub old: Option<&'a V>,
    /// In the newer one.
    pub new: Option<&'a V>,
}

impl<K, V> Default for PersistentMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> PersistentMap<K, V> {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in ascending order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            chunks: &self.chunks,
            at: 0,
        }
    }

    /// All keys in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> PersistentMap<K, V> {
    /// The value of `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The same with the key as it is in the map.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.find(key);
        let (key, value) = self.chunks.get(chunk)?.get(at.ok()?)?;
        Some((key, value))
    }

    /// Whether there is a value of `key`.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// The entries from `key` on, in ascending order.
    pub fn range_from<Q: Ord + ?Sized>(&self, key: Bound<&Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = match key {
            Bound::Unbounded => return self.iter(),
            Bound::Included(key) => {
                let (chunk, at) = self.find(key);
                (chunk, at.unwrap_or_else(|at| at))
            }
            Bound::Excluded(key) => {
                let (chunk, at) = self.find(key);
                (chunk, at.map_or_else(|at| at, |at| at + 1))
            }
        };
        let chunks = self.chunks.get(chunk..).unwrap_or_default();
        Iter { chunks, at }.behind_full()
    }

    /// The entries that are not the same in `newer`, in ascending order. What the two share is passed over unseen.
    pub fn differences<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = Difference<'a, K, V>> + Clone
    where
        V: PartialEq,
    {
        Differences {
            old: self.iter(),
            new: newer.iter(),
        }
    }

    /// The chunk where `key` is or ought to be, and its place in there.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
    {
        let begins_before =
            |chunk: &Chunk<K, V>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        let index = self.chunks.partition_point(begins_before).saturating_sub(1);
        let at = self.chunks.get(index).map_or(Err(0), |chunk| {
            chunk.binary_search_by(|(other, _)| other.borrow().cmp(key))
        });
        (index, at)
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// The value of `key`, to be changed in this copy.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.find(key);
        // What is not there copies nothing.
        let at = at.ok()?;
        let (_, value) = Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(at)?;
        Some(value)
    }

    /// Puts `value` in the place of what was there, if anything.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (chunk, at) = self.find(&key);
        match at {
            Ok(at) => self.chunks.get_mut(chunk).and_then(|chunk| {
                let (_, old) = Arc::make_mut(chunk).get_mut(at)?;
                Some(std::mem::replace(old, value))
            }),
            Err(at) => {
                self.insert_at(chunk, at, (key, value));
                None
            }
        }
    }

    /// The value of `key`, to be changed in this copy; a new one where there was none.
    pub fn get_or_insert_with(&mut self, key: &K, value: impl FnOnce() -> V) -> &mut V {
        let (chunk, at) = match self.find(key) {
            (chunk, Ok(at)) => (chunk, at),
            (chunk, Err(at)) => self.insert_at(chunk, at, (key.clone(), value())),
        };
        &mut Arc::make_mut(&mut self.chunks[chunk])[at].1
    }

    /// Removes the entry of `key`.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (index, at) = self.find(key);
        let at = at.ok()?;
        let chunk = Arc::make_mut(self.chunks.get_mut(index)?);
        let (_, value) = chunk.remove(at);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(index);
        } else {
            self.join(index);
        }
        if let Some(before) = index.checked_sub(1) {
            self.join(before);
        }
        Some(value)
    }

    /// Joins a chunk with the next where both are small: many entries that come and go would leave many chunks of one.
    fn join(&mut self, index: usize) {
        let Some([chunk, next]) = self.chunks.get_mut(index..index + 2) else {
            return;
        };
        if chunk.len() + next.len() <= CHUNK / 2 {
            Arc::make_mut(chunk).extend(next.iter().cloned());
            self.chunks.remove(index + 1);
        }
    }

    /// Returns where it is then.
    fn insert_at(&mut self, index: usize, at: usize, entry: (K, V)) -> (usize, usize) {
        self.len += 1;
        let last = index + 1 >= self.chunks.len();
        let Some(chunk) = self.chunks.get_mut(index).filter(|_| !(last && at == CHUNK)) else {
            // What comes in order fills one chunk after the other.
            self.chunks.push(Arc::new(vec![entry]));
            return (self.chunks.len() - 1, 0);
        };
        let chunk = Arc::make_mut(chunk);
        if chunk.len() < CHUNK {
            chunk.insert(at, entry);
            return (index, at);
        }
        let mut behind = chunk.split_off(CHUNK / 2);
        let place = if let Some(at) = at.checked_sub(CHUNK / 2) {
            behind.insert(at, entry);
            (index + 1, at)
        } else {
            chunk.insert(at, entry);
            (index, at)
        };
        self.chunks.insert(index + 1, Arc::new(behind));
        place
    }
}

/// Entries in ascending order.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    chunks: &'a [Chunk<K, V>],
    /// In the first of them, before its end.
    at: usize,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<'a, K, V> Iter<'a, K, V> {
    fn peek(&self) -> Option<&'a (K, V)> {
        self.chunks.first()?.get(self.at)
    }

    fn behind_full(mut self) -> Self {
        if self.chunks.first().is_some_and(|chunk| self.at >= chunk.len()) {
            self.skip_chunk();
        }
        self
    }

    fn skip_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.at = 0;
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.peek()?;
        self.at += 1;
        if self.chunks.first().is_some_and(|chunk| self.at >= chunk.len()) {
            self.skip_chunk();
        }
        Some((key, value))
    }
}

struct Differences<'a, K, V> {
    old: Iter<'a, K, V>,
    new: Iter<'a, K, V>,
}

impl<K, V> Clone for Differences<'_, K, V> {
    fn clone(&self) -> Self {
        Self {
            old: self.old.clone(),
            new: self.new.clone(),
        }
    }
}

impl<'a, K: Ord, V: PartialEq> Iterator for Differences<'a, K, V> {
    type Item = Difference<'a, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let (old, new) = (&mut self.old, &mut self.new);
        loop {
            // Both stand at the beginning of a shared chunk again soon after each chunk that they do not share.
            if let (0, 0, Some(a), Some(b)) = (old.at, new.at, old.chunks.first(), new.chunks.first())
                && Arc::ptr_eq(a, b)
            {
                old.skip_chunk();
                new.skip_chunk();
                continue;
            }
            let order = match (old.peek(), new.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            let (old, new) = (before.map(|(_, value)| value), after.map(|(_, value)| value));
            if old != new {
                let (key, _) = before.or(after)?;
                return Some(Difference { key, old, new });
            }
        }
    }
}

impl<'a, K, V> IntoIterator for &'a PersistentMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for PersistentMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Ord + Clone, V: Clone, const N: usize> From<[(K, V); N]> for PersistentMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for PersistentMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for PersistentMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for PersistentMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for PersistentMap<K, V> {
    type Output = V;

    /// # Panics
    /// Where there is no such entry.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("an entry of this key")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Map = PersistentMap<u16, u8>;

    /// What must hold after everything.
    fn check(map: &Map) {
        assert_eq!(
            map.len(),
            map.chunks.iter().map(|chunk| chunk.len()).sum::<usize>()
        );
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
        assert!(map.keys().is_sorted_by(|a, b| a < b));
    }

    fn differences(old: &BTreeMap<u16, u8>, new: &BTreeMap<u16, u8>) -> Vec<(u16, Option<u8>, Option<u8>)> {
        let mut keys: Vec<u16> = old.keys().chain(new.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let of = |map: &BTreeMap<u16, u8>, key| map.get(&key).copied();
        keys.into_iter()
            .map(|key| (key, of(old, key), of(new, key)))
            .filter(|(_, old, new)| old != new)
            .collect()
    }

    proptest! {
        /// It is the map that the standard library has, whatever is done to it, and so are the copies of it.
        #[test]
        fn it_does_what_a_map_does(
            steps in prop::collection::vec((0..900_u16, prop::option::weighted(0.6, 0..3_u8)), 0..2000),
            copy_at in prop::collection::vec(0..2000_usize, 0..4),
            from in 0..900_u16,
        ) {
            let (mut map, mut model) = (Map::default(), BTreeMap::<u16, u8>::new());
            let mut copies = vec![(map.clone(), model.clone())];
            for (n, (key, value)) in steps.into_iter().enumerate() {
                if copy_at.contains(&n) {
                    copies.push((map.clone(), model.clone()));
                }
                match value {
                    Some(0) => {
                        let changed = (map.get_mut(&key), model.get_mut(&key));
                        assert_eq!(changed.0.is_some(), changed.1.is_some());
                        if let (Some(a), Some(b)) = changed {
                            *a = b.wrapping_add(1);
                            *b = *a;
                        }
                    }
                    Some(value) if key % 2 == 0 => {
                        assert_eq!(map.insert(key, value), model.insert(key, value));
                    }
                    Some(value) => {
                        let there = *model.entry(key).or_insert(value);
                        assert_eq!(*map.get_or_insert_with(&key, || value), there);
                    }
                    None => assert_eq!(map.remove(&key), model.remove(&key)),
                }
            }
            copies.push((map.clone(), model.clone()));
            for (map, model) in &copies {
                check(map);
                assert!(map.iter().eq(model.iter()));
                assert_eq!(map.get(&from), model.get(&from));
                assert_eq!(map.contains_key(&from), model.contains_key(&from));
                assert!(map.range_from(Bound::Included(&from)).eq(model.range(from..)));
                let behind = (Bound::Excluded(from), Bound::Unbounded);
                assert!(map.range_from(Bound::Excluded(&from)).eq(model.range(behind)));
                for (other, other_model) in &copies {
                    let told: Vec<_> = map
                        .differences(other)
                        .map(|d| (*d.key, d.old.copied(), d.new.copied()))
                        .collect();
                    assert_eq!(told, differences(model, other_model));
                    assert_eq!(map == other, model == other_model);
                }
            }
        }
    }

    #[test]
    fn a_copy_shares_all_but_what_is_changed_in_it() {
        let map: Map = (0..10_000).map(|n| (n, 0)).collect();
        assert_eq!(map.chunks.len(), 10_000_usize.div_ceil(CHUNK), "chunks are full");
        let mut copy = map.clone();
        *copy.get_mut(&5000).expect("it is there") = 1;
        copy.remove(&7000);
        copy.insert(20_000, 1);
        copy.remove(&30_000);
        assert_eq!(copy.get_mut(&30_000), None);
        let shared = |chunk| map.chunks.iter().any(|other| Arc::ptr_eq(chunk, other));
        let own = copy.chunks.iter().filter(|chunk| !shared(chunk)).count();
        assert_eq!(own, 3);
        assert_eq!(map.differences(&copy).count(), 3);
    }

    #[test]
    fn many_that_come_and_go_leave_few_chunks() {
        let mut map: Map = (0..20_000).map(|n| (n, 0)).collect();
        for n in (0..20_000).filter(|n| n % 100 != 0) {
            map.remove(&n);
        }
        check(&map);
        assert!(
            map.chunks.len() <= 2 * 200_usize.div_ceil(CHUNK / 2),
            "{}",
            map.chunks.len()
        );
    }

    #[test]
    fn equal_maps_are_equal_however_they_came_about() {
        let forwards: Map = (0..1000).map(|n| (n, 7)).collect();
        let backwards: Map = (0..1000).rev().map(|n| (n, 7)).collect();
        assert_ne!(forwards.chunks.len(), backwards.chunks.len());
        assert_eq!(forwards, backwards);
        assert_eq!(format!("{:?}", Map::from([(1, 2)])), "{1: 2}");
    }
}
