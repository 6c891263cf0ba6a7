//! What ComfyUI answers, read leniently: a missing field is none, an unknown one is no news.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::http::readable;

/// The program and the machine that it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SystemStats {
    /// Version of ComfyUI, as `0.3.64`.
    pub(crate) version: Option<String>,
    /// Name of the first device, as `cuda:0 NVIDIA GeForce RTX 4090`.
    pub(crate) device: Option<String>,
    /// Version of PyTorch; pictures differ between versions.
    pub(crate) pytorch: Option<String>,
}

impl SystemStats {
    pub(super) fn read(answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(|text| readable(text, 120));
        Self {
            version: text(&answer["system"]["comfyui_version"]),
            device: text(&answer["devices"][0]["name"]),
            pytorch: text(&answer["system"]["pytorch_version"]),
        }
    }
}

/// What a node takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeInfo {
    inputs: Map<String, Value>,
}

impl NodeInfo {
    pub(super) fn read(info: &Value) -> Self {
        let mut inputs = Map::new();
        for kind in ["required", "optional"] {
            inputs.extend(info["input"][kind].as_object().cloned().unwrap_or_default());
        }
        Self { inputs }
    }

    /// The values that an input can have; none when it is not one of a list. A list stands in the place of the
    /// type, or, in newer versions, in its options.
    pub(crate) fn choices(&self, input: &str) -> Option<Vec<&str>> {
        let config = self.inputs.get(input)?;
        let listed = config[0].as_array().or_else(|| config[1]["options"].as_array())?;
        Some(listed.iter().filter_map(Value::as_str).collect())
    }
}

/// A picture that a prompt gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputImage {
    /// Its name.
    pub(crate) filename: String,
    /// Its folder below `folder`.
    pub(crate) subfolder: String,
    /// `output` or `temp`.
    pub(crate) folder: String,
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    /// It ran.
    Done {
        /// The pictures of all output nodes.
        images: Vec<OutputImage>,
        /// From start to end, by ComfyUI's clock.
        seconds: Option<f64>,
    },
    /// A node raised an exception.
    Failed {
        /// Which node, what it said.
        message: String,
    },
    /// Somebody stopped it.
    Interrupted,
}

impl Ended {
    pub(super) fn read(entry: &Value) -> Self {
        let messages = entry["status"]["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let event = |name: &str| messages.iter().find(|event| event[0] == name).map(|event| &event[1]);
        if let Some(error) = event("execution_error") {
            return Self::Failed { message: exception(error) };
        }
        if event("execution_interrupted").is_some() {
            return Self::Interrupted;
        }
        if entry["status"]["status_str"] == "error" {
            return Self::Failed { message: "ComfyUI reports an error without a text".to_owned() };
        }
        let at = |name: &str| event(name).and_then(|event| event["timestamp"].as_f64());
        let seconds =
            at("execution_success").zip(at("execution_start")).map(|(end, start)| (end - start) / 1000.0);
        Self::Done { images: images(&entry["outputs"]), seconds }
    }
}

fn images(outputs: &Value) -> Vec<OutputImage> {
    let text = |image: &Value, key: &str| image[key].as_str().unwrap_or_default().to_owned();
    let nodes = outputs.as_object().into_iter().flat_map(Map::values);
    nodes
        .flat_map(|node| node["images"].as_array().into_iter().flatten())
        .map(|image| OutputImage {
            filename: text(image, "filename"),
            subfolder: text(image, "subfolder"),
            folder: text(image, "type"),
        })
        .filter(|image| !image.filename.is_empty())
        .collect()
}

fn exception(error: &Value) -> String {
    let text = |key: &str| readable(error[key].as_str().unwrap_or_default(), 300);
    format!("node {} (`{}`): {}", text("node_id"), text("node_type"), text("exception_message"))
}

/// Where a prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueuePlace {
    /// It runs.
    Running,
    /// It waits behind so many others.
    Waiting(usize),
    /// It is neither; it ended or was forgotten.
    Absent,
}

impl QueuePlace {
    pub(super) fn read(answer: &Value, prompt_id: &str) -> Self {
        let place = |list: &str| {
            answer[list].as_array().and_then(|jobs| jobs.iter().position(|job| job[1] == prompt_id))
        };
        let running = answer["queue_running"].as_array().map_or(0, Vec::len);
        match (place("queue_running"), place("queue_pending")) {
            (Some(_), _) => Self::Running,
            (None, Some(ahead)) => Self::Waiting(ahead + running),
            (None, None) => Self::Absent,
        }
    }
}

/// The body of a 400 in one line: what is wrong, and with which node and value.
pub(super) fn rejection(body: &Value) -> String {
    let text = |value: &Value, limit| readable(value.as_str().unwrap_or_default(), limit);
    let mut line = text(&body["error"]["message"], 200);
    let details = text(&body["error"]["details"], 200);
    if !details.is_empty() {
        line = format!("{line} ({details})");
    }
    for (id, node) in body["node_errors"].as_object().into_iter().flatten() {
        for error in node["errors"].as_array().into_iter().flatten() {
            // Writing into a string cannot fail.
            let _ = write!(
                line,
                "; node {id} (`{}`): {}, {}",
                text(&node["class_type"], 60),
                text(&error["message"], 120),
                text(&error["details"], 300)
            );
        }
    }
    line
}
