//! Virtual clock, seeded network and disk: a whole Syncline system in one thread.
//!
//! A [`Sim`] runs any number of real clients against the real server engine. What is simulated is the world between
//! and below them: time, the network, the disk, the server's process. All of it comes from one seed, so that whatever
//! goes wrong goes wrong again, in the same way, as often as it takes to understand it.
//!
//! # A first test
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline_core::Record;
//! use syncline_testkit::Sim;
//!
//! #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
//! #[record(collection = "todos", key = id)]
//! struct Todo {
//!     id: String,
//!     text: String,
//! }
//!
//! let mut sim = Sim::builder(7).record::<Todo>().client("a", "ann").client("b", "bob").build();
//! let seen_by_a = sim.client("a").watch(Todo::in_space("home"));
//! let seen_by_b = sim.client("b").watch(Todo::in_space("home"));
//!
//! sim.client("a").put("home", &Todo { id: "1".into(), text: "Milk".into() });
//! assert_eq!(sim.rows(seen_by_a).len(), 1); // on a's screen at once
//! assert_eq!(sim.rows(seen_by_b).len(), 0);
//!
//! sim.client("b").half_open(); // b's connection dies, and nobody tells b
//! sim.settle(); // until all is quiet; checks that everybody sees what is stored
//! assert_eq!(sim.rows(seen_by_b), sim.server_rows(&Todo::in_space("home")));
//! ```
//!
//! # What is checked without asking
//!
//! After every step, whatever changed on a screen is compared with what the server had stored at the version the
//! client says it stands at: rows of two versions are never mixed, nobody sees what they may not, nothing is shown or
//! acknowledged that is not on disk, versions do not go back. That holds for a list that has been complete once, with or
//! without a connection; while it is not live, what its own person has written since, and what another list of the
//! client has, may be newer. The diffs a client gives must lead to the rows it shows.
//! What the engine hands to the disk must continue what is there, and have every write once, in order. After
//! [`Sim::settle`], everybody sees what is stored, and what was acknowledged is stored. An application adds its own
//! with [`Sim::always`].
//!
//! # Many seeds
//!
//! [`for_each_seed`] runs a test with as many seeds as there is patience for; [`Faults`] make every run a different
//! kind of bad day. A failure says `replay with: SYNCLINE_SEED=…` and shows the last events; `SYNCLINE_TRACE=N` shows
//! more of them, `SYNCLINE_SEEDS=N` runs more seeds.
//!
//! # Around the client
//!
//! For tests of the code around a client, hooks and components, the feature `local` brings `LocalServer`: the real
//! engine behind the real client's memory transport.

mod connection;
mod disk;
mod faults;
#[cfg(feature = "local")]
mod local;
mod mirror;
mod node;
mod outbox;
mod policy;
mod related;
mod rng;
mod seeds;
mod sim;
mod trace;

pub use faults::{CrashPoint, Direction, Fault, Faults, Path};
#[cfg(feature = "local")]
pub use local::{LocalServer, LocalServerBuilder};
pub use policy::Policy;
pub use rng::Rng;
pub use seeds::for_each_seed;
pub use sim::{Sim, SimBuilder, SimClient, Watch, Write};
