//! The workflow of a generation: the operator's own for the base model, else one of ours.
//!
//! `<data>/workflows/<family>.json` is a workflow in ComfyUI's API format with placeholders for base models of that
//! family (`sdxl`, `flux1`, `wan-14b`: the ids of `data/base_models.toml`), `default.json` for all others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::plan::GenerationPlan;
use crate::domain::{BaseModelFamilies, PairRole};
use crate::error::{Error, Result};
use crate::service::{BuiltIn, ImageRequest, PromptRequest, Registry, Template};
use crate::upstream::comfyui::template::{self, Graph};

/// The longest workflow that is read, bytes.
const MAX_WORKFLOW_BYTES: u64 = 4 << 20;
/// Steps when neither the style nor the request says how many.
const USUAL_STEPS: u32 = 20;
/// How long one picture may take, seconds.
pub(super) const PATIENCE_SECONDS: u64 = 900;

/// A workflow that the generator can run, but for what differs from picture to picture.
pub(super) struct Workflow {
    graph: Graph,
    values: BTreeMap<&'static str, Value>,
}

impl Workflow {
    /// The workflow of one picture; `prefix` begins its name in the generator's folder.
    pub(super) fn filled(&self, seed: u64, prefix: &str) -> Graph {
        let mut values = self.values.clone();
        values.insert("seed", seed.into());
        values.insert("prefix", prefix.into());
        template::filled(&self.graph, &values)
    }
}

impl Registry {
    /// Makes sure that the generator can make the pictures of a plan.
    ///
    /// `Conflict` (`no_workflow`) when there is no workflow for its base model, `Unavailable` when the generator does not
    /// answer or lacks something: whoever asks cannot mend that.
    pub(super) async fn prepare_generation(&self, plan: &GenerationPlan) -> Result<Workflow> {
        self.generator()?;
        let template = self.template_for(plan).await?;
        let subjects = plan.loras.iter().map(|lora| self.subject(&lora.path)).collect::<Result<Vec<_>>>()?;
        let prepared = self.prepare_pictures(&request_for(plan, template), &subjects).await;
        let prepared = prepared.map_err(|error| match error {
            Error::Invalid(invalid) => {
                Error::Unavailable { code: "generator_not_ready", message: invalid.to_string() }
            }
            other => other,
        })?;
        let mut values = prepared.fixed;
        values.insert("prompt", plan.prompt.as_str().into());
        values.insert("negative", plan.negative_prompt.as_str().into());
        for (role, name, strength) in [
            (PairRole::Both, "lora", "strength"),
            (PairRole::High, "lora_high", "strength_high"),
            (PairRole::Low, "lora_low", "strength_low"),
        ] {
            let Some(lora) = plan.lora_for(role) else { continue };
            let place = plan.loras.iter().position(|own| own == lora).unwrap_or_default();
            values.insert(name, prepared.loras[place].as_str().into());
            values.insert(strength, json!(lora.strength));
        }
        Ok(Workflow { graph: prepared.graph, values })
    }

    async fn template_for(&self, plan: &GenerationPlan) -> Result<Template> {
        let families = BaseModelFamilies::builtin().of(&plan.base_model).to_vec();
        let folder = self.inner.config.data_dir.join("workflows");
        let names: Vec<String> = families.iter().cloned().chain(["default".to_owned()]).collect();
        let own = self.blocking("reading a workflow", move || own_workflow(&folder, &names)).await??;
        let found = own.map(Template::Own).or_else(|| built_in(&families).map(Template::BuiltIn));
        found.filter(|template| places_all(template, plan)).ok_or_else(|| {
            let model = if plan.base_model.is_empty() { "a base model that nobody named" } else { &plan.base_model };
            let family = families.first().map_or("default", String::as_str);
            let message = format!(
                "this server has no workflow for styles of `{model}`; who runs it can add one as `workflows/{family}.json`"
            );
            Error::conflict("no_workflow", message)
        })
    }
}

