//! What `/metrics` shows: requests as they come, and the state of the registry at the moment of asking.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use lorakeep_registry::domain::{CatalogName, DownloadState};
use lorakeep_registry::{AdoptionState, DownloadFilter, PageRequest, Registry, Result};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the duration histogram, seconds.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder of this process, once.
pub(crate) fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&DURATION_BUCKETS).expect("there are buckets");
        let recorder = builder.install_recorder();
        if let Err(error) = &recorder {
            tracing::warn!(%error, "another metrics recorder is in place, `/metrics` stays empty");
        }
        describe();
        recorder.ok()
    });
}

fn describe() {
    describe_counter!("lorakeep_http_requests_total", "Requests by method, route and status");
    describe_histogram!("lorakeep_http_request_duration_seconds", "Time to the head of the answer, seconds");
    describe_counter!("lorakeep_http_panics_total", "Handlers that panicked");
    describe_gauge!("lorakeep_downloads", "Download jobs by state");
    describe_gauge!("lorakeep_entries", "Catalog entries");
    describe_gauge!("lorakeep_entries_present", "Catalog entries whose file is on disk");
    describe_gauge!("lorakeep_models_bytes", "Bytes on disk of the entries of a catalog");
    describe_gauge!("lorakeep_bin_bytes", "Bytes held by the bin");
    describe_gauge!("lorakeep_free_bytes", "Free bytes on the file system of the models folder");
    describe_gauge!("lorakeep_unlisted_files", "Files on disk that no catalog knows");
    describe_gauge!("lorakeep_adoption_running", "1 while the folder of another program is taken over");
    describe_gauge!("lorakeep_adoption_steps", "Steps of the part that is taken over now");
    describe_gauge!("lorakeep_adoption_steps_done", "Those of them that are done");
    describe_gauge!("lorakeep_hashing_left_files", "Model files whose hash is not known");
    describe_gauge!("lorakeep_hashing_left_bytes", "Bytes of the model files whose hash is not known");
    describe_gauge!("lorakeep_hashing_failed_files", "Model files that could not be read to hash them");
    describe_counter!("lorakeep_hashed_bytes_total", "Bytes hashed in the background since the start");
    describe_gauge!("lorakeep_download_bytes_per_second", "Speed of all running downloads together");
}

/// Counts an answered request.
pub(crate) fn count_request(method: &Method, route: &str, status: StatusCode, elapsed: Duration) {
    let method = method_label(method);
    let route = route.to_owned();
    histogram!("lorakeep_http_request_duration_seconds", "method" => method, "route" => route.clone())
        .record(elapsed.as_secs_f64());
    let status = status.as_str().to_owned();
    counter!("lorakeep_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
}

/// A label out of a fixed set: a client can send any word as its method.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Counts a handler that panicked.
pub(crate) fn count_panic() {
    counter!("lorakeep_http_panics_total").increment(1);
}

/// Everything in Prometheus' text format, the registry's state freshly read.
pub(crate) async fn render(registry: &Registry) -> Result<String> {
    let Some(recorder) = RECORDER.get().and_then(Option::as_ref) else { return Ok(String::new()) };
    read_queue(registry).await?;
    let registry = registry.clone();
    let task = tokio::task::spawn_blocking(move || {
        read_catalogs(&registry);
        read_adoption(&registry);
        recorder.run_upkeep();
        recorder.render()
    });
    task.await.map_err(|error| lorakeep_registry::Error::internal("rendering the metrics", error))
}

async fn read_queue(registry: &Registry) -> Result<()> {
    for state in DownloadState::ALL {
        let filter = DownloadFilter { states: vec![state] };
        let page = registry.list_downloads(filter, PageRequest { limit: Some(1), cursor: None }).await?;
        gauge!("lorakeep_downloads", "state" => state.as_str()).set(page.total as f64);
    }
    Ok(())
}

fn read_catalogs(registry: &Registry) {
    for catalog in CatalogName::ALL {
        let stats = registry.listing(catalog).stats;
        let name = catalog.as_str();
        gauge!("lorakeep_entries", "catalog" => name).set(stats.total_count as f64);
        gauge!("lorakeep_entries_present", "catalog" => name).set(stats.present_count as f64);
        gauge!("lorakeep_models_bytes", "catalog" => name).set(stats.models_bytes as f64);
        gauge!("lorakeep_bin_bytes").set(stats.bin_bytes as f64);
        gauge!("lorakeep_free_bytes").set(stats.free_bytes as f64);
        gauge!("lorakeep_unlisted_files").set(stats.unlisted_count as f64);
        gauge!("lorakeep_download_bytes_per_second").set(stats.global_speed);
    }
}

fn read_adoption(registry: &Registry) {
    let (adoption, hashing) = (registry.adoption(), registry.hashing());
    let is_running = adoption.state == AdoptionState::Running;
    gauge!("lorakeep_adoption_running").set(f64::from(u8::from(is_running)));
    gauge!("lorakeep_adoption_steps").set(if is_running { adoption.total as f64 } else { 0.0 });
    gauge!("lorakeep_adoption_steps_done").set(if is_running { adoption.done as f64 } else { 0.0 });
    gauge!("lorakeep_hashing_left_files").set(hashing.left_files as f64);
    gauge!("lorakeep_hashing_left_bytes").set(hashing.left_bytes as f64);
    gauge!("lorakeep_hashing_failed_files").set(hashing.failed_files as f64);
    counter!("lorakeep_hashed_bytes_total").absolute(hashing.done_bytes);
}
