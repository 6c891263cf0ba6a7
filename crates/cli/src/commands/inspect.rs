//! `lorakeep inspect`: what files say of themselves, without a server and without a data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use lorakeep_registry::domain::SafeName;
use lorakeep_registry::{FileFacts, hash_file, inspect_file};
use serde_json::json;

use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::{Field, Output, Tone};
use crate::progress::ByteProgress;
use crate::units::counted;

/// Say what files are: kind, base model, rank, trigger words, and whether they may be loaded
///
/// Reads the files where they are, on every core, and changes nothing; needs neither a server nor a data folder. Of a folder
/// every model file at or below it is read. Exit code 1 when a file cannot be read or may not be loaded.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lorakeep inspect style.safetensors
  lorakeep inspect models/loras --json
  lorakeep inspect style.safetensors --hashes          SHA-256, AutoV1 to AutoV3, BLAKE3, CRC32")]
pub(crate) struct InspectArgs {
    /// Files and folders on this machine
    #[arg(required = true, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Read the files whole for the hashes that other tools know them by
    #[arg(long)]
    hashes: bool,
}

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<Ended> {
    let files = model_files(&args.paths)?;
    let mut all = Vec::new();
    let mut failed = false;
    for inspected in inspect_all(&files, args.hashes, output) {
        match inspected {
            Ok(facts) => {
                failed |= facts.verdict["verdict"] != "clean";
                all.push(facts);
            }
            Err(failure) if files.len() == 1 => return Err(failure),
            Err(failure) => {
                failed = true;
                output.report(&failure);
            }
        }
    }
    if output.is_json() {
        output.json(&json!({ "items": all, "next_cursor": null, "total": all.len() }))?;
    } else {
        show(&all, output)?;
    }
    Ok(Ended::failed_if(failed))
}

/// The files as they are named, and of each folder the model files at or below it, by name.
fn model_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, &mut files).map_err(|error| {
                Failure::new(format!("cannot read the folder `{}`: {error}", path.display()))
                    .caused_by(&error)
            })?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Neither hidden folders nor links to folders are entered: no file is read twice, and no walk is endless.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut items = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    items.sort_by_key(std::fs::DirEntry::file_name);
    for item in items {
        let (name, kind) = (item.file_name(), item.file_type()?);
        let name = name.to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') {
            collect(&item.path(), files)?;
        } else if !kind.is_dir() && SafeName::parse("file", &name).is_ok_and(|name| name.is_model()) {
            files.push(item.path());
        }
    }
    Ok(())
}

/// How far all of it is.
struct Work {
    with_hashes: bool,
    progress: ByteProgress,
    began: Instant,
    total_bytes: u64,
    done_bytes: AtomicU64,
}

/// Reads all files on every core; the answers stand in the order of the files.
fn inspect_all(files: &[PathBuf], with_hashes: bool, output: &Output) -> Vec<Result<FileFacts>> {
    let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let work = Work {
        with_hashes,
        progress: ByteProgress::new(output, if with_hashes { "hashing" } else { "reading" }),
        began: Instant::now(),
        total_bytes: files.iter().map(size).sum(),
        done_bytes: AtomicU64::new(0),
    };
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(files.len())));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((at, file)) = take_next(files, &next) {
                    let inspected = inspect(file, &work);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, inspected));
                }
            });
        }
    });
    work.progress.finish();
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, inspected)| inspected).collect()
}

fn take_next<'a>(files: &'a [PathBuf], next: &AtomicUsize) -> Option<(usize, &'a Path)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    files.get(at).map(|file| (at, file.as_path()))
}

fn inspect(file: &Path, work: &Work) -> Result<FileFacts> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |error: io::Error| {
        Failure::new(format!("cannot inspect `{}`: {error}", file.display())).caused_by(&error)
    };
    let mut facts = inspect_file(file, &name).map_err(wrong)?;
    let mut counted = 0;
    if work.with_hashes {
        let count = |done| {
            work.count(done - counted);
            counted = done;
        };
        facts.hashes = Some(hash_file(file, count).map_err(wrong)?);
    } else {
        work.count(std::fs::metadata(file).map_or(0, |metadata| metadata.len()));
    }
    Ok(facts)
}

impl Work {
    fn count(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.show(done, self.total_bytes, self.began);
    }
}

fn show(all: &[FileFacts], output: &Output) -> Result<()> {
    output.table(
        &["FILE", "FORMAT", "KIND", "BASE MODEL", "RANK", "TRIGGER WORDS", "VERDICT"],
        all.iter().map(row).collect(),
    )?;
    for facts in all {
        if let Some(reason) = facts.verdict["reason"].as_str() {
            output.say(&format!("`{}`: {reason}", facts.path));
        }
        if let Some(hashes) = &facts.hashes {
            let none = || "none".to_owned();
            Output::line(&format!(
                "{}\n  SHA-256  {}\n  AutoV1   {}\n  AutoV2   {}\n  AutoV3   {}\n  BLAKE3   {}\n  CRC32    {}",
                facts.path,
                hashes.sha256,
                hashes.auto_v1.clone().unwrap_or_else(none),
                hashes.auto_v2,
                hashes.auto_v3.clone().unwrap_or_else(none),
                hashes.blake3,
                hashes.crc32
            ))?;
        }
        for warning in &facts.warnings {
            output.say(&format!("`{}`: {warning}", facts.path));
        }
    }
    output.say(&counted(all.len() as u64, "file"));
    Ok(())
}

fn row(facts: &FileFacts) -> Vec<Field> {
    let kind = match &facts.algorithm {
        Some(algorithm) if *algorithm != facts.kind => format!("{} ({algorithm})", facts.kind),
        _ => facts.kind.clone(),
    };
    let words: Vec<&str> = facts.trigger_words.iter().take(5).map(|word| word.word.as_str()).collect();
    let verdict = facts.verdict["verdict"].as_str().unwrap_or_default();
    let tone = if verdict == "clean" { Tone::Good } else { Tone::Bad };
    vec![
        Field::text(&facts.path),
        Field::text(&facts.format),
        Field::text(kind),
        Field::text(base_model(facts)),
        Field::number(facts.rank.map(|rank| rank.to_string()).unwrap_or_default()),
        Field::text(words.join(", ")),
        Field::toned(verdict, tone),
    ]
}

/// The base model with how sure it is, or the ones that it may be.
fn base_model(facts: &FileFacts) -> String {
    match &facts.base_model {
        Some(base_model) => format!("{base_model} ({:.0} %)", facts.confidence * 100.0),
        None if facts.candidates.is_empty() => String::new(),
        None => format!("one of {}", facts.candidates.join(", ")),
    }
}
