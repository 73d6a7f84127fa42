//! contrail's `watchRecords`, from outside.

mod hydration;
mod listing;
mod live;
mod refusals;
mod rights;
mod socket;
mod tickets;
