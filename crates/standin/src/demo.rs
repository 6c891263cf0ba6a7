//! A small world to look at: LoRAs, a checkpoint, a high/low pair, and one of each refusal.

use crate::{
    CivitFile, CivitImage, CivitModel, CivitVersion, FileKind, FileSpec, Gated, HfRepo, LoraFamily,
    PublishedHashes, Standin,
};

const MIB: u64 = 1024 * 1024;

/// Fills a stand-in with the demonstration world.
pub(crate) fn fill(standin: &Standin) {
    for repo in repos() {
        standin.add_repo(repo);
    }
    for model in models() {
        for (index, version) in model.versions.iter().enumerate() {
            for image in gallery(&model, version, index) {
                standin.add_image(image);
            }
        }
        standin.add_model(model);
    }
    standin.add_file(FileSpec::new("plain-upscaler.safetensors", 4 * MIB));
}

fn repos() -> Vec<HfRepo> {
    let style = || FileSpec::lora("style.safetensors", LoraFamily::Sdxl, 8);
    vec![
        HfRepo::new("standin/sunset-sketch-sdxl")
            .base_model("stabilityai/stable-diffusion-xl-base-1.0")
            .trigger_word("sunset sketch")
            .text("README.md", "# Sunset Sketch\n\nUse `sunset sketch` in the prompt.\n")
            .file(FileSpec::lora("pytorch_lora_weights.safetensors", LoraFamily::Sdxl, 16)),
        HfRepo::new("standin/paper-cut-flux")
            .base_model("black-forest-labs/FLUX.1-dev")
            .trigger_word("papercut")
            .text("README.md", "# Paper Cut\n")
            .file(FileSpec::lora("paper-cut-flux.safetensors", LoraFamily::Flux, 16)),
        HfRepo::new("standin/slow-drift-wan")
            .base_model("Wan-AI/Wan2.2-I2V-A14B")
            .text("README.md", "# Slow Drift, a pair for high and low noise\n")
            .file(FileSpec::lora("slow-drift_high_noise.safetensors", LoraFamily::Wan, 16))
            .file(FileSpec::lora("slow-drift_low_noise.safetensors", LoraFamily::Wan, 16)),
        HfRepo::new("standin/harbour-mix")
            .text("README.md", "# Harbour Mix\n")
            .text("model_index.json", "{\"_class_name\": \"StableDiffusionXLPipeline\"}\n")
            .file(FileSpec::new("harbour-mix.safetensors", 48 * MIB))
            .file(FileSpec::new("vae/diffusion_pytorch_model.safetensors", 6 * MIB)),
        HfRepo::new("standin/old-embeddings")
            .file(FileSpec::new("mood.pt", 20_000).kind(FileKind::Pickle))
            .file(FileSpec::new("harbour.ckpt", MIB).kind(FileKind::TorchZip)),
        HfRepo::new("standin/gated-style").file(style()).gated(Gated::Manual),
        HfRepo::new("standin/granted-style").file(style()).gated(Gated::Auto).grant(),
        HfRepo::new("standin/private-style").file(style()).private(),
        HfRepo::new("standin/disabled-style").file(style()).disabled(),
        HfRepo::new("standin/sunset-sketch").renamed_to("standin/sunset-sketch-sdxl"),
    ]
}

fn models() -> Vec<CivitModel> {
    let mut all = vec![
        model(
            51_001,
            "Sunset Sketch",
            "LORA",
            lora(510_011, "SDXL 1.0", LoraFamily::Sdxl, "sunset_sketch", &["sunset sketch"]),
        ),
        model(
            51_002,
            "Paper Cut",
            "LORA",
            lora(510_021, "Flux.1 D", LoraFamily::Flux, "paper_cut_flux", &["papercut"]),
        ),
        pair(),
        checkpoint(),
    ];
    all.extend(refused());
    all.extend(odd_records());
    all
}

fn model(id: u64, name: &str, kind: &str, version: CivitVersion) -> CivitModel {
    CivitModel::new(id, name, kind).version(version)
}

