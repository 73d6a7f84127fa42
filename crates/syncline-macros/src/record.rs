//! What `#[derive(Record)]` expands to.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Path, Result, Type};

use crate::attributes::{FieldAttributes, StructAttributes};
use crate::serde_names::Names;

struct Field<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    name: String,
    aliases: Vec<String>,
    opaque: bool,
}

impl Field<'_> {
    fn is_called(&self, name: &String) -> bool {
        self.name == *name || self.aliases.contains(name)
    }
}

pub(crate) fn expand(input: &DeriveInput, syncline: &Path) -> Result<TokenStream> {
    let attributes = StructAttributes::parse(&input.attrs)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a record has no parameters: a collection is of one type",
        ));
    }
    let fields = fields(input)?;

    let missing = |what| Error::new_spanned(&input.ident, format!("a record needs `#[record({what})]`"));
    let collection = attributes.collection.as_ref().ok_or_else(|| missing("collection = \"…\""))?;
    let key = attributes.key.as_ref().ok_or_else(|| missing("key = field"))?;
    let key = fields
        .iter()
        .find(|field| field.ident == key)
        .ok_or_else(|| Error::new(key.span(), "the key is a field of the record, and not a skipped one"))?;

    let path = attributes.syncline.as_ref().unwrap_or(syncline);
    let private = quote!(#path::__private);
    let (ident, vis) = (&input.ident, &input.vis);

    let defs = fields.iter().map(|Field { name, aliases, opaque, .. }| {
        let queryable = !opaque;
        quote!(#private::FieldDef { name: #name, queryable: #queryable, aliases: &[#(#aliases),*] })
    });
    let queryable = || fields.iter().enumerate().filter(|(_, field)| !field.opaque);
    let scalars = queryable().map(|(index, Field { ident, ty, .. })| {
        // the type's span, so that a type which is no plain value is what the compiler points at
        quote_spanned!(ty.span()=> #index => #private::ToScalar::to_scalar(&self.#ident),)
    });
    let tokens = queryable().map(|(index, Field { ident, ty, name, .. })| {
        let doc = format!("The field `{name}`, for queries.");
        quote! {
            #[doc = #doc]
            #vis const #ident: #private::Field<Self, #ty> = #private::Field::new(#index);
        }
    });
    let (key_ident, key_name) = (key.ident, &key.name);
    let key = quote_spanned!(key.ty.span()=> ::core::convert::AsRef::<str>::as_ref(&self.#key_ident));

    Ok(quote! {
        #[automatically_derived]
        impl #private::Record for #ident {
            const COLLECTION: &'static str = #collection;
            const FIELDS: &'static [#private::FieldDef] = &[#(#defs),*];
            const KEY_FIELD: &'static str = #key_name;

            fn key(&self) -> &str {
                #key
            }

            fn field(&self, index: usize) -> #private::ScalarRef<'_> {
                match index {
                    #(#scalars)*
                    _ => #private::ScalarRef::Null,
                }
            }
        }

        #[automatically_derived]
        #[allow(non_upper_case_globals, dead_code)]
        impl #ident {
            #(#tokens)*
        }
    })
}

fn fields(input: &DeriveInput) -> Result<Vec<Field<'_>>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a record is a struct"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new_spanned(&input.ident, "a record is a struct with named fields"));
    };
    let names = Names::parse(&input.attrs)?;
    let mut fields: Vec<Field<'_>> = Vec::new();
    for field in &named.named {
        let Some(ident) = &field.ident else { continue };
        let FieldAttributes { opaque } = FieldAttributes::parse(&field.attrs)?;
        let Some(mut aliases) = names.of(ident, &field.attrs)? else { continue };
        if let Some(name) = aliases.iter().find(|name| fields.iter().any(|other| other.is_called(name))) {
            return Err(Error::new(ident.span(), format!("two fields are called `{name}` on the wire")));
        }
        let name = aliases.remove(0);
        fields.push(Field { ident, ty: &field.ty, name, aliases, opaque });
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use syn::{parse_quote, parse_str};

    use super::*;

    fn refusal(item: &str) -> String {
        let input = parse_str(item).unwrap();
        expand(&input, &parse_quote!(::syncline_core)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refusal("struct T { id: String }"), "a record needs `#[record(collection = \"…\")]`");
        assert_eq!(
            refusal("#[record(collection = \"t\")] struct T { id: String }"),
            "a record needs `#[record(key = field)]`"
        );
        assert_eq!(
            refusal("#[record(collection = \"\")] struct T { id: String }"),
            "a collection needs a name"
        );
    }

    #[test]
    fn the_key_is_one_of_the_fields() {
        let refused = "the key is a field of the record, and not a skipped one";
        assert_eq!(refusal("#[record(collection = \"t\", key = uuid)] struct T { id: String }"), refused);
        assert_eq!(
            refusal("#[record(collection = \"t\", key = id)] struct T { #[serde(skip)] id: String }"),
            refused
        );
        assert_eq!(
            refusal("#[record(collection = \"t\", key = \"id\")] struct T { id: String }"),
            "`key` takes the name of a field, without quotes: `key = id`"
        );
    }

    #[test]
    fn attributes_nobody_knows_and_ones_said_twice_are_refused() {
        assert_eq!(
            refusal("#[record(collection = \"t\", key = id, table = \"x\")] struct T { id: String }"),
            "a record has `collection = \"…\"`, `key = field` and `crate = path`"
        );
        assert_eq!(
            refusal(
                "#[record(collection = \"t\", key = id)] struct T { id: String, #[record(index)] a: u8 }"
            ),
            "a field of a record can be `opaque`, nothing else"
        );
        assert_eq!(refusal("#[record(key = id, key = id)] struct T { id: String }"), "said twice");
    }

    #[test]
    fn only_plain_structs_are_records() {
        let head = "#[record(collection = \"t\", key = id)]";
        for parameters in ["<T>", "<'a>", "<const N: usize>"] {
            let message = refusal(&format!("{head} struct T{parameters} {{ id: String }}"));
            assert_eq!(message, "a record has no parameters: a collection is of one type");
        }
        assert_eq!(refusal(&format!("{head} enum T {{ A }}")), "a record is a struct");
        assert_eq!(refusal(&format!("{head} struct T(String);")), "a record is a struct with named fields");
    }

    #[test]
    fn two_fields_cannot_share_a_name() {
        let item = "#[record(collection = \"t\", key = id)] struct T { id: String, #[serde(rename = \"id\")] other: u8 }";
        assert_eq!(refusal(item), "two fields are called `id` on the wire");
        let item = "#[record(collection = \"t\", key = id)] struct T { #[serde(alias = \"x\")] id: String, #[serde(alias = \"x\")] other: u8 }";
        assert_eq!(refusal(item), "two fields are called `x` on the wire");
    }
}
