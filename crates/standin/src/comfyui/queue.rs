//! The generator's queue: one prompt runs at a time, and what it came to stands in the history.

use super::render::Order;
use crate::world::GeneratorFiles;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What goes wrong with a prompt that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationFault {
    /// The first node of this class raises an exception with this message.
    NodeError {
        /// Class of the node, as `KSampler`.
        class: String,
        /// The exception's text.
        message: String,
    },
    /// It runs until it is interrupted, or released with the clearing of faults.
    Hang,
    /// It is forgotten without a word, as when the generator is started anew.
    Vanish,
    /// Its picture is black, as of a broken VAE.
    Black,
}

/// One prompt that was accepted.
#[derive(Debug, Clone)]
struct Job {
    number: u64,
    id: String,
    graph: Map<String, Value>,
    extra: Value,
    outputs: Vec<String>,
    fault: Option<GenerationFault>,
}

#[derive(Debug)]
struct Scripted {
    after: u64,
    fault: GenerationFault,
    left: Option<u64>,
}

/// Queue, history and files of the generator.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    accepted: u64,
    pending: VecDeque<Job>,
    running: Option<(Job, Instant)>,
    history: Vec<(String, Value)>,
    script: Vec<Scripted>,
    /// Outputs by graph: an equal graph is not run again and has the old file names.
    cache: HashMap<String, Value>,
    saved: u64,
    /// Pictures and uploads by `type/subfolder/name`.
    files: BTreeMap<String, Bytes>,
}

impl Generations {
    /// Lets prompts go wrong from the `after`-th accepted one on (0: the next), `count` of them.
    pub(crate) fn script(&mut self, after: u64, fault: GenerationFault, count: Option<u64>) {
        self.script.push(Scripted { after: self.accepted + after, fault, left: count });
    }

    /// Forgets faults; what hangs goes on.
    pub(crate) fn clear_script(&mut self) {
        self.script.clear();
        let held = self.pending.iter_mut().chain(self.running.as_mut().map(|(job, _)| job));
        for job in held {
            job.fault = job.fault.take().filter(|fault| *fault != GenerationFault::Hang);
        }
    }

    /// Puts an accepted prompt into the queue and answers its number.
    pub(super) fn add(
        &mut self,
        id: &str,
        graph: Map<String, Value>,
        extra: Value,
        outputs: Vec<String>,
    ) -> u64 {
        let number = self.accepted;
        self.accepted += 1;
        let fault = self.fault_of(number);
        self.pending.push_back(Job { number, id: id.to_owned(), graph, extra, outputs, fault });
        number
    }

    fn fault_of(&mut self, number: u64) -> Option<GenerationFault> {
        let scripted =
            self.script.iter_mut().find(|one| number >= one.after && one.left.is_none_or(|left| left > 0))?;
        scripted.left = scripted.left.map(|left| left - 1);
        Some(scripted.fault.clone())
    }

    /// Brings the queue to the present: each prompt takes `duration`.
    pub(super) fn advance(&mut self, files: &GeneratorFiles, duration: Duration) {
        loop {
            if self.running.is_none() {
                self.running = self.pending.pop_front().map(|job| (job, Instant::now()));
            }
            match &self.running {
                Some((job, since))
                    if job.fault != Some(GenerationFault::Hang) && since.elapsed() >= duration => {}
                _ => return,
            }
            if let Some((job, _)) = self.running.take() {
                self.finish(files, &job);
            }
        }
    }

    fn finish(&mut self, files: &GeneratorFiles, job: &Job) {
        match &job.fault {
            Some(GenerationFault::Vanish) => {}
            Some(GenerationFault::NodeError { class, message }) => {
                let ending = execution_error(job, class, message);
                self.remember(job, &json!({}), "error", &[], &ending);
            }
            _ => self.succeed(files, job),
        }
    }

    fn succeed(&mut self, files: &GeneratorFiles, job: &Job) {
        let text = Value::Object(job.graph.clone()).to_string();
        let known = self.cache.get(&text).cloned();
        let cached: Vec<&String> = if known.is_some() { job.graph.keys().collect() } else { Vec::new() };
        let outputs = known.unwrap_or_else(|| {
            let outputs = self.save(files, job, &text);
            self.cache.insert(text, outputs.clone());
            outputs
        });
        let ending = json!(["execution_success", {"prompt_id": job.id, "timestamp": now_ms()}]);
        self.remember(job, &outputs, "success", &cached, &ending);
    }

