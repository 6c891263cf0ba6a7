//! What the generator says of a graph before it takes it, in the words that were recorded of ComfyUI 0.3.64.

use super::nodes::{self, Takes};
use crate::world::GeneratorFiles;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A graph that was taken, with the outputs that will run and what is wrong with the others.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) outputs: Vec<String>,
    pub(super) node_errors: Value,
}

/// Judges a graph; the error is the body of a 400.
pub(super) fn judge(files: &GeneratorFiles, graph: &Map<String, Value>) -> Result<Accepted, Value> {
    for (id, node) in graph {
        let class = node["class_type"].as_str().unwrap_or_default();
        if nodes::node(class).is_none() {
            let message = format!("Cannot execute because node {class} does not exist.");
            return Err(refusal("invalid_prompt", &message, &format!("Node ID '#{id}'"), &json!({})));
        }
    }
    let is_output = |node: &Value| class_of(node).is_some_and(|node| node.is_output);
    let outputs: Vec<&String> = graph.iter().filter(|(_, node)| is_output(node)).map(|(id, _)| id).collect();
    if outputs.is_empty() {
        return Err(refusal("prompt_no_outputs", "Prompt has no outputs", "", &json!({})));
    }
    let mut errors = Map::new();
    let mut good = Vec::new();
    for output in outputs {
        let mut judged = Judged { files, graph, output, errors: &mut errors, known: BTreeMap::new() };
        if judged.node(output) {
            good.push(output.clone());
        }
    }
    if good.is_empty() {
        let message = "Prompt outputs failed validation";
        return Err(refusal("prompt_outputs_failed_validation", message, "", &Value::Object(errors)));
    }
    Ok(Accepted { outputs: good, node_errors: Value::Object(errors) })
}

/// The body of a 400.
pub(super) fn refusal(kind: &str, message: &str, details: &str, node_errors: &Value) -> Value {
    json!({
        "error": {"type": kind, "message": message, "details": details, "extra_info": {}},
        "node_errors": node_errors,
    })
}

fn class_of(node: &Value) -> Option<&'static nodes::Node> {
    nodes::node(node["class_type"].as_str()?)
}

struct Judged<'a> {
    files: &'a GeneratorFiles,
    graph: &'a Map<String, Value>,
    output: &'a str,
    errors: &'a mut Map<String, Value>,
    /// Nodes judged before, by id; one under judgement counts as right.
    known: BTreeMap<String, bool>,
}

impl Judged<'_> {
    /// Whether a node and all that it draws on are right.
    fn node(&mut self, id: &str) -> bool {
        if let Some(known) = self.known.get(id) {
            return *known;
        }
        self.known.insert(id.to_owned(), true);
        let node = &self.graph[id];
        let kind = class_of(node).expect("classes were judged before");
        let mut right = true;
        for (name, takes) in kind.inputs {
            let value = &node["inputs"][*name];
            if let Some(error) = self.input(name, *takes, value) {
                self.note(id, kind.class, error);
                right = false;
            } else if let Takes::Link(_) = takes {
                let from = value[0].as_str().unwrap_or_default().to_owned();
                right &= self.node(&from);
            }
        }
        self.known.insert(id.to_owned(), right);
        right
    }

    fn input(&self, name: &str, takes: Takes, value: &Value) -> Option<Value> {
        if value.is_null() {
            let info = json!({"input_name": name});
            return Some(error("required_input_missing", "Required input is missing", name, &info));
        }
        let info =
            || json!({"input_name": name, "input_config": takes.config(self.files), "received_value": value});
        match takes {
            Takes::Link(_) => self.link(value),
            Takes::File(folder) => not_in_list(name, value, self.files.of(folder), &info()),
            Takes::Word(words) => not_in_list(name, value, words, &info()),
            Takes::Int { min, max, .. } => out_of_bounds(
                name,
                value,
                &(min as f64, min.to_string()),
                &(max as f64, max.to_string()),
                &info(),
            ),
            Takes::Float { min, max, .. } => {
                out_of_bounds(name, value, &(min, min.to_string()), &(max, max.to_string()), &info())
            }
            Takes::Text => None,
        }
    }

    fn link(&self, value: &Value) -> Option<Value> {
        let from = value[0].as_str().unwrap_or_default();
        (!self.graph.contains_key(from)).then(|| {
            let info = json!({"exception_type": "KeyError", "traceback": []});
            error(
                "exception_during_validation",
                "Exception when validating node",
                &format!("'{from}'"),
                &info,
            )
        })
    }

    fn note(&mut self, id: &str, class: &str, error: Value) {
        let entry = self
            .errors
            .entry(id)
            .or_insert_with(|| json!({"errors": [], "dependent_outputs": [], "class_type": class}));
        let errors = entry["errors"].as_array_mut().expect("made so above");
        if !errors.contains(&error) {
            errors.push(error);
        }
        let outputs = entry["dependent_outputs"].as_array_mut().expect("made so above");
        if !outputs.contains(&json!(self.output)) {
            outputs.push(json!(self.output));
        }
    }
}

fn error(kind: &str, message: &str, details: &str, extra_info: &Value) -> Value {
    json!({"type": kind, "message": message, "details": details, "extra_info": extra_info})
}

fn not_in_list<T: AsRef<str>>(name: &str, value: &Value, list: &[T], info: &Value) -> Option<Value> {
    let text = value.as_str().unwrap_or_default();
    if list.iter().any(|one| one.as_ref() == text) {
        return None;
    }
    let known: Vec<String> = list.iter().map(|one| format!("'{}'", one.as_ref())).collect();
    let details = format!("{name}: '{text}' not in [{}]", known.join(", "));
    Some(error("value_not_in_list", "Value not in list", &details, info))
}

fn out_of_bounds(
    name: &str,
    value: &Value,
    min: &(f64, String),
    max: &(f64, String),
    info: &Value,
) -> Option<Value> {
    let Some(number) = value.as_f64() else {
        let message = format!("Failed to convert an input value to a number: {name}");
        return Some(error("invalid_input_type", &message, name, info));
    };
    if number < min.0 {
        let message = format!("Value {value} smaller than min of {}", min.1);
        return Some(error("value_smaller_than_min", &message, name, info));
    }
    (number > max.0).then(|| {
        let message = format!("Value {value} bigger than max of {}", max.1);
        error("value_bigger_than_max", &message, name, info)
    })
}
