//! Which entries a command is for: words and filters, written as the query of the API.

use clap::Args;
use clap::builder::PossibleValuesParser;
use lorakeep_registry::domain::StatusWord;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::args::Catalog;

/// Filters of entries; given several times, any of the values will do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Only that catalog
    #[arg(long, value_enum)]
    pub(crate) catalog: Option<Catalog>,
    /// Only that category, by its id
    #[arg(long, value_name = "ID")]
    category: Vec<String>,
    /// Only entries that stand so
    #[arg(long, value_name = "STATUS", value_parser = statuses(), value_delimiter = ',')]
    status: Vec<String>,
    /// Only that base model
    #[arg(long, value_name = "NAME")]
    base_model: Vec<String>,
    /// Only base models that share LoRAs with that one, such as sdxl or Pony
    #[arg(long, value_name = "NAME")]
    family: Vec<String>,
    /// Only that tag
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only that folder below the models root, and those below it
    #[arg(long, value_name = "FOLDER")]
    folder: Vec<String>,
    /// Only that kind: lora, checkpoint, vae, embedding, …
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only what comes from there: civitai, huggingface, upload, …
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// Only what that person made
    #[arg(long, value_name = "NAME")]
    creator: Vec<String>,
    /// Only favourites
    #[arg(long)]
    favorite: bool,
    /// Only entries that have each of these, such as --all tag=ink --all tag=style
    #[arg(long, value_name = "FILTER=VALUE", value_parser = filter)]
    all: Vec<(String, String)>,
    /// Only entries that have none of these, such as --not tag=wip --not status=present
    #[arg(long, value_name = "FILTER=VALUE", value_parser = filter)]
    not: Vec<(String, String)>,
}

/// The words for where an entry stands.
fn statuses() -> PossibleValuesParser {
    StatusWord::ALL.map(StatusWord::as_str).into()
}

fn filter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as FILTER=VALUE, such as tag=wip")?;
    Ok((name.trim().replace('-', "_"), value.trim().to_owned()))
}

/// `tag=ink`, `tag!=ink`: the name as the API has it, and the value.
pub(crate) fn condition(text: &str) -> Result<(String, String), String> {
    let wrong = "write it as FILTER=VALUE or FILTER!=VALUE, such as tag=wip";
    let (name, value) = text.split_once('=').ok_or(wrong)?;
    let (name, is_not) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let name = name.trim().replace('-', "_");
    let name = if is_not { format!("{name}_not") } else { name };
    Ok((name, value.trim().to_owned()))
}

impl FilterArgs {
    /// The query of the API, with these words.
    pub(crate) fn query(&self, words: &[String]) -> String {
        let mut pairs: Vec<(String, String)> = Vec::new();
        if !words.is_empty() {
            pairs.push(("q".to_owned(), words.join(" ")));
        }
        for (name, values) in [
            ("category", &self.category),
            ("base_model", &self.base_model),
            ("family", &self.family),
            ("tag", &self.tag),
            ("folder", &self.folder),
            ("kind", &self.kind),
            ("source", &self.source),
            ("creator", &self.creator),
        ] {
            pairs.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        }
        pairs.extend(self.catalog.map(|catalog| ("catalog".to_owned(), catalog.as_str().to_owned())));
        pairs.extend(self.status.iter().map(|status| ("status".to_owned(), status.clone())));
        pairs.extend(self.favorite.then(|| ("favorite".to_owned(), "true".to_owned())));
        pairs.extend(self.all.iter().map(|(name, value)| (format!("{name}_all"), value.clone())));
        pairs.extend(self.not.iter().map(|(name, value)| (format!("{name}_not"), value.clone())));
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        filters: FilterArgs,
        words: Vec<String>,
    }

    #[test]
    fn filters_become_the_query_of_the_api() {
        let line = "x --tag a&b --tag c --status present,queued --not base-model=Pony --all tag=ink --favorite soft ink";
        let line = Line::try_parse_from(line.split(' ')).expect("it parses");
        assert_eq!(
            line.filters.query(&line.words),
            "q=soft%20ink&tag=a%26b&tag=c&status=present&status=queued&favorite=true&tag%5Fall=ink&base%5Fmodel%5Fnot=Pony"
        );
        assert!(Line::try_parse_from(["x", "--not", "tag"]).is_err());
        assert_eq!(Line::try_parse_from(["x"]).expect("it parses").filters.query(&[]), "");
    }
}
