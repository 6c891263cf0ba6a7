//! `lorakeep edit`: what the user says of entries, of some by name or of all that a filter finds.

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::filters::condition;
use super::list::print_table;
use super::show::entry_id;
use crate::api::{Api, Edited, EntriesEdited, FileName, Reply};
use crate::commands::{Ended, names};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::units::counted;

/// Entries that `--dry-run` shows.
const SHOWN: u64 = 1000;

/// Edit names, notes, tags and more of entries; no fetch of metadata overwrites it
///
/// An empty text gives a field back to what CivitAI, Hugging Face or the file says. With --json: a list of the API's
/// answers, `{"entry": …, "edit": id, "previous": {field: value before}}`; with --where or --revert one answer,
/// `{"edit": id, "changed": n, "unchanged": n, …}`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep edit style.safetensors --tag ink --tag favourite-look --note 'best at 0.7'
  lorakeep edit a.safetensors b.safetensors --favorite --untag wip
  lorakeep edit style.safetensors --name ''             the upstream's name again
  lorakeep edit style.safetensors --undo                takes the last edit back
  lorakeep edit --where folder=loras/wan --where 'tag!=wan' --tag wan --dry-run
  lorakeep edit --where family=pony --where q='ink wash' --favorite --yes
  lorakeep edit --revert EDIT                           takes an edit of many back")]
pub(crate) struct EditArgs {
    /// File names, or folder/name when two have the same name
    #[arg(required_unless_present_any = ["conditions", "revert"], value_name = "FILE")]
    files: Vec<String>,
    /// All entries for which this holds, all or none: the filters of `lorakeep search`, and q for words
    ///
    /// Given several times, each filter must hold; for one filter any of its values will do.
    #[arg(long = "where", value_name = "FILTER=VALUE|FILTER!=VALUE", value_parser = condition, conflicts_with = "files")]
    conditions: Vec<(String, String)>,
    /// With --where: show the entries that would be edited, and change nothing
    #[arg(long, requires = "conditions")]
    dry_run: bool,
    /// With --where: do not ask
    #[arg(long, short, requires = "conditions")]
    yes: bool,
    /// Take that edit of many entries back
    #[arg(long, value_name = "EDIT", conflicts_with_all = ["files", "conditions", "undo"])]
    revert: Option<String>,
    /// Add that tag
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Take that tag away
    #[arg(long, value_name = "TAG")]
    untag: Vec<String>,
    /// The notes
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The base model
    #[arg(long, value_name = "NAME")]
    base_model: Option<String>,
    /// At which strength and settings it works
    #[arg(long, value_name = "TEXT")]
    usage_tips: Option<String>,
    /// Trigger words, in place of those that are there
    #[arg(long, value_name = "WORD")]
    trigger_word: Vec<String>,
    /// Mark it as a favourite
    #[arg(long, conflicts_with = "no_favorite")]
    favorite: bool,
    /// It is no favourite any more
    #[arg(long)]
    no_favorite: bool,
    /// Take the last edit of each file back
    #[arg(long, conflicts_with_all = [
        "conditions", "tag", "untag", "note", "name", "base_model", "usage_tips", "trigger_word", "favorite", "no_favorite"
    ])]
    undo: bool,
}

pub(crate) async fn run(args: &EditArgs, api: &Api, output: &Output) -> Result<Ended> {
    let edit = args.edit();
    if let Some(id) = &args.revert {
        return revert(id, !edit.is_empty(), api, output).await;
    }
    if edit.is_empty() && !args.undo {
        return Err(Failure::usage("nothing to edit").hint("say what: --tag, --note, --name, … or --undo"));
    }
    if !args.conditions.is_empty() {
        return edit_many(args, edit, api, output).await;
    }
    let mut answers = Vec::new();
    for (name, entry) in names::resolve(&args.files, api).await? {
        let id = entry_id(&entry);
        let answer = if args.undo { undo(&name, id, api).await? } else { api.edit_entry(id, &edit).await? };
        output.say(&told(&name, &answer, args.undo));
        answers.push(answer.json);
    }
    if output.is_json() {
        output.json(&answers)?;
    }
    Ok(Ended::Done)
}

