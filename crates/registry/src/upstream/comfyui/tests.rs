//! The client against a stand-in, over sockets.

use std::time::Duration;

use lorakeep_standin::{Fault, GenerationFault, Options, Standin, Times};
use serde_json::{Map, Value, json};
use url::Url;

use super::*;

async fn generator() -> (Standin, ComfyUi) {
    let standin = Standin::start(Options::default()).await.unwrap();
    let comfyui = ComfyUi::new(Url::parse(&standin.comfyui_url()).unwrap()).unwrap();
    (standin, comfyui)
}

fn plain(prefix: &str) -> Map<String, Value> {
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    });
    graph.as_object().unwrap().clone()
}

#[tokio::test]
async fn a_prompt_runs_and_its_picture_is_fetched() {
    let (_standin, comfyui) = generator().await;
    comfyui.submit(&plain("eval/ok"), "one").await.unwrap();
    let Some(Ended::Done { images, seconds }) = comfyui.ended("one").await.unwrap() else {
        panic!("it runs at once");
    };
    assert!(seconds.is_some());
    assert_eq!((images[0].subfolder.as_str(), images[0].folder.as_str()), ("eval", "output"));
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.png");
    let size = comfyui.fetch(&images[0], &target).await.unwrap();
    let picture = image::open(&target).unwrap().to_rgb8();
    assert_eq!(std::fs::metadata(&target).unwrap().len(), size);
    assert_eq!((picture.dimensions(), picture.get_pixel(3, 3).0), ((64, 64), [0, 0, 255]));
}

#[tokio::test]
async fn a_refused_workflow_names_node_and_value() {
    let (_standin, comfyui) = generator().await;
    let graph = json!({
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "missing.safetensors"}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
    });
    let error = comfyui.submit(graph.as_object().unwrap(), "one").await.unwrap_err();
    assert_eq!((error.code, error.status), ("workflow_rejected", Some(400)));
    assert!(error.message.contains("node 4 (`CheckpointLoaderSimple`)"), "{error}");
    assert!(error.message.contains("missing.safetensors"), "{error}");
}

#[tokio::test]
async fn nodes_that_fail_hang_and_vanish_are_told_apart() {
    let (standin, comfyui) = generator().await;
    let error = GenerationFault::NodeError { class: "EmptyImage".into(), message: "out of memory".into() };
    standin.generation_fault(0, error, Times::Once);
    standin.generation_fault(1, GenerationFault::Vanish, Times::Once);
    standin.generation_fault(2, GenerationFault::Hang, Times::Once);
    for id in ["failed", "vanished", "hanging", "waiting"] {
        comfyui.submit(&plain(id), id).await.unwrap();
    }
    let Some(Ended::Failed { message }) = comfyui.ended("failed").await.unwrap() else {
        panic!("a node raised an exception");
    };
    assert_eq!(message, "node 1 (`EmptyImage`): out of memory");
    assert_eq!(comfyui.ended("vanished").await.unwrap(), None);
    assert_eq!(comfyui.place("vanished").await.unwrap(), QueuePlace::Absent);
    assert_eq!(comfyui.place("hanging").await.unwrap(), QueuePlace::Running);
    assert_eq!(comfyui.place("waiting").await.unwrap(), QueuePlace::Waiting(1));
    comfyui.cancel("hanging").await.unwrap();
    assert_eq!(comfyui.ended("hanging").await.unwrap(), Some(Ended::Interrupted));
    assert!(
        matches!(comfyui.ended("waiting").await.unwrap(), Some(Ended::Done { .. })),
        "only one was ended"
    );
}

#[tokio::test]
async fn what_a_node_takes_and_which_nodes_there_are_is_known() {
    let (standin, comfyui) = generator().await;
    standin.add_comfyui_file("loras", "style.safetensors");
    let node = comfyui.node("LoraLoader").await.unwrap().unwrap();
    assert_eq!(node.choices("lora_name").unwrap(), ["style.safetensors"]);
    assert_eq!(node.choices("strength_model"), None);
    assert_eq!(comfyui.node("Nope").await.unwrap(), None);
    let newer = json!({"input": {"required": {"lora_name": ["COMBO", {"options": ["a.safetensors"]}]}}});
    assert_eq!(NodeInfo::read(&newer).choices("lora_name").unwrap(), ["a.safetensors"]);
}

#[tokio::test]
async fn an_uploaded_picture_gets_the_name_that_comfyui_chose() {
    let (standin, comfyui) = generator().await;
    let folder = tempfile::tempdir().unwrap();
    for (content, chosen) in [("one", "a \"b\".png"), ("two", "a \"b\" (1).png")] {
        let source = folder.path().join("source");
        std::fs::write(&source, content).unwrap();
        let uploaded = comfyui.upload_image(&source, "a \"b\".png").await.unwrap();
        assert_eq!(uploaded.name, chosen.replace('"', "%22"));
        assert_eq!(standin.comfyui_input(&uploaded.name).as_deref(), Some(content.as_bytes()));
    }
}

#[tokio::test]
async fn an_address_without_comfyui_says_what_to_do() {
    let (standin, comfyui) = generator().await;
    let patience = Duration::from_secs(2);
    assert_eq!(comfyui.system_stats(patience).await.unwrap().version.as_deref(), Some("0.3.64"));
    standin.fault("/system_stats", Fault::HtmlPage200, Times::Once);
    assert_eq!(comfyui.system_stats(patience).await.unwrap_err().code, "not_comfyui");
    standin.fault("/system_stats", Fault::status(502), Times::Once);
    let failed = comfyui.system_stats(patience).await.unwrap_err();
    assert!(failed.is_transient && failed.code == "generator_failed");
    drop(standin);
    let gone = comfyui.system_stats(patience).await.unwrap_err();
    assert_eq!(gone.code, "generator_unreachable");
    assert!(gone.message.contains("`COMFYUI_URL`"), "{gone}");
}
