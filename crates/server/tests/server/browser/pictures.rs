//! The pictures of the documentation, made from the pages as they are: `scripts/pictures`.

use std::path::Path;

use http::Method;
use lorakeep_standin::{
    CivitFile, CivitImage, CivitModel, CivitVersion, Fault, FileSpec, LoraFamily, Standin, Times,
};
use serde_json::{Value, json};

use super::driver::Browser;
use super::pages::{DESKTOP, PHONE, log_in, studio};
use crate::harness::TestServer;

/// LoRAs of a made-up studio, with their base models.
const LORAS: [(&str, &str, LoraFamily); 12] = [
    ("Ink Wash", "SDXL 1.0", LoraFamily::Sdxl),
    ("Golden Hour", "Flux.1 D", LoraFamily::Flux),
    ("Copper Etching", "SDXL 1.0", LoraFamily::Sdxl),
    ("Night Market", "Illustrious", LoraFamily::Sdxl),
    ("Paper Theatre", "Flux.1 D", LoraFamily::Flux),
    ("Soft Clay", "SDXL 1.0", LoraFamily::Sdxl),
    ("Film Grain 1974", "Flux.1 D", LoraFamily::Flux),
    ("Glass Garden", "Pony", LoraFamily::Sdxl),
    ("Winter Harbour", "SDXL 1.0", LoraFamily::Sdxl),
    ("Neon Rain", "Flux.1 D", LoraFamily::Flux),
    ("Woodblock Sea", "SDXL 1.0", LoraFamily::Sdxl),
    ("Dust and Light", "Illustrious", LoraFamily::Sdxl),
];
/// Of them these are still on their way.
const ARRIVING: usize = 3;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/images; run scripts/pictures"]
async fn pictures_of_the_pages() {
    let (standin, server, browser) = studio(DESKTOP).await;
    let files = add_loras(&standin, &server).await;
    let (style, team) = add_customers(&server, &files[0]).await;
    ask_for_more(&standin, &server, &files).await;
    let pages = [
        ("library", "/?sort=-added".to_owned()),
        ("list", "/?view=list&sort=-size".to_owned()),
        ("entry", format!("/entries/by-file/{}", files[0])),
        ("disk", "/disk".to_owned()),
        ("downloads", "/downloads".to_owned()),
        ("styles", "/styles".to_owned()),
        ("style", format!("/styles/{style}")),
        ("team", format!("/teams/{team}")),
        ("settings", "/settings".to_owned()),
        ("add", format!("/add?reference={}/models/51001", standin.civitai_url())),
    ];
    for (name, path) in pages {
        keep(&browser, name, &path).await;
    }
    browser.close().await;
    let browser = Browser::start(server.address, PHONE).await;
    log_in(&browser).await;
    keep(&browser, "library-phone", "/?sort=-added").await;
    browser.close().await;
}

/// Adds each LoRA with its pictures, and fetches all but the last few.
async fn add_loras(standin: &Standin, server: &TestServer) -> Vec<String> {
    let mut files = Vec::new();
    for (index, (name, base_model, family)) in LORAS.into_iter().enumerate() {
        let number = 70_000 + index as u64;
        let file = format!("{}.safetensors", name.to_lowercase().replace(' ', "_"));
        let words = [name.to_lowercase()];
        let spec = CivitFile::new(number, FileSpec::lora(&file, family, 8 + 8 * (index as u64 % 5)));
        let version = CivitVersion::new(number, "v1", base_model).file(spec);
        standin.add_model(CivitModel::new(number, name, "LORA").version(version.words(&[&words[0]])));
        for picture in 0..6 {
            standin.add_image(CivitImage::new(number * 10 + picture, 512, 512).of_version(number));
        }
        let reference = format!("{}/models/{number}", standin.civitai_url());
        send(server, Method::POST, "/api/admin/entries", &json!({ "reference": reference })).await;
        let gallery = format!("/api/admin/loras/{number}/gallery");
        send(server, Method::POST, &gallery, &json!({ "action": "start" })).await;
        server.wait_for(&gallery, |gallery| gallery["status"] == "done").await;
        files.push(file);
    }
    for file in &files[..LORAS.len() - ARRIVING] {
        server.post(&format!("/api/admin/models/download/{file}")).await;
        let path = format!("/api/admin/entries/by-file/{file}");
        server.wait_for(&path, |entry| entry["status"] == "present").await;
    }
    files
}

/// Downloads that crawl, and some that wait for them.
async fn ask_for_more(standin: &Standin, server: &TestServer, files: &[String]) {
    send(server, Method::PUT, "/api/admin/settings", &json!({ "max_concurrent": 2 })).await;
    let late = &files[LORAS.len() - ARRIVING..];
    for file in late {
        standin.fault(file, Fault::DripRate(40_000), Times::Always);
    }
    send(server, Method::POST, "/api/admin/models/download-batch", &json!({ "filenames": late })).await;
    let half = |jobs: &Value| jobs["items"][0]["percent"].as_f64().is_some_and(|percent| percent > 15.0);
    server.wait_for("/api/admin/downloads", half).await;
}

/// A team with a key, and two styles; the ids of a style and of the team.
async fn add_customers(server: &TestServer, file: &str) -> (String, String) {
    let team = send(server, Method::POST, "/api/admin/teams", &json!({ "name": "Night Studio" })).await;
    let id = team["id"].as_str().expect("an id");
    let key = json!({ "team": id, "name": "render farm", "calls_per_minute": 600 });
    send(server, Method::POST, "/api/admin/keys", &key).await;
    for (name, entry, image) in
        [("Golden Hour", "golden_hour.safetensors", 700_010), ("Ink Wash", file, 700_000)]
    {
        let style = json!({
            "name": name, "entry": entry, "is_public": true, "gallery_image": image, "default_steps": 28,
            "default_guidance_scale": 5.5, "template": "{trigger_words}, {prompt}, soft light",
            "description": "Wet edges and a quiet palette, for landscapes and portraits.",
        });
        send(server, Method::POST, "/api/admin/styles", &style).await;
    }
    let styles = server.get("/api/admin/styles").await.json();
    (styles["items"][0]["id"].as_str().expect("an id").to_owned(), id.to_owned())
}

async fn send(server: &TestServer, method: Method, path: &str, body: &Value) -> Value {
    let answer = server.admin(method, path).json(body).send().await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

async fn keep(browser: &Browser, name: &str, path: &str) {
    browser.open(path).await;
    browser.wait_until("return document.readyState === 'complete' && !document.querySelector('.htmx-request') && [...document.images].every((image) => image.complete || image.loading === 'lazy')").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join(format!("{name}.png")), browser.picture().await).expect("written");
}
