//! The query of the list: `q`, `sort`, `limit`, `cursor`, `facets`, and for each dimension `tag=`, `tag_all=`, `tag_not=`,
//! as often as wanted.

use lorakeep_registry::domain::{Dimension, EntryFilter, EntryQuery, Selection, Sort, SortField};
use serde_json::json;
use url::form_urlencoded;

use crate::envelope::Refusal;
use crate::openapi::Extra;
use crate::studio::extract::bool_of;

/// Reads a query string. What it does not know is refused: a mistyped filter would answer too much.
pub(super) fn parse(text: &str) -> Result<EntryQuery, Refusal> {
    let mut query = EntryQuery::default();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "sort" => query.sort = sort(&value)?,
            "limit" => query.limit = Some(limit(&value)?),
            "cursor" => query.cursor = Some(value.into_owned()).filter(|cursor| !cursor.is_empty()),
            "facets" => query.wants_facets = facets(&value)?,
            name => add(&mut query.filter, name, value.into_owned())?,
        }
    }
    Ok(query)
}

/// Adds what one name of the query wants of the entries.
pub(super) fn add(filter: &mut EntryFilter, name: &str, value: String) -> Result<(), Refusal> {
    if name == "q" {
        filter.text = value;
        return Ok(());
    }
    let (dimension, list): (_, fn(&mut Selection) -> &mut Vec<String>) =
        if let Some(name) = name.strip_suffix("_all") {
            (name, |own| &mut own.all)
        } else if let Some(name) = name.strip_suffix("_not") {
            (name, |own| &mut own.not)
        } else {
            (name, |own| &mut own.any)
        };
    let dimension = Dimension::parse(dimension).ok_or_else(|| unknown(name))?;
    list(filter.selections.entry(dimension).or_default()).push(value);
    Ok(())
}

/// What [`parse`] reads, for the documentation.
pub(super) fn parameters() -> Vec<Extra> {
    let text = || json!({"type": "string"});
    let fields = SortField::ALL.map(SortField::as_str);
    let sorts: Vec<String> =
        fields.into_iter().flat_map(|field| [field.to_owned(), format!("-{field}")]).collect();
    let mut parameters = vec![
        Extra::query("q", "Words that an entry must all have", text()),
        Extra::query(
            "sort",
            "The order, with `-` the other way around",
            json!({"type": "string", "enum": sorts}),
        ),
        Extra::query(
            "limit",
            "Entries of a page: 100, at most 1,000",
            json!({"type": "integer", "minimum": 0}),
        ),
        Extra::query("cursor", "Where the page begins, as the one before ended", text()),
        Extra::query("facets", "Whether the values of each filter are counted", json!({"type": "boolean"})),
    ];
    let several = || json!({"type": "array", "items": {"type": "string"}});
    for name in Dimension::ALL.map(Dimension::as_str) {
        let own = [("", "any of them"), ("_all", "each of them"), ("_not", "none of them")];
        parameters.extend(own.map(|(end, words)| {
            Extra::query(format!("{name}{end}"), format!("Only entries whose `{name}` is {words}"), several())
        }));
    }
    parameters
}

fn sort(value: &str) -> Result<Option<Sort>, Refusal> {
    if value.is_empty() {
        return Ok(None);
    }
    Sort::parse(value).map(Some).ok_or_else(|| {
        let known = SortField::ALL.map(|field| format!("'{}'", field.as_str())).join(", ");
        let msg = format!("`{value}` is not an order; there are {known}, and '-' before one turns it around");
        refused("sort", msg, "enum")
    })
}

/// A number however large; the list caps it.
fn limit(value: &str) -> Result<u32, Refusal> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(refused("limit", "Input should be a valid integer, 0 or more", "int_parsing"));
    }
    Ok(value.parse().unwrap_or(u32::MAX))
}

fn facets(value: &str) -> Result<bool, Refusal> {
    let msg = "Input should be a valid boolean, unable to interpret input";
    bool_of(value).ok_or_else(|| refused("facets", msg, "bool_parsing"))
}

fn unknown(name: &str) -> Refusal {
    let known = Dimension::ALL.map(|dimension| format!("'{}'", dimension.as_str())).join(", ");
    let msg = format!(
        "Extra inputs are not permitted; there are 'q', 'sort', 'limit', 'cursor', 'facets', and {known}, each also with \
         '_all' and '_not'"
    );
    refused(name, msg, "extra_forbidden")
}

fn refused(field: &str, msg: impl Into<String>, kind: &'static str) -> Refusal {
    Refusal::unreadable(vec!["query".into(), field.into()], msg, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_wanted_of_each_dimension() {
        let query = parse(
            "q=soft+ink&tag=a%2Cb&tag=c&tag_all=d&family_not=sdxl&limit=1000000000000&sort=-size&facets=1",
        );
        let query = query.expect("it is read");
        assert_eq!(query.filter.text, "soft ink");
        let tags = Selection { any: vec!["a,b".into(), "c".into()], all: vec!["d".into()], not: vec![] };
        assert_eq!(query.filter.selections[&Dimension::Tag], tags);
        assert_eq!(query.filter.selections[&Dimension::Family].not, ["sdxl"]);
        assert_eq!((query.limit, query.wants_facets), (Some(u32::MAX), true));
        assert_eq!(query.sort, Sort::parse("-size"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["tags=a", "tag_any=a", "sort=date", "limit=-1", "limit=", "facets=maybe", "_all=x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
