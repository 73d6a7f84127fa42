//! Going on in memory where storage fails, and back to it once it works again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::keeper::{Open, within};
use super::{CacheLimits, Database, Step, Table};
use crate::{BoxFuture, Error, code};

/// How long failed storage is left alone: so long at first, twice as long each time, and no longer than the other.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Removals that are remembered one by one; beyond that all lists are removed.
const MAX_OWED: usize = 1_000;

/// Storage has failed, and is to be tried again.
pub(super) struct Fallback {
    pub(super) why: Error,
    /// Storage, opened again after a while.
    pub(super) again: BoxFuture<Result<Open, Error>>,
    /// What must not be there any more when it works again.
    owed: BTreeSet<(Table, String)>,
    /// None of the lists that were there before may be there any more.
    owes_lists: bool,
    /// And none of the writes.
    owes_writes: bool,
}

impl Fallback {
    pub(super) fn new(why: Error, again: BoxFuture<Result<Open, Error>>) -> Self {
        Self { why, again, owed: BTreeSet::new(), owes_lists: false, owes_writes: false }
    }

    /// These steps were taken in memory only.
    pub(super) fn note(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Put { table, key, .. } => self.owed.remove(&(*table, key.clone())),
                Step::Delete { table, key } => self.owed.insert((*table, key.clone())),
            };
        }
        if self.owed.len() > MAX_OWED {
            self.owe_lists();
        }
    }

    fn owe_lists(&mut self) {
        self.owed.retain(|(table, _)| !matches!(table, Table::Lists | Table::Uses));
        self.owes_lists = true;
    }

    /// None of what was there before may be there any more.
    pub(super) fn owe_all(&mut self) {
        self.owe_lists();
        self.owes_writes = true;
    }

    /// Brings storage, just opened, to what `memory` holds. It has then shown that it takes what is written.
    pub(super) async fn bring_up(
        &mut self,
        open: &mut Open,
        memory: [BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>>; 2],
        server: &str,
        limits: &CacheLimits,
        now: u64,
    ) -> Result<(), Error> {
        // nothing stands at this key: it is there for something to be written
        let mut steps = vec![Step::Delete { table: Table::Uses, key: server.to_owned() }];
        if self.owes_lists {
            open.lists.clear(&mut steps);
        }
        if self.owes_writes {
            let writes = open.database.scan(Table::Writes, server.to_owned());
            let writes = within(writes).await?.into_iter();
            steps.extend(writes.map(|(key, _)| Step::Delete { table: Table::Writes, key }));
        }
        for (table, key) in &self.owed {
            match table {
                Table::Lists => open.lists.delete(key.clone(), &mut steps),
                Table::Uses => {}
                _ => steps.push(Step::Delete { table: *table, key: key.clone() }),
            }
        }
        let [lists, people] = memory;
        let mut brought = Vec::new();
        for (key, value) in within(lists).await? {
            brought.push(key.clone());
            open.lists.put(key, value, now, &mut steps);
        }
        let person = |(key, value)| Step::Put { table: Table::People, key, value };
        steps.extend(within(people).await?.into_iter().map(person));
        open.lists.prune(limits, now, &mut steps);
        let written = open.database.commit(steps.clone());
        match within(written).await {
            // what there is room for is not to wait for the rest: lists come from the server as well
            Err(error) if error.code() == code::STORAGE_FULL && !brought.is_empty() => {
                let is_list =
                    |step: &Step| matches!(step, Step::Put { table: Table::Lists | Table::Uses, .. });
                steps.retain(|step| !is_list(step));
                brought.into_iter().for_each(|key| open.lists.delete(key, &mut steps));
                let written = open.database.commit(steps);
                within(written).await
            }
            written => written,
        }
    }
}

/// What a fallback brings to storage: the lists, and who was here.
pub(super) fn contents(
    memory: &dyn Database,
    server: &str,
) -> [BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>>; 2] {
    [Table::Lists, Table::People].map(|table| memory.scan(table, server.to_owned()))
}

/// How long to leave storage alone after so many failures in a row: a random time of which the longest is twice the
/// shortest, so that the tabs of a browser do not come all at once.
pub(super) fn pause(failures: u32) -> Duration {
    let longest = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let random = getrandom::u64().unwrap_or_default() >> 11;
    longest.mul_f64(0.5 + random as f64 / (1_u64 << 54) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        for (failures, longest) in [(1, 10), (2, 20), (6, 320), (7, 600), (u32::MAX, 600)] {
            let longest = Duration::from_secs(longest);
            let pauses: Vec<_> = (0..200).map(|_| pause(failures)).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{failures}");
            assert!(pauses.iter().any(|pause| *pause > longest.mul_f64(0.8)));
        }
    }
}
