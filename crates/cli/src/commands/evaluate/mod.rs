//! `lorakeep evaluate`: is a LoRA sound, how strong is it, where does it work, what does it do to pictures.

mod show;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use lorakeep_registry::evaluate_plain;
use serde_json::{Map, Value, json};

use crate::api::{Api, Reply};
use crate::args::GlobalArgs;
use crate::commands::Ended;
use crate::connection::Connection;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::CountProgress;
use crate::signals::Signals;

/// How often an evaluation on a server is looked at.
const STEP: Duration = Duration::from_millis(250);

/// Say how strong LoRAs are, where they work, what they have in common, and what they do to pictures
///
/// Files on this machine are read where they are, without a server. A name that is no file here, and everything with
/// `--server` or `--images`, is asked of the server: by partial path, catalog file name or SHA-256. Exit code 1 when a
/// file cannot be used as it is (a finding of the severity `error`), or when the evaluation fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep evaluate style.safetensors
  lorakeep evaluate style.safetensors --compare other.safetensors
  lorakeep evaluate epoch-02.safetensors epoch-04.safetensors epoch-06.safetensors --series
  lorakeep evaluate style.safetensors --base sd_xl_base_1.0.safetensors
  lorakeep evaluate style.safetensors --images --prompt 'a cat, ink style' --neutral 'a house'
  lorakeep evaluate style.safetensors --json | jq .verdict")]
pub(crate) struct EvaluateArgs {
    /// Files on this machine, or files of the library
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<String>,
    /// Compare with another file: is it a copy, do they fight
    #[arg(long, value_name = "OTHER", value_hint = clap::ValueHint::FilePath)]
    compare: Vec<String>,
    /// The files are checkpoints of one training, in their order
    #[arg(long, conflicts_with = "compare")]
    series: bool,
    /// The base model that they should fit
    #[arg(long, value_name = "CHECKPOINT", value_hint = clap::ValueHint::FilePath)]
    base: Option<String>,
    /// Read the base model's weights too, for changes relative to them; takes as long as reading it
    #[arg(long, requires = "base")]
    base_weights: bool,
    /// The strength at which norms are given
    #[arg(long, value_name = "STRENGTH", default_value_t = 1.0)]
    strength: f64,
    /// Answer every module (with --json)
    #[arg(long)]
    modules: bool,
    #[command(flatten)]
    images: ImageArgs,
}

/// Pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures, by the ComfyUI of the server")]
struct ImageArgs {
    /// Make pictures at several strengths and measure what changes
    #[arg(long)]
    images: bool,
    /// What is to be seen, with the trigger words
    #[arg(long, value_name = "TEXT", requires = "images")]
    prompt: Vec<String>,
    /// The same without the trigger words: it should not change
    #[arg(long, value_name = "TEXT", requires = "images")]
    neutral: Vec<String>,
    /// What is not to be seen
    #[arg(long, value_name = "TEXT", requires = "images", default_value = "")]
    negative: String,
    /// Seeds
    #[arg(long, value_name = "SEED", value_delimiter = ',', requires = "images", default_value = "1,2")]
    seeds: Vec<u64>,
    /// Strengths; 0 is always made, to compare with
    #[arg(
        long,
        value_name = "STRENGTH",
        value_delimiter = ',',
        requires = "images",
        default_value = "0.25,0.5,0.75,1,1.25"
    )]
    strengths: Vec<f64>,
    /// `sd15`, `sdxl` or `flux`, or a file with a workflow in ComfyUI's API format with placeholders
    #[arg(long, value_name = "TEMPLATE", requires = "images", default_value = "sdxl")]
    template: String,
    /// The checkpoint as ComfyUI lists it
    #[arg(long, value_name = "NAME", requires = "images")]
    base_model: Option<String>,
    /// Pixels of both sides
    #[arg(long, value_name = "PIXELS", requires = "images")]
    size: Option<u32>,
    /// Steps of the sampler
    #[arg(long, value_name = "STEPS", requires = "images", default_value_t = 20)]
    steps: u32,
}

impl EvaluateArgs {
    fn files(&self) -> Vec<String> {
        self.files.iter().chain(&self.compare).cloned().collect()
    }

    /// Whether all of it can be done here, with the files as they are.
    fn is_plain(&self, global: &GlobalArgs) -> bool {
        let names_server = global.connection.server.as_deref().is_some_and(|server| !server.is_empty());
        let is_here = |file: &String| Path::new(file).is_file();
        !names_server && !self.images.images && self.files().iter().chain(&self.base).all(is_here)
    }

