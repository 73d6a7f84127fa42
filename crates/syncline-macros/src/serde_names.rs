//! The names that fields have on the wire: what serde makes of them.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Ident, LitStr, Result, Token, parenthesized};

/// What serde's attributes on the struct mean for the names of its fields.
#[derive(Default)]
pub(crate) struct Names {
    rule: Option<Rule>,
}

#[derive(Clone, Copy, PartialEq)]
enum Rule {
    // on fields, serde's `lowercase` changes nothing: they are taken for snake case as they stand
    Unchanged,
    Upper,
    Pascal,
    Camel,
    Kebab,
    ScreamingKebab,
}

impl Names {
    /// Reads the struct's attributes.
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut names = Self::default();
        each(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                let name = both_ways(&meta)?;
                names.rule = Some(Rule::named(&name)?);
                Ok(())
            } else if ["transparent", "untagged", "tag", "from", "try_from", "into", "remote"]
                .iter()
                .any(|shape| meta.path.is_ident(shape))
            {
                Err(meta.error("a record is written as one JSON object with its own fields"))
            } else {
                ignore(&meta)
            }
        })?;
        Ok(names)
    }

    /// The names of a field on the wire: the one that it is written under first, then those that it is also read under. `None`
    /// when serde skips it.
    pub(crate) fn of(&self, field: &Ident, attributes: &[Attribute]) -> Result<Option<Vec<String>>> {
        let mut aliases = Vec::new();
        let (mut renamed, mut unwritten, mut unread) = (None, None, None);
        each(attributes, |meta| {
            let span = || meta.path.get_ident().map_or_else(|| field.span(), Ident::span);
            if meta.path.is_ident("rename") {
                renamed = Some(both_ways(&meta)?.value());
            } else if meta.path.is_ident("alias") {
                aliases.push(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("skip") {
                (unwritten, unread) = (Some(span()), Some(span()));
            } else if meta.path.is_ident("skip_serializing") {
                unwritten = Some(span());
            } else if meta.path.is_ident("skip_deserializing") {
                unread = Some(span());
            } else if meta.path.is_ident("flatten") {
                return Err(meta.error("the fields of a record have names of their own; mark it `#[record(opaque)]` without `flatten`"));
            } else {
                return ignore(&meta);
            }
            Ok(())
        })?;
        match (unwritten, unread) {
            (Some(_), Some(_)) => Ok(None),
            (None, None) => {
                let name = renamed.unwrap_or_else(|| self.renamed(field));
                aliases.retain(|alias| *alias != name);
                aliases.insert(0, name);
                Ok(Some(aliases))
            }
            (Some(span), None) | (None, Some(span)) => Err(Error::new(
                span,
                "a field of a record is both written and read, or neither: `#[serde(skip)]`",
            )),
        }
    }

    fn renamed(&self, field: &Ident) -> String {
        let field = field.to_string();
        let field = field.trim_start_matches("r#");
        self.rule.map_or_else(|| field.to_owned(), |rule| rule.apply(field))
    }
}

impl Rule {
    fn named(name: &LitStr) -> Result<Self> {
        Ok(match name.value().as_str() {
            "lowercase" | "snake_case" => Self::Unchanged,
            "UPPERCASE" | "SCREAMING_SNAKE_CASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return Err(Error::new(name.span(), "serde knows no such case")),
        })
    }

    fn apply(self, field: &str) -> String {
        match self {
            Self::Unchanged => field.to_owned(),
            Self::Upper => field.to_ascii_uppercase(),
            Self::Pascal => pascal(field),
            Self::Camel => {
                let pascal = pascal(field);
                let (first, rest) = pascal.split_at(pascal.chars().next().map_or(0, char::len_utf8));
                first.to_ascii_lowercase() + rest
            }
            Self::Kebab => field.replace('_', "-"),
            Self::ScreamingKebab => field.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(field: &str) -> String {
    let mut capital = true;
    let mut name = String::with_capacity(field.len());
    for letter in field.chars() {
        if letter == '_' {
            capital = true;
        } else {
            name.push(if capital { letter.to_ascii_uppercase() } else { letter });
            capital = false;
        }
    }
    name
}

fn each(attributes: &[Attribute], mut item: impl FnMut(ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(&mut item)?;
    }
    Ok(())
}

/// `= "name"`, or `(serialize = "name", deserialize = "name")` with the same name.
fn both_ways(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    if meta.input.peek(Token![=]) {
        return meta.value()?.parse();
    }
    let (mut written, mut read) = (None, None);
    meta.parse_nested_meta(|way| {
        let name: LitStr = way.value()?.parse()?;
        if way.path.is_ident("serialize") {
            written = Some(name);
        } else {
            read = Some(name);
        }
        Ok(())
    })?;
    match (written, read) {
        (Some(written), Some(read)) if written.value() == read.value() => Ok(written),
        _ => Err(meta.error("a field of a record has one name on the wire, the same in both directions")),
    }
}

/// Takes whatever follows an attribute that is no business of ours; serde checks it.
fn ignore(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use syn::{Data, DeriveInput, parse_str};

    use super::*;

    fn name(container: &str, field: &str) -> Result<Option<String>> {
        Ok(names(container, field)?.map(|mut names| names.remove(0)))
    }

    fn names(container: &str, field: &str) -> Result<Option<Vec<String>>> {
        let item: DeriveInput = parse_str(&format!("{container} struct S {{ {field}: u8 }}")).unwrap();
        let Data::Struct(data) = &item.data else { unreachable!() };
        let field = data.fields.iter().next().unwrap();
        Names::parse(&item.attrs)?.of(field.ident.as_ref().unwrap(), &field.attrs)
    }

    #[test]
    fn all_of_serdes_cases() {
        for (rule, expected) in [
            ("lowercase", "created_at"),
            ("UPPERCASE", "CREATED_AT"),
            ("PascalCase", "CreatedAt"),
            ("camelCase", "createdAt"),
            ("snake_case", "created_at"),
            ("SCREAMING_SNAKE_CASE", "CREATED_AT"),
            ("kebab-case", "created-at"),
            ("SCREAMING-KEBAB-CASE", "CREATED-AT"),
        ] {
            let container = format!("#[serde(default, rename_all = \"{rule}\", deny_unknown_fields)]");
            assert_eq!(name(&container, "created_at").unwrap().unwrap(), expected);
        }
        assert!(name("#[serde(rename_all = \"Train-Case\")]", "id").is_err());
    }

    #[test]
    fn a_fields_own_name_wins_and_raw_identifiers_are_plain_words() {
        assert_eq!(
            name("#[serde(rename_all = \"camelCase\")]", "#[serde(rename = \"at\")] created_at")
                .unwrap()
                .unwrap(),
            "at"
        );
        assert_eq!(name("", "r#type").unwrap().unwrap(), "type");
        assert_eq!(
            names("", "#[serde(default = \"f\", alias = \"b\", bound(serialize = \"\"), alias = \"a\")] a")
                .unwrap()
                .unwrap(),
            ["a", "b"]
        );
    }

    #[test]
    fn one_name_for_both_directions() {
        let same = "#[serde(rename(serialize = \"x\", deserialize = \"x\"))] a";
        assert_eq!(name("", same).unwrap().unwrap(), "x");
        for other in ["serialize = \"x\"", "deserialize = \"x\"", "serialize = \"x\", deserialize = \"y\""] {
            let error = name("", &format!("#[serde(rename({other}))] a")).unwrap_err();
            assert!(error.to_string().contains("the same in both directions"));
        }
    }

    #[test]
    fn a_field_is_skipped_in_both_directions_or_in_none() {
        assert_eq!(name("", "#[serde(skip)] a").unwrap(), None);
        assert_eq!(name("", "#[serde(skip_serializing, skip_deserializing)] a").unwrap(), None);
        assert!(name("", "#[serde(skip_serializing)] a").is_err());
        assert!(name("", "#[serde(skip_deserializing)] a").is_err());
    }

    #[test]
    fn shapes_that_are_not_one_object_are_refused() {
        assert!(name("#[serde(transparent)]", "a").is_err());
        assert!(name("#[serde(tag = \"kind\")]", "a").is_err());
        assert!(name("#[serde(from = \"Other\")]", "a").is_err());
        assert!(name("", "#[serde(flatten)] a").is_err());
    }
}
