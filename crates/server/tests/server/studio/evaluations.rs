//! Pictures through a generator: the curve, what is refused before, single failures, the end of the program.

use std::time::Duration;

use http::Method;
use lorakeep_standin::{GenerationFault, GeneratorLora, Options, Standin, Times};
use serde_json::{Value, json};

use crate::client::{Answer, PATIENCE};
use crate::harness::{Setup, TestServer, lora};

const PATH: &str = "/api/admin/evaluations";
const FILE: &str = "styles/ink.safetensors";

struct Studio {
    standin: Standin,
    server: TestServer,
}

impl Studio {
    /// A LoRA in the library that the generator sees too: it works with its trigger word and burns above 1.
    async fn start() -> Self {
        let standin = Standin::start(Options::default()).await.expect("a stand-in");
        standin.add_comfyui_file("checkpoints", "sdxl.safetensors");
        standin.add_comfyui_lora(GeneratorLora {
            trigger: Some("ink".into()),
            leak: 0.1,
            burns_above: Some(1.0),
            ..GeneratorLora::new(FILE)
        });
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self::serve(folder, &standin).await;
        server.put_file(&format!("loras/{FILE}"), &lora(&[3.0, 4.0], 2.0)).await;
        Self { standin, server }
    }

    async fn serve(folder: tempfile::TempDir, standin: &Standin) -> TestServer {
        let url = standin.comfyui_url();
        let environment = [("COMFYUI_URL", url.as_str())];
        let setup =
            Setup { standin: Some(standin), is_working: true, environment: &environment, ..Setup::default() };
        TestServer::start_in(folder, setup).await
    }

    /// The same folder and generator with a server that starts anew.
    async fn restarted(self) -> Self {
        let Self { standin, server } = self;
        let folder = server.into_folder().await;
        let server = Self::serve(folder, &standin).await;
        Self { standin, server }
    }

    async fn run(&self, request: &Value) -> Answer {
        self.server.admin(Method::POST, PATH).json(request).send().await
    }

    /// Starts an evaluation and answers its id.
    async fn begin(&self, request: &Value) -> String {
        let mut request = request.clone();
        request["wait_seconds"] = 0.into();
        let answer = self.run(&request).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["evaluation_id"].as_str().expect("an id").to_owned()
    }

    async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.server.wait_for(&format!("{PATH}/{id}"), holds).await
    }

    async fn until_over(&self, id: &str) -> Value {
        self.until(id, |answer| answer["finished_at"].is_string()).await
    }
}

fn small(prompts: &Value, seeds: &Value, strengths: &Value) -> Value {
    let images = json!({
        "prompts": prompts, "seeds": seeds, "strengths": strengths, "width": 64, "height": 64, "steps": 4,
    });
    json!({"files": [FILE], "checks": ["file", "weights", "images"], "images": images, "wait_seconds": 55})
}

fn one_row() -> Value {
    small(&json!([{"text": "a cat, ink"}]), &json!([1]), &json!([0.5, 1.0]))
}

