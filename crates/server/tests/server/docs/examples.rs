//! Every example of the documentation, run as it stands by a shell.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use http::Method;
use lorakeep_server::Surface;
use lorakeep_server::bearer;
use lorakeep_standin::{Options, Standin};
use serde_json::{Value, json};

use crate::harness::{KEY, Setup, TestServer, lora};
use crate::public::previews::png;

const SECRET: &str = "a-secret-for-tests-only-0123456789";
/// A model of the stand-in's demonstration, a version of another, and an image of the first.
const MODEL: &str = "51001";
const VERSION: &str = "510021";
const IMAGE: &str = "7510010";
/// The hash of no file.
const NOWHERE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Examples that cannot succeed on such a server: the operation, what it answers, and why.
fn refused() -> BTreeMap<String, u16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/docs/refused.txt");
    let text = std::fs::read_to_string(path).expect("it is beside this file");
    let row = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (id, status) = (words.next().expect("an operation"), words.next().expect("a status"));
        assert!(words.next().is_some(), "`{line}` says no reason");
        (id.to_owned(), status.parse().expect("a status"))
    };
    text.lines().map(row).collect()
}

/// One operation of a document.
struct Example {
    id: String,
    name: String,
    command: String,
    documented: Vec<u16>,
    is_stream: bool,
}

fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    for surface in Surface::ALL {
        let document: Value = serde_json::from_str(&surface.openapi()).expect("JSON");
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let responses = operation["responses"].as_object().expect("responses");
                examples.push(Example {
                    id: operation["operationId"].as_str().expect("an id").to_owned(),
                    name: format!("{} {path}", method.to_uppercase()),
                    command: operation["x-codeSamples"][0]["source"].as_str().expect("a command").to_owned(),
                    documented: responses.keys().map(|status| status.parse().expect("a status")).collect(),
                    is_stream: responses
                        .get("200")
                        .is_some_and(|ok| ok["content"]["text/event-stream"].is_object()),
                });
            }
        }
    }
    examples
}

/// A server on which examples find what they name.
struct Stage {
    server: TestServer,
    count: u32,
    variables: BTreeMap<&'static str, String>,
}

