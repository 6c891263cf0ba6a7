//! `lorakeep edit`: what the user says of entries.

use clap::Args;
use serde_json::{Map, Value};

use super::show::entry_id;
use crate::api::{Api, Edited, FileName, Reply};
use crate::commands::{Ended, names};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Edit names, notes, tags and more of entries; no fetch of metadata overwrites it
///
/// An empty text gives a field back to what CivitAI, Hugging Face or the file says. With --json: a list of the API's
/// answers, `{"entry": …, "edit": id, "previous": {field: value before}}`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep edit style.safetensors --tag ink --tag favourite-look --note 'best at 0.7'
  lorakeep edit a.safetensors b.safetensors --favorite --untag wip
  lorakeep edit style.safetensors --name ''             the upstream's name again
  lorakeep edit style.safetensors --undo                takes the last edit back")]
pub(crate) struct EditArgs {
    /// File names, or folder/name when two have the same name
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
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
        "tag", "untag", "note", "name", "base_model", "usage_tips", "trigger_word", "favorite", "no_favorite"
    ])]
    undo: bool,
}

pub(crate) async fn run(args: &EditArgs, api: &Api, output: &Output) -> Result<Ended> {
    let edit = args.edit();
    if edit.is_empty() && !args.undo {
        return Err(Failure::usage("nothing to edit").hint("say what: --tag, --note, --name, … or --undo"));
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
