//! `POST /v1/generations` and what comes of it, through a replay of ComfyUI.

use std::time::Duration;

use http::Method;
use lorakeep_standin::{GenerationFault, GeneratorLora, Options, Standin, Times};
use serde_json::{Value, json};

use super::shop::Shop;
use crate::client::{Answer, PATIENCE};
use crate::harness::{Setup, TestServer, lora};

const PATH: &str = "/v1/generations";

/// A shop with a style of SDXL on offer, and a generator that sees its LoRA.
struct Atelier {
    standin: Standin,
    shop: Shop,
}

impl Atelier {
    async fn open() -> Self {
        Self::open_with(true).await
    }

    async fn open_with(is_working: bool) -> Self {
        let standin = Standin::start(Options::default()).await.expect("a stand-in");
        standin.add_comfyui_file("checkpoints", "sdxl.safetensors");
        for name in ["sdxl/ink.safetensors", "wan/ghibli_high.safetensors", "wan/ghibli_low.safetensors"] {
            standin.add_comfyui_lora(GeneratorLora::new(name));
        }
        let url = standin.comfyui_url();
        let environment = [("COMFYUI_URL", url.as_str())];
        let shop = Shop::open_with(setup(&standin, &environment, is_working)).await;
        shop.server.put_file("loras/sdxl/ink.safetensors", &lora(&[3.0, 4.0], 2.0)).await;
        shop.offer(json!({"name": "Ink", "template": "{prompt}, ink", "default_steps": 4})).await;
        Self { standin, shop }
    }

    /// The same folder and generator with a server that starts anew.
    async fn restarted(self) -> Self {
        let Self { standin, shop: Shop { server, key, other_key } } = self;
        let folder = server.into_folder().await;
        let url = standin.comfyui_url();
        let environment = [("COMFYUI_URL", url.as_str())];
        let server = TestServer::start_in(folder, setup(&standin, &environment, true)).await;
        Self { standin, shop: Shop { server, key, other_key } }
    }

    async fn ask(&self, body: &Value) -> Answer {
        self.shop.call(Method::POST, PATH, &self.shop.key).json(body).send().await
    }

    async fn ask_as(&self, key: &str, idempotency_key: &str, body: &Value) -> Answer {
        let call = self.shop.call(Method::POST, PATH, key).header("idempotency-key", idempotency_key);
        call.json(body).send().await
    }

    /// Asks and answers the id.
    async fn begin(&self, body: &Value) -> String {
        let answer = self.ask(body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let answer = self.shop.get(&format!("{PATH}/{id}")).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let body = answer.json();
                if holds(&body) {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("it comes so far")
    }

    async fn until_over(&self, id: &str) -> Value {
        self.until(id, |body| body["finished_at"].is_string()).await
    }
}

fn setup<'a>(standin: &'a Standin, environment: &'a [(&'a str, &'a str)], is_working: bool) -> Setup<'a> {
    Setup { standin: Some(standin), is_working, environment, ..Setup::default() }
}

fn fox() -> Value {
    json!({"lora": "ink", "prompt": "a fox", "seed": 7, "width": 64, "height": 64})
}

#[tokio::test]
async fn a_style_becomes_pictures_that_its_team_alone_can_fetch() {
    let atelier = Atelier::open().await;
    let body = json!({"lora": "ink", "prompt": "a fox", "negative_prompt": "text", "seed": 7, "images": 2,
        "width": 64, "height": 64, "guidance_scale": 5.5, "strength": 0.5});
    let asked = atelier.ask(&body).await;
    let id = asked.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!((asked.status.as_u16(), asked.header("location")), (202, &*format!("{PATH}/{id}")));
    let mut made = atelier.until_over(&id).await;
    let address = format!("http://{}", atelier.shop.server.address);
    let paths: Vec<String> = made["images"]
        .as_array()
        .expect("pictures")
        .iter()
        .map(|image| {
            image["url"].as_str().expect("an address").strip_prefix(&address).expect("here").to_owned()
        })
        .collect();
    for image in made["images"].as_array_mut().expect("pictures") {
        assert_eq!(image["sha256"].as_str().expect("a hash").len(), 64);
        image["sha256"] = "[sha256]".into();
        image["url"] =
            image["url"].as_str().expect("an address").replace(&address, "").replace(&id, "[id]").into();
    }
    (made["id"], made["lora"]) = ("[id]".into(), "[lora]".into());
    insta::assert_json_snapshot!(made);

    for path in &paths {
        let picture = atelier.shop.get(path).await;
        assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, "image/png"));
        assert_eq!(&picture.body[..4], b"\x89PNG");
        assert!(picture.header("cache-control").starts_with("private"), "no proxy keeps it");
        let stranger = atelier.shop.call(Method::GET, path, &atelier.shop.other_key).send().await;
        assert_eq!(stranger.status, 404, "another team's");
        assert_eq!(atelier.shop.server.anonymous(Method::GET, path).send().await.status, 401);
    }
    assert_eq!(atelier.shop.get(&format!("{PATH}/{id}/images/2")).await.status, 404);
    let shop = &atelier.shop;
    let other = |path: String| async move { shop.call(Method::GET, &path, &shop.other_key).send().await };
    assert_eq!(other(format!("{PATH}/{id}")).await.status, 404);
    assert_eq!(other(PATH.to_owned()).await.json()["total"], 0);
    let listed = atelier.shop.get(PATH).await.json();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));
}

