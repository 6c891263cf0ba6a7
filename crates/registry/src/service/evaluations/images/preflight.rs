//! Before anything is generated: does the generator answer, has it every node, and does it see every file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::request::{BuiltIn, ImageRequest, Template};
use super::super::subject::Subject;
use crate::error::{Error, Invalid, Result};
use crate::service::Registry;
use crate::service::uploads::LORAS;
use crate::upstream::comfyui::template::{self, Graph};
use crate::upstream::comfyui::{ComfyUi, NodeInfo, SystemStats};

/// How long the generator may take to answer at all.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// Names that an error lists.
const LISTED: usize = 8;

/// A workflow that the generator can run, but for what differs from picture to picture.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(in crate::service) graph: Graph,
    /// The same in every picture.
    pub(in crate::service) fixed: BTreeMap<&'static str, Value>,
    /// What the generator calls the files of the request.
    pub(in crate::service) loras: Vec<String>,
    pub(super) stats: SystemStats,
}

impl Prepared {
    /// What all pictures have in common, for the answer: results differ with every one of these.
    pub(super) fn settings(&self) -> Value {
        let mut settings: Map<String, Value> =
            self.fixed.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        settings.insert("loras".to_owned(), json!(self.loras));
        Value::Object(settings)
    }
}

impl Registry {
    /// Makes sure that the generator can make the pictures.
    ///
    /// `Unavailable` when it does not answer, `Invalid` with the field whose node or file it lacks.
    pub(crate) async fn prepare_pictures(
        &self,
        images: &ImageRequest,
        subjects: &[Subject],
    ) -> Result<Prepared> {
        let comfyui = self.generator()?;
        let stats = comfyui.system_stats(PATIENCE).await.map_err(|error| Error::Unavailable {
            code: "generator_unreachable",
            message: format!("the check of the generator failed: {error}"),
        })?;
        let graph = match &images.template {
            Template::BuiltIn(BuiltIn::Sd15 | BuiltIn::Sdxl) => template::checkpoint(),
            Template::BuiltIn(BuiltIn::Flux) => template::flux(),
            Template::Own(graph) => graph.clone(),
        };
        let nodes = nodes_of(comfyui, &graph).await?;
        let lists = Lists { graph: &graph, nodes: &nodes };
        lists.check_literals()?;
        let loras = subjects.iter().enumerate().map(|(place, subject)| lists.lora(place, subject));
        let loras = loras.collect::<Result<_>>()?;
        let fixed = lists.fixed(images)?;
        Ok(Prepared { graph, fixed, loras, stats })
    }
}

/// What the generator says of each kind of node in the workflow.
async fn nodes_of(comfyui: &ComfyUi, graph: &Graph) -> Result<BTreeMap<String, NodeInfo>> {
    let mut nodes = BTreeMap::new();
    for node in graph.values() {
        let class = node["class_type"].as_str().unwrap_or_default();
        if nodes.contains_key(class) {
            continue;
        }
        let info = comfyui.node(class).await?.ok_or_else(|| {
            let message = format!(
                "the generator has no node `{class}`; install what brings it, or use another workflow"
            );
            lacks("images.template", message, None)
        })?;
        nodes.insert(class.to_owned(), info);
    }
    Ok(nodes)
}

/// The lists of names that the workflow's inputs choose from.
struct Lists<'a> {
    graph: &'a Graph,
    nodes: &'a BTreeMap<String, NodeInfo>,
}

