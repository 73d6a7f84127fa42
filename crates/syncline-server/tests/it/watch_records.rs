//! contrail's `watchRecords`, from outside.

mod listing;
mod live;
mod refusals;
