//! Starting, filling, breaking, watching and stopping a stand-in.

use crate::civitai::{CivitImage, CivitModel};
use crate::comfyui::GenerationFault;
use crate::content::FileSpec;
use crate::faults::{Fault, Times};
use crate::huggingface::HfRepo;
use crate::observe::{Seen, Upstream, lock};
use crate::rate::RateLimit;
use crate::shared::{Addresses, Shared};
use crate::storage::Delivery;
use crate::wire;
use crate::world::GeneratorLora;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How a stand-in starts. Port 0 lets the system choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port of the CivitAI site and API on 127.0.0.1.
    pub civitai_port: u16,
    /// Port of the Hugging Face Hub on 127.0.0.1.
    pub huggingface_port: u16,
    /// Port of the object storage, which is reached as `localhost`.
    pub storage_port: u16,
    /// Port of the ComfyUI on 127.0.0.1.
    pub comfyui_port: u16,
    /// How long ComfyUI takes for a prompt.
    pub generation_time: Duration,
    /// The one valid CivitAI key.
    pub civitai_key: String,
    /// The one valid Hugging Face token.
    pub huggingface_token: String,
    /// Life of a signed address.
    pub signed_url_lifetime: Duration,
    /// The form of signed addresses that CivitAI redirects to.
    pub delivery: Delivery,
    /// How often CivitAI's API may be asked; more often is 429. Without it there is no limit.
    pub civitai_rate: Option<RateLimit>,
    /// CivitAI asks for a key on every download, not only where the creator does.
    pub civitai_login_required: bool,
    /// Entries a page of Hugging Face's tree answers when the request sets no `limit`.
    pub tree_page: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            civitai_port: 0,
            huggingface_port: 0,
            storage_port: 0,
            comfyui_port: 0,
            generation_time: Duration::ZERO,
            civitai_key: "civitai_standin_key".into(),
            huggingface_token: "hf_standin".into(),
            signed_url_lifetime: Duration::from_hours(1),
            delivery: Delivery::R2,
            civitai_rate: None,
            civitai_login_required: false,
            tree_page: 1000,
        }
    }
}

/// A running CivitAI, Hugging Face Hub, object storage and ComfyUI. Dropping it closes every connection.
#[derive(Debug)]
pub struct Standin {
    shared: Arc<Shared>,
    _stop: DropGuard,
    runtime: Option<Runtime>,
}

impl Standin {
    /// Starts on the caller's tokio runtime.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let civitai = TcpListener::bind((Ipv4Addr::LOCALHOST, options.civitai_port)).await?;
        let huggingface = TcpListener::bind((Ipv4Addr::LOCALHOST, options.huggingface_port)).await?;
        let storage = TcpListener::bind((Ipv4Addr::LOCALHOST, options.storage_port)).await?;
        let comfyui = TcpListener::bind((Ipv4Addr::LOCALHOST, options.comfyui_port)).await?;
        let addresses = Addresses {
            civitai: format!("http://{}", civitai.local_addr()?),
            huggingface: format!("http://{}", huggingface.local_addr()?),
            comfyui: format!("http://{}", comfyui.local_addr()?),
            storage: format!("http://localhost:{}", storage.local_addr()?.port()),
        };
        // Where `localhost` is ::1 first, clients would lose a connection attempt on every request.
        let same_port = SocketAddr::from((Ipv6Addr::LOCALHOST, storage.local_addr()?.port()));
        let storage_v6 = TcpListener::bind(same_port).await.ok();

