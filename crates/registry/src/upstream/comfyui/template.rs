//! Workflows in ComfyUI's API format with placeholders such as `{{seed}}`.
//!
//! A text that is nothing but a placeholder becomes the value itself, so that a seed is a number; inside a longer text
//! it becomes its text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A workflow: nodes by id.
pub(crate) type Graph = Map<String, Value>;

/// Placeholders that a workflow may hold.
const KNOWN: [&str; 16] = [
    "prompt",
    "negative",
    "seed",
    "lora",
    "strength",
    "base_model",
    "text_encoder_1",
    "text_encoder_2",
    "vae",
    "width",
    "height",
    "steps",
    "cfg",
    "sampler",
    "scheduler",
    "prefix",
];
/// Without these a grid would show the same picture everywhere.
const NEEDED: [&str; 4] = ["prompt", "seed", "lora", "strength"];
/// Placeholders of the two LoRAs of a pair, which a workflow for pictures of styles may hold beside the others.
const KNOWN_OF_PAIRS: [&str; 4] = ["lora_high", "strength_high", "lora_low", "strength_low"];

/// The workflow of checkpoints with everything in one file: SD 1.5, SDXL.
pub(crate) fn checkpoint() -> Graph {
    parsed(include_str!("templates/checkpoint.json"))
}

/// The workflow of FLUX, its parts in files of their own.
pub(crate) fn flux() -> Graph {
    parsed(include_str!("templates/flux.json"))
}

fn parsed(text: &str) -> Graph {
    serde_json::from_str(text).expect("a template of ours is an object")
}

/// What is wrong with somebody's workflow for an evaluation; empty when it can be used.
pub(crate) fn faults(graph: &Graph) -> Vec<String> {
    judge(graph, &NEEDED, &KNOWN)
}

/// What is wrong with a workflow for pictures of styles.
pub(crate) fn style_faults(graph: &Graph) -> Vec<String> {
    judge(graph, &NEEDED[..2], &[&KNOWN[..], &KNOWN_OF_PAIRS].concat())
}

fn judge(graph: &Graph, needed: &[&str], known: &[&str]) -> Vec<String> {
    let is_node = |node: &Value| node["class_type"].is_string() && node["inputs"].is_object();
    if graph.is_empty() || !graph.values().all(is_node) {
        let message = "the workflow must be in ComfyUI's API format: `Workflow`, `Export (API)` in its menu";
        return vec![message.to_owned()];
    }
    let mut used = Vec::new();
    graph.values().for_each(|node| collect(node, &mut used));
    let missing = needed.iter().filter(|name| !used.iter().any(|used| used == *name));
    let missing = missing.map(|name| format!("the workflow holds no placeholder `{{{{{name}}}}}`"));
    let unknown = used.iter().filter(|name| !known.contains(&name.as_str()));
    let listed = known.join("`, `");
    missing
        .chain(unknown.map(|name| format!("the placeholder `{{{{{name}}}}}` is not one of `{listed}`")))
        .collect()
}

/// Whether a workflow asks for a value.
pub(crate) fn uses(graph: &Graph, name: &str) -> bool {
    let mut used = Vec::new();
    graph.values().for_each(|node| collect(node, &mut used));
    used.iter().any(|used| used == name)
}

/// The names of all placeholders in a value.
fn collect(value: &Value, used: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let parts = text.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
            used.extend(parts.map(|(name, _)| name.trim().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, used)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, used)),
        _ => {}
    }
}

/// The workflow with values in the place of placeholders.
pub(crate) fn filled(graph: &Graph, values: &BTreeMap<&str, Value>) -> Graph {
    graph.iter().map(|(id, node)| (id.clone(), filled_value(node, values))).collect()
}

fn filled_value(value: &Value, values: &BTreeMap<&str, Value>) -> Value {
    match value {
        Value::String(text) => filled_text(text, values),
        Value::Array(items) => items.iter().map(|item| filled_value(item, values)).collect(),
        Value::Object(fields) => {
            let filled = |(name, field): (&String, &Value)| (name.clone(), filled_value(field, values));
            fields.iter().map(filled).collect()
        }
        other => other.clone(),
    }
}

fn filled_text(text: &str, values: &BTreeMap<&str, Value>) -> Value {
    let whole = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(value) = whole.and_then(|name| values.get(name.trim())) {
        return value.clone();
    }
    // One pass, so that a prompt which holds a placeholder stays as it was written.
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("}}").and_then(|(name, rest)| Some((values.get(name.trim())?, rest))) {
            Some((Value::String(value), rest)) => filled.extend([value, rest]),
            Some((value, rest)) => filled.extend([&*value.to_string(), rest]),
            None => filled.extend(["{{", part]),
        }
    }
    filled.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_become_values_of_their_type() {
        let graph = json!({"1": {"class_type": "X", "inputs": {
            "seed": "{{seed}}", "text": "a {{ prompt }}, {{seed}}", "link": ["2", 0], "other": "{{unknown}}"}}});
        let values = BTreeMap::from([("seed", json!(u64::MAX)), ("prompt", json!("{{seed}} cat"))]);
        let filled = filled(graph.as_object().unwrap(), &values);
        let expected = json!({"seed": u64::MAX, "text": format!("a {{{{seed}}}} cat, {}", u64::MAX),
            "link": ["2", 0], "other": "{{unknown}}"});
        assert_eq!(filled["1"]["inputs"], expected);
    }

    #[test]
    fn our_templates_can_be_used_and_others_are_judged() {
        assert_eq!((faults(&checkpoint()), faults(&flux())), (vec![], vec![]));
        assert!(uses(&flux(), "vae") && !uses(&checkpoint(), "vae"));
        let ui_format = json!({"nodes": [], "links": []});
        assert!(faults(ui_format.as_object().unwrap())[0].contains("API format"));
        let lacking =
            json!({"1": {"class_type": "X", "inputs": {"a": "{{prompt}} {{lora}} {{strenght}} {{seed}}"}}});
        let found = faults(lacking.as_object().unwrap());
        assert!(found[0].contains("`{{strength}}`") && found[1].contains("`{{strenght}}`"), "{found:?}");
        let of_a_pair = json!({"1": {"class_type": "X", "inputs": {
            "a": "{{prompt}} {{seed}} {{lora_high}} {{strength_high}} {{lora_low}}"}}});
        assert_eq!(style_faults(of_a_pair.as_object().unwrap()), [""; 0]);
        assert!(faults(of_a_pair.as_object().unwrap()).len() > 2, "evaluations lay files side by side");
    }
}
