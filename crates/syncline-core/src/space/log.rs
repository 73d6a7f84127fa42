//! The newest part of a space's history.

use std::collections::VecDeque;

use crate::id::Version;
use crate::space::image::LogEntry;

/// The newest changes, without gaps, up to the space's version.
pub(super) struct Log {
    entries: VecDeque<LogEntry>,
    keep: u64,
}

impl Log {
    /// Takes the entries that lead up to `version` without a gap, at most `keep` of them.
    pub(super) fn new(stored: Vec<LogEntry>, version: Version, keep: u64) -> Self {
        let mut entries = VecDeque::new();
        let mut expected = version;
        for entry in stored.into_iter().rev() {
            if expected == 0 || entry.version != expected || entries.len() as u64 == keep {
                break;
            }
            expected -= 1;
            entries.push_front(entry);
        }
        Self { entries, keep }
    }

    pub(super) fn append(&mut self, entries: Vec<LogEntry>) {
        self.entries.extend(entries);
        while self.entries.len() as u64 > self.keep {
            self.entries.pop_front();
        }
    }

    /// What happened after `version`, when the log reaches back to it. `current` is the space's version.
    pub(super) fn since(
        &self,
        version: Version,
        current: Version,
    ) -> Option<impl Iterator<Item = &LogEntry>> {
        let missed = current.checked_sub(version)?;
        let known = self.entries.len() as u64;
        let skip = known.checked_sub(missed)?;
        Some(self.entries.iter().skip(usize::try_from(skip).ok()?))
    }
}
