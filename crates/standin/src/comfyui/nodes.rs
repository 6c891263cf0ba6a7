//! The nodes that the generator knows, in the shape of `/object_info`.

use crate::world::GeneratorFiles;
use serde_json::{Map, Value, json};

/// What an input takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// A link to an output of this type.
    Link(&'static str),
    /// A file of one of the generator's folders.
    File(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Int { default: i64, min: i64, max: u64 },
    /// A number.
    Float { default: f64, min: f64, max: f64 },
    /// A text.
    Text,
}

/// One kind of node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) class: &'static str,
    pub(super) title: &'static str,
    pub(super) category: &'static str,
    pub(super) inputs: &'static [(&'static str, Takes)],
    pub(super) outputs: &'static [&'static str],
    pub(super) is_output: bool,
}

use Takes::{File, Float, Int, Link, Text, Word};

const SAMPLERS: &[&str] = &["euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "uni_pc"];
const SCHEDULERS: &[&str] = &[
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
];
const STRENGTH: Takes = Float { default: 1.0, min: -100.0, max: 100.0 };
const SIDE: Takes = Int { default: 512, min: 16, max: 16_384 };
const BATCH: Takes = Int { default: 1, min: 1, max: 4096 };

/// All of them; names, inputs and outputs are ComfyUI's (0.3.64).
pub(super) const NODES: &[Node] = &[
    Node {
        class: "CheckpointLoaderSimple",
        title: "Load Checkpoint",
        category: "loaders",
        inputs: &[("ckpt_name", File("checkpoints"))],
        outputs: &["MODEL", "CLIP", "VAE"],
        is_output: false,
    },
    Node {
        class: "UNETLoader",
        title: "Load Diffusion Model",
        category: "advanced/loaders",
        inputs: &[
            ("unet_name", File("diffusion_models")),
            ("weight_dtype", Word(&["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"])),
        ],
        outputs: &["MODEL"],
        is_output: false,
    },
    Node {
        class: "DualCLIPLoader",
        title: "DualCLIPLoader",
        category: "advanced/loaders",
        inputs: &[
            ("clip_name1", File("text_encoders")),
            ("clip_name2", File("text_encoders")),
            ("type", Word(&["sdxl", "sd3", "flux", "hunyuan_video", "hidream"])),
        ],
        outputs: &["CLIP"],
        is_output: false,
    },
    Node {
        class: "VAELoader",
        title: "Load VAE",
        category: "loaders",
        inputs: &[("vae_name", File("vae"))],
        outputs: &["VAE"],
        is_output: false,
    },
    Node {
        class: "LoraLoader",
        title: "Load LoRA",
        category: "loaders",
        inputs: &[
            ("model", Link("MODEL")),
            ("clip", Link("CLIP")),
            ("lora_name", File("loras")),
            ("strength_model", STRENGTH),
            ("strength_clip", STRENGTH),
        ],
        outputs: &["MODEL", "CLIP"],
        is_output: false,
    },
    Node {
        class: "LoraLoaderModelOnly",
        title: "LoraLoaderModelOnly",
        category: "loaders",
        inputs: &[("model", Link("MODEL")), ("lora_name", File("loras")), ("strength_model", STRENGTH)],
        outputs: &["MODEL"],
        is_output: false,
    },
    Node {
        class: "CLIPTextEncode",
        title: "CLIP Text Encode (Prompt)",
        category: "conditioning",
        inputs: &[("text", Text), ("clip", Link("CLIP"))],
        outputs: &["CONDITIONING"],
        is_output: false,
    },
    Node {
        class: "FluxGuidance",
        title: "FluxGuidance",
        category: "advanced/conditioning/flux",
        inputs: &[
            ("conditioning", Link("CONDITIONING")),
            ("guidance", Float { default: 3.5, min: 0.0, max: 100.0 }),
        ],
        outputs: &["CONDITIONING"],
        is_output: false,
    },
    Node {
        class: "ConditioningZeroOut",
        title: "ConditioningZeroOut",
        category: "advanced/conditioning",
        inputs: &[("conditioning", Link("CONDITIONING"))],
        outputs: &["CONDITIONING"],
        is_output: false,
    },
    Node {
        class: "EmptyLatentImage",
        title: "Empty Latent Image",
        category: "latent",
        inputs: &[("width", SIDE), ("height", SIDE), ("batch_size", BATCH)],
        outputs: &["LATENT"],
        is_output: false,
    },
    Node {
        class: "EmptySD3LatentImage",
        title: "EmptySD3LatentImage",
        category: "latent/sd3",
        inputs: &[("width", SIDE), ("height", SIDE), ("batch_size", BATCH)],
        outputs: &["LATENT"],
        is_output: false,
    },
    Node {
        class: "KSampler",
        title: "KSampler",
        category: "sampling",
        inputs: &[
            ("model", Link("MODEL")),
            ("seed", Int { default: 0, min: 0, max: u64::MAX }),
            ("steps", Int { default: 20, min: 1, max: 10_000 }),
            ("cfg", Float { default: 8.0, min: 0.0, max: 100.0 }),
            ("sampler_name", Word(SAMPLERS)),
            ("scheduler", Word(SCHEDULERS)),
            ("positive", Link("CONDITIONING")),
            ("negative", Link("CONDITIONING")),
            ("latent_image", Link("LATENT")),
            ("denoise", Float { default: 1.0, min: 0.0, max: 1.0 }),
        ],
        outputs: &["LATENT"],
        is_output: false,
    },
    Node {
        class: "VAEDecode",
        title: "VAE Decode",
        category: "latent",
        inputs: &[("samples", Link("LATENT")), ("vae", Link("VAE"))],
        outputs: &["IMAGE"],
        is_output: false,
    },
    Node {
        class: "EmptyImage",
        title: "EmptyImage",
        category: "image",
        inputs: &[
            ("width", SIDE),
            ("height", SIDE),
            ("batch_size", BATCH),
            ("color", Int { default: 0, min: 0, max: 0xff_ffff }),
        ],
        outputs: &["IMAGE"],
        is_output: false,
    },
    Node {
        class: "SaveImage",
        title: "Save Image",
        category: "image",
        inputs: &[("images", Link("IMAGE")), ("filename_prefix", Text)],
        outputs: &[],
        is_output: true,
    },
];

/// The node of this class.
pub(super) fn node(class: &str) -> Option<&'static Node> {
    NODES.iter().find(|node| node.class == class)
}

