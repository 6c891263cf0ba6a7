//! Where a file of a repository belongs, of which nothing but names is known.

use super::ModelHome;

/// Folders whose category has another name.
const CATEGORIES: &[(&str, &str)] = &[
    ("upscale_models", "upscalers"),
    ("latent_upscale_models", "upscalers"),
    ("animatediff_models", "animatediff"),
    ("ultralytics", "detectors"),
    ("sam2", "segmentation"),
    ("sams", "segmentation"),
    ("insightface", "faceswap"),
];

/// Folder names that repositories use, and the folder that is meant.
const REPO_FOLDERS: &[(&str, &str)] = &[
    ("checkpoints", "checkpoints"),
    ("diffusion_models", "diffusion_models"),
    ("transformer", "diffusion_models"),
    ("unet", "diffusion_models"),
    ("loras", "loras"),
    ("lora", "loras"),
    ("vae", "vae"),
    ("vae_approx", "vae_approx"),
    ("text_encoders", "text_encoders"),
    ("text_encoder", "text_encoders"),
    ("text_encoder_2", "text_encoders"),
    ("text_encoder_3", "text_encoders"),
    ("clip", "text_encoders"),
    ("clip_vision", "clip_vision"),
    ("image_encoder", "clip_vision"),
    ("controlnet", "controlnet"),
    ("controlnets", "controlnet"),
    ("upscale_models", "upscale_models"),
    ("latent_upscale_models", "latent_upscale_models"),
    ("embeddings", "embeddings"),
    ("hypernetworks", "hypernetworks"),
    ("style_models", "style_models"),
    ("gligen", "gligen"),
    ("ipadapter", "ipadapter"),
    ("model_patches", "model_patches"),
    ("audio_encoders", "audio_encoders"),
    ("photomaker", "photomaker"),
    ("sam2", "sam2"),
    ("sams", "sams"),
    ("animatediff_models", "animatediff_models"),
    ("insightface", "insightface"),
];

/// Further folders that ComfyUI knows below its models folder.
const OTHER_FOLDERS: [&str; 5] = ["classifiers", "configs", "diffusers", "t2i_adapter", "ultralytics"];

/// Whether a folder directly below the models root has one of the names that ComfyUI looks for.
pub(crate) fn is_category_folder(name: &str) -> bool {
    OTHER_FOLDERS.contains(&name) || REPO_FOLDERS.iter().any(|(from, to)| name == *from || name == *to)
}

/// Parts of names, lower case, and what they mean; the first that fits counts, so the telling ones come first.
const NAME_PARTS: &[(&[&str], &str)] = &[
    (&["ip-adapter", "ip_adapter", "ipadapter"], "ipadapter"),
    (&["lora", "lycoris", "locon"], "loras"),
    (&["controlnet", "control_", "t2iadapter", "t2i-adapter"], "controlnet"),
    (&["clip_vision", "clip-vision", "sigclip", "image_encoder"], "clip_vision"),
    (
        &[
            "t5xxl",
            "umt5",
            "t5-v1",
            "clip_l",
            "clip_g",
            "clip-l",
            "text_encoder",
            "text-encoder",
            "llava",
            "gemma",
        ],
        "text_encoders",
    ),
    (&["vae", "ae.safetensors", "ae.sft"], "vae"),
    (&["upscale", "esrgan", "realesr", "ultrasharp", "swinir"], "upscale_models"),
    (&["yolo", "detector"], "ultralytics/bbox"),
    (&["sam2", "sam_vit"], "sam2"),
    (&["inswapper", "buffalo"], "insightface"),
    (&["mm_sd", "motion_module", "animatediff"], "animatediff_models"),
    (&["embedding", "textual_inversion", "textual-inversion"], "embeddings"),
    (
        &[
            "flux",
            "wan2",
            "wan-2",
            "hunyuan",
            "ltx",
            "cogvideo",
            "qwen",
            "hidream",
            "z_image",
            "z-image",
            "chroma",
            "mochi",
            "unet",
            "transformer",
        ],
        "diffusion_models",
    ),
];

impl ModelHome {
    /// The home of a repository's file: by its folder there, else by its name, else by the repository's.
    pub fn of_repo_file(repo: &str, path: &str) -> Self {
        let path = path.to_lowercase();
        let mut folders: Vec<&str> = path.split('/').collect();
        let file = folders.pop().unwrap_or_default();
        let known =
            |name: &&str| REPO_FOLDERS.iter().find(|(folder, _)| folder == name).map(|(_, meant)| *meant);
        // The innermost folder says most.
        let by_folder = folders.iter().rev().find_map(known);
        let repo = repo.to_lowercase();
        let name = repo.rsplit('/').next().unwrap_or(&repo);
        let dest = by_folder.or_else(|| by_name(file)).or_else(|| by_name(name)).unwrap_or("checkpoints");
        Self { category: category_of_folder(dest), dest }
    }

    /// The home of a file of which only the name is known.
    pub fn of_file_name(name: &str) -> Self {
        let dest = by_name(&name.to_lowercase()).unwrap_or("checkpoints");
        Self { category: category_of_folder(dest), dest }
    }
}

/// The id of the category that is usual for a folder: as a rule the name of its first part.
pub fn category_of_folder(dest: &str) -> &str {
    let top = dest.split('/').next().unwrap_or(dest);
    CATEGORIES.iter().find(|(folder, _)| *folder == top).map_or(top, |(_, category)| category)
}

fn by_name(name: &str) -> Option<&'static str> {
    let found = NAME_PARTS.iter().find(|(parts, _)| parts.iter().any(|part| name.contains(part)));
    found.map(|(_, folder)| *folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_files_go_by_folder_then_name() {
        let cases = [
            ("Comfy-Org/Wan_2.2", "split_files/diffusion_models/wan2.2_t2v.safetensors", "diffusion_models"),
            ("Comfy-Org/Wan_2.2", "split_files/vae/wan_2.1_vae.safetensors", "vae"),
            ("Comfy-Org/Wan_2.2", "split_files/loras/wan2.2_lightx2v.safetensors", "loras"),
            ("o/sdxl", "vae/diffusion_pytorch_model.safetensors", "vae"),
            ("o/sdxl", "unet/diffusion_pytorch_model.safetensors", "diffusion_models"),
            ("black-forest-labs/FLUX.1-dev", "flux1-dev.safetensors", "diffusion_models"),
            ("black-forest-labs/FLUX.1-dev", "ae.safetensors", "vae"),
            ("black-forest-labs/FLUX.1-Depth-dev-lora", "flux1-depth-dev-lora.safetensors", "loras"),
            ("comfyanonymous/flux_text_encoders", "t5xxl_fp16.safetensors", "text_encoders"),
            ("o/some-lora", "pytorch_weights.safetensors", "loras"),
            ("o/upscalers", "4x-UltraSharp.pth", "upscale_models"),
            ("Bingsu/adetailer", "face_yolov8n.pt", "ultralytics/bbox"),
            ("h94/IP-Adapter", "models/ip-adapter_sd15.safetensors", "ipadapter"),
            ("o/model", "v1-5-pruned-emaonly.safetensors", "checkpoints"),
        ];
        for (repo, path, dest) in cases {
            assert_eq!(ModelHome::of_repo_file(repo, path).dest, dest, "{repo} {path}");
        }
    }

    #[test]
    fn a_folder_has_its_usual_category() {
        assert_eq!(category_of_folder("upscale_models"), "upscalers");
        assert_eq!(category_of_folder("ultralytics/bbox"), "detectors");
        assert_eq!(category_of_folder("loras/WanVideo"), "loras");
    }
}