    /// The body of the request.
    fn request(&self) -> Result<Value> {
        let mut checks = vec!["file", "weights", "spectrum", "compatibility"];
        if self.series {
            checks.push("series");
        } else if self.files().len() > 1 {
            checks.push("compare");
        }
        let mut request = json!({
            "files": self.files(),
            "checks": checks,
            "series": self.series,
            "runtimes": ["comfyui", "diffusers", "a1111"],
            "strength": self.strength,
            "detail": if self.modules { "modules" } else { "blocks" },
            "wait_seconds": 1,
        });
        if let Some(base) = &self.base {
            request["base"] = json!({"file": base, "use_weights": self.base_weights});
        }
        if self.images.images {
            request["images"] = self.images.request()?;
        }
        Ok(request)
    }
}

impl ImageArgs {
    fn request(&self) -> Result<Value> {
        if self.prompt.is_empty() && self.neutral.is_empty() {
            return Err(Failure::usage("pictures need a prompt")
                .hint("name one with its trigger words: `--prompt 'a cat, ink style'`"));
        }
        let of = |text: &String, kind: &str| json!({"text": text, "negative": self.negative, "kind": kind});
        let prompts: Vec<Value> = (self.prompt.iter().map(|text| of(text, "trigger")))
            .chain(self.neutral.iter().map(|text| of(text, "neutral")))
            .collect();
        let mut request = json!({
            "template": self.template()?, "prompts": prompts, "seeds": self.seeds, "strengths": self.strengths,
            "steps": self.steps,
        });
        if let Some(base_model) = &self.base_model {
            request["base_model"] = base_model.clone().into();
        }
        if let Some(size) = self.size {
            (request["width"], request["height"]) = (size.into(), size.into());
        }
        Ok(request)
    }

    /// A name of ours, or the workflow in a file.
    fn template(&self) -> Result<Value> {
        if ["sd15", "sdxl", "flux"].contains(&self.template.as_str()) {
            return Ok(self.template.clone().into());
        }
        let text = std::fs::read_to_string(&self.template).map_err(|error| {
            Failure::new(format!("cannot read the workflow `{}`: {error}", self.template)).hint(
                "`--template` is `sd15`, `sdxl`, `flux`, or a file with a workflow in ComfyUI's API format",
            )
        })?;
        let workflow: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!("the workflow `{}` is no JSON object", self.template)).caused_by(&error)
        })?;
        Ok(workflow.into())
    }
}

pub(crate) async fn run(args: &EvaluateArgs, global: &GlobalArgs, output: &Output) -> Result<Ended> {
    let request = args.request()?;
    let answer = if args.is_plain(global) {
        here(&request, output)?
    } else {
        let api = Api::new(Connection::open(global, output).await?);
        let answer = by_server(&request, &api, output).await;
        api.close().await;
        answer?.json
    };
    if output.is_json() {
        output.json(&answer)?;
    } else {
        show::show(&answer, output)?;
    }
    let is_bad = answer["verdict"]["level"] == "error" || answer["status"] != "completed";
    Ok(Ended::failed_if(is_bad))
}

fn here(request: &Value, output: &Output) -> Result<Value> {
    let request = serde_json::from_value(request.clone())
        .map_err(|error| Failure::new("cannot write the request").caused_by(&error))?;
    let progress = CountProgress::new(output);
    let answer = evaluate_plain(&request, &|what, done, total| progress.show(what, done, total));
    progress.finish();
    answer.map_err(|error| Failure::new(error.to_string()).caused_by(&error))
}

/// Starts it and looks until it is over; Ctrl-C ends it on the server too.
async fn by_server(request: &Value, api: &Api, output: &Output) -> Result<Reply<Value>> {
    let mut signals = Signals::listen()?;
    api.share();
    let mut answer = api.evaluate(request).await?;
    let id = answer.data["evaluation_id"].as_str().unwrap_or_default().to_owned();
    let progress = CountProgress::new(output);
    while answer.data["finished_at"].is_null() {
        let number = |name: &str| answer.data["progress"][name].as_u64().unwrap_or_default() as usize;
        let what = answer.data["progress"]["step"]["what"].as_str().unwrap_or("evaluating").to_owned();
        progress.show(&what, number("done"), number("total"));
        tokio::select! {
            _ = signals.next() => {
                answer = api.cancel_evaluation(&id).await?;
                break;
            }
            () = tokio::time::sleep(STEP) => answer = api.evaluation(&id).await?,
        }
    }
    progress.finish();
    Ok(answer)
}
