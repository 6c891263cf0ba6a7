//! `lorakeep search`: entries by words, the best first.

use clap::Args;

use super::filters::FilterArgs;
use super::list::print_table;
use crate::api::Api;
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::Output;
use crate::units::counted;

/// Search entries by words, with typos forgiven, the best first
///
/// Every word must be in the name, file, folder, base model, tags, trigger words, notes, usage tips or creator. With
/// --json: the page of the API, `{"items": […], "next_cursor": …, "total": n}`, and `facets` with --facets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep search watercolor ink
  lorakeep search watrecolor --family sdxl --kind lora
  lorakeep search anime --not status=present --sort -size --limit 20
  lorakeep search --tag style --facets --json | jq .facets.base_model")]
pub(crate) struct SearchArgs {
    /// Words to look for
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// relevance, name, file, added, size or place; with - before it the other way around
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Entries of a page
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    /// `next_cursor` of the page before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Count the values of each filter as well (with --json)
    #[arg(long)]
    facets: bool,
    #[command(flatten)]
    filters: FilterArgs,
}

pub(crate) async fn run(args: &SearchArgs, api: &Api, output: &Output) -> Result<Ended> {
    let found = api.search(&args.query()).await?;
    if output.is_json() {
        output.json(&found.json)?;
        return Ok(Ended::Done);
    }
    print_table(&found.entries, output)?;
    let shown = found.entries.len() as u64;
    match found.total {
        0 => output.say("nothing was found"),
        total if total > shown => {
            output.say(&format!("{shown} of {}; --limit shows more", counted(total, "entry")));
        }
        total => output.say(&counted(total, "entry")),
    }
    Ok(Ended::Done)
}

impl SearchArgs {
    fn query(&self) -> String {
        let mut query = format!("limit={}", self.limit);
        let optional = [("sort", &self.sort), ("cursor", &self.cursor)];
        for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            query.extend([format!("&{name}="), value.to_string()]);
        }
        if self.facets {
            query.push_str("&facets=true");
        }
        let filters = self.filters.query(&self.words);
        if !filters.is_empty() {
            query.push('&');
            query.push_str(&filters);
        }
        query
    }
}
