//! Keeps a hook's signals in line with a query that changes.

use std::future::pending;
use std::pin::pin;

use futures::{FutureExt, Stream, StreamExt, select_biased};
use syncline_core::client::WatchState;

use super::{FollowsRelation, Handles, Relations, RowHandle};
use crate::{Client, Diff, Error, Query, Record, Status, Updates, Watch};

/// What a hook is asked to show.
pub struct Wanted<R> {
    /// Which rows; `None` is "not yet".
    pub query: Option<Query<R>>,
    /// Whether it follows them, or is stopped.
    pub running: bool,
}

/// The signals of a hook.
pub trait WatchSignals<R: Record> {
    /// How a row is shown.
    type Row: RowHandle<R>;
    /// How a relation is kept.
    type Relation: FollowsRelation + ?Sized;

    /// What is shown of the children of the rows; nothing once the component is gone.
    fn relations(&self) -> Option<Relations<Self::Relation>>;
    /// From now on everything shown belongs to `query`.
    fn set_query(&self, query: Option<Query<R>>);
    /// Looks at the rows; nothing is tracked. Nothing once the component is gone.
    fn with_rows<T>(&self, look: impl FnOnce(&[Self::Row]) -> T) -> Option<T>;
    /// Edits the rows, which come into another order or are others altogether, and tells those who read them. Nothing once
    /// the component is gone.
    fn edit_rows<T>(&self, edit: impl FnOnce(&mut Vec<Self::Row>) -> T) -> Option<T>;
    /// How the watch stands, and whether its first rows are still to come. Called when that changes.
    fn set_state(&self, status: Status, error: Option<Error>, loading: bool);
}

/// Subscribes to the query that is `wanted`, moves along when it becomes another one, and keeps `signals` in line.
/// Ends with the stream; dropped, it takes the subscription with it.
pub async fn follow<R, S>(client: Client, wanted: impl Stream<Item = Wanted<R>>, signals: S)
where
    R: Record,
    S: WatchSignals<R>,
{
    let mut wanted = pin!(wanted.fuse());
    let mut follower = Follower {
        client,
        signals,
        query: None,
        running: true,
        watch: None,
        shown: None,
        handles: Handles::new(),
        loaded: false,
        was_loaded: false,
        told: None,
    };
    loop {
        select_biased! {
            next = wanted.next() => match next {
                Some(wanted) => follower.want(wanted),
                None => return,
            },
            diffs = next_batch(&mut follower.watch).fuse() => follower.take(diffs),
        }
    }
}

/// Whether two queries ask for one list, or both for none. How many of its rows they want makes no difference: more or
/// fewer of them are not another list.
pub fn is_same_list<R>(a: &Option<Query<R>>, b: &Option<Query<R>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.spec().is_same_list(b.spec()),
        (a, b) => a.is_none() && b.is_none(),
    }
}

struct Follower<R: Record, S: WatchSignals<R>> {
    client: Client,
    signals: S,
    query: Option<Query<R>>,
    running: bool,
    watch: Option<(Watch<R>, Updates<R>)>,
    /// What is shown while the hook is stopped and has been asked for more or fewer rows: the next watch begins from it.
    shown: Option<Watch<R>>,
    handles: Handles<R, S::Row>,
    /// The list is complete, or was so before it was asked for in another length.
    loaded: bool,
    /// It was, and the watch of the new length has yet to be.
    was_loaded: bool,
    /// What the signals were told last of how the watch stands.
    told: Option<Standing>,
}

/// How a watch stands, and whether its first rows are still to come.
type Standing = (Status, Option<Error>, bool);

