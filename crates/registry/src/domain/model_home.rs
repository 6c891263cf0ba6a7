//! Where a model belongs: which category and which folder follow from what CivitAI says of it.
//!
//! One table for everything that adds an entry from CivitAI, and one for promoting a LoRA to a style.

/// A category with its folder below the models root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelHome {
    /// The id of the category.
    pub category: &'static str,
    /// The folder below the models root.
    pub dest: &'static str,
}

/// A category of the style catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StyleCategory {
    /// Its id.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
}

const CHECKPOINTS: ModelHome = home("checkpoints", "checkpoints");
const DIFFUSION_MODELS: ModelHome = home("diffusion_models", "diffusion_models");

/// Types of models on CivitAI, lower case. What is not listed counts as a checkpoint, as the contract has it.
const BY_MODEL: [(&str, ModelHome); 19] = [
    ("checkpoint", CHECKPOINTS),
    ("lora", home("loras", "loras")),
    ("locon", home("loras", "loras")),
    ("dora", home("loras", "loras")),
    ("vae", home("vae", "vae")),
    ("textualinversion", home("embeddings", "embeddings")),
    ("aestheticgradient", home("embeddings", "embeddings")),
    ("hypernetwork", home("hypernetworks", "hypernetworks")),
    ("controlnet", home("controlnet", "controlnet")),
    ("poses", home("controlnet", "controlnet")),
    ("upscaler", home("upscalers", "upscale_models")),
    ("motionmodule", home("animatediff", "animatediff_models")),
    ("textencoder", home("text_encoders", "text_encoders")),
    ("clip", home("text_encoders", "text_encoders")),
    ("llm", home("text_encoders", "text_encoders")),
    ("clipvision", home("clip_vision", "clip_vision")),
    ("visionlanguage", home("text_encoders", "text_encoders")),
    ("unet", DIFFUSION_MODELS),
    ("detection", home("detectors", "ultralytics/bbox")),
];

/// Types of files that belong elsewhere than the model that they come with, lower case.
const BY_FILE: [(&str, ModelHome); 10] = [
    ("vae", home("vae", "vae")),
    ("text encoder", home("text_encoders", "text_encoders")),
    ("vision encoder", home("clip_vision", "clip_vision")),
    ("clipvision", home("clip_vision", "clip_vision")),
    ("unet", DIFFUSION_MODELS),
    ("diffusion model", DIFFUSION_MODELS),
    ("controlnet", home("controlnet", "controlnet")),
    ("upscaler", home("upscalers", "upscale_models")),
    ("negative", home("embeddings", "embeddings")),
    ("enhancement lora", home("loras", "loras")),
];

/// Parts of base models, lower case, whose "checkpoints" hold a diffusion model alone.
const DIFFUSION_ONLY: [&str; 10] = [
    "flux.1 d",
    "flux.1 s",
    "flux.1 k",
    "flux.2",
    "wan video",
    "hunyuan video",
    "ltx video",
    "ltxv",
    "cogvideox",
    "zimage",
];

/// Style categories by what the base model holds, lower case; the first that fits counts (decision 12).
const STYLES: [(&[&str], StyleCategory); 4] = [
    (&["wan"], StyleCategory { id: "wan_loras", name: "WAN LoRAs" }),
    (&["flux"], StyleCategory { id: "flux_loras", name: "Flux LoRAs" }),
    (
        &["sdxl", "pony", "illustrious", "noobai"],
        StyleCategory { id: "sdxl_loras", name: "SDXL / Pony / Illustrious LoRAs" },
    ),
    (&["sd 1", "sd1"], StyleCategory { id: "sd15_loras", name: "SD 1.5 LoRAs" }),
];
const OTHER_STYLES: StyleCategory = StyleCategory { id: "other_loras", name: "Other LoRAs" };

const fn home(category: &'static str, dest: &'static str) -> ModelHome {
    ModelHome { category, dest }
}

