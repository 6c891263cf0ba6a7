//! `lorakeep add`: entries from references, and their files when asked for.

use clap::Args;
use serde_json::json;

use crate::api::{AddBody, Added, Api, FileName, Reply};
use crate::args::Catalog;
use crate::commands::{Ended, download};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Add entries from CivitAI, from Hugging Face or from an address
#[derive(Debug, Args)]
#[command(
    long_about = "\
Add entries from CivitAI, from Hugging Face or from an address

Looks the reference up, fills in name, folder, size, hash and base model, and adds an entry.
Downloads nothing unless --download is given. A reference is one of:
  https://civitai.com/models/4384?modelVersionId=128713    a page of CivitAI
  civitai:128713, urn:air:…                                a version id, an AIR
  https://huggingface.co/owner/repo/blob/main/file         a file's page
  hf:owner/repo/file, owner/repo@revision:file             the same, short
  https://…/file.safetensors                               any other address of a file",
    after_help = "\
Examples:
  lorakeep add 'https://civitai.com/models/4384?modelVersionId=128713'
  lorakeep add hf:Comfy-Org/flux1-dev/flux1-dev-fp8.safetensors --download
  lorakeep add https://files.example/style.safetensors --catalog loras --dest loras/mine --sha256 9f86…"
)]
pub(crate) struct AddArgs {
    /// What to add
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,
    /// The catalog it goes to [default: models]
    #[arg(long, value_enum)]
    catalog: Option<Catalog>,
    /// The category it goes to, by its id [default: by type]
    #[arg(long, value_name = "ID")]
    category: Option<String>,
    /// Folder below the models root [default: by type]
    #[arg(long, value_name = "FOLDER")]
    dest: Option<String>,
    /// Local file name, for one reference [default: the upstream's]
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Shown name, for one reference [default: the upstream's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Base model [default: the upstream's]
    #[arg(long, value_name = "NAME")]
    base_model: Option<String>,
    /// SHA-256 that you know, for one reference
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Download the files as well
    #[arg(long)]
    download: bool,
}

impl AddArgs {
    /// What names one file cannot hold for several.
    pub(crate) fn check(&self) -> Result<()> {
        let single = [("--file", &self.file), ("--name", &self.name), ("--sha256", &self.sha256)];
        let given = single.into_iter().find(|(_, value)| value.is_some());
        match given {
            Some((flag, _)) if self.references.len() > 1 => Err(Failure::usage(format!(
                "{flag} names one file, but {} references are given",
                self.references.len()
            ))
            .hint("add them one by one")),
            _ => Ok(()),
        }
    }

    fn body(&self, reference: &str) -> AddBody {
        AddBody {
            reference: reference.to_owned(),
            catalog: self.catalog.map(Catalog::as_str),
            category: self.category.clone(),
            dest: self.dest.clone(),
            file: self.file.clone(),
            name: self.name.clone(),
            base_model: self.base_model.clone(),
            sha256: self.sha256.clone(),
        }
    }
}

pub(crate) async fn run(args: &AddArgs, api: &Api, output: &Output) -> Result<Ended> {
    let mut answers = Vec::new();
    let mut failed = false;
    for reference in &args.references {
        match api.add(&args.body(reference)).await {
            Ok(answer) => {
                failed |= answer.data.status == "restricted";
                tell(&answer.data, reference, output);
                answers.push(answer);
            }
            Err(failure) if args.references.len() == 1 => return Err(failure),
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    let results: Vec<_> = answers.iter().map(|answer| answer.json.clone()).collect();
    if !args.download {
        if output.is_json() {
            output.json(&results)?;
        }
        return Ok(Ended::failed_if(failed));
    }
    let files = answers.iter().filter_map(file_of).collect();
    let fetched = download::fetch(files, &download::How::default(), api, output).await?;
    if output.is_json() {
        output
            .json(&json!({ "added": results, "downloads": fetched.downloads, "skipped": fetched.skipped }))?;
    }
    Ok(Ended::failed_if(failed || fetched.ended == Ended::Failed))
}

fn file_of(answer: &Reply<Added>) -> Option<FileName> {
    let file = answer.data.file.clone()?;
    (answer.data.status != "restricted").then(|| FileName { dest: answer.data.dest.clone(), file })
}

fn tell(added: &Added, reference: &str, output: &Output) {
    let file = added.file.as_deref().unwrap_or(reference);
    let place = match (added.dest.as_deref(), added.catalog.as_deref()) {
        (Some(dest), Some(catalog)) if !dest.is_empty() => format!(" (catalog {catalog}, folder {dest})"),
        (_, Some(catalog)) => format!(" (catalog {catalog})"),
        _ => String::new(),
    };
    match added.status.as_str() {
        "already_exists" => output.say(&format!("`{file}` is in the catalog already{place}")),
        "restricted" => {
            let reason = added.reason.as_deref().unwrap_or("its source does not give it out");
            output.error(&format!("`{reference}` was not added: {reason}"));
        }
        _ => output.say(&format!("added `{file}`{place}")),
    }
}