async fn edit_many(
    args: &EditArgs,
    mut edit: Map<String, Value>,
    api: &Api,
    output: &Output,
) -> Result<Ended> {
    let found =
        api.search(&format!("limit={}&{}", if args.dry_run { SHOWN } else { 1 }, args.query())).await?;
    let entries = counted(found.total, "entry");
    if args.dry_run {
        if output.is_json() {
            output.json(&found.json)?;
        } else {
            print_table(&found.entries, output)?;
        }
        output.say(&format!("{entries} would be edited"));
        return Ok(Ended::Done);
    }
    if found.total == 0 {
        return Err(Failure::new("no entry is like that").hint("`lorakeep search` takes the same filters"));
    }
    if !args.yes && !output.confirm(&format!("edit {entries}?"))? {
        return Ok(Ended::Failed);
    }
    edit.insert("filter".to_owned(), args.filter().into());
    let edited = api.edit_entries(&edit).await?;
    tell_many(&edited, output)
}

async fn revert(id: &str, has_edit: bool, api: &Api, output: &Output) -> Result<Ended> {
    if has_edit {
        return Err(Failure::usage("--revert takes an edit back, and makes no other"));
    }
    tell_many(&api.revert_edit_of_many(id).await?, output)
}

fn tell_many(edited: &Reply<EntriesEdited>, output: &Output) -> Result<Ended> {
    let EntriesEdited { edit, changed, unchanged, conflicts } = &edited.data;
    let others = if *unchanged > 0 { format!(", {unchanged} were like that already") } else { String::new() };
    let undo = edit.as_ref().map(|edit| format!("; `lorakeep edit --revert {edit}` takes it back"));
    let told = format!("edited {}{others}{}", counted(*changed, "entry"), undo.unwrap_or_default());
    output.say(&told);
    if !conflicts.is_empty() {
        let entries = counted(conflicts.len() as u64, "entry");
        output.warn(&format!("{entries} were edited again in the meantime and stay as they are there"));
    }
    if output.is_json() {
        output.json(&edited.json)?;
    }
    Ok(Ended::Done)
}

async fn undo(name: &FileName, id: &str, api: &Api) -> Result<Reply<Edited>> {
    match api.last_edit(id).await? {
        Some(last) => api.revert_edit(&last.id).await,
        None => Err(Failure::new(format!("`{name}` was never edited"))),
    }
}

fn told(name: &FileName, answer: &Reply<Edited>, is_undo: bool) -> String {
    let fields: Vec<&str> = answer.data.previous.keys().map(String::as_str).collect();
    match &answer.data.edit {
        Some(_) if is_undo => format!("took the last edit of `{name}` back"),
        Some(_) => {
            format!("edited {} of `{name}`; `lorakeep edit {name} --undo` takes it back", fields.join(", "))
        }
        None => format!("`{name}` is like that already"),
    }
}

impl EditArgs {
    /// The filter of the API.
    fn filter(&self) -> Map<String, Value> {
        let mut filter: Map<String, Value> = Map::new();
        for (name, value) in &self.conditions {
            let values = filter.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.clone().into());
            }
        }
        filter
    }

    /// The same as a query.
    fn query(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs =
            self.conditions.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The edit as the API takes it.
    fn edit(&self) -> Map<String, Value> {
        let mut edit = Map::new();
        let texts = [
            ("notes", &self.note),
            ("name", &self.name),
            ("base_model", &self.base_model),
            ("usage_tips", &self.usage_tips),
        ];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text.as_deref()?))) {
            edit.insert(field.to_owned(), Some(text).filter(|text| !text.trim().is_empty()).into());
        }
        let lists =
            [("add_tags", &self.tag), ("remove_tags", &self.untag), ("trigger_words", &self.trigger_word)];
        for (field, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            edit.insert(field.to_owned(), list.clone().into());
        }
        if self.favorite || self.no_favorite {
            edit.insert("favorite".to_owned(), self.favorite.into());
        }
        edit
    }
}
