//! contrail's `watchRecords`, from outside.

mod listing;
mod live;
mod refusals;
mod rights;
mod socket;
mod tickets;