#[tokio::test]
async fn a_request_that_is_sent_twice_under_one_key_is_made_once() {
    let atelier = Atelier::open().await;
    let (key, other_key) = (atelier.shop.key.clone(), atelier.shop.other_key.clone());
    let without_seed = json!({"lora": "ink", "prompt": "a fox", "width": 64, "height": 64});
    let first = atelier.ask_as(&key, "order-1", &without_seed).await;
    assert_eq!((first.status.as_u16(), first.headers.get("idempotent-replayed")), (202, None));
    let id = first.json()["id"].as_str().expect("an id").to_owned();
    atelier.until_over(&id).await;
    let again = atelier.ask_as(&key, "order-1", &without_seed).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (202, "true"));
    assert_eq!((&again.json()["id"], &again.json()["status"]), (&json!(id), &json!("completed")));
    assert_eq!(again.json()["seed"], first.json()["seed"], "chance is decided once");
    let another = atelier.ask_as(&key, "order-1", &fox()).await;
    assert_eq!(another.status, 409, "{}", another.text());
    assert_eq!(another.json()["error"]["code"], "idempotency_key_reused");
    let theirs = atelier.ask_as(&other_key, "order-1", &without_seed).await;
    assert_ne!(theirs.json()["id"], json!(id), "keys are a team's own");
    let wrong = atelier.ask_as(&key, "a b", &fox()).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]["code"]), (400, &json!("bad_idempotency_key")));
    let body = fox();
    let (one, two) =
        tokio::join!(atelier.ask_as(&key, "order-2", &body), atelier.ask_as(&key, "order-2", &body));
    assert_eq!(one.json()["id"], two.json()["id"], "also at the same moment");
}

