//! `lorakeep upload`: files of this machine into the catalog, in pieces, so that a cut costs nothing that was sent.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use lorakeep_registry::domain::Sha256;
use serde_json::{Value, json};

use crate::api::{Api, Reply, Sent, Upload, UploadDoor, UploadError};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::ByteProgress;
use crate::units::{bytes, duration, speed};

/// One piece; held in memory while it is sent.
const PIECE: u64 = 8 << 20;
/// What of a file's beginning and end tells it from another one.
const FINGERPRINT_BYTES: u64 = 64 << 10;
/// How long nothing may come of it before it is given up, and the pauses between tries: a server may take minutes to be
/// started again.
const PATIENCE: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Upload LoRAs: they are scanned, identified and become entries
///
/// Sent in pieces: when the connection or the server breaks off it goes on by itself, and when the command was stopped, the same
/// command goes on where it was (for a day). A file that may be a program goes to quarantine. Exits with 1 when a file was
/// not taken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep upload moss.safetensors --entity-type styles
  lorakeep upload *.safetensors --json
  lorakeep --server https://gpu-box:8000 --key KEY upload moss.safetensors --name moss-v3.safetensors
  lorakeep --server https://gpu-box:8000 upload moss.safetensors --token \"$(cat token)\"")]
pub(crate) struct UploadArgs {
    /// Files on this machine
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// What they show: clothes, faces, identities, product or styles; it is also their folder below loras/
    #[arg(long, value_name = "TYPE")]
    entity_type: Option<String>,
    /// The name that it gets, for one file [default: its own]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Fail when the name is taken instead of adding _v2 to it
    #[arg(long)]
    exact_name: bool,
    /// A token of the vault, instead of the admin's key
    #[arg(long, value_name = "TOKEN", env = "LORAKEEP_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl UploadArgs {
    /// What names one file cannot hold for several.
    pub(crate) fn check(&self) -> Result<()> {
        if self.name.is_some() && self.files.len() > 1 {
            let message = format!("--name names one file, but {} files are given", self.files.len());
            return Err(Failure::usage(message).hint("upload them one by one"));
        }
        Ok(())
    }
}

pub(crate) async fn run(args: &UploadArgs, api: &Api, output: &Output) -> Result<Ended> {
    let door = UploadDoor::new(args.token.as_deref().filter(|token| !token.is_empty()))?;
    let mut answers = Vec::new();
    let mut failed = false;
    api.share();
    for path in &args.files {
        match upload(path, args, &door, api, output).await.map_err(|failure| named(failure, path)) {
            Ok(answer) => answers.push(answer),
            Err(failure) if args.files.len() == 1 && !output.is_json() => return Err(failure),
            Err(failure) => {
                failed = true;
                answers.push(json!({
                    "path": path.display().to_string(), "status": "failed", "error": failure.message
                }));
                output.report(&failure);
            }
        }
    }
    if output.is_json() {
        output.json(&json!({ "items": answers, "next_cursor": null, "total": answers.len() }))?;
    }
    Ok(Ended::failed_if(failed))
}

/// The refusal with the file that it is about: several may be sent by one command.
fn named(failure: Failure, path: &Path) -> Failure {
    let shown = format!("`{}`", path.display());
    if failure.message.contains(&shown) {
        return failure;
    }
    Failure { message: format!("{shown} was not taken: {}", failure.message), ..failure }
}

/// A file that is being sent.
struct Local {
    path: PathBuf,
    file: File,
    length: u64,
    fingerprint: String,
}

async fn upload(
    path: &Path,
    args: &UploadArgs,
    door: &UploadDoor,
    api: &Api,
    output: &Output,
) -> Result<Value> {
    let local = Local::open(path)?;
    let began = Instant::now();
    let (id, from) = begin(&local, args, door, api, output).await?;
    let progress = ByteProgress::new(output, "uploading");
    let watch = Watch { progress, began, total: local.length, output };
    let sent = send(&local, &id, from, door, api, &watch).await;
    watch.progress.finish();
    sent?;
    let answer = outcome(&id, door, api).await?;
    let result = answer.data.result.ok_or_else(|| not_taken(path, answer.data.error.as_ref()))?;
    let took = began.elapsed();
    let rate = (local.length - from) as f64 / took.as_secs_f64().max(0.001);
    output.say(&format!(
        "uploaded `{}` as `loras/{}` ({} in {}, {}), SHA-256 {}",
        path.display(),
        result.partial_path,
        bytes(local.length),
        duration(took),
        speed(rate),
        result.sha256
    ));
    Ok(json!({ "path": path.display().to_string(), "status": "uploaded", "upload": answer.json }))
}

