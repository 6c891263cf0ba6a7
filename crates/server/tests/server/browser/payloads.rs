//! What strangers write never runs: names, prompts, descriptions, tags, trigger words, file names, CivitAI's HTML, notes,
//! names in weights, evaluations, the log, the bin, the quarantine, adopted folders, repositories, error texts.

use std::fs;

use http::Method;
use lorakeep_standin::{CivitFile, CivitImage, CivitModel, CivitVersion, FileSpec, HfRepo, Options, Standin};
use serde_json::{Value, json};

use super::driver::Browser;
use super::pages::{DESKTOP, PAGES, log_in};
use crate::harness::TestServer;

/// Texts that run a script where a page forgets to escape them.
const PAYLOADS: [&str; 7] = [
    "<img src=x onerror=window.pwned=1>",
    "\"><svg onload=window.pwned=1>",
    "'><script>window.pwned=1</script>",
    "javascript:window.pwned=1",
    "{{7*7}}${7*7}<math><mtext><table><mglyph><style><img src onerror=window.pwned=1>",
    "\u{202e}gpj.exe</textarea></title><script>window.pwned=1</script>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe><a href=\"javascript:pwned=1\">x</a>",
];
/// A file may be called that.
const FILE: &str = "x' onmouseover=window.pwned=1 .safetensors";
const PICKLE: &str = "evil' onmouseover=window.pwned=1 .pt";
const IMAGE: u64 = 6661;
const MODEL: u64 = 666;

/// What stands in one page: the path, and whether something hostile has to be seen on it.
struct Look {
    path: String,
    is_shown: bool,
}

/// A server on which every field that a stranger can fill is filled.
async fn poisoned() -> (Standin, TestServer, Vec<Look>) {
    let standin = Standin::start(Options::default()).await.expect("started");
    poison_civitai(&standin);
    let pickle = [b"\x80\x02c", PAYLOADS[0].as_bytes(), b"\nsystem\n)R."].concat();
    standin.add_repo(HfRepo::new("owner/repo").file(FileSpec::of_bytes(PICKLE, pickle)));
    let server = TestServer::start_downloading(&standin).await;
    let mut looks = poison_catalog(&server).await;
    looks.extend(poison_with_civitai(&standin, &server).await);
    looks.extend(poison_files(&server).await);
    looks.extend(poison_by_download(&server).await);
    looks.extend(poison_by_adoption(&server).await);
    looks.extend(poison_teams(&server).await);
    looks.extend(poison_styles(&server).await);
    (standin, server, looks)
}

fn look(path: impl Into<String>) -> Look {
    Look { path: path.into(), is_shown: true }
}

fn poison_civitai(standin: &Standin) {
    let file = CivitFile::new(1, FileSpec::new("from_civitai.safetensors", 2000));
    let mut version = CivitVersion::new(70, PAYLOADS[1], PAYLOADS[0]).file(file).words(&PAYLOADS);
    version.description = Some(PAYLOADS.concat());
    let mut model = CivitModel::new(MODEL, PAYLOADS[2], "LORA").version(version);
    model.description = PAYLOADS.concat();
    PAYLOADS[0].clone_into(&mut model.creator);
    model.tags = PAYLOADS.map(str::to_owned).into();
    standin.add_model(model);
    let mut image = CivitImage::new(IMAGE, 64, 64).of_version(70).made_with(json!({
        "prompt": PAYLOADS.concat(), "negativePrompt": PAYLOADS[1], "sampler": PAYLOADS[0], "Model": PAYLOADS[2],
        "resources": [{"type": PAYLOADS[0], "name": PAYLOADS[1], "weight": 1}],
        "civitaiResources": [{"type": "lora", "modelVersionId": 70, "modelName": PAYLOADS[0], "versionName": PAYLOADS[1]}],
    }));
    image.username = Some(PAYLOADS[0].to_owned());
    standin.add_image(image);
}

