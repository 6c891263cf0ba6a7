//! Pictures that depend on prompt, seed and LoRA as a diffusion model's would, in a way that is known.
//!
//! A scene follows from prompt and seed. A LoRA lays stripes over it and raises the saturation, both in proportion
//! to `strength · effect`; without its trigger word only `leak` of that is left. Above `burns_above` the contrast
//! rises until colours clip. Strength 0 gives the scene untouched, so the whole dose-response curve is known.

use crate::png::{png, rgb};
use crate::world::{GeneratorFiles, GeneratorLora};
use serde_json::{Map, Value};

/// What a graph asks for.
#[derive(Debug)]
pub(super) struct Order {
    width: u32,
    height: u32,
    prompt: String,
    seed: u64,
    /// Name and strength of each LoRA between loader and sampler.
    loras: Vec<(String, f32)>,
    /// A plain colour instead, 0xRRGGBB.
    plain: Option<u32>,
}

/// How the LoRAs together change the scene.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    effect: f32,
    burn: f32,
}

impl Order {
    /// Reads what feeds an output node.
    pub(super) fn read(graph: &Map<String, Value>, output: &str) -> Self {
        let class = |id: &str| graph.get(id).and_then(|node| node["class_type"].as_str()).unwrap_or_default();
        let feeding = upstream(graph, output);
        let find = |wanted: &str| feeding.iter().find(|id| class(id) == wanted);
        let inputs = |id: &String| &graph[id]["inputs"];
        let side = |id: Option<&String>, name: &str| {
            id.and_then(|id| inputs(id)[name].as_u64()).map_or(64, |side| side as u32)
        };
        let sampler = find("KSampler");
        let latent = find("EmptyLatentImage").or_else(|| find("EmptySD3LatentImage"));
        let plain = find("EmptyImage");
        let positive = sampler.and_then(|id| inputs(id)["positive"][0].as_str()).unwrap_or_default();
        let text = upstream(graph, positive).into_iter().find(|id| class(id) == "CLIPTextEncode");
        let loras = feeding.iter().filter(|id| class(id).starts_with("LoraLoader")).map(|id| {
            let name = inputs(id)["lora_name"].as_str().unwrap_or_default().to_owned();
            (name, inputs(id)["strength_model"].as_f64().unwrap_or_default() as f32)
        });
        Self {
            width: side(latent.or(plain), "width"),
            height: side(latent.or(plain), "height"),
            prompt: text.and_then(|id| inputs(&id)["text"].as_str()).unwrap_or_default().to_owned(),
            seed: sampler.and_then(|id| inputs(id)["seed"].as_u64()).unwrap_or_default(),
            loras: loras.collect(),
            plain: plain.and_then(|id| inputs(id)["color"].as_u64()).map(|colour| colour as u32),
        }
    }

    /// The picture as PNG, with the graph in its text chunk as ComfyUI writes it.
    pub(super) fn picture(&self, files: &GeneratorFiles, black: bool, graph: &str) -> Vec<u8> {
        let pixels =
            if black { vec![0; (self.width * self.height * 3) as usize] } else { self.pixels(&files.loras) };
        png(self.width, self.height, &pixels, &[("prompt", graph)])
    }

    fn pixels(&self, known: &[GeneratorLora]) -> Vec<u8> {
        if let Some(colour) = self.plain {
            let [_, red, green, blue] = colour.to_be_bytes();
            return [red, green, blue].repeat((self.width * self.height) as usize);
        }
        let scene = Scene::of(&self.prompt, self.seed);
        let change = self.change(known);
        let mut pixels = Vec::with_capacity((self.width * self.height * 3) as usize);
        for y in 0..self.height {
            for x in 0..self.width {
                let (u, v) = (x as f32 / self.width as f32, y as f32 / self.height as f32);
                pixels.extend_from_slice(&change.apply(scene.colour(u, v), u, v));
            }
        }
        pixels
    }

    fn change(&self, known: &[GeneratorLora]) -> Change {
        let mut change = Change::default();
        for (name, strength) in &self.loras {
            let Some(lora) = known.iter().find(|lora| lora.name == *name) else { continue };
            let called = lora.trigger.as_ref().is_none_or(|trigger| self.prompt.contains(trigger));
            let share = if called { 1.0 } else { lora.leak };
            change.effect += strength * lora.effect * share;
            if let Some(limit) = lora.burns_above {
                change.burn += (strength - limit).max(0.0) * share;
            }
        }
        change
    }
}

impl Change {
    fn apply(self, colour: [u8; 3], u: f32, v: f32) -> [u8; 3] {
        let [red, green, blue] = colour.map(|part| f32::from(part) / 255.0);
        let light = 0.299 * red + 0.587 * green + 0.114 * blue;
        let stripes = 0.22 * self.effect * (std::f32::consts::TAU * (6.0 * u + 4.0 * v)).sin();
        let saturation = 1.0 + 0.5 * self.effect;
        let contrast = 1.0 + 6.0 * self.burn;
        [red, green, blue].map(|part| {
            let part = light + (part - light) * saturation + stripes;
            let part = (part - 0.5) * contrast + 0.5;
            (part.clamp(0.0, 1.0) * 255.0).round() as u8
        })
    }
}

/// A sky, a sun and three ridges of hills.
struct Scene {
    hue: f32,
    sun: (f32, f32),
    phase: f32,
}

impl Scene {
    fn of(prompt: &str, seed: u64) -> Self {
        // FNV-1a over the prompt, stirred with the seed: near seeds give far scenes.
        let word = prompt.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut bits = word ^ seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let part = |shift: u32| ((bits >> shift) & 0xffff) as f32 / 65_535.0;
        Self { hue: part(0) * 360.0, sun: (part(16), 0.15 + 0.3 * part(32)), phase: part(48) * 50.0 }
    }

    /// Between 0.2 and 0.8 of full light, so that nothing clips before a LoRA makes it.
    fn colour(&self, u: f32, v: f32) -> [u8; 3] {
        let mut colour = rgb(self.hue, 0.35, 0.45 + 0.3 * v);
        if (u - self.sun.0).hypot(v - self.sun.1) < 0.12 {
            colour = rgb(self.hue + 40.0, 0.15, 0.8);
        }
        for ridge in 0..3u8 {
            let depth = f32::from(ridge);
            let wave = (u * (5.0 + 3.0 * depth) + self.phase * (1.0 + depth)).sin();
            if v > 0.45 + 0.15 * depth + 0.12 * wave {
                colour = rgb(self.hue + 190.0 + 12.0 * depth, 0.35, 0.6 - 0.12 * depth);
            }
        }
        colour
    }
}

/// The nodes that feed `id`, itself first.
fn upstream(graph: &Map<String, Value>, id: &str) -> Vec<String> {
    let mut found = vec![id.to_owned()];
    let mut at = 0;
    while let Some(id) = found.get(at).cloned() {
        at += 1;
        let inputs = graph.get(&id).and_then(|node| node["inputs"].as_object());
        for value in inputs.into_iter().flat_map(Map::values) {
            if let Some(from) = value[0].as_str()
                && graph.contains_key(from)
                && !found.iter().any(|known| known == from)
            {
                found.push(from.to_owned());
            }
        }
    }
    found
}