impl ModelHome {
    /// The home of a model of that type (`LORA`), of a file of that type (`VAE`), for that base model.
    pub fn of(model_kind: &str, file_kind: &str, base_model: &str) -> Self {
        let find = |table: &[(&str, Self)], kind: &str| {
            let kind = kind.to_lowercase();
            table.iter().find(|(name, _)| *name == kind).map(|(_, home)| *home)
        };
        if let Some(home) = find(&BY_FILE, file_kind) {
            return home;
        }
        let home = find(&BY_MODEL, model_kind).unwrap_or(CHECKPOINTS);
        let base_model = base_model.to_lowercase();
        let is_diffusion_only = DIFFUSION_ONLY.iter().any(|part| base_model.contains(part));
        if home == CHECKPOINTS && is_diffusion_only { DIFFUSION_MODELS } else { home }
    }
}

impl StyleCategory {
    /// Whether a category is one of these, and none that a user made.
    pub fn is_own(id: &str) -> bool {
        STYLES.iter().map(|(_, category)| category).chain([&OTHER_STYLES]).any(|category| category.id == id)
    }

    /// The category of styles for that base model.
    pub fn of(base_model: &str) -> Self {
        let base_model = base_model.to_lowercase();
        let fits = |parts: &[&str]| parts.iter().any(|part| base_model.contains(part));
        STYLES.into_iter().find(|(parts, _)| fits(parts)).map_or(OTHER_STYLES, |(_, category)| category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_category_and_folder() {
        let of = |kind: &str| {
            (ModelHome::of(kind, "Model", "SDXL 1.0").category, ModelHome::of(kind, "Model", "").dest)
        };
        assert_eq!(of("Checkpoint"), ("checkpoints", "checkpoints"));
        for kind in ["LORA", "LoCon", "DoRA"] {
            assert_eq!(of(kind), ("loras", "loras"));
        }
        assert_eq!(of("Upscaler"), ("upscalers", "upscale_models"));
        assert_eq!(of("MotionModule"), ("animatediff", "animatediff_models"));
        assert_eq!(of("CLIPVision"), ("clip_vision", "clip_vision"));
        assert_eq!(of("UNet"), ("diffusion_models", "diffusion_models"));
        assert_eq!(of("Detection"), ("detectors", "ultralytics/bbox"));
        assert_eq!(of("Something New"), ("checkpoints", "checkpoints"));
    }

    #[test]
    fn checkpoints_of_diffusion_only_families_go_to_their_folder() {
        for base in ["Flux.1 D", "flux.1 s", "Wan Video 2.2 I2V-A14B", "Hunyuan Video", "LTXV2", "CogVideoX"]
        {
            assert_eq!(ModelHome::of("Checkpoint", "Model", base), DIFFUSION_MODELS, "{base}");
        }
        assert_eq!(ModelHome::of("LORA", "Model", "Flux.1 D").category, "loras");
        assert_eq!(ModelHome::of("Checkpoint", "Model", "SD 1.5"), CHECKPOINTS);
    }

    #[test]
    fn a_companion_file_goes_where_its_own_type_belongs() {
        assert_eq!(ModelHome::of("Checkpoint", "VAE", "SD 1.5").dest, "vae");
        assert_eq!(ModelHome::of("LORA", "Text Encoder", "Flux.1 D").dest, "text_encoders");
    }

    #[test]
    fn styles_are_sorted_by_their_base_model() {
        let id = |base| StyleCategory::of(base).id;
        assert_eq!(id("Wan Video 14B t2v"), "wan_loras");
        assert_eq!(id("Flux.1 D"), "flux_loras");
        assert_eq!(
            (id("SDXL 1.0"), id("Pony"), id("Illustrious")),
            ("sdxl_loras", "sdxl_loras", "sdxl_loras")
        );
        assert_eq!((id("SD 1.5"), id("sd15")), ("sd15_loras", "sd15_loras"));
        assert_eq!(id(""), "other_loras");
    }
}