async fn sent(server: &TestServer, method: Method, path: &str, body: &Value) -> Value {
    let answer = server.admin(method, path).json(body).send().await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

fn entry_of(answer: &Value) -> String {
    format!("/entries/{}", answer["id"].as_str().expect("an id"))
}

/// Entries whose every field is hostile.
async fn poison_catalog(server: &TestServer) -> Vec<Look> {
    let entries = PAYLOADS.iter().enumerate().map(|(index, payload)| {
        json!({
            "file": format!("{index}{FILE}"), "dest": "loras", "name": payload, "base_model": payload,
            "tags": [payload], "trainedWords": [payload], "notes": payload, "description": payload,
            "usage_tips": payload, "author": payload, "url": payload, "pair_id": "p", "pair_role": payload,
        })
    });
    let imported = server.import(&entries.collect()).await.json();
    assert_eq!(imported["total_added"], json!(PAYLOADS.len()), "{imported}");
    let list = server.get("/api/admin/entries?limit=10").await.json();
    let items = list["items"].as_array().expect("a list");
    let mut looks: Vec<Look> = items.iter().map(|item| look(entry_of(item))).collect();
    let all = PAYLOADS[..2].concat();
    let encoded: String = url::form_urlencoded::byte_serialize(all.as_bytes()).collect();
    let paths = [
        "/?view=list&sort=-size".to_owned(),
        format!("/?q={encoded}&tag={encoded}"),
        format!("/generation?image={encoded}"),
        format!("/add?reference={encoded}"),
        format!("/entries/by-file/{encoded}"),
        format!("/teams/{encoded}"),
    ];
    looks.extend(paths.map(look));
    looks
}

/// What CivitAI says of a model and of pictures.
async fn poison_with_civitai(standin: &Standin, server: &TestServer) -> Vec<Look> {
    let reference = format!("{}/models/{MODEL}", standin.civitai_url());
    let wanted =
        json!({"model_id": MODEL, "versions": [70], "author": PAYLOADS[0], "description": PAYLOADS.concat()});
    sent(server, Method::POST, "/api/admin/loras/add-civitai", &wanted).await;
    sent(server, Method::POST, &format!("/api/admin/loras/{MODEL}/gallery"), &json!({"action": "start"}))
        .await;
    let path = format!("/api/admin/loras/{MODEL}/gallery");
    server.wait_for(&path, |gallery| gallery["status"] == "done").await;
    sent(server, Method::POST, "/api/admin/models/fetch-metadata", &json!({})).await;
    let entry = server.get("/api/admin/entries/by-file/from_civitai.safetensors").await.json();
    let encoded: String = url::form_urlencoded::byte_serialize(reference.as_bytes()).collect();
    vec![
        look(entry_of(&entry)),
        look(format!("/add?reference={encoded}")),
        look(format!("/generation?image={IMAGE}")),
    ]
}

/// Names of files and of what is in them: facts, an evaluation, the bin, copies.
async fn poison_files(server: &TestServer) -> Vec<Look> {
    let weights = hostile_weights();
    for name in [FILE, &format!("0{FILE}"), &format!("1{FILE}")] {
        server.put_file(&format!("loras/{name}"), &weights).await;
    }
    sent(server, Method::POST, "/api/admin/unlisted/adopt", &json!({"paths": []})).await;
    let body = json!({"files": [FILE], "wait_seconds": 0});
    let evaluation = sent(server, Method::POST, "/api/admin/evaluations", &body).await;
    let id = evaluation["evaluation_id"].as_str().expect("an id").to_owned();
    let path = format!("/api/admin/evaluations/{id}");
    server.wait_for(&path, |run| run["status"] != "queued" && run["status"] != "running").await;
    server.wait_for("/api/admin/duplicates", |report| report["total"] == 1).await;
    let encoded = percent_encoding::utf8_percent_encode(FILE, percent_encoding::NON_ALPHANUMERIC);
    server.put_file("loras/gone' onmouseover=pwned=1 .safetensors", b"weights").await;
    sent(server, Method::POST, "/api/admin/unlisted/adopt", &json!({"paths": []})).await;
    let gone = "/api/admin/entries/by-file/gone%27%20onmouseover%3Dpwned%3D1%20.safetensors";
    assert_eq!(server.delete(gone).await.status, 200);
    let entry = server.get(&format!("/api/admin/entries/by-file/{encoded}")).await.json();
    vec![
        look(entry_of(&entry)),
        look(format!("{}/facts", entry_of(&entry))),
        look(format!("/evaluations/{id}")),
        look("/duplicates"),
        look("/bin"),
    ]
}

/// A LoRA whose metadata and tensors have hostile names.
fn hostile_weights() -> Vec<u8> {
    let module = format!("lora_unet_{}", PAYLOADS[0]);
    let mut header = json!({"__metadata__": {
        "ss_tag_frequency": json!({"10_x": {PAYLOADS[0]: 3, PAYLOADS[2]: 1}}).to_string(),
        "ss_base_model_version": PAYLOADS[1], PAYLOADS[2]: PAYLOADS[0], "modelspec.title": PAYLOADS[4],
    }});
    for (index, name) in ["lora_down.weight", "lora_up.weight"].into_iter().enumerate() {
        let shape = if index == 0 { [1, 4] } else { [4, 1] };
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [index * 16, index * 16 + 16]});
        header[format!("{module}.{name}")] = tensor;
    }
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend([0; 32]);
    file
}

/// A pickle whose module has a hostile name lies in quarantine, and its download says why.
async fn poison_by_download(server: &TestServer) -> Vec<Look> {
    let entry = json!([{"file": PICKLE, "dest": "loras", "name": PAYLOADS[0], "source": "huggingface",
        "hf_repo": "owner/repo", "hf_file": PICKLE}]);
    server.import(&entry).await;
    let encoded = percent_encoding::utf8_percent_encode(PICKLE, percent_encoding::NON_ALPHANUMERIC);
    server.post(&format!("/api/admin/models/download/{encoded}")).await;
    server.wait_for("/api/admin/quarantine", |page| page["total"] == 1).await;
    vec![look("/quarantine"), look("/downloads"), look("/activity")]
}