#[tokio::test]
async fn without_a_generator_that_can_make_it_a_generation_is_unavailable() {
    let plain = Shop::open().await;
    plain.server.put_file("loras/sdxl/ink.safetensors", &lora(&[3.0, 4.0], 2.0)).await;
    plain.offer(json!({"name": "Ink"})).await;
    let code = |answer: &Answer| (answer.status.as_u16(), answer.header("x-error-code").to_owned());
    let refused = plain.call(Method::POST, PATH, &plain.key).json(&fox()).send().await;
    assert_eq!(code(&refused), (503, "generator_not_configured".to_owned()));
    let atelier = Atelier::open().await;
    atelier.shop.server.put_file("loras/sdxl/unseen.safetensors", &lora(&[1.0], 1.0)).await;
    atelier
        .shop
        .server
        .registry
        .import(
            lorakeep_registry::domain::CatalogName::Loras,
            br#"[{"file": "unseen.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0"}]"#,
        )
        .await
        .expect("imported");
    atelier.shop.offer(json!({"name": "Unseen", "entry": "unseen.safetensors"})).await;
    let refused = atelier.ask(&json!({"lora": "unseen", "prompt": "a"})).await;
    assert_eq!(code(&refused), (503, "generator_not_ready".to_owned()));
    assert!(refused.text().contains("not visible to the generator"), "{}", refused.text());
    let Atelier { standin, shop } = atelier;
    drop(standin);
    let refused = shop.call(Method::POST, PATH, &shop.key).json(&fox()).send().await;
    assert_eq!(code(&refused), (503, "generator_unreachable".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_generated_says_why() {
    let atelier = Atelier::open().await;
    atelier.shop.offer(json!({"name": "Ghibli", "pair": "ghibli"})).await;
    let with = |field: &str, value: Value| {
        let mut body = fox();
        body[field] = value;
        body
    };
    for (body, status, code) in [
        (json!({"lora": "ink"}), 422, "unreadable"),
        (with("cfg", json!(7)), 422, "unreadable"),
        (with("seed", json!(-1)), 422, "unreadable"),
        (with("lora", json!("nobody")), 404, "not_found"),
        (with("width", json!(65)), 400, "out_of_bounds"),
        (with("height", json!(4096)), 400, "out_of_bounds"),
        (with("images", json!(5)), 400, "out_of_bounds"),
        (with("steps", json!(0)), 400, "out_of_bounds"),
        (with("strength", json!(11)), 400, "out_of_bounds"),
        (with("negative_prompt", json!("a".repeat(4001))), 400, "bad_prompt"),
        (with("lora", json!("ghibli")), 409, "no_workflow"),
    ] {
        let refused = atelier.ask(&body).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status.as_u16(), error["code"].as_str()), (status, Some(code)), "{body} {error}");
    }
    for path in ["gen_0", "gen_00000000000000000000000000000000", "00000000000000000000000000000000"] {
        assert_eq!(atelier.shop.get(&format!("{PATH}/{path}")).await.status, 404, "{path}");
    }
    assert_eq!(atelier.standin.prompts_accepted(), 0);
}

#[tokio::test]
async fn a_workflow_of_the_operator_has_a_place_for_both_halves_of_a_pair() {
    let atelier = Atelier::open().await;
    atelier.shop.offer(json!({"name": "Ghibli", "pair": "ghibli", "strengths": {"low": 0.5}})).await;
    let loader = |model: &str, role: &str| {
        json!({"class_type": "LoraLoader", "inputs": {"model": [model, 0], "clip": ["4", 1],
            "lora_name": format!("{{{{lora_{role}}}}}"), "strength_model": format!("{{{{strength_{role}}}}}"),
            "strength_clip": 0.0}})
    };
    let text =
        |text: &str| json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}});
    let workflow = json!({
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
        "10": loader("4", "high"), "11": loader("10", "low"),
        "6": text("{{prompt}}"), "7": text("{{negative}}"),
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "KSampler", "inputs": {"model": ["11", 0], "seed": "{{seed}}", "steps": "{{steps}}",
            "cfg": "{{cfg}}", "sampler_name": "euler", "scheduler": "normal", "positive": ["6", 0],
            "negative": ["7", 0], "latent_image": ["5", 0], "denoise": 1.0}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "{{prefix}}"}},
    });
    let folder = atelier.shop.server.data_dir().join("workflows");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("default.json"), workflow.to_string()).expect("written");
    let id = atelier.begin(&json!({"lora": "ghibli", "prompt": "a fox"})).await;
    let made = atelier.until_over(&id).await;
    assert_eq!((&made["status"], &made["progress"]["done"]), (&json!("completed"), &json!(1)), "{made}");
    std::fs::write(folder.join("default.json"), "{}").expect("written");
    let refused = atelier.ask(&json!({"lora": "ghibli", "prompt": "a fox"})).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (503, "bad_workflow"));
}

