//! A server with a vault whose tokens are signed by a secret.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::Method;
use lorakeep_registry::Registry;
use lorakeep_registry::clock::FixedClock;
use lorakeep_registry::config::{Config, ConfigFlags};
use lorakeep_server::bearer;
use lorakeep_server::wire::Listeners;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{Answer, Call};

pub(crate) const KEY: &str = "a-key-for-tests-only-0123456789";
const SECRET: &str = "a-secret-for-tests-only-0123456789";
const BOUNDARY: &str = "form-end";

/// A running server.
pub(crate) struct Vault {
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    folder: TempDir,
    _shutdown: DropGuard,
}

impl Vault {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more of the environment.
    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), environment).await
    }

    /// With that `lorakeep.toml`.
    pub(crate) async fn start_with_file(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("data")).expect("made");
        std::fs::write(folder.path().join("data/lorakeep.toml"), settings).expect("written");
        Self::start_in(folder, &[]).await
    }

    async fn start_in(folder: TempDir, environment: &[(&str, &str)]) -> Self {
        let now: DateTime<Utc> = "2024-01-01T12:00:00Z".parse().expect("a time");
        let config = config(folder.path(), environment);
        let registry = Registry::open(config, Arc::new(FixedClock::at(now))).await.expect("opened");
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::new().with_tcp(any_port).await.expect("bound");
        let address = listeners.addresses()[0];
        let shutdown = CancellationToken::new();
        tokio::spawn(lorakeep_server::serve(listeners, registry.clone(), shutdown.clone()));
        Self { registry, address, folder, _shutdown: shutdown.drop_guard() }
    }

    /// A token with those claims besides who and until when.
    pub(crate) fn token(&self, more: &Value) -> String {
        let mut claims = json!({"sub": "ann", "exp": self.registry.now().timestamp() + 3600});
        for (name, value) in more.as_object().expect("claims are an object") {
            claims[name] = value.clone();
        }
        bearer::issue(&SECRET.to_owned().into(), &claims)
    }

    pub(crate) fn call(&self, method: Method, path: &str, token: &str) -> Call {
        Call::new(self.address, method, path).header("authorization", &format!("Bearer {token}"))
    }

    /// As an admin by token.
    pub(crate) fn admin(&self, method: Method, path: &str) -> Call {
        self.call(method, path, &self.token(&json!({"role": "admin"})))
    }

    /// By the admin key.
    pub(crate) fn studio(&self, method: Method, path: &str) -> Call {
        Call::new(self.address, method, path).header("x-api-key", KEY)
    }

    /// Uploads by the admins' route.
    pub(crate) async fn upload(&self, name: &str, content: &[u8], fields: &[(&str, &str)]) -> Answer {
        let call = self.admin(Method::POST, "/api/v1/admin/lora/upload");
        with_form(call, name, content, fields).send().await
    }

    pub(crate) fn models_dir(&self) -> PathBuf {
        self.registry.config().models_dir.clone()
    }

    /// The folder that everything of this server is below.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A body with the folder of this test cut off, so that paths read as below `/data`.
    pub(crate) fn shown(&self, answer: &Answer) -> Value {
        let root = self.root().display().to_string();
        serde_json::from_str(&answer.text().replace(&root, "")).expect("JSON")
    }

    /// Every file below the models folder and the data folder but the database, by its path.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.root(), &mut found);
        found.retain(|path| !path.contains("/lorakeep.") && !path.contains("/catalogs/"));
        found.sort();
        found.into_iter().map(|path| path.replace(&self.root().display().to_string(), "")).collect()
    }
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for item in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match item.file_type() {
            Ok(kind) if kind.is_dir() => collect(&item.path(), found),
            Ok(kind) if kind.is_file() => found.push(item.path().display().to_string()),
            _ => {}
        }
    }
}

/// A form with one file and text fields.
pub(crate) fn with_form(call: Call, name: &str, content: &[u8], fields: &[(&str, &str)]) -> Call {
    let (kind, body) = form(name, content, fields);
    call.body(&kind, body)
}

/// Content type and body of a form.
pub(crate) fn form(name: &str, content: &[u8], fields: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (field, text) in fields {
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{text}\r\n")
                .bytes(),
        );
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend(head.bytes());
    body.extend(content);
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// A safetensors file of exactly `size` bytes, which must be more than a hundred; `seed` makes contents differ.
pub(crate) fn safetensors(size: usize, seed: u8) -> Vec<u8> {
    let header = |data: usize| {
        let text = format!(r#"{{"a.weight":{{"dtype":"U8","shape":[{data}],"data_offsets":[0,{data}]}}}}"#);
        // Spaces at the end keep the length of the header the same whatever the number.
        format!("{text:<96}")
    };
    let data = size - 8 - 96;
    let mut file = 96_u64.to_le_bytes().to_vec();
    file.extend(header(data).bytes());
    file.resize(size, seed);
    file
}

/// A kohya LoRA for SDXL as far as its names and shapes tell, with trigger words in its metadata.
pub(crate) fn sdxl_lora() -> Vec<u8> {
    let module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k";
    let mut tensors = serde_json::Map::new();
    let metadata = json!({
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_dim": "4",
        "ss_network_alpha": "2",
        "ss_tag_frequency": r#"{"10_moss": {"mossy knight": 12, "forest": 3}}"#,
    });
    tensors.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for (name, shape) in [("lora_down.weight", [4, 2048]), ("lora_up.weight", [640, 4])] {
        let start = end;
        end += shape[0] * shape[1] * 2;
        let tensor = json!({"dtype": "F16", "shape": shape, "data_offsets": [start, end]});
        tensors.insert(format!("{module}.{name}"), tensor);
    }
    let header = Value::Object(tensors).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(8 + header.len() + end, 1);
    file
}

fn config(folder: &Path, environment: &[(&str, &str)]) -> Config {
    let flags = ConfigFlags { data_dir: Some(folder.join("data")), ..ConfigFlags::default() };
    let own = [
        ("API_KEY", KEY),
        ("LORAKEEP_JWT_SECRET", SECRET),
        // Nobody answers there: tests talk to loopback only.
        ("LORAKEEP_CIVITAI_URL", "http://127.0.0.1:9"),
        ("HF_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let env = |name: &str| {
        let find = |(own, value): &(&str, &str)| (*own == name).then(|| (*value).to_owned());
        environment.iter().find_map(find).or_else(|| own.iter().find_map(find))
    };
    Config::load(&flags, &env).expect("a good configuration")
}
