//! A map with a limit: beyond it, the entry that was used least recently is dropped.
//!
//! All state that grows with events is kept in this type. The owner of an entry should remove it when it is no longer
//! needed. An entry that the limit drops may still have been needed, so it is counted. The map does not look at a
//! clock: entries expire by their own times, which are those of facts ([`Bounded::pop_oldest_if`]). So the same facts
//! always drop the same entries.

use std::{borrow::Borrow, fmt, hash::Hash};

use lru::LruCache;

/// At most `MAX` entries, in the order in which they were last used.
pub struct Bounded<K: Hash + Eq, V, const MAX: usize> {
    entries: LruCache<K, V>,
    evicted: u64,
}

impl<K: Hash + Eq, V, const MAX: usize> Default for Bounded<K, V, MAX> {
    fn default() -> Self {
        // We enforce the limit ourselves: the cache does not count what it drops, and would allocate all room at once.
        Self { entries: LruCache::unbounded(), evicted: 0 }
    }
}

impl<K: Hash + Eq, V, const MAX: usize> Bounded<K, V, MAX> {
    /// Returns an entry. This does not count as use.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.peek(key)
    }

    /// Returns an entry, and counts that as use.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key)
    }

    /// Returns the entry that was used last.
    #[must_use]
    pub fn newest(&self) -> Option<(&K, &V)> {
        self.entries.peek_mru()
    }

    /// Returns an entry, and counts that as use; makes one if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room(&key);
        self.entries.get_or_insert_mut(key, make)
    }

    /// Adds an entry, or replaces the one with the same key. Returns the entry that the limit dropped.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let pushed_out = self.make_room(&key);
        self.entries.put(key, value);
        pushed_out
    }

    /// Removes an entry, and returns it.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.pop(key)
    }

    /// Removes the entry that was used least recently, if `is` holds for its value.
    pub fn pop_oldest_if(&mut self, is: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        self.entries.peek_lru().filter(|(_, value)| is(value))?;
        self.entries.pop_lru()
    }

    /// Removes all entries.
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

    /// How many entries the limit has dropped so far.
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