/// The operator's workflow: the first of the names that is there; blocks the thread.
fn own_workflow(folder: &Path, names: &[String]) -> Result<Option<Graph>> {
    for name in names {
        let path = folder.join(format!("{name}.json"));
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let text = if metadata.len() <= MAX_WORKFLOW_BYTES { fs::read_to_string(&path).ok() } else { None };
        let graph: Option<Graph> = text.and_then(|text| serde_json::from_str(&text).ok());
        let faults =
            graph.as_ref().map_or_else(|| vec!["it is no JSON object".to_owned()], template::style_faults);
        let Some(graph) = graph.filter(|_| faults.is_empty()) else {
            let message =
                format!("the workflow `{name}.json` of this server cannot be used: {}", faults.join("; "));
            return Err(Error::Unavailable { code: "bad_workflow", message });
        };
        return Ok(Some(graph));
    }
    Ok(None)
}

fn built_in(families: &[String]) -> Option<BuiltIn> {
    families.iter().find_map(|family| match family.as_str() {
        "sd1" => Some(BuiltIn::Sd15),
        "sdxl" => Some(BuiltIn::Sdxl),
        "flux1" => Some(BuiltIn::Flux),
        _ => None,
    })
}

/// Whether the workflow has a place for every LoRA of the plan.
fn places_all(template: &Template, plan: &GenerationPlan) -> bool {
    let has_place = |name: &str| match template {
        Template::BuiltIn(_) => name == "lora",
        Template::Own(graph) => template::uses(graph, name),
    };
    plan.loras.iter().all(|lora| match lora.role.as_str() {
        "high" => has_place("lora_high"),
        "low" => has_place("lora_low"),
        _ => has_place("lora") || has_place("lora_high"),
    })
}

/// The plan in the words of pictures for an evaluation, whose checks are the same.
fn request_for(plan: &GenerationPlan, template: Template) -> ImageRequest {
    let prompt = PromptRequest { text: plan.prompt.clone(), ..PromptRequest::default() };
    ImageRequest {
        template,
        width: plan.width,
        height: plan.height,
        steps: plan.steps.unwrap_or(USUAL_STEPS),
        cfg: plan.guidance_scale,
        timeout_seconds: PATIENCE_SECONDS,
        ..ImageRequest::of(vec![prompt])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_workflow_stands_before_ours_and_a_broken_one_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["sdxl".to_owned(), "default".to_owned()];
        assert_eq!(own_workflow(folder.path(), &names).expect("none is there"), None);
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        let node = r#"{"1":{"class_type":"X","inputs":{"a":"{{prompt}} {{seed}} {{lora_high}}"}}}"#;
        write("default.json", node);
        assert!(own_workflow(folder.path(), &names).expect("good").is_some());
        write("sdxl.json", "[]");
        let refused = own_workflow(folder.path(), &names).expect_err("no object");
        assert_eq!(refused.code(), "bad_workflow");
        assert!(refused.to_string().contains("`sdxl.json`"), "{refused}");
    }

    #[test]
    fn a_pair_needs_a_workflow_with_places_for_both() {
        let lora = |role: &str| super::super::plan::PlannedLora {
            role: role.to_owned(),
            path: "a.safetensors".to_owned(),
            strength: 1.0,
        };
        let plan = |roles: &[&str]| GenerationPlan {
            style: "lora_1".to_owned(),
            base_model: String::new(),
            prompt: String::new(),
            negative_prompt: String::new(),
            seed: 1,
            guidance_scale: None,
            steps: None,
            width: None,
            height: None,
            loras: roles.iter().map(|role| lora(role)).collect(),
        };
        let own = |text: &str| Template::Own(serde_json::from_str(text).expect("an object"));
        let pairs = own(r#"{"1":{"class_type":"X","inputs":{"a":"{{lora_high}}","b":"{{lora_low}}"}}}"#);
        assert!(places_all(&pairs, &plan(&["high", "low"])) && places_all(&pairs, &plan(&["both"])));
        assert!(!places_all(&Template::BuiltIn(BuiltIn::Sdxl), &plan(&["high", "low"])));
        assert!(places_all(&Template::BuiltIn(BuiltIn::Sdxl), &plan(&["both"])));
    }
}
