//! `#[derive(Record)]` for Syncline.
//!
//! Use it as `syncline::Record` or `syncline_core::Record`: each re-exports the derive that names its own crate, so
//! that a model shared with the server needs `syncline-core` only.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline_core::Record;
//!
//! #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! #[record(collection = "todos", key = id)]
//! #[serde(rename_all = "camelCase")]
//! struct Todo {
//!     id: String,
//!     text: String,
//!     done: bool,
//!     created_at: u64,
//!     #[record(opaque)]
//!     labels: Vec<String>,
//! }
//!
//! let open = Todo::in_space("list-42").filter(Todo::done.eq(false)).order_by(Todo::created_at.desc());
//! assert_eq!(Todo::created_at.name(), "createdAt");
//! # let _ = open;
//! ```

mod attributes;
mod record;
mod serde_names;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input, parse_quote};

/// Makes a struct the row of a collection: implements `Record`, and gives one token per field for queries,
/// `Todo::done`.
///
/// # On the struct
///
/// `#[record(collection = "todos", key = id)]`: the name of the collection on the wire, and the field that is the key.
/// The key's type must be `AsRef<str>`: `String`, `Key`, `Arc<str>`, `Box<str>`.
/// `#[record(crate = path)]` says where Syncline is, for a crate that depends on it under another name.
///
/// # On a field
///
/// `#[record(opaque)]`: the type is not a plain value. The field travels with its row, but queries can neither filter
/// nor order by it, and there is no token for it.
///
/// # Names on the wire
///
/// They are serde's: `#[serde(rename = "…")]` and `#[serde(rename_all = "…")]` count, and a field with
/// `#[serde(skip)]` does not exist for Syncline. Under `#[serde(alias = "…")]` a field is found too, by patches and queries as in
/// rows: those of a client that was offline since before the field was renamed. What would make the JSON of a row anything but one object with these
/// fields, or give these other names in one direction than in the other, is refused. How a single value is written and read
/// (`#[serde(with = "…")]`, `serialize_with`, `deserialize_with`) is left to you: what is written is to be read as the same value.
///
/// # What does not compile
///
/// A struct without a collection or a key:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// struct Todo { id: String }
/// ```
/// A key that is no field:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = uuid)]
/// struct Todo { id: String }
/// ```
/// A key that is no text:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo { id: u64 }
/// ```
/// A field that is no plain value and not marked as opaque:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo { id: String, labels: Vec<String> }
/// ```
/// A query over an opaque field:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo { id: String, #[record(opaque)] labels: Vec<String> }
/// let order = Todo::labels.asc();
/// ```
/// A comparison with a value of another type:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo { id: String, done: bool }
/// let filter = Todo::done.eq("yes");
/// ```
/// Attributes that do not exist, type parameters, and enums:
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id, table = "todo")]
/// struct Todo { id: String }
/// ```
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo<T> { id: String, #[record(opaque)] payload: T }
/// ```
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// enum Todo { Open { id: String } }
/// ```
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    derive(parse_macro_input!(input as DeriveInput), &parse_quote!(::syncline_core))
}

/// The same for a crate that depends on `syncline` only, which re-exports it as `syncline::Record`.
#[doc(hidden)]
#[proc_macro_derive(RecordOfSyncline, attributes(record))]
pub fn derive_record_of_syncline(input: TokenStream) -> TokenStream {
    derive(parse_macro_input!(input as DeriveInput), &parse_quote!(::syncline))
}

fn derive(input: DeriveInput, syncline: &syn::Path) -> TokenStream {
    record::expand(&input, syncline).unwrap_or_else(syn::Error::into_compile_error).into()
}
