//! How the rows of a collection are told to clients that know records.

use std::fmt;
use std::sync::Arc;

use syncline_core::record::{Field, FieldDef};
use syncline_core::scalar::{Scalar, ScalarRef};
use syncline_core::{Record, Relation, RelationSpec};

/// What the whole numbers of a row's time count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970, as JavaScript counts.
    Millis,
    /// Microseconds since 1970.
    Micros,
}

impl TimeUnit {
    fn micros(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Millis => 1_000,
            Self::Micros => 1,
        }
    }

    /// A time in microseconds as a row counts it, rounded up: nothing of the same time is left out below it.
    pub(super) fn of_micros(self, time_us: i64) -> i64 {
        let (whole, rest) = (time_us.div_euclid(self.micros()), time_us.rem_euclid(self.micros()));
        whole + i64::from(rest > 0)
    }
}

/// The types of fields that can be a row's time.
pub trait Time {}

macro_rules! times {
    ($($number:ty)*) => {$(
        impl Time for $number {}
        impl Time for Option<$number> {}
    )*};
}
times!(i32 i64 u32 u64 f64);

/// How a row of type `R` is told to contrail's clients: as a record `{uri, cid, value, did, collection, rkey, time_us}`.
///
/// | of the record | is |
/// |---|---|
/// | `value` | the row as it is |
/// | `rkey` | the row's key |
/// | `did` | what the mapping says: who made it |
/// | `time_us` | the field that the mapping names, in microseconds everywhere |
/// | `collection` | the namespace and the mapping's name, unless [another](Self::nsid) is given |
/// | `uri` | `at://<did>/<collection>/<rkey>`, percent-encoded where that is needed |
/// | `cid` | a hash of `value`, as a CID (version 1, raw, SHA-256): another one when the row has changed |
#[must_use]
pub struct Mapping<R> {
    did: Arc<dyn Fn(&R) -> String + Send + Sync>,
    time: usize,
    unit: TimeUnit,
    name: String,
    nsid: Option<String>,
    relations: Vec<NewRelation>,
}

/// A relation whose children's collection is not named in full yet.
struct NewRelation {
    name: String,
    spec: RelationSpec,
    children: Box<dyn FnOnce(&str) -> Collection + Send + Sync>,
}

impl<R: Record> Mapping<R> {
    /// `did` says who made a row: the id of a user, which need not be a DID. `time` is the field that says when, in
    /// milliseconds unless [told](Self::unit).
    pub fn new<T: Time>(did: impl Fn(&R) -> String + Send + Sync + 'static, time: Field<R, T>) -> Self {
        let time = R::FIELDS.iter().position(|field| field.name == time.name()).unwrap_or(usize::MAX);
        Self {
            did: Arc::new(did),
            time,
            unit: TimeUnit::Millis,
            name: R::COLLECTION.into(),
            nsid: None,
            relations: Vec::new(),
        }
    }

    /// What the route and the records call the collection, behind the namespace. Unless told, as Syncline does.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What the records call the collection in full, when that is not the namespace and the name.
    pub fn nsid(mut self, nsid: impl Into<String>) -> Self {
        self.nsid = Some(nsid.into());
        self
    }

    /// What the time field counts. Milliseconds.
    pub fn unit(mut self, unit: TimeUnit) -> Self {
        self.unit = unit;
        self
    }

    /// Rows of another collection that come along with each record when `hydrate<Name>` asks for them: its children,
    /// under this name, and how many there are. `hydrateReactions=10` is what `reactions` is asked for by. At most four.
    ///
    /// ```
    /// use syncline_server::watch_records::Mapping;
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline_macros::Record;
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "messages", key = id)]
    /// # struct Message { id: String, author: String, sent_at: u64 }
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "reactions", key = id)]
    /// # struct Reaction { id: String, message: String, by: String, at: u64 }
    /// let reactions = Mapping::new(|reaction: &Reaction| reaction.by.clone(), Reaction::at).named("reaction");
    /// let messages = Mapping::new(|message: &Message| message.author.clone(), Message::sent_at)
    ///     .relation("reactions", Reaction::message.children().order_by(Reaction::at), reactions);
    /// ```
    pub fn relation<C: Record>(
        mut self,
        name: impl Into<String>,
        relation: impl Into<Relation<C>>,
        children: Mapping<C>,
    ) -> Self {
        let spec = relation.into().spec().clone();
        let children = Box::new(move |namespace: &str| children.collection(namespace));
        self.relations.push(NewRelation { name: name.into(), spec, children });
        self
    }

    pub(super) fn collection(self, namespace: &str) -> Collection {
        let Self { did, time, unit, name, nsid, relations } = self;
        let route = format!("{namespace}.{name}");
        let read = move |json: &[u8], sort: usize| {
            let row: R = serde_json::from_slice(json).ok()?;
            Some(Facts {
                did: did(&row),
                rkey: row.key().to_owned(),
                time_us: micros(row.field(time), unit),
                sort: row.field(sort).to_owned(),
            })
        };
        Collection {
            nsid: nsid.unwrap_or_else(|| route.clone()),
            route,
            name: R::COLLECTION,
            fields: R::FIELDS,
            key_field: R::KEY_FIELD,
            time_field: R::FIELDS.get(time).map_or("", |field| field.name),
            unit,
            relations: relations
                .into_iter()
                .enumerate()
                .map(|(place, new)| new.related(place, namespace))
                .collect(),
            read: Box::new(read),
        }
    }
}

