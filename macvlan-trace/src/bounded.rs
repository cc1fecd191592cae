//! A map that cannot grow without end: beyond so many entries, the one that was used least recently is forgotten.
//!
//! This is the one way in which anything is remembered. An entry that is over is better removed by whoever knows that;
//! what is pushed out was wanted still, perhaps, and is counted. Nothing here knows the time: where entries get too old,
//! their own times, which are those of facts, say so ([`Bounded::pop_oldest_if`]). So the same facts make the same
//! entries go.

use std::{borrow::Borrow, fmt, hash::Hash};

use lru::LruCache;

/// At most `MAX` entries, in the order in which they were last used.
pub struct Bounded<K: Hash + Eq, V, const MAX: usize> {
    entries: LruCache<K, V>,
    evicted: u64,
}

impl<K: Hash + Eq, V, const MAX: usize> Default for Bounded<K, V, MAX> {
    fn default() -> Self {
        // The limit is ours, because the cache counts nothing, and room is taken as it is needed.
        Self { entries: LruCache::unbounded(), evicted: 0 }
    }
}

impl<K: Hash + Eq, V, const MAX: usize> Bounded<K, V, MAX> {
    /// A look at an entry, which does not count as use.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.peek(key)
    }

    /// An entry, which is used now.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }

    /// The entry that was used last.
    #[must_use]
    pub fn newest(&self) -> Option<(&K, &V)> {
        self.entries.peek_mru()
    }

    /// An entry, which is used now; a new one where there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room(&key);
        self.entries.get_or_insert_mut(key, make)
    }

    /// Adds an entry, in the place of the one with the same key; what it pushes out.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let pushed_out = self.make_room(&key);
        self.entries.put(key, value);
        pushed_out
    }

    /// Takes an entry out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.pop(key)
    }

    /// Takes out the entry that was used least recently, if it is one of these.
    pub fn pop_oldest_if(&mut self, is: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        self.entries.peek_lru().filter(|(_, value)| is(value))?;
        self.entries.pop_lru()
    }

    /// Takes all entries out.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// All entries, the one that was used least recently first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().rev()
    }

    /// All values, the one that was used least recently first; none counts as used.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().rev().map(|(_, value)| value)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries others have pushed out so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn make_room(&mut self, key: &K) -> Option<(K, V)> {
        if self.entries.len() < MAX || self.entries.contains(key) {
            return None;
        }
        self.evicted += 1;
        self.entries.pop_lru()
    }
}

impl<K: Hash + Eq, V, const MAX: usize> fmt::Debug for Bounded<K, V, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {MAX} entries, {} evicted", self.len(), self.evicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Three = Bounded<u32, &'static str, 3>;

    fn keys<V, const MAX: usize>(map: &Bounded<u32, V, MAX>) -> Vec<u32> {
        map.iter().map(|(key, _)| *key).collect()
    }

    fn full() -> Three {
        let mut map = Three::default();
        for (key, value) in [(1, "a"), (2, "b"), (3, "c")] {
            assert_eq!(map.insert(key, value), None);
        }
        map
    }

    #[test]
    fn beyond_its_limit_it_forgets_what_was_used_least_recently_and_counts_that() {
        let mut map = full();
        assert_eq!(map.get_mut(&1), Some(&mut "a"));
        assert_eq!(map.insert(4, "d"), Some((2, "b")));
        assert_eq!(*map.get_or_insert_with(5, || "e"), "e");
        assert_eq!((keys(&map), map.len(), map.evicted()), (vec![1, 4, 5], 3, 2));
    }

    #[test]
    fn a_look_is_no_use() {
        let mut map = full();
        assert_eq!(map.get(&1), Some(&"a"));
        map.values_mut().for_each(|value| *value = "z");
        assert_eq!(map.newest(), Some((&3, &"z")));
        assert_eq!(map.insert(4, "d"), Some((1, "z")));
    }

    #[test]
    fn what_is_there_already_pushes_nothing_out() {
        let mut map = full();
        assert_eq!(map.insert(1, "new"), None);
        assert_eq!(*map.get_or_insert_with(2, || unreachable!("it is there")), "b");
        assert_eq!((keys(&map), map.get(&1), map.evicted()), (vec![3, 1, 2], Some(&"new"), 0));
    }

    #[test]
    fn what_is_removed_makes_room_and_is_not_counted() {
        let mut map = full();
        assert_eq!((map.remove(&2), map.remove(&2)), (Some("b"), None));
        assert_eq!(map.insert(4, "d"), None);
        map.clear();
        assert!(map.is_empty());
        assert_eq!(map.evicted(), 0);
    }

    #[test]
    fn what_is_too_old_is_taken_out_oldest_first_and_is_not_counted() {
        let mut map: Bounded<u32, u64, 8> = Bounded::default();
        for (key, at) in [(1, 10), (2, 20), (3, 30)] {
            map.insert(key, at);
        }
        let mut gone = Vec::new();
        while let Some((key, _)) = map.pop_oldest_if(|at| *at < 25) {
            gone.push(key);
        }
        assert_eq!((gone, keys(&map), map.evicted()), (vec![1, 2], vec![3], 0));
    }
}
