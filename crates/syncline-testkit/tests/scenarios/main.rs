//! What clients, server, network and disk go through, one file for each kind of story.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

mod actions;
mod closed_space;
mod credentials;
mod dead_tab;
mod deletion_while_away;
mod disk_failure;
mod drop;
mod duplicate;
mod forgotten_client;
mod half_open;
mod late_join;
mod leaving;
mod limited_window;
mod lost_acknowledgement;
mod model;
mod moving_query;
mod private_rows;
mod reconnect_during_snapshot;
mod refused_write;
mod relations;
mod reorder;
mod restored_database;
mod server_away;
mod server_crash;
mod slow_reader;
mod stories;
mod transport_fallback;
mod two_editors;
mod whole_writes;
mod wiped_database;