/// `/object_info`, or `/object_info/{class}`: an unknown class gives an empty map with status 200.
pub(super) fn object_info(files: &GeneratorFiles, class: Option<&str>) -> Value {
    let wanted = NODES.iter().filter(|node| class.is_none_or(|class| class == node.class));
    Value::Object(wanted.map(|node| (node.class.to_owned(), node.info(files))).collect())
}

impl Node {
    fn info(&self, files: &GeneratorFiles) -> Value {
        let required: Map<String, Value> =
            self.inputs.iter().map(|(name, takes)| ((*name).to_owned(), takes.config(files))).collect();
        let order: Vec<&str> = self.inputs.iter().map(|(name, _)| *name).collect();
        json!({
            "input": {"required": required},
            "input_order": {"required": order},
            "output": self.outputs,
            "output_is_list": vec![false; self.outputs.len()],
            "output_name": self.outputs,
            "name": self.class,
            "display_name": self.title,
            "description": "",
            "python_module": "nodes",
            "category": self.category,
            "output_node": self.is_output,
        })
    }
}

impl Takes {
    /// `[type or values, {options}]`, as validation errors quote it too.
    pub(super) fn config(self, files: &GeneratorFiles) -> Value {
        match self {
            Link(kind) => json!([kind, {}]),
            File(folder) => json!([files.of(folder), {}]),
            Word(words) => json!([words, {}]),
            Int { default, min, max } => json!(["INT", {"default": default, "min": min, "max": max}]),
            Float { default, min, max } => {
                json!(["FLOAT", {"default": default, "min": min, "max": max, "step": 0.01}])
            }
            Text => json!(["STRING", {"multiline": true, "dynamicPrompts": true}]),
        }
    }
}