#[tokio::test]
async fn a_generation_goes_on_after_the_program_was_ended_and_is_sent_once() {
    let atelier = Atelier::open().await;
    atelier.standin.generation_fault(0, GenerationFault::Hang, Times::Once);
    let id = atelier.begin(&fox()).await;
    let waiting = atelier.begin(&fox()).await;
    atelier.until(&id, |_| atelier.standin.prompts_accepted() == 1).await;
    let atelier = atelier.restarted().await;
    // What hangs goes on now; the prompt is still the one of the first run.
    atelier.standin.clear_faults();
    assert_eq!(atelier.until_over(&id).await["status"], "completed");
    assert_eq!(atelier.until_over(&waiting).await["status"], "completed");
    assert_eq!(atelier.standin.prompts_accepted(), 2);
}

#[tokio::test]
async fn a_cancelled_generation_takes_its_prompt_out_of_the_generator() {
    let atelier = Atelier::open().await;
    atelier.standin.generation_fault(0, GenerationFault::Hang, Times::Once);
    let id = atelier.begin(&fox()).await;
    atelier.until(&id, |_| atelier.standin.prompts_accepted() == 1).await;
    let cancel = format!("{PATH}/{id}/cancel");
    let stranger = atelier.shop.call(Method::POST, &cancel, &atelier.shop.other_key).send().await;
    assert_eq!(stranger.status, 404);
    let cancelled = atelier.shop.call(Method::POST, &cancel, &atelier.shop.key).send().await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    assert_eq!(atelier.until_over(&id).await["status"], "cancelled");
    assert_eq!(atelier.standin.open_prompts(), Vec::<String>::new());
    let again = atelier.shop.call(Method::POST, &cancel, &atelier.shop.key).send().await;
    assert_eq!((again.status.as_u16(), again.header("x-error-code")), (409, "generation_over"));
}

#[tokio::test]
async fn a_picture_that_fails_is_told_and_the_others_come() {
    let atelier = Atelier::open().await;
    let error =
        |message: &str| GenerationFault::NodeError { class: "KSampler".into(), message: message.into() };
    atelier.standin.generation_fault(0, error("out of memory"), Times::Once);
    atelier.standin.generation_fault(1, GenerationFault::Vanish, Times::Once);
    let mut two = fox();
    two["images"] = 2.into();
    let made = atelier.until_over(&atelier.begin(&two).await).await;
    assert_eq!((&made["status"], &made["error"]), (&json!("completed"), &Value::Null), "{made}");
    assert_eq!(made["images"][0]["error"], "node 3 (`KSampler`): out of memory");
    assert!(made["images"][0]["url"].is_null() && made["images"][1]["url"].is_string());
    atelier.standin.generation_fault(0, error("no VAE"), Times::Always);
    let failed = atelier.until_over(&atelier.begin(&fox()).await).await;
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("generator_failed")));
}

#[tokio::test]
async fn a_team_may_have_fifty_waiting_and_no_more() {
    let atelier = Atelier::open_with(false).await;
    for _ in 0..50 {
        atelier.begin(&fox()).await;
    }
    let refused = atelier.ask(&fox()).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    let theirs = atelier.shop.call(Method::POST, PATH, &atelier.shop.other_key).json(&fox()).send().await;
    assert_eq!(theirs.status, 202, "another team is not held up");
    let page = atelier.shop.get(&format!("{PATH}?limit=20")).await.json();
    assert_eq!((page["items"].as_array().map(Vec::len), &page["total"]), (Some(20), &json!(50)));
    let cursor = page["next_cursor"].as_str().expect("more");
    let next = atelier.shop.get(&format!("{PATH}?limit=40&cursor={cursor}")).await.json();
    assert_eq!((next["items"].as_array().map(Vec::len), &next["next_cursor"]), (Some(30), &Value::Null));
    let waiting = page["items"][0]["id"].as_str().expect("an id");
    let cancel = format!("{PATH}/{waiting}/cancel");
    let cancelled = atelier.shop.call(Method::POST, &cancel, &atelier.shop.key).send().await.json();
    assert_eq!(cancelled["status"], "cancelled", "one that waits is over at once");
}