fn lora(id: u64, base: &str, family: LoraFamily, name: &str, words: &[&str]) -> CivitVersion {
    let spec = FileSpec::lora(format!("{name}.safetensors"), family, 16);
    CivitVersion::new(id, "v1.0", base).words(words).file(CivitFile::new(id * 10 + 1, spec))
}

/// High and low noise as two versions of one model, as is the custom.
fn pair() -> CivitModel {
    let version = |id, name: &str, file: &str| {
        let mut version = lora(id, "Wan Video 2.2 I2V-A14B", LoraFamily::Wan, file, &["slow drift"]);
        name.clone_into(&mut version.name);
        version
    };
    model(51_003, "Slow Drift", "LORA", version(510_032, "Low noise", "slow_drift_wan22_low"))
        .version(version(510_031, "High noise", "slow_drift_wan22_high"))
}

fn checkpoint() -> CivitModel {
    let full = CivitFile {
        size: Some("full".into()),
        ..CivitFile::new(5_100_411, FileSpec::new("harbourMix_v10.safetensors", 48 * MIB))
    };
    let config = CivitFile {
        kind: "Config".into(),
        format: "Other".into(),
        fp: None,
        ..CivitFile::new(5_100_412, FileSpec::of_bytes("harbourMix_v10.yaml", "model: {}\n"))
    };
    let vae = CivitFile {
        kind: "VAE".into(),
        linked: true,
        ..CivitFile::new(5_100_413, FileSpec::new("harbourMix_vae.safetensors", 6 * MIB))
    };
    let version = CivitVersion::new(510_041, "v1.0", "SDXL 1.0")
        .file(full)
        .file(config.secondary())
        .file(vae.secondary());
    model(51_004, "Harbour Mix", "Checkpoint", version)
}

/// One model for each reason not to get a file.
fn refused() -> Vec<CivitModel> {
    let style = |id, name: &str| lora(id, "SDXL 1.0", LoraFamily::Sdxl, name, &[]);
    let mut early = style(510_051, "early_bird");
    early.availability = "EarlyAccess".into();
    early.early_access_until = Some("2030-01-01T00:00:00.000Z".into());
    let mut generation = style(510_061, "house_style");
    generation.usage_control = "Generation".into();
    let mut login = style(510_071, "members_only");
    login.require_auth = true;
    let mut archived = model(51_008, "Attic", "LORA", style(510_081, "attic"));
    archived.archived = true;
    vec![
        model(51_005, "Early Bird", "LORA", early),
        model(51_006, "House Style", "LORA", generation),
        model(51_007, "Members Only", "LORA", login),
        archived,
    ]
}

/// Records that do not tell the truth about their files.
fn odd_records() -> Vec<CivitModel> {
    let with = |id: u64, name: &str, hashes| {
        let spec = FileSpec::lora(format!("{name}.safetensors"), LoraFamily::Sd15, 8);
        let file = CivitFile::new(id * 10 + 1, spec).publishing(hashes);
        CivitVersion::new(id, "v1.0", "SD 1.5").file(file)
    };
    let wrong = PublishedHashes::Wrong("0123456789ABCDEF".repeat(4));
    vec![
        model(51_009, "Wrong Hash", "LORA", with(510_091, "wrong_hash", wrong)),
        model(51_010, "No Hash", "LORA", with(510_101, "no_hash", PublishedHashes::Absent)),
    ]
}

/// Three pictures a version; the last one is mature in rating, not in content.
fn gallery(model: &CivitModel, version: &CivitVersion, index: usize) -> Vec<CivitImage> {
    let first = 7_000_000 + model.id * 10 + index as u64 * 3;
    let picture = |offset: u64| {
        let mut image = CivitImage::new(first + offset, 384, 512).of_version(version.id);
        image.base_model.clone_from(&version.base_model);
        image.level = [1, 2, 4][offset as usize];
        image
    };
    (0..3).map(picture).collect()
}