/// Goes on with an upload of the same file that was cut off, or begins one.
async fn begin(
    local: &Local,
    args: &UploadArgs,
    door: &UploadDoor,
    api: &Api,
    output: &Output,
) -> Result<(String, u64)> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => local.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let entity_type = args.entity_type.clone().unwrap_or_default();
    // The same file under another name or type is another upload.
    let fingerprint = format!(
        "{}-{}",
        local.fingerprint,
        Sha256::of(format!("{name}\n{entity_type}").as_bytes()).auto_v2()
    );
    let is_same = |upload: &Upload| {
        matches!(upload.state.as_str(), "receiving" | "accepting")
            && upload.length == local.length
            && upload.fingerprint.as_deref() == Some(fingerprint.as_str())
    };
    if let Some(known) = api.uploads(door).await?.into_iter().find(is_same) {
        output.say(&format!(
            "going on with `{}` at {} of {}",
            local.path.display(),
            bytes(known.offset),
            bytes(known.length)
        ));
        return Ok((known.id, known.offset));
    }
    let said = [
        ("filename", name),
        ("entity_type", entity_type),
        ("use_safe_filename", (!args.exact_name).to_string()),
        ("fingerprint", fingerprint),
    ];
    Ok((api.begin_upload(door, local.length, &said).await?, 0))
}

/// Who is told how it goes.
struct Watch<'a> {
    progress: ByteProgress,
    began: Instant,
    total: u64,
    output: &'a Output,
}

/// Sends piece after piece; after trouble it looks how far the upload is and goes on from there.
async fn send(
    local: &Local,
    id: &str,
    from: u64,
    door: &UploadDoor,
    api: &Api,
    watch: &Watch<'_>,
) -> Result<()> {
    let (mut at, mut trouble, mut pause) = (from, None, FIRST_PAUSE);
    loop {
        let piece = local.piece(at)?;
        let failure = match api.send_piece(door, id, at, piece).await {
            Sent::At(next) if next > at || next == local.length => {
                (at, trouble, pause) = (next, None, FIRST_PAUSE);
                watch.progress.show(at, watch.total, watch.began);
                if at == local.length {
                    return Ok(());
                }
                continue;
            }
            Sent::At(next) => Failure::new(format!("the upload went back to byte {next}")),
            Sent::Refused(failure) => return Err(failure),
            Sent::Again(failure) => failure,
        };
        if trouble.is_none() {
            watch.output.say(&format!("waiting, and trying again: {failure}"));
        }
        if trouble.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(failure.hint("what was sent is kept for a day; the same command goes on from there"));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        // Without an answer the next piece finds out.
        if let Ok(upload) = api.upload(door, id).await {
            match upload.data.state.as_str() {
                "done" => return Ok(()),
                "failed" => {
                    return Err(not_taken(&local.path, upload.data.error.as_ref()));
                }
                _ if upload.data.offset > at => (at, trouble) = (upload.data.offset, None),
                _ => at = upload.data.offset,
            }
        }
    }
}

/// What became of it; a server that went away after the last piece is given time to come back.
async fn outcome(id: &str, door: &UploadDoor, api: &Api) -> Result<Reply<Upload>> {
    let (mut pause, began) = (FIRST_PAUSE, Instant::now());
    while began.elapsed() < PATIENCE {
        if let Ok(answer) = api.upload(door, id).await {
            return Ok(answer);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    api.upload(door, id).await
}

fn not_taken(path: &Path, error: Option<&UploadError>) -> Failure {
    let why = error.map_or("the server does not say why", |error| error.detail.as_str());
    Failure::new(format!("`{}` was not taken: {why}", path.display()))
}

impl Local {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |error: &std::io::Error| {
            Failure::new(format!("cannot read `{}`: {error}", path.display())).caused_by(error)
        };
        let file = File::open(path).map_err(|error| wrong(&error))?;
        let metadata = file.metadata().map_err(|error| wrong(&error))?;
        if !metadata.is_file() {
            return Err(Failure::new(format!("`{}` is not a regular file", path.display())));
        }
        let fingerprint = fingerprint(&file, &metadata).map_err(|error| wrong(&error))?;
        Ok(Self { path: path.to_owned(), file, length: metadata.len(), fingerprint })
    }

    fn piece(&self, at: u64) -> Result<Bytes> {
        let mut piece = vec![0; (self.length - at.min(self.length)).min(PIECE) as usize];
        self.file.read_exact_at(&mut piece, at).map_err(|error| {
            Failure::new(format!("cannot read `{}`: {error}", self.path.display()))
                .caused_by(&error)
                .hint("did it change while it was sent?")
        })?;
        Ok(piece.into())
    }
}

/// Length, time of change, beginning and end: what tells a file that was sent halfway from one that changed meanwhile.
fn fingerprint(file: &File, metadata: &Metadata) -> std::io::Result<String> {
    let length = metadata.len();
    let mut seen = format!("{length} {} {}\n", metadata.mtime(), metadata.mtime_nsec()).into_bytes();
    let count = length.min(FINGERPRINT_BYTES) as usize;
    let mut block = vec![0; count];
    for at in [0, length - count as u64] {
        file.read_exact_at(&mut block, at)?;
        seen.extend(&block);
    }
    Ok(Sha256::of(&seen).to_string())
}