impl Lists<'_> {
    /// The list that the input with this placeholder chooses from; none when it chooses from none.
    fn behind(&self, placeholder: &str) -> Option<Vec<&str>> {
        let wanted = format!("{{{{{placeholder}}}}}");
        self.inputs().find_map(|(class, name, value)| {
            let is_it = value.as_str().is_some_and(|text| text.replace(' ', "") == wanted);
            if is_it { self.nodes.get(class)?.choices(name) } else { None }
        })
    }

    fn inputs(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.graph.values().flat_map(|node| {
            let class = node["class_type"].as_str().unwrap_or_default();
            let inputs = node["inputs"].as_object().into_iter().flat_map(Map::iter);
            inputs.map(move |(name, value)| (class, name.as_str(), value))
        })
    }

    /// Names that a workflow writes out must be there too.
    fn check_literals(&self) -> Result<()> {
        for (class, name, value) in self.inputs() {
            let Some(text) = value.as_str().filter(|text| !text.contains("{{")) else { continue };
            let Some(list) = self.nodes.get(class).and_then(|node| node.choices(name)) else { continue };
            if !list.contains(&text) {
                let message =
                    format!("the generator's node `{class}` knows no `{name}` of the name `{text}`");
                return Err(lacks("images.template", message, nearest(&list, text)));
            }
        }
        Ok(())
    }

    fn lora(&self, place: usize, subject: &Subject) -> Result<String> {
        let own = subject.path.strip_prefix(LORAS).and_then(|path| path.strip_prefix('/'));
        let own = own.unwrap_or(subject.path.as_str());
        // The workflow of a pair has one loader for each role; all of them choose from the same files.
        let list = ["lora", "lora_high", "lora_low"].iter().find_map(|name| self.behind(name));
        let Some(list) = list else { return Ok(own.to_owned()) };
        choose(&list, own).ok_or_else(|| {
            let message = format!(
                "the LoRA `{own}` is not visible to the generator; let it look into this models folder \
                 (`extra_model_paths.yaml`), or refresh it"
            );
            lacks(&format!("files.{place}"), message, None)
        })
    }

    /// The values of all placeholders that are the same in every picture.
    fn fixed(&self, images: &ImageRequest) -> Result<BTreeMap<&'static str, Value>> {
        let own = Own::of(&images.template);
        let encoder = |place: usize| images.text_encoders.get(place).map(String::as_str);
        let named = [
            ("base_model", "images.base_model", images.base_model.as_deref(), ""),
            ("text_encoder_1", "images.text_encoders", encoder(0), "t5"),
            ("text_encoder_2", "images.text_encoders", encoder(1), "clip_l"),
            ("vae", "images.vae", images.vae.as_deref(), "ae"),
        ];
        let mut fixed = BTreeMap::new();
        for (name, field, wanted, hint) in named {
            if template::uses(self.graph, name) {
                fixed.insert(name, self.file(name, field, wanted, hint)?.into());
            }
        }
        let scheduler = images.scheduler.as_deref().unwrap_or(own.scheduler);
        for (name, field, word) in [
            ("sampler", "images.sampler", images.sampler.as_str()),
            ("scheduler", "images.scheduler", scheduler),
        ] {
            let known = self.behind(name).is_none_or(|list| list.contains(&word));
            if !known {
                let message = format!("the generator knows no {name} `{word}`");
                return Err(lacks(field, message, self.behind(name).and_then(|list| nearest(&list, word))));
            }
            fixed.insert(name, word.into());
        }
        fixed.insert("width", images.width.unwrap_or(own.side).into());
        fixed.insert("height", images.height.unwrap_or(own.side).into());
        fixed.insert("steps", images.steps.into());
        fixed.insert("cfg", json!(images.cfg.unwrap_or(own.cfg)));
        Ok(fixed)
    }

    /// A file of the generator: the one that is named, else the only one that it can be.
    fn file(&self, name: &str, field: &str, wanted: Option<&str>, hint: &str) -> Result<String> {
        let Some(list) = self.behind(name) else {
            let missing = || lacks(field, format!("the workflow asks for `{name}`; name it"), None);
            return wanted.map(str::to_owned).ok_or_else(missing);
        };
        if let Some(wanted) = wanted {
            return choose(&list, wanted).ok_or_else(|| {
                let message =
                    format!("the generator has no {} `{wanted}`; it has {}", spoken(name), listed(&list));
                lacks(field, message, nearest(&list, wanted))
            });
        }
        let fitting: Vec<&str> =
            list.iter().copied().filter(|one| one.to_lowercase().contains(hint)).collect();
        match (fitting.as_slice(), list.as_slice()) {
            ([only], _) | (_, [only]) if !list.is_empty() => Ok((*only).to_string()),
            _ => {
                let message =
                    format!("name the {} in `{field}`; the generator has {}", spoken(name), listed(&list));
                Err(lacks(field, message, None))
            }
        }
    }
}

/// What a template of ours uses unless it is told otherwise.
struct Own {
    side: u32,
    cfg: f64,
    scheduler: &'static str,
}

impl Own {
    fn of(template: &Template) -> Self {
        match template {
            Template::BuiltIn(BuiltIn::Sd15) => Self { side: 512, cfg: 7.0, scheduler: "normal" },
            Template::BuiltIn(BuiltIn::Flux) => Self { side: 1024, cfg: 3.5, scheduler: "simple" },
            Template::BuiltIn(BuiltIn::Sdxl) | Template::Own(_) => {
                Self { side: 1024, cfg: 7.0, scheduler: "normal" }
            }
        }
    }
}

/// The name in the list: as it is, with the generator's own separator, without our first folder, or by its file name
/// when only one has it.
fn choose(list: &[&str], wanted: &str) -> Option<String> {
    let slashed = |name: &str| name.replace('\\', "/");
    let wanted = slashed(wanted);
    let short = wanted.split_once('/').map(|(_, rest)| rest.to_owned());
    let file = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let exact = list.iter().find(|one| slashed(one) == wanted);
    let by_short = || short.and_then(|short| list.iter().find(|one| slashed(one) == short));
    let by_file = || {
        let mut same = list.iter().filter(|one| file(&slashed(one)) == file(&wanted));
        same.next().filter(|_| same.next().is_none())
    };
    exact.or_else(by_short).or_else(by_file).map(|found| (*found).to_owned())
}

/// A name of the list that holds the wanted one's beginning.
fn nearest(list: &[&str], wanted: &str) -> Option<String> {
    let stem: String = wanted.chars().take(4).collect::<String>().to_lowercase();
    let found = list.iter().find(|one| !stem.is_empty() && one.to_lowercase().contains(&stem));
    found.map(|found| (*found).to_owned())
}

fn spoken(name: &str) -> &str {
    match name {
        "base_model" => "base model",
        "vae" => "VAE",
        _ => "text encoder",
    }
}

fn listed(list: &[&str]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let more = list.len().saturating_sub(LISTED);
    let names = list.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{names} and {more} more") } else { names }
}

fn lacks(field: &str, message: String, suggestion: Option<String>) -> Error {
    Error::Invalid(Invalid { code: "generator_lacks", field: field.to_owned(), message, suggestion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_under_the_generators_own_name_for_it() {
        let list = ["faces\\ann.safetensors", "styles/ink.safetensors", "a/same.pt", "b/same.pt"];
        assert_eq!(choose(&list, "faces/ann.safetensors").as_deref(), Some("faces\\ann.safetensors"));
        assert_eq!(choose(&list, "loras/styles/ink.safetensors").as_deref(), Some("styles/ink.safetensors"));
        assert_eq!(choose(&list, "elsewhere/ink.safetensors").as_deref(), Some("styles/ink.safetensors"));
        assert_eq!(choose(&list, "c/same.pt"), None, "two could be meant");
        assert_eq!(choose(&list, "missing.pt"), None);
    }
}