impl<R> fmt::Debug for Mapping<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A collection as the face knows it: without the type of its rows.
pub(super) struct Collection {
    /// `<namespace>.<name>`, as routes begin.
    pub(super) route: String,
    /// What the records call it.
    pub(super) nsid: String,
    /// What Syncline calls it.
    pub(super) name: &'static str,
    fields: &'static [FieldDef],
    pub(super) key_field: &'static str,
    pub(super) time_field: &'static str,
    pub(super) unit: TimeUnit,
    pub(super) relations: Vec<Related>,
    read: Box<dyn Fn(&[u8], usize) -> Option<Facts> + Send + Sync>,
}

impl Collection {
    /// The fields that queries may name.
    pub(super) fn queryable(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().filter(|field| field.queryable).map(|field| field.name)
    }

    /// Whether queries may name this field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.queryable().any(|known| known == field)
    }

    /// What a row says that a list by `sort` is made of.
    pub(super) fn read(&self, row: &[u8], sort: &str) -> Option<Facts> {
        let sort = self.fields.iter().position(|field| field.name == sort).unwrap_or(usize::MAX);
        (self.read)(row, sort)
    }
}

/// Children that can come along with the records of a collection.
pub(super) struct Related {
    /// Which of the collection's relations it is.
    pub(super) place: usize,
    /// Under which name they stand in a record.
    pub(super) name: String,
    /// What asks for them.
    pub(super) parameter: String,
    pub(super) spec: RelationSpec,
    pub(super) collection: Collection,
}

impl Related {
    /// At most so many of each record, and how many there are.
    pub(super) fn asked(&self, limit: u32) -> RelationSpec {
        RelationSpec { limit, count: true, ..self.spec.clone() }
    }
}

impl NewRelation {
    fn related(self, place: usize, namespace: &str) -> Related {
        let Self { name, spec, children } = self;
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let parameter: String = "hydrate".chars().chain(first).chain(letters).collect();
        Related { place, name, parameter, spec, collection: children(namespace) }
    }
}

/// What records need of a row, beside the row.
pub(super) struct Facts {
    pub(super) did: String,
    pub(super) rkey: String,
    pub(super) time_us: i64,
    /// The value of the field that the list is ordered by; of a child, what says whose it is.
    pub(super) sort: Scalar,
}

fn micros(time: ScalarRef<'_>, unit: TimeUnit) -> i64 {
    match time {
        ScalarRef::Int(time) => time.saturating_mul(unit.micros()),
        ScalarRef::UInt(time) => i64::try_from(time).unwrap_or(i64::MAX).saturating_mul(unit.micros()),
        // a cast takes what is out of range, or no number, to the nearest there is
        ScalarRef::Float(time) => (time * unit.micros() as f64) as i64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_whatever_the_row_counts() {
        assert_eq!(micros(ScalarRef::Int(1_795_165_399_649), TimeUnit::Millis), 1_795_165_399_649_000);
        assert_eq!(micros(ScalarRef::Int(7), TimeUnit::Seconds), 7_000_000);
        assert_eq!(micros(ScalarRef::Float(1.5), TimeUnit::Millis), 1_500);
        assert_eq!(micros(ScalarRef::UInt(u64::MAX), TimeUnit::Micros), i64::MAX);
        assert_eq!(micros(ScalarRef::Int(i64::MAX), TimeUnit::Seconds), i64::MAX);
        assert_eq!(micros(ScalarRef::Null, TimeUnit::Millis), 0);
    }

    #[test]
    fn a_time_between_two_counts_is_the_later_one() {
        assert_eq!(TimeUnit::Millis.of_micros(1_000), 1);
        assert_eq!(TimeUnit::Millis.of_micros(1_001), 2);
        assert_eq!(TimeUnit::Micros.of_micros(1_001), 1_001);
    }
}
