//! `lorakeep style`: what customers of the studio are offered.

mod fields;
mod show;

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use self::fields::{FieldArgs, SourceArgs};
use crate::api::{Api, Reply, Style, StyleQuery};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// The largest picture that a server takes, bytes.
const MAX_PICTURE_BYTES: u64 = 16 << 20;

/// Make, show, change, delete and restore styles of the public API
///
/// A style is what customers see of a LoRA or of a pair: a name, a picture, defaults, a prompt template. Its id stays for
/// ever; its slug may change, and the old one goes on leading to it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep style create --name 'Golden Hour' --entry golden_hour.safetensors --public --steps 30 --guidance 7.5
  lorakeep style create --name Ghibli --pair ghibli --team Northlight --template '{prompt}, {trigger_words}'
  lorakeep style edit golden-hour --preview golden.png --low-strength 0.6
  lorakeep style edit golden-hour --template ''          takes the template away
  lorakeep style rm golden-hour && lorakeep style restore golden-hour")]
pub(crate) struct StyleArgs {
    /// `list` when absent
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List them, newest first
    List(ListArgs),
    /// Show everything of some
    Show {
        /// Ids or slugs
        #[arg(required = true, value_name = "STYLE")]
        styles: Vec<String>,
    },
    /// Make one
    Create {
        /// What it is called
        #[arg(long, value_name = "TEXT")]
        name: String,
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        fields: Box<FieldArgs>,
    },
    /// Change one; an empty text takes a value away
    Edit {
        /// Its id or slug
        style: String,
        /// What it is called
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        #[command(flatten)]
        source: SourceArgs,
        #[command(flatten)]
        fields: Box<FieldArgs>,
    },
    /// Delete some; `restore` brings them back
    Rm {
        /// Ids or slugs
        #[arg(required = true, value_name = "STYLE")]
        styles: Vec<String>,
        /// For good
        #[arg(long)]
        purge: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Bring deleted ones back as they were
    Restore {
        /// Ids or slugs
        #[arg(required = true, value_name = "STYLE")]
        styles: Vec<String>,
    },
}

#[derive(Debug, Default, Args)]
struct ListArgs {
    /// Words in name, slug or description
    words: Vec<String>,
    /// For that base model, or one that shares LoRAs with it
    #[arg(long, value_name = "NAME")]
    base_model: Option<String>,
    /// For that team alone
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// For every team
    #[arg(long, conflicts_with = "team")]
    public: bool,
    /// Those that were deleted
    #[arg(long)]
    deleted: bool,
}

pub(crate) async fn run(args: StyleArgs, api: &Api, output: &Output) -> Result<Ended> {
    match args.action.unwrap_or_else(|| Action::List(ListArgs::default())) {
        Action::List(args) => list(&args, api, output).await,
        Action::Show { styles } => {
            let mut shown = Vec::new();
            for style in &styles {
                shown.push(api.style(style).await?);
            }
            show::details(&shown, output)
        }
        Action::Create { name, source, fields } => create(&name, &source, &fields, api, output).await,
        Action::Edit { style, name, source, fields } => {
            edit(&style, name.as_deref(), &source, &fields, api, output).await
        }
        Action::Rm { styles, purge, yes } => remove(&styles, purge, yes, api, output).await,
        Action::Restore { styles } => restore(&styles, api, output).await,
    }
}

async fn list(args: &ListArgs, api: &Api, output: &Output) -> Result<Ended> {
    let words = args.words.join(" ");
    let query = StyleQuery {
        words: Some(words.as_str()).filter(|words| !words.is_empty()),
        base_model: args.base_model.as_deref(),
        team: args.team.as_deref(),
        only_public: args.public,
        deleted: args.deleted,
    };
    show::list(&api.styles(&query).await?, args.deleted, output)
}

async fn create(
    name: &str,
    source: &SourceArgs,
    fields: &FieldArgs,
    api: &Api,
    output: &Output,
) -> Result<Ended> {
    let mut new = fields.body(source);
    new.retain(|_, value| !value.is_null());
    new.insert("name".to_owned(), name.into());
    if !source.is_given() {
        return Err(Failure::usage("a style is of a LoRA or of a pair")
            .hint("pass --entry FILE, --pair PAIR_ID, or --high FILE --low FILE"));
    }
    if !fields.says_who_may_see_it() {
        return Err(Failure::usage("who may see the style?").hint("pass --public or --team NAME"));
    }
    let picture = fields.preview.as_deref().map(read_picture).transpose()?;
    let mut style = api.create_style(&new).await?;
    if let Some(picture) = picture {
        style = api.set_style_preview(&style.data.id, &picture).await?;
    }
    output.say(&format!("made the style `{}`, {}", style.data.slug, seen_by(&style.data)));
    tell_if_not_ready(&style.data, output);
    show_json(&[style], output)
}

async fn edit(
    style: &str,
    name: Option<&str>,
    source: &SourceArgs,
    fields: &FieldArgs,
    api: &Api,
    output: &Output,
) -> Result<Ended> {
    let mut change: Map<String, Value> = fields.body(source);
    if let Some(name) = name {
        change.insert("name".to_owned(), name.into());
    }
    if change.is_empty() && fields.preview.is_none() {
        return Err(Failure::usage("nothing to change").hint("say what: --name, --slug, --template, …"));
    }
    let picture = fields.preview.as_deref().map(read_picture).transpose()?;
    let mut changed =
        if change.is_empty() { api.style(style).await? } else { api.change_style(style, &change).await? };
    if let Some(picture) = picture {
        changed = api.set_style_preview(&changed.data.id, &picture).await?;
    }
    output.say(&format!("changed the style `{}`", changed.data.slug));
    tell_if_not_ready(&changed.data, output);
    show_json(&[changed], output)
}

async fn remove(styles: &[String], purge: bool, yes: bool, api: &Api, output: &Output) -> Result<Ended> {
    let question = format!("remove {} for good, with their slugs?", styles.join(", "));
    if purge && !yes && !output.confirm(&question)? {
        output.say("nothing was removed");
        return Ok(Ended::Failed);
    }
    let mut removed = Vec::new();
    for style in styles {
        let gone = api.delete_style(style, purge).await?;
        output.say(&if purge {
            format!("removed the style `{}` for good", gone.data.slug)
        } else {
            format!("deleted the style `{0}`; `lorakeep style restore {0}` brings it back", gone.data.slug)
        });
        removed.push(gone);
    }
    show_json(&removed, output)
}

async fn restore(styles: &[String], api: &Api, output: &Output) -> Result<Ended> {
    let mut restored = Vec::new();
    for style in styles {
        let back = api.restore_style(style).await?;
        output.say(&format!("restored the style `{}`", back.data.slug));
        restored.push(back);
    }
    show_json(&restored, output)
}

fn show_json(styles: &[Reply<Style>], output: &Output) -> Result<Ended> {
    if output.is_json() {
        output.json(&styles.iter().map(|style| &style.json).collect::<Vec<_>>())?;
    }
    Ok(Ended::Done)
}

fn seen_by(style: &Style) -> String {
    style.team.as_ref().map_or_else(|| "for every team".to_owned(), |team| format!("for `{team}` alone"))
}

fn tell_if_not_ready(style: &Style, output: &Output) {
    for file in style.files.iter().filter(|file| !file.present) {
        output.warn(&format!("`{}` is not on disk yet; the style is listed but cannot be used", file.file));
    }
}

fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("cannot read `{}`: {error}", path.display())).caused_by(&error)
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_PICTURE_BYTES {
        return Err(
            Failure::new(format!("`{}` is larger than 16 MiB", path.display())).hint("make it smaller first")
        );
    }
    std::fs::read(path).map_err(failed)
}