#[tokio::test]
async fn the_curve_of_a_grid_is_the_one_that_the_generator_draws() {
    let studio = Studio::start().await;
    let prompts = json!([
        {"text": "a cat, ink", "kind": "trigger"},
        {"text": "a house", "kind": "neutral"},
    ]);
    let request = small(&prompts, &json!([1, 2]), &json!([0.0, 0.5, 1.0, 1.5]));
    let answer = studio.run(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let images = &body["images"];
    assert_eq!((&images["cells_total"], &images["cells_done"]), (&json!(16), &json!(16)), "{images}");
    assert_eq!(images["generator"]["version"], "0.3.64");
    let curve = images["dose_response"].as_array().unwrap();
    let changes: Vec<f64> = curve.iter().map(|point| point["delta_lab"].as_f64().unwrap()).collect();
    assert!(changes.is_sorted() && changes[0] > 1.0, "{changes:?}");
    assert_eq!((curve.len(), &curve[0]["n"]), (3, &json!(2)));
    assert_eq!((&images["burns_at_strength"], &images["max_usable_strength"]), (&json!(1.5), &json!(1.0)));
    let (effect, leak) = (&images["trigger_effect"]["delta_lab"], &images["leak_neutral"]["delta_lab"]);
    assert!(leak.as_f64().unwrap() > 0.0 && leak.as_f64().unwrap() < effect.as_f64().unwrap() / 3.0);
    assert_eq!(images["noise_floor"]["n"], 2);
    let codes: Vec<_> =
        body["verdict"]["findings"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert!(codes.contains(&&json!("BURN_AT_STRENGTH")), "{codes:?}");
    assert!(!codes.contains(&&json!("LEAK_ON_NEUTRAL")), "a tenth is no leak");
    assert_eq!(images["encoder"], Value::Null);
    assert!(body["skipped"].as_array().unwrap().iter().any(|gap| gap["check"] == "images.clip_t"));

    let sheet = studio.server.get(images["grid_image"].as_str().unwrap()).await;
    assert_eq!((sheet.status.as_u16(), sheet.header("content-type")), (200, "image/webp"));
    assert_eq!(&sheet.body[8..12], b"WEBP");
    let first = studio.server.get(images["cells"][0]["image"].as_str().unwrap()).await;
    assert_eq!((first.header("content-type"), &first.body[..4]), ("image/png", b"\x89PNG".as_slice()));
    let beyond =
        studio.server.get(&format!("{PATH}/{}/cells/99", body["evaluation_id"].as_str().unwrap())).await;
    assert_eq!(beyond.status, 404);
}

#[tokio::test]
async fn the_answer_of_pictures_is_whole() {
    let studio = Studio::start().await;
    let mut body = studio.run(&one_row()).await.json();
    let id = body["evaluation_id"].as_str().unwrap().to_owned();
    let images = body["images"].take();
    let text = images.to_string().replace(&id, "[id]");
    let mut images: Value = serde_json::from_str(&text).unwrap();
    for cell in images["cells"].as_array_mut().unwrap() {
        cell["seconds"] = "[seconds]".into();
        assert_eq!(cell["sha256"].as_str().unwrap().len(), 64);
        cell["sha256"] = "[sha256]".into();
        // The numbers are tested where they are computed.
        assert!(cell["metrics"].is_object());
        cell["metrics"] = "[metrics]".into();
        assert_eq!(cell["distance"].is_null(), cell["strength"] == 0.0);
        cell["distance"] = "[distance]".into();
    }
    for point in images["dose_response"].as_array_mut().unwrap() {
        point.as_object_mut().unwrap().values_mut().filter(|value| value.is_f64()).for_each(|value| {
            *value = "[number]".into();
        });
    }
    insta::assert_json_snapshot!(images);
}

#[tokio::test]
async fn what_the_generator_lacks_is_said_before_anything_runs() {
    let studio = Studio::start().await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = one_row();
        change(&mut request);
        request
    };
    let own = json!({"1": {"class_type": "MissingNode", "inputs": {
        "a": "{{prompt}} {{seed}} {{lora}} {{strength}}"}}});
    let cases = [
        (with(&|request| request["images"]["base_model"] = "other.safetensors".into()), "images.base_model"),
        (with(&|request| request["images"]["template"] = own.clone()), "images.template"),
        (with(&|request| request["images"]["sampler"] = "magic".into()), "images.sampler"),
        (with(&|request| request["images"]["template"] = "flux".into()), "images.base_model"),
    ];
    for (request, field) in cases {
        let refused = studio.run(&request).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        let loc: Vec<String> = refused.json()["detail"][0]["loc"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(loc[1..].join("."), field, "{}", refused.text());
    }
    studio.server.put_file("loras/unseen.safetensors", &lora(&[1.0], 1.0)).await;
    let unseen = with(&|request| request["files"] = json!(["unseen.safetensors"]));
    let refused = studio.run(&unseen).await;
    assert!(refused.text().contains("not visible to the generator"), "{}", refused.text());
    assert_eq!(studio.standin.prompts_accepted(), 0);
}

#[tokio::test]
async fn without_a_generator_pictures_are_unavailable_and_the_rest_is_not() {
    let studio = Studio::start().await;
    let health = studio.server.get(&format!("{PATH}/health")).await.json();
    assert_eq!(
        (&health["generator"]["reachable"], &health["capabilities"]["images"]),
        (&json!(true), &json!(true))
    );
    let plain = TestServer::start().await;
    let request = json!({"files": ["a"], "images": {"prompts": [{"text": "a"}]}});
    plain.put_file("loras/a", &lora(&[1.0], 1.0)).await;
    let refused = plain.admin(Method::POST, PATH).json(&request).send().await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (503, "generator_not_configured"));
    let Studio { standin, server } = studio;
    drop(standin);
    let refused = server.admin(Method::POST, PATH).json(&one_row()).send().await;
    assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (503, "generator_unreachable"));
    let weights = server.admin(Method::POST, PATH).json(&json!({"files": [FILE]})).send().await;
    assert_eq!(weights.status, 200);
}