impl Stage {
    async fn new(standin: &Standin) -> Self {
        let environment = [("LORAKEEP_JWT_SECRET", SECRET)];
        let setup =
            Setup { standin: Some(standin), environment: &environment, is_working: true, ..Setup::default() };
        let server = TestServer::start_with(setup).await;
        let claims = json!({"sub": "ann", "role": "admin", "exp": server.registry.now().timestamp() + 3600});
        let token = bearer::issue(&SECRET.to_owned().into(), &claims);
        let files = server.root().join("examples");
        std::fs::create_dir_all(files.join("models")).expect("made");
        let path = |name: &str| files.join(name).display().to_string();
        std::fs::write(files.join("picture.png"), png(64, 64)).expect("written");
        std::fs::write(files.join("catalog.json"), br#"{"version":1,"date":"","categories":[]}"#)
            .expect("written");
        std::fs::write(files.join("piece"), b"ab").expect("written");
        let variables = BTreeMap::from([
            ("LORAKEEP", format!("http://{}", server.address)),
            ("KEY", KEY.to_owned()),
            ("TOKEN", token),
            ("PICTURE", path("picture.png")),
            ("CATALOG_FILE", path("catalog.json")),
            ("PIECE", path("piece")),
            ("FOLDER", files.display().to_string()),
            ("ENTITY_TYPE", "styles".to_owned()),
            ("LENGTH", "1000".to_owned()),
            ("METADATA", "filename aW5rLnNhZmV0ZW5zb3Jz".to_owned()),
            ("OFFSET", "0".to_owned()),
            ("SHA256", NOWHERE.to_owned()),
            ("BASE_MODEL", "all".to_owned()),
            ("CIVITAI_KEY", "a-key".to_owned()),
            ("COPY", "loras/nothing.safetensors".to_owned()),
            ("PLACE", "0".to_owned()),
            ("GENERATION", format!("gen_{}", &NOWHERE[..32])),
            ("MODEL_ID", MODEL.to_owned()),
            ("VERSION_ID", VERSION.to_owned()),
            ("IMAGE_ID", IMAGE.to_owned()),
            ("NAME", IMAGE.to_owned()),
            ("REFERENCE", format!("https://civitai.com/models/{MODEL}")),
        ]);
        let stage = Self { server, count: 0, variables };
        let known = json!([{"file": "paper.safetensors", "dest": "loras", "civitai_version_id": VERSION, "civitai_model_id": 51_002}]);
        assert_eq!(stage.server.import(&known).await.status, 200);
        stage
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.insert(name, value.into());
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.server.admin(method, path).json(&body).send().await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        answer.json()
    }

    /// Makes new whatever the command names, so that no example depends on another.
    async fn prepare(&mut self, command: &str) {
        self.count += 1;
        let number = self.count;
        let needs = |name: &str| command.contains(&format!("${name}"));
        let file = format!("ink-{number}.safetensors");
        self.set("FILENAME", file.clone());
        self.set("PARTIAL_PATH", format!("styles/{file}"));
        if ["FILENAME", "ENTRY", "EDIT", "BIN", "STYLE", "PARTIAL_PATH", "EVALUATION", "NAME"]
            .iter()
            .any(|name| needs(name))
        {
            self.add_entry(&file, number).await;
        }
        if needs("EDIT") {
            let entry = format!("/api/admin/entries/{}", self.variables["ENTRY"]);
            let edited = self.ask(Method::PATCH, &entry, json!({"notes": "new"})).await;
            self.set("EDIT", edited["edit"].as_str().expect("an edit"));
        }
        if needs("BIN") || command.contains("/lora/restore") || command.contains("/lora/purge") {
            let deleted = self.server.delete(&format!("/api/admin/models/{file}")).await.json();
            self.set("BIN", deleted["bin_id"].as_str().expect("it is in the bin"));
        }
        if needs("DOWNLOAD") {
            self.add_download(number).await;
        }
        if needs("TEAM") || needs("KEY_ID") || needs("TEAM_KEY") || needs("STYLE") {
            self.add_team(number).await;
        }
        if needs("STYLE") || command.contains("/v1/previews/") {
            let style =
                json!({"name": format!("Ink {number}"), "entry": self.variables["ENTRY"], "is_public": true});
            let style = self.ask(Method::POST, "/api/admin/styles", style).await;
            self.set("STYLE", style["id"].as_str().expect("an id"));
        }
        if needs("IMAGE_ID") || command.contains("/gallery/media/") || command.contains("/gallery/thumb/") {
            self.server.post(&format!("/api/admin/loras/gallery/download-single/{IMAGE}")).await;
        }
        if command.contains("/v1/previews/") {
            self.add_preview().await;
        }
        if needs("EVALUATION") {
            self.evaluate(command, &file).await;
        }
        if needs("UPLOAD") {
            self.begin_upload(command).await;
        }
        if needs("LORA\"") {
            let path = self.server.root().join(format!("examples/own-{number}.safetensors"));
            std::fs::write(&path, lora(&[number as f32], 1.0)).expect("written");
            self.set("LORA", path.display().to_string());
        }
    }

    async fn add_entry(&mut self, file: &str, number: u32) {
        let entry = json!([{"file": file, "dest": "loras/styles", "name": "Ink", "base_model": "SDXL 1.0"}]);
        assert_eq!(self.server.import(&entry).await.status, 200);
        self.server.put_file(&format!("loras/styles/{file}"), &lora(&[number as f32], 1.0)).await;
        let found = self.server.get(&format!("/api/admin/entries/by-file/{file}")).await.json();
        self.set("ENTRY", found["id"].as_str().expect("an id"));
    }

    async fn add_download(&mut self, number: u32) {
        self.ask(Method::PUT, "/api/admin/settings", json!({"downloads_paused": true})).await;
        let file = format!("missing-{number}.safetensors");
        let entry = json!([{"file": file, "dest": "loras", "url": "http://127.0.0.1:9/x.safetensors"}]);
        assert_eq!(self.server.import(&entry).await.status, 200);
        let queued = self.server.post(&format!("/api/admin/models/download/{file}")).await.json();
        self.set("DOWNLOAD", queued["download_id"].as_str().expect("it is queued"));
    }

    async fn add_team(&mut self, number: u32) {
        let name = format!("team-{number}");
        self.ask(Method::POST, "/api/admin/teams", json!({"name": name})).await;
        let key = self.ask(Method::POST, "/api/admin/keys", json!({"team": name})).await;
        self.set("TEAM", name);
        self.set("KEY_ID", key["id"].as_str().expect("an id"));
        self.set("TEAM_KEY", key["key"].as_str().expect("a key"));
    }

    async fn add_preview(&mut self) {
        let path = format!("/api/admin/styles/{}/preview", self.variables["STYLE"]);
        let style = self.server.admin(Method::PUT, &path).form("file", &png(64, 64)).send().await.json();
        let address = style["preview_image_url"].as_str().expect("an address");
        self.set("NAME", address.rsplit('/').next().expect("a name"));
    }

    async fn evaluate(&mut self, command: &str, file: &str) {
        let (path, name, value) = if command.contains("/api/v1/") {
            ("/api/v1/evaluation", "authorization", format!("Bearer {}", self.variables["TOKEN"]))
        } else {
            ("/api/admin/evaluations", "x-api-key", KEY.to_owned())
        };
        let call = self.server.anonymous(Method::POST, path).header(name, &value);
        let answer = call.json(&json!({"files": [file], "wait_seconds": 30})).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.set("EVALUATION", answer.json()["evaluation_id"].as_str().expect("an id"));
    }

    /// By the caller of the example: an upload belongs to who began it.
    async fn begin_upload(&mut self, command: &str) {
        let (path, name, value) = if command.contains("/api/v1/") {
            ("/api/v1/uploads", "authorization", format!("Bearer {}", self.variables["TOKEN"]))
        } else {
            ("/api/admin/uploads", "x-api-key", KEY.to_owned())
        };
        let call = self.server.anonymous(Method::POST, path).header(name, &value);
        let call = call.header("tus-resumable", "1.0.0").header("upload-length", "1000");
        let answer = call.header("upload-metadata", &self.variables["METADATA"]).send().await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.set("UPLOAD", answer.header("location").rsplit('/').next().expect("an id"));
    }

    /// The status that the command got.
    fn run(&self, example: &Example) -> u16 {
        let out = self.server.root().join("examples/out");
        let most = if example.is_stream { "1" } else { "30" };
        let script = format!(
            "curl() {{ command curl -sS --max-time {most} -o '{}' -w '%{{http_code}}' \"$@\"; }}\n{}",
            out.display(),
            example.command
        );
        let folder: &Path = self.server.root();
        let ran =
            Command::new("bash").arg("-euc").arg(script).envs(&self.variables).current_dir(folder).output();
        let ran = ran.expect("bash and curl are installed");
        let text = String::from_utf8_lossy(&ran.stdout);
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("{}: {text} {}", example.name, String::from_utf8_lossy(&ran.stderr)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs_as_it_stands() {
    let standin = Standin::with_demo(Options::default()).await.expect("a stand-in");
    let mut stage = Stage::new(&standin).await;
    let (refused, mut faults) = (refused(), Vec::new());
    for example in examples() {
        stage.prepare(&example.command).await;
        let status = tokio::task::block_in_place(|| stage.run(&example));
        let is_right = match refused.get(&example.id) {
            Some(expected) => status == *expected,
            None => (200..400).contains(&status),
        };
        if !is_right || !example.documented.contains(&status) {
            let answer =
                std::fs::read_to_string(stage.server.root().join("examples/out")).unwrap_or_default();
            faults.push(format!(
                "{} `{}` answered {status}: {}",
                example.name,
                example.id,
                &answer[..answer.len().min(300)]
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