/// A folder, its catalogs and sidecars, and a repository's catalog.
async fn poison_by_adoption(server: &TestServer) -> Vec<Look> {
    let folder = server.root().join(PAYLOADS[0]);
    let models = json!([{"file": PAYLOADS[0], "dest": "vae"}, {"file": "../b.pt", "dest": PAYLOADS[1]},
        {"file": "c.pt", "dest": "vae", "name": PAYLOADS[2]}]);
    let catalog = json!({"version": 3, "date": PAYLOADS[0], "categories": [
        {"id": "vae", "name": PAYLOADS[1], "models": models},
    ]});
    for place in [folder.join("catalogs"), server.data_dir().join(".repo/catalogs")] {
        fs::create_dir_all(&place).expect("made");
        fs::write(place.join("models.json"), catalog.to_string()).expect("written");
    }
    sent(server, Method::POST, "/api/admin/adopt", &json!({"path": folder, "dry_run": true})).await;
    server.wait_for("/api/admin/adopt", |status| status["state"] != "running").await;
    vec![look("/settings/adoption"), look("/settings/repository")]
}

async fn poison_teams(server: &TestServer) -> Vec<Look> {
    let team = sent(server, Method::POST, "/api/admin/teams", &json!({"name": PAYLOADS[0]})).await;
    let body = json!({"team": team["id"], "name": PAYLOADS[1]});
    sent(server, Method::POST, "/api/admin/keys", &body).await;
    vec![look("/teams"), look(format!("/teams/{}", team["id"].as_str().expect("an id")))]
}

/// Styles for everyone and for a team; the page for a new one takes over what the entry says.
async fn poison_styles(server: &TestServer) -> Vec<Look> {
    let encoded = percent_encoding::utf8_percent_encode(FILE, percent_encoding::NON_ALPHANUMERIC);
    let entry = server.get(&format!("/api/admin/entries/by-file/{encoded}")).await.json();
    let id = entry["id"].as_str().expect("an id");
    let body = json!({
        "name": PAYLOADS[0], "entry": id, "team": PAYLOADS[0], "description": PAYLOADS[1..5].concat(),
        "template": format!("{} {{prompt}}", PAYLOADS[2]),
    });
    let style = sent(server, Method::POST, "/api/admin/styles", &body).await;
    let tried: String = url::form_urlencoded::byte_serialize(PAYLOADS[0].as_bytes()).collect();
    vec![
        look("/styles"),
        look(format!("/styles/{}", style["id"].as_str().expect("an id"))),
        look(format!("/styles?q={tried}")),
        look(format!("/styles/new?entry={id}")),
        look(format!("/styles/new?q={tried}")),
        look(format!("/styles/template?template=%7B{tried}%7D")),
    ]
}

/// Whether anything hostile became part of the page.
const INJECTED: &str = "return [...document.querySelectorAll('main *, #toasts *, dialog *')].filter((one) => \
    one.matches('script, iframe, object, embed, math, style, base, svg[onload], img:not([src^=\"/api/\"], [src^=\"/v1/previews/\"])') \
    || [...one.attributes].some(({ name }) => name.startsWith('on'))).map((one) => one.outerHTML)";
const LINKS: &str =
    "return [...document.links].filter((link) => !/^https?:$/.test(link.protocol)).map((link) => link.href)";
const IS_QUIET: &str = "return document.readyState === 'complete' && !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')";

async fn assert_harmless(browser: &Browser, place: &str) {
    browser.wait_until(IS_QUIET).await;
    assert_eq!(browser.script("return window.pwned ?? null").await, Value::Null, "{place}");
    assert_eq!(browser.script(INJECTED).await, json!([]), "{place}");
    assert_eq!(browser.script(LINKS).await, json!([]), "{place}");
    // A page that says that there is no such thing is an answer, too.
    let mut complaints = browser.console().await;
    complaints.retain(|line| !line.contains("responded with a status of 40"));
    assert!(complaints.is_empty(), "{place}: {complaints:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stranger_writes_runs_in_a_page() {
    let (_standin, server, mut looks) = poisoned().await;
    let browser = Browser::start(server.address, DESKTOP).await;
    log_in(&browser).await;
    looks.extend(PAGES.iter().map(|(path, _)| Look { path: (*path).to_owned(), is_shown: false }));
    for Look { path, is_shown } in looks {
        browser.open(&path).await;
        assert_harmless(&browser, &path).await;
        // The test would say nothing if what is hostile never came to the page.
        let seen = "return /pwned/.test(document.body.innerText + [...document.querySelectorAll('input, textarea')].map((field) => field.value))";
        assert!(!is_shown || browser.script(seen).await == true, "nothing hostile is on {path}");
    }
    // What the server refuses is said with the text that was refused.
    browser.open("/settings/adoption").await;
    browser.clear("#path").await;
    browser.type_into("#path", &format!("/nowhere/{}", PAYLOADS[0])).await;
    browser.click("form .primary").await;
    browser.wait_for(".toast.bad", "onerror").await;
    assert_harmless(&browser, "a message").await;
    browser.close().await;
}