impl<R: Record, S: WatchSignals<R>> Follower<R, S> {
    fn want(&mut self, wanted: Wanted<R>) {
        let (moves, turns) = (wanted.query != self.query, wanted.running != self.running);
        self.running = wanted.running;
        if moves {
            let is_same_list = is_same_list(&self.query, &wanted.query);
            self.query = wanted.query;
            // the new watch is made before the old one is dropped: what both look at stays in memory
            if !is_same_list {
                self.each_relation(FollowsRelation::clear);
            }
            self.move_on(is_same_list);
            self.was_loaded = is_same_list && self.loaded;
            // else those that stay keep their places on the screen
            if !is_same_list {
                self.loaded = false;
                self.handles.leave_list();
                if self.signals.with_rows(|rows| !rows.is_empty()) == Some(true) {
                    drop(self.signals.edit_rows(std::mem::take));
                }
                self.handles.forget(0);
            }
        } else if turns {
            match &self.watch {
                Some((watch, _)) if self.running => watch.start(),
                Some((watch, _)) => watch.stop(),
                None => self.move_on(true),
            }
        }
        self.show_state();
        // last: until here what is shown is nobody's. Where nothing moves there may have been a moment when it did
        self.signals.set_query(self.query.clone());
    }

    /// Goes over to the query, from what is shown where it asks for the same list.
    fn move_on(&mut self, is_same_list: bool) {
        let next = self.begin();
        let before = std::mem::replace(&mut self.watch, next).map(|(watch, _)| watch).or(self.shown.take());
        self.shown = before.filter(|_| is_same_list && self.watch.is_none()).inspect(Watch::stop);
    }

    fn begin(&self) -> Option<(Watch<R>, Updates<R>)> {
        let query = self.query.clone().filter(|_| self.running);
        let watch = query.map(|query| self.client.watch(query));
        if let Some(relations) = self.signals.relations() {
            relations.begin(watch.as_ref().map(Watch::without_type));
        }
        let watch = watch?;
        let updates = watch.updates();
        Some((watch, updates))
    }

    fn each_relation(&self, act: impl Fn(&S::Relation)) {
        if let Some(relations) = self.signals.relations() {
            relations.each(act);
        }
    }

    fn take(&mut self, diffs: Vec<Diff<R>>) {
        let edits = self.handles.apply(diffs);
        let reorders = |rows: &[S::Row]| edits.reorder::<R>(rows);
        let reordered = !edits.is_empty() && self.signals.with_rows(reorders).unwrap_or_default();
        let is_alive = |key: &str| self.handles.is_alive(key);
        let rows = || self.signals.with_rows(<[_]>::len).unwrap_or_default();
        self.each_relation(|relation| relation.refresh(&is_alive, rows()));
        if reordered {
            let edited = self.signals.edit_rows(|rows| (edits.apply(rows), rows.len()));
            self.handles.forget(edited.map_or(0, |(_gone, rows)| rows));
        }
        self.show_state();
    }

    fn show_state(&mut self) {
        let standing = self.standing();
        if self.told.as_ref() != Some(&standing) {
            self.told = Some(standing.clone());
            let (status, error, loading) = standing;
            self.signals.set_state(status, error, loading);
        }
    }

    fn standing(&mut self) -> Standing {
        match (&self.watch, &self.query) {
            (Some((watch, _)), _) => {
                let WatchState { status, error, loaded, .. } = watch.state();
                let coming =
                    matches!(status, Status::Connecting | Status::Snapshot { .. } | Status::Reconnecting);
                if status != Status::Closed {
                    self.was_loaded &= !loaded;
                    self.loaded = loaded || self.was_loaded;
                }
                (status, error, coming && !self.loaded)
            }
            (None, Some(_)) => (Status::Closed, None, false),
            (None, None) => (Status::Idle, None, false),
        }
    }
}

/// Waits for ever where there is nothing to come: without a watch, and once its client is closed.
async fn next_batch<R: Record>(watch: &mut Option<(Watch<R>, Updates<R>)>) -> Vec<Diff<R>> {
    if let Some((_, updates)) = watch
        && let Some(diffs) = updates.next().await
    {
        return diffs;
    }
    pending().await
}