    /// Draws the pictures and answers `outputs` of the history.
    fn save(&mut self, files: &GeneratorFiles, job: &Job, graph: &str) -> Value {
        let mut outputs = Map::new();
        for output in &job.outputs {
            let prefix = job.graph[output]["inputs"]["filename_prefix"].as_str().unwrap_or("ComfyUI");
            let (subfolder, stem) = prefix.rsplit_once('/').unwrap_or(("", prefix));
            self.saved += 1;
            let filename = format!("{stem}_{:05}_.png", self.saved);
            let black = job.fault == Some(GenerationFault::Black);
            let picture = Order::read(&job.graph, output).picture(files, black, graph);
            self.files.insert(format!("output/{subfolder}/{filename}"), picture.into());
            let image = json!({"filename": filename, "subfolder": subfolder, "type": "output"});
            outputs.insert(output.clone(), json!({"images": [image]}));
        }
        Value::Object(outputs)
    }

    fn remember(&mut self, job: &Job, outputs: &Value, status: &str, cached: &[&String], ending: &Value) {
        let messages = json!([
            ["execution_start", {"prompt_id": job.id, "timestamp": now_ms()}],
            ["execution_cached", {"nodes": cached, "prompt_id": job.id, "timestamp": now_ms()}],
            ending,
        ]);
        let entry = json!({
            "prompt": job.listed(),
            "outputs": outputs,
            "status": {"status_str": status, "completed": status == "success", "messages": messages},
            "meta": {},
        });
        self.history.push((job.id.clone(), entry));
    }

    /// `{}` while a prompt is not finished, or not known.
    pub(super) fn history(&self, id: Option<&str>) -> Value {
        let wanted = self.history.iter().filter(|(known, _)| id.is_none_or(|id| id == known));
        Value::Object(wanted.cloned().collect())
    }

    /// Forgets entries of the history; all of them without ids.
    pub(super) fn forget(&mut self, ids: Option<&[String]>) {
        self.history.retain(|(known, _)| ids.is_some_and(|ids| !ids.contains(known)));
    }

    pub(super) fn listed(&self) -> Value {
        let running: Vec<Value> = self.running.iter().map(|(job, _)| job.listed()).collect();
        let pending: Vec<Value> = self.pending.iter().map(Job::listed).collect();
        json!({"queue_running": running, "queue_pending": pending})
    }

    pub(super) fn remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    /// Takes prompts out of the queue before they run; all of them without ids.
    pub(super) fn delete(&mut self, ids: Option<&[String]>) {
        self.pending.retain(|job| ids.is_some_and(|ids| !ids.contains(&job.id)));
    }

    /// Ends the running prompt, if it is this one.
    pub(super) fn interrupt(&mut self, id: Option<&str>) {
        if self.running.as_ref().is_some_and(|(job, _)| id.is_none_or(|id| id == job.id))
            && let Some((job, _)) = self.running.take()
        {
            let ending = json!(["execution_interrupted", {
                "prompt_id": job.id, "node_id": "3", "node_type": "KSampler", "executed": [], "timestamp": now_ms(),
            }]);
            self.remember(&job, &json!({}), "error", &[], &ending);
        }
    }

    /// Forgets the outputs of graphs that were run.
    pub(super) fn forget_cache(&mut self) {
        self.cache.clear();
    }

    pub(crate) fn file(&self, key: &str) -> Option<Bytes> {
        self.files.get(key).cloned()
    }

    pub(super) fn keep_file(&mut self, key: String, content: Bytes) {
        self.files.insert(key, content);
    }

    /// Ids of the prompts accepted so far that wait or run.
    pub(crate) fn open_prompts(&self) -> Vec<String> {
        self.running.iter().map(|(job, _)| job).chain(&self.pending).map(|job| job.id.clone()).collect()
    }

    /// How many prompts were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }
}

impl Job {
    /// As the queue and the history list it: `[number, id, graph, extra data, outputs]`.
    fn listed(&self) -> Value {
        json!([self.number, self.id, self.graph, self.extra, self.outputs])
    }
}

fn execution_error(job: &Job, class: &str, message: &str) -> Value {
    let node = job.graph.iter().find(|(_, node)| node["class_type"] == class).map(|(id, _)| id.clone());
    json!(["execution_error", {
        "prompt_id": job.id,
        "node_id": node.unwrap_or_default(),
        "node_type": class,
        "executed": [],
        "exception_message": message,
        "exception_type": "RuntimeError",
        "traceback": ["  File \"/opt/ComfyUI/execution.py\", line 496, in execute\n"],
        "current_inputs": {},
        "current_outputs": [],
        "timestamp": now_ms(),
    }])
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
