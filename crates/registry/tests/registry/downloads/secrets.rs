//! Keys go to their own host and nowhere else: not to storage, not into rows, errors or logs.

use std::io;
use std::sync::{Arc, Mutex};

use lorakeep_registry::domain::CatalogName;
use lorakeep_registry::{DownloadFilter, PageRequest};
use lorakeep_standin::Upstream;
use tracing_subscriber::fmt::MakeWriter;

use super::support::{KEY, Studio, TOKEN, civitai_entry, civitai_model, hub_entry, small};
use crate::harness::on_sqlite;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn keys_go_to_their_own_host_only_and_into_no_text() {
    on_sqlite(|home| async move {
        let log = Log::default();
        // Everything down to single events; the runtime of a test has one thread, so this catches all of its tasks.
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
        // With one dispatcher alone, an event that another test's thread meets first is switched off for all threads.
        let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
        let _guard = tracing::subscriber::set_default(subscriber.finish());
        tracing::callsite::rebuild_interest_cache();
        let studio = Studio::open_with(home, &[("CIVITAI_API_KEY", KEY), ("HF_TOKEN", TOKEN)]).await;
        studio.serve(&[small("a.safetensors")]);
        studio.standin.add_model(civitai_model(7, small("style.safetensors")));
        studio.import(&[hub_entry("a.safetensors"), civitai_entry("style.safetensors", 70)]).await;
        studio.import(&[hub_entry("missing.safetensors"), civitai_entry("gone.safetensors", 999)]).await;
        let files = ["a.safetensors", "style.safetensors", "missing.safetensors", "gone.safetensors"];
        studio.registry.enqueue_batch(&files.map(str::to_owned), false).await.unwrap();
        studio.registry.run_until_empty().await.unwrap();
        assert!(
            studio.path("loras/a.safetensors").is_file() && studio.path("loras/style.safetensors").is_file()
        );
        for seen in studio.standin.requests() {
            let expected = match seen.upstream {
                Upstream::Civitai => Some(format!("Bearer {KEY}")),
                Upstream::HuggingFace => Some(format!("Bearer {TOKEN}")),
                Upstream::Storage | Upstream::ComfyUi => None,
            };
            assert_eq!(seen.authorization, expected, "{} {}", seen.method, seen.path);
            assert!(!seen.query.contains(KEY) && !seen.query.contains(TOKEN), "{}", seen.query);
        }
        let rows =
            studio.registry.list_downloads(DownloadFilter::default(), PageRequest::default()).await.unwrap();
        assert_eq!(rows.items.len(), 4);
        let text = format!(
            "{rows:?} {:?} {}",
            studio.registry.live_downloads(),
            studio.registry.export(CatalogName::Models)
        );
        assert!(!text.contains(KEY) && !text.contains(TOKEN));
        studio.registry.close().await;
        let log = log.text();
        assert!(log.contains("download done") && log.contains("download failed"), "the log was caught");
        assert!(!log.contains(KEY) && !log.contains(TOKEN));
        // Signed addresses are keys too.
        assert!(!log.contains("X-Amz-Signature"));
    })
    .await;
}
