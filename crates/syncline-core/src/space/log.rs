//! The newest part of a space's history.

use std::collections::VecDeque;

use crate::id::{Key, Version};
use crate::schema::Schema;
use crate::space::config::Config;
use crate::space::image::LogEntry;

/// The rows that one version put or deleted.
pub(super) type Touched = Box<[(&'static str, Key)]>;

/// How much of a history is kept.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    versions: u64,
    keys: usize,
}

impl Bounds {
    pub(super) fn of(config: &Config) -> Self {
        Self { versions: config.log_retention, keys: config.log_keys }
    }

    fn are_kept(self, versions: usize, keys: usize) -> bool {
        versions as u64 <= self.versions && keys <= self.keys
    }
}

/// What the newest versions touched, without gaps, up to the space's version.
pub(super) struct Log {
    entries: VecDeque<Touched>,
    keys: usize,
    bounds: Bounds,
}

impl Log {
    /// Takes the entries that lead up to `version` without a gap, as far as they are within the bounds.
    pub(super) fn new(stored: Vec<LogEntry>, version: Version, schema: &Schema, bounds: Bounds) -> Self {
        let mut log = Self { entries: VecDeque::new(), keys: 0, bounds };
        let mut expected = version;
        for entry in stored.into_iter().rev() {
            // of a collection that there is no more, nobody asks
            let touched = entry.touched.into_iter().filter_map(|(collection, key)| {
                schema.collection(&collection).ok().map(|def| (def.name, Key::from(key)))
            });
            let touched: Touched = touched.collect();
            let (versions, keys) = (log.entries.len() + 1, log.keys + touched.len());
            if expected == 0 || entry.version != expected || !bounds.are_kept(versions, keys) {
                break;
            }
            expected -= 1;
            log.keys = keys;
            log.entries.push_front(touched);
        }
        log
    }

    pub(super) fn append(&mut self, entries: Vec<Touched>) {
        self.keys += entries.iter().map(|touched| touched.len()).sum::<usize>();
        self.entries.extend(entries);
        while !self.bounds.are_kept(self.entries.len(), self.keys)
            && let Some(oldest) = self.entries.pop_front()
        {
            self.keys -= oldest.len();
        }
    }

    /// How many versions will be left when these are appended.
    pub(super) fn left_after(&self, entries: &[Touched]) -> u64 {
        let all = || self.entries.iter().chain(entries);
        let mut versions = self.entries.len() + entries.len();
        let mut keys = self.keys + entries.iter().map(|touched| touched.len()).sum::<usize>();
        for oldest in all() {
            if self.bounds.are_kept(versions, keys) {
                break;
            }
            versions -= 1;
            keys -= oldest.len();
        }
        versions as u64
    }

    /// What happened after `version`, when the log reaches back to it. `current` is the space's version.
    pub(super) fn since(
        &self,
        version: Version,
        current: Version,
    ) -> Option<impl Iterator<Item = &(&'static str, Key)>> {
        let missed = current.checked_sub(version)?;
        let known = self.entries.len() as u64;
        let skip = known.checked_sub(missed)?;
        Some(self.entries.iter().skip(usize::try_from(skip).ok()?).flat_map(|touched| touched.iter()))
    }
}
