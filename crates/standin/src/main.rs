//! `lorakeep-standin`: the stand-in as a program, for benchmarks, soak runs and demonstrations.

use clap::Parser;
use lorakeep_standin::{
    CivitFile, CivitModel, CivitVersion, Delivery, FileSpec, HfRepo, Options, RateLimit, Standin,
};
use serde_json::{Value, json};
use std::io::{self, Write};

const BIG_REPO: &str = "standin/big";
const BIG_MODEL: u64 = 90_000;

/// A local CivitAI, Hugging Face Hub, object storage and ComfyUI with scripted faults.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port of the CivitAI site (0 lets the system choose)
    #[arg(long, default_value_t = 9101)]
    civitai_port: u16,
    /// Port of the Hugging Face Hub
    #[arg(long, default_value_t = 9102)]
    huggingface_port: u16,
    /// Port of the object storage and of /__control
    #[arg(long, default_value_t = 9103)]
    storage_port: u16,
    /// Port of ComfyUI
    #[arg(long, default_value_t = 9104)]
    comfyui_port: u16,
    /// A further safetensors file, in repository `standin/big` and as a CivitAI version
    #[arg(long = "file", value_name = "NAME=SIZE", value_parser = named_size)]
    files: Vec<FileSpec>,
    /// Bytes a second of each connection
    #[arg(long, value_name = "BYTES", value_parser = size)]
    cap: Option<u64>,
    /// So many LoRAs on CivitAI: models from 100000 on, with one version each from 1000000 on
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    models: u64,
    /// Requests a second that CivitAI's API takes (bursts of twice as many); more are 429
    #[arg(long, value_name = "REQUESTS")]
    rate: Option<u32>,
    /// CivitAI redirects to addresses in the form of Backblaze B2 instead of R2
    #[arg(long)]
    b2: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let standin = Standin::with_demo(Options {
        civitai_port: arguments.civitai_port,
        huggingface_port: arguments.huggingface_port,
        storage_port: arguments.storage_port,
        comfyui_port: arguments.comfyui_port,
        civitai_rate: arguments.rate.map(|rate| RateLimit { per_second: rate.into(), burst: rate * 2 }),
        delivery: if arguments.b2 { Delivery::B2 } else { Delivery::R2 },
        ..Options::default()
    })
    .await?;
    add_big_files(&standin, &arguments.files);
    add_models(&standin, arguments.models);
    standin.cap_per_connection(arguments.cap);
    let standin = tokio::task::spawn_blocking(move || {
        standin.prepare();
        standin
    })
    .await?;
    let summary = summary(&standin, &arguments.files);
    let text = if arguments.json { summary.to_string() } else { readable(&summary) };
    writeln!(io::stdout(), "{text}")?;
    until_told_to_stop().await
}

/// Each file is one repository file, one CivitAI version and one plain address.
fn add_big_files(standin: &Standin, files: &[FileSpec]) {
    let mut repo = HfRepo::new(BIG_REPO).text("README.md", "# Files given on the command line\n");
    let mut model = CivitModel::new(BIG_MODEL, "Big Files", "Checkpoint");
    for (file, version) in files.iter().zip(1..) {
        repo = repo.file(file.clone());
        let version = CivitVersion::new(BIG_MODEL * 10 + version, file.name(), "SDXL 1.0");
        let id = version.id * 10 + 1;
        model = model.version(version.file(CivitFile::new(id, file.clone())));
        standin.add_file(file.clone());
    }
    standin.add_repo(repo);
    standin.add_model(model);
}

fn add_models(standin: &Standin, count: u64) {
    for number in 0..count {
        let file = FileSpec::new(format!("example_model_{number:05}.safetensors"), 4096);
        let version = CivitVersion::new(1_000_000 + number, "v1", "SDXL 1.0").words(&["example style"]);
        let version = version.file(CivitFile::new(2_000_000 + number, file));
        let name = format!("Example Model {number:05}");
        standin.add_model(CivitModel::new(100_000 + number, name, "LORA").version(version));
    }
}

fn summary(standin: &Standin, files: &[FileSpec]) -> Value {
    let hub = standin.huggingface_url();
    let files: Vec<Value> = files
        .iter()
        .zip(1..)
        .map(|(file, version)| {
            let version = BIG_MODEL * 10 + version;
            json!({
                "name": file.name(),
                "size": file.size(),
                "sha256": file.sha256(),
                "hf_repo": BIG_REPO,
                "hf_file": file.name(),
                "civitai_version_id": version,
                "huggingface": format!("{hub}/{BIG_REPO}/resolve/main/{}", file.name()),
                "civitai": format!("{}/api/download/models/{version}", standin.civitai_url()),
                "url": standin.file_url(file.name()),
            })
        })
        .collect();
    json!({
        "environment": {
            "LORAKEEP_CIVITAI_URL": standin.civitai_url(),
            "HF_ENDPOINT": hub,
            "COMFYUI_URL": standin.comfyui_url(),
        },
        "credentials": {"CIVITAI_API_KEY": Options::default().civitai_key, "HF_TOKEN": Options::default().huggingface_token},
        "storage": standin.storage_url(),
        "control": format!("{}/__control", standin.storage_url()),
        "files": files,
    })
}

fn readable(summary: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for (name, value) in summary["environment"].as_object().into_iter().flatten() {
        lines.push(format!("export {name}={}", text(value)));
    }
    for (name, value) in summary["credentials"].as_object().into_iter().flatten() {
        lines.push(format!("# optional: export {name}={}", text(value)));
    }
    if !summary["files"].as_array().is_none_or(Vec::is_empty) {
        lines.push("# for the plain addresses below: export LORAKEEP_ALLOW_HOSTS=localhost".to_owned());
    }
    lines.push(format!("# storage {}, control {}", text(&summary["storage"]), text(&summary["control"])));
    for file in summary["files"].as_array().into_iter().flatten() {
        lines.push(format!(
            "# {} {} bytes, sha256 {}\n#   {}\n#   {}\n#   {}",
            text(&file["name"]),
            file["size"],
            text(&file["sha256"]),
            text(&file["huggingface"]),
            text(&file["civitai"]),
            text(&file["url"]),
        ));
    }
    lines.join("\n")
}

async fn until_told_to_stop() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn named_size(text: &str) -> Result<FileSpec, String> {
    let (name, bytes) = text.split_once('=').ok_or("give a name and a size, as `big.safetensors=2GiB`")?;
    Ok(FileSpec::new(name, size(bytes)?))
}

/// Bytes, with `K`, `M`, `G` (also `KiB`, …) for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        other => return Err(format!("`{other}` is no unit; use K, M or G")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no size; write it as `64MiB`"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too large"))
}