        let shared = Arc::new(Shared::new(options, addresses));
        let stop = CancellationToken::new();
        let listeners = [
            (Some(civitai), Upstream::Civitai),
            (Some(huggingface), Upstream::HuggingFace),
            (Some(storage), Upstream::Storage),
            (storage_v6, Upstream::Storage),
            (Some(comfyui), Upstream::ComfyUi),
        ];
        for (listener, upstream) in listeners {
            if let Some(listener) = listener {
                tokio::spawn(wire::serve(listener, upstream, Arc::clone(&shared), stop.clone()));
            }
        }
        Ok(Self { shared, _stop: stop.drop_guard(), runtime: None })
    }

    /// Starts on a runtime of its own, for tests without one.
    ///
    /// # Errors
    /// When a port is taken or no thread can be started.
    pub fn blocking_start(options: Options) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut standin = runtime.block_on(Self::start(options))?;
        standin.runtime = Some(runtime);
        Ok(standin)
    }

    /// Starts with a small world: a few LoRAs, a checkpoint, a high/low pair, one of each refusal.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn with_demo(options: Options) -> io::Result<Self> {
        let standin = Self::start(options).await?;
        crate::demo::fill(&standin);
        Ok(standin)
    }

    /// `http://127.0.0.1:<port>`, the value of `LORAKEEP_CIVITAI_URL`.
    pub fn civitai_url(&self) -> String {
        self.shared.addresses.civitai.clone()
    }

    /// `http://127.0.0.1:<port>`, the value of `HF_ENDPOINT`.
    pub fn huggingface_url(&self) -> String {
        self.shared.addresses.huggingface.clone()
    }

    /// `http://localhost:<port>`, where redirects lead.
    pub fn storage_url(&self) -> String {
        self.shared.addresses.storage.clone()
    }

    /// `http://127.0.0.1:<port>`, the value of `COMFYUI_URL`.
    pub fn comfyui_url(&self) -> String {
        self.shared.addresses.comfyui.clone()
    }

    /// The plain address of a file added with [`add_file`](Self::add_file).
    pub fn file_url(&self, name: &str) -> String {
        let path: Vec<String> = name.split('/').map(crate::storage::escaped).collect();
        format!("{}/files/{}", self.shared.addresses.storage, path.join("/"))
    }

    /// Serves a file at [`file_url`](Self::file_url), replacing one of the same name.
    pub fn add_file(&self, file: FileSpec) {
        self.shared.change_world(|world| drop(world.files.insert(file.name().to_owned(), file)));
    }

    /// Serves a repository, replacing one of the same id.
    pub fn add_repo(&self, repo: HfRepo) {
        self.shared.change_world(|world| drop(world.repos.insert(repo.id().to_owned(), repo)));
    }

    /// Serves a CivitAI model, replacing one of the same id.
    pub fn add_model(&self, model: CivitModel) {
        self.shared.change_world(|world| {
            world.models.retain(|known| known.id != model.id);
            world.models.push(model);
        });
    }

    /// Serves a CivitAI image, replacing one of the same id.
    pub fn add_image(&self, image: CivitImage) {
        self.shared.change_world(|world| {
            world.images.retain(|known| known.id != image.id);
            world.images.push(image);
        });
    }

    /// Puts a model file into one of ComfyUI's folders, as `checkpoints`.
    pub fn add_comfyui_file(&self, folder: &str, name: &str) {
        self.shared.change_world(|world| world.generator.add(folder, name));
    }

    /// Puts a LoRA into ComfyUI's folder that changes pictures so, replacing one of the same name.
    pub fn add_comfyui_lora(&self, lora: GeneratorLora) {
        self.shared.change_world(|world| {
            world.generator.add("loras", &lora.name);
            world.generator.loras.retain(|known| known.name != lora.name);
            world.generator.loras.push(lora);
        });
    }

    /// Lets ComfyUI's prompts go wrong after `after` more good ones.
    pub fn generation_fault(&self, after: u64, fault: GenerationFault, times: Times) {
        let count = match times {
            Times::Once => Some(1),
            Times::N(count) => Some(u64::from(count)),
            Times::Always => None,
        };
        lock(&self.shared.generations).script(after, fault, count);
    }

    /// Prompts that ComfyUI accepted so far.
    pub fn prompts_accepted(&self) -> u64 {
        lock(&self.shared.generations).accepted()
    }

    /// Ids of ComfyUI's prompts that wait or run.
    pub fn open_prompts(&self) -> Vec<String> {
        lock(&self.shared.generations).open_prompts()
    }

    /// A picture that was uploaded to ComfyUI's input folder.
    pub fn comfyui_input(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.shared.generations).file(&format!("input//{name}")).map(|content| content.to_vec())
    }

    /// Scripts a fault. Faults of one target act one after the other, in the order given.
    ///
    /// `target` is a file (its name, or `owner/repo/path`, or `civitai/<version>/<name>`), and the
    /// fault then acts where its bytes come from; or it begins with a slash, and the fault acts on
    /// every path of any server that begins so, as `/owner/repo/resolve/` or `/api/v1/`.
    pub fn fault(&self, target: &str, fault: Fault, times: Times) {
        lock(&self.shared.script).add(target, fault, times);
    }

    /// Forgets all scripted faults.
    pub fn clear_faults(&self) {
        lock(&self.shared.script).clear();
        lock(&self.shared.generations).clear_script();
    }

    /// Limits each connection to so many body bytes a second; `None` lifts the limit. Acts at once.
    pub fn cap_per_connection(&self, bytes_per_second: Option<u64>) {
        self.shared.set_cap(bytes_per_second);
    }

    /// Ends every signed address given so far: the storage answers 403 until it is resolved anew.
    pub fn expire_signed_urls(&self) {
        self.shared.signatures.expire_all();
    }

    /// Every request since the start or the last reset, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.recorder.requests()
    }

    /// The requests that one of the servers saw.
    pub fn requests_to(&self, upstream: Upstream) -> Vec<Seen> {
        let mut requests = self.requests();
        requests.retain(|seen| seen.upstream == upstream);
        requests
    }

    /// Body bytes of a file written so far, over all connections and addresses.
    pub fn bytes_served(&self, file: &str) -> u64 {
        self.shared.recorder.bytes_served(file)
    }

    /// Waits until at least so many bytes of a file were written; `false` after half a minute without.
    pub async fn wait_for_bytes(&self, file: &str, bytes: u64) -> bool {
        for _ in 0..6000 {
            if self.bytes_served(file) >= bytes {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// The most responses with bytes of a file that ran at one time.
    pub fn max_parallel(&self, file: &str) -> u64 {
        self.shared.recorder.most_parallel(file)
    }

    /// Responses with bytes of a file that run now.
    pub fn parallel_now(&self, file: &str) -> u64 {
        self.shared.recorder.parallel_now(file)
    }

    /// Forgets requests and counters; faults and content stay.
    pub fn reset_counters(&self) {
        self.shared.recorder.reset();
    }

    /// Computes the hashes that routes will need, so that the first request does not wait for them.
    pub fn prepare(&self) {
        for file in self.shared.world().all_files() {
            file.sha256();
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop would wait, and panics inside another runtime.
            runtime.shutdown_background();
        }
    }
}
