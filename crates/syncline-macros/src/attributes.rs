//! `#[record(…)]`, on the struct and on its fields.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Ident, LitStr, Path, Result};

/// What `#[record(…)]` says on the struct.
#[derive(Default)]
pub(crate) struct StructAttributes {
    /// `collection = "todos"`
    pub(crate) collection: Option<LitStr>,
    /// `key = id`
    pub(crate) key: Option<Ident>,
    /// `crate = path`
    pub(crate) syncline: Option<Path>,
}

impl StructAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("collection") {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() {
                    return Err(Error::new(name.span(), "a collection needs a name"));
                }
                once(&mut found.collection, &meta, name)
            } else if meta.path.is_ident("key") {
                let key = meta.value()?.parse().map_err(|error| {
                    Error::new(error.span(), "`key` takes the name of a field, without quotes: `key = id`")
                })?;
                once(&mut found.key, &meta, key)
            } else if meta.path.is_ident("crate") {
                let path = meta.value()?.call(Path::parse_mod_style)?;
                once(&mut found.syncline, &meta, path)
            } else {
                Err(meta.error("a record has `collection = \"…\"`, `key = field` and `crate = path`"))
            }
        })?;
        Ok(found)
    }
}

/// What `#[record(…)]` says on a field.
#[derive(Default)]
pub(crate) struct FieldAttributes {
    /// `opaque`
    pub(crate) opaque: bool,
}

impl FieldAttributes {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut opaque = None;
        each(attributes, |meta| {
            if meta.path.is_ident("opaque") {
                once(&mut opaque, &meta, ())
            } else {
                Err(meta.error("a field of a record can be `opaque`, nothing else"))
            }
        })?;
        Ok(Self { opaque: opaque.is_some() })
    }
}

fn each(attributes: &[Attribute], mut item: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("record")) {
        attribute.parse_nested_meta(&mut item)?;
    }
    Ok(())
}

fn once<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("said twice")),
    }
}
