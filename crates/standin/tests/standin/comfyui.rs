//! ComfyUI's exchanges are those that were recorded of a real one, and its pictures follow the strength.

use crate::client::{get, request};
use crate::started;
use lorakeep_standin::{GenerationFault, GeneratorLora, Standin, Times};
use serde_json::{Value, json};

const RECORDED: &str = include_str!("../data/comfyui_0.3.64_captures.json");

async fn generator() -> Standin {
    let standin = started().await;
    standin.add_comfyui_file("checkpoints", "sd15.safetensors");
    standin.add_comfyui_file("diffusion_models", "flux1-dev.safetensors");
    standin.add_comfyui_file("text_encoders", "t5xxl.safetensors");
    standin.add_comfyui_file("text_encoders", "clip_l.safetensors");
    standin.add_comfyui_file("vae", "ae.safetensors");
    standin.add_comfyui_file("loras", "peft_lora.safetensors");
    standin.add_comfyui_lora(GeneratorLora::new("style.safetensors"));
    standin
}

/// A body with what differs between two runs, or is prose of Python, taken out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let volatile = ["prompt_id", "number", "timestamp", "traceback", "input_config"];
            let kept = map.iter().filter(|(key, _)| !volatile.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn prompts_are_taken_and_refused_as_they_were_recorded() {
    let standin = generator().await;
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let mut compared = 0;
    for capture in recorded["captures"].as_array().unwrap() {
        let name = capture["name"].as_str().unwrap();
        if capture["path"] != "/prompt" || capture["method"] != "POST" || name == "prompt_ws_image" {
            continue;
        }
        let url = format!("{}/prompt", standin.comfyui_url());
        let got = request("POST", &url, &[], &capture["request"].to_string()).await;
        assert_eq!(json!(got.status), capture["status"], "{name}");
        assert_eq!(shape(&got.json()), shape(&capture["response"]), "{name}");
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} exchanges were compared");
}

#[tokio::test]
async fn lists_and_refusals_are_as_they_were_recorded() {
    let standin = generator().await;
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let wanted =
        ["object_info_unknown", "queue_empty", "prompt_get", "models_loras", "models_unknown_folder"];
    let also = ["view_missing", "view_traversal", "history_unknown", "features"];
    let captures = recorded["captures"].as_array().unwrap();
    for name in wanted.into_iter().chain(also) {
        let capture = captures.iter().find(|capture| capture["name"] == name).expect(name);
        let path = capture["path"].as_str().unwrap();
        let got = get(&format!("{}{path}", standin.comfyui_url()), &[]).await;
        assert_eq!(json!(got.status), capture["status"], "{name}");
        if capture["response"].is_object() || capture["response"].is_array() {
            assert_eq!(got.json(), capture["response"], "{name}");
        }
    }
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let stats = captures.iter().find(|capture| capture["name"] == "system_stats").unwrap();
    let got = get(&format!("{}/api/system_stats", standin.comfyui_url()), &[]).await.json();
    assert_eq!(keys(&got["system"]), keys(&stats["response"]["system"]));
    assert_eq!(keys(&got["devices"][0]), keys(&stats["response"]["devices"][0]));
    let foreign = [("origin", "http://elsewhere.test")];
    assert_eq!(get(&format!("{}/queue", standin.comfyui_url()), &foreign).await.status, 403);
}

fn graph(strength: f64, prompt: &str) -> Value {
    json!({
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "10": {"class_type": "LoraLoader", "inputs": {
            "model": ["4", 0], "clip": ["4", 1], "lora_name": "style.safetensors",
            "strength_model": strength, "strength_clip": strength}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt, "clip": ["10", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["10", 1]}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
        "3": {"class_type": "KSampler", "inputs": {
            "model": ["10", 0], "seed": 1, "steps": 4, "cfg": 7.0, "sampler_name": "euler",
            "scheduler": "normal", "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            "denoise": 1.0}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "eval/run"}},
    })
}

async fn submit(standin: &Standin, graph: &Value) -> String {
    let url = format!("{}/prompt", standin.comfyui_url());
    let got = request("POST", &url, &[], &json!({"prompt": graph}).to_string()).await.json();
    got["prompt_id"].as_str().expect("accepted").to_owned()
}

async fn history(standin: &Standin, id: &str) -> Value {
    get(&format!("{}/history/{id}", standin.comfyui_url()), &[]).await.json()[id].clone()
}

async fn picture(standin: &Standin, strength: f64, prompt: &str) -> Vec<u8> {
    let id = submit(standin, &graph(strength, prompt)).await;
    let entry = history(standin, &id).await;
    assert_eq!(entry["status"]["status_str"], "success");
    let image = &entry["outputs"]["9"]["images"][0];
    let (name, folder) =
        (image["filename"].as_str().expect("a name"), image["subfolder"].as_str().expect("a folder"));
    let url = format!("{}/view?filename={name}&subfolder={folder}&type=output", standin.comfyui_url());
    let got = get(&url, &[]).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("image/png")));
    got.body
}

fn difference(one: &[u8], other: &[u8]) -> u64 {
    // The text chunk holds the graph and differs in length; the pixels stand at the end.
    let pixels = 64 * 48 * 3;
    let tail = |bytes: &[u8]| bytes[bytes.len() - pixels..].to_vec();
    tail(one).iter().zip(tail(other)).map(|(left, right)| u64::from(left.abs_diff(right))).sum()
}

#[tokio::test]
async fn pictures_change_with_the_strength_and_only_where_the_trigger_stands() {
    let standin = generator().await;
    standin.add_comfyui_lora(GeneratorLora {
        trigger: Some("ink".into()),
        ..GeneratorLora::new("style.safetensors")
    });
    let base = picture(&standin, 0.0, "a cat, ink").await;
    let weak = picture(&standin, 0.5, "a cat, ink").await;
    let strong = picture(&standin, 1.0, "a cat, ink").await;
    assert!(0 < difference(&base, &weak) && difference(&base, &weak) < difference(&base, &strong));
    let neutral = picture(&standin, 0.0, "a cat").await;
    assert_eq!(difference(&neutral, &picture(&standin, 1.0, "a cat").await), 0, "nothing leaks");
    assert!(difference(&base, &neutral) > 0, "another prompt is another scene");
}

#[tokio::test]
async fn an_equal_graph_is_answered_from_the_cache_until_memory_is_freed() {
    let standin = generator().await;
    let first = submit(&standin, &graph(1.0, "a")).await;
    let second = submit(&standin, &graph(1.0, "a")).await;
    let (first, second) = (history(&standin, &first).await, history(&standin, &second).await);
    assert_eq!(first["outputs"], second["outputs"]);
    assert_eq!(second["status"]["messages"][1][1]["nodes"].as_array().unwrap().len(), 8);
    request("POST", &format!("{}/free", standin.comfyui_url()), &[], r#"{"free_memory":true}"#).await;
    let third = submit(&standin, &graph(1.0, "a")).await;
    assert_ne!(history(&standin, &third).await["outputs"], first["outputs"]);
}

#[tokio::test]
async fn prompts_fail_hang_and_vanish_as_scripted() {
    let standin = generator().await;
    let error = GenerationFault::NodeError { class: "KSampler".into(), message: "CUDA out of memory".into() };
    standin.generation_fault(1, error, Times::Once);
    standin.generation_fault(2, GenerationFault::Vanish, Times::Once);
    standin.generation_fault(3, GenerationFault::Hang, Times::Once);
    let mut ids = Vec::new();
    for strength in 0..4 {
        ids.push(submit(&standin, &graph(f64::from(strength), "a")).await);
    }
    assert_eq!(history(&standin, &ids[0]).await["status"]["status_str"], "success");
    let failed = history(&standin, &ids[1]).await;
    assert_eq!(failed["status"]["status_str"], "error");
    assert_eq!(failed["status"]["messages"][2][1]["exception_message"], "CUDA out of memory");
    assert_eq!(history(&standin, &ids[2]).await, Value::Null);
    assert_eq!(standin.open_prompts(), [ids[3].clone()]);
    let order = json!({"prompt_id": ids[3]}).to_string();
    request("POST", &format!("{}/interrupt", standin.comfyui_url()), &[], &order).await;
    let ended = history(&standin, &ids[3]).await;
    assert_eq!(ended["status"]["messages"][2][0], "execution_interrupted");
}

#[tokio::test]
async fn an_uploaded_picture_keeps_its_name_unless_another_has_it() {
    let standin = generator().await;
    let body = |content: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x.png\"\r\n\r\n{content}\r\n--b--\r\n"
        )
    };
    let url = format!("{}/upload/image", standin.comfyui_url());
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let first = request("POST", &url, &kind, &body("one")).await.json();
    assert_eq!(first, json!({"name": "x.png", "subfolder": "", "type": "input"}));
    let second = request("POST", &url, &kind, &body("two")).await.json();
    assert_eq!(second["name"], "x (1).png");
    assert_eq!(standin.comfyui_input("x (1).png").as_deref(), Some(b"two".as_slice()));
}