#[tokio::test]
async fn one_picture_that_fails_does_not_keep_the_others_from_being_made() {
    let studio = Studio::start().await;
    let error = GenerationFault::NodeError { class: "KSampler".into(), message: "out of memory".into() };
    studio.standin.generation_fault(1, error, Times::Once);
    studio.standin.generation_fault(2, GenerationFault::Vanish, Times::Once);
    let body = studio.run(&one_row()).await.json();
    let images = &body["images"];
    assert_eq!((&body["status"], &images["cells_failed"]), (&json!("completed"), &json!(1)), "{body}");
    assert_eq!(images["cells"][1]["error"], "node 3 (`KSampler`): out of memory");
    assert_eq!(images["cells"][2]["status"], "done", "what the generator forgot is asked for again");
    assert_eq!(studio.standin.prompts_accepted(), 4);
}

#[tokio::test]
async fn a_generator_that_only_fails_is_not_asked_for_the_rest() {
    let studio = Studio::start().await;
    let error = GenerationFault::NodeError { class: "KSampler".into(), message: "no VAE".into() };
    studio.standin.generation_fault(0, error, Times::Always);
    let request = small(&json!([{"text": "ink"}]), &json!([1, 2, 3, 4]), &json!([1.0]));
    let body = studio.run(&request).await.json();
    assert_eq!(
        (&body["status"], &body["error"]["code"]),
        (&json!("failed"), &json!("generator_failed")),
        "{body}"
    );
    assert!(body["error"]["message"].as_str().unwrap().contains("no VAE"));
    assert_eq!(body["files"][0]["weights"]["frobenius_total"], 5.0, "what was found is kept");
    assert_eq!(studio.standin.prompts_accepted(), 3);
}

#[tokio::test]
async fn a_cancelled_evaluation_takes_its_prompt_out_of_the_generator() {
    let studio = Studio::start().await;
    studio.standin.generation_fault(1, GenerationFault::Hang, Times::Once);
    let id = studio.begin(&one_row()).await;
    let running = studio.until(&id, |_| studio.standin.prompts_accepted() == 2).await;
    assert_eq!((&running["status"], &running["progress"]["total"]), (&json!("running"), &json!(4)));
    let cancelled = studio.server.post(&format!("{PATH}/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let body = studio.until_over(&id).await;
    assert_eq!((&body["status"], &body["images"]["cells_done"]), (&json!("cancelled"), &json!(1)), "{body}");
    assert_eq!(studio.standin.open_prompts(), Vec::<String>::new());
    assert_eq!(studio.server.delete(&format!("{PATH}/{id}")).await.status, 204);
    let folder = studio.server.data_dir().join("evaluations");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "its pictures are gone with it");
}

#[tokio::test]
async fn an_evaluation_goes_on_after_the_program_was_ended_and_makes_no_picture_twice() {
    let studio = Studio::start().await;
    studio.standin.generation_fault(1, GenerationFault::Hang, Times::Once);
    let id = studio.begin(&one_row()).await;
    studio.until(&id, |_| studio.standin.prompts_accepted() == 2).await;
    let studio = studio.restarted().await;
    // What hangs goes on now; the prompt is still the one of the first run.
    studio.standin.clear_faults();
    let body = studio.until_over(&id).await;
    assert_eq!((&body["status"], &body["images"]["cells_done"]), (&json!("completed"), &json!(3)), "{body}");
    assert_eq!(studio.standin.prompts_accepted(), 3);
}

#[tokio::test]
async fn a_picture_that_takes_too_long_is_given_up() {
    let studio = Studio::start().await;
    studio.standin.generation_fault(0, GenerationFault::Hang, Times::Once);
    let mut request = one_row();
    request["images"]["timeout_seconds"] = 5.into();
    let id = studio.begin(&request).await;
    let body = tokio::time::timeout(PATIENCE + Duration::from_secs(5), studio.until_over(&id)).await.unwrap();
    assert_eq!(body["status"], "completed", "{body}");
    let error = body["images"]["cells"][0]["error"].as_str().unwrap();
    assert!(error.contains("within 5 s"), "{error}");
    assert_eq!(body["images"]["cells"][1]["distance"], Value::Null, "nothing to compare with");
}
