//! Watches jobs until all of them have ended, or until the user has seen enough.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::FetchReport;
use crate::api::{Api, Download, FileName, Reply};
use crate::commands::Ended;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::{Asked, Signals};
use crate::units::{bytes, counted, duration, speed};

/// How often the jobs are looked at: often enough for a bar to move, seldom enough to cost nothing.
const STEP: Duration = Duration::from_millis(200);
/// How often when an end is near, so that nobody waits for the look at it.
const SHORT_STEP: Duration = Duration::from_millis(20);
/// A small file is here within such a time.
const FIRST_MOMENT: Duration = Duration::from_millis(500);
/// States in which a job is not over.
const LIVE: [&str; 5] = ["downloading", "retrying", "verifying", "queued", "paused"];

/// How the watching ended.
enum Seen {
    AllEnded,
    Stopped(Asked),
}

/// Shows progress until every job has ended, then what came of them.
pub(super) async fn until_ended(ids: &[String], api: &Api, output: &Output) -> Result<FetchReport> {
    let started = Instant::now();
    let mut signals = Signals::listen()?;
    if api.settings().await.is_ok_and(|settings| settings.data.downloads_paused) {
        output.warn("the queue is paused; `lorakeep settings paused false` lets it run");
    }
    let mut jobs = load(ids, api).await?;
    let first_bytes: u64 = jobs.iter().map(|job| job.data.bytes_downloaded).sum();
    let mut progress = Progress::new(output);
    let seen = watch(&mut jobs, api, &mut progress, &mut signals).await;
    progress.finish();
    match seen? {
        Seen::AllEnded => {
            let received =
                jobs.iter().map(|job| job.data.bytes_downloaded).sum::<u64>().saturating_sub(first_bytes);
            let verified = count_verified(&jobs, api).await;
            Ok(summary(jobs, received, verified, started.elapsed(), output))
        }
        Seen::Stopped(asked) => tokio::select! {
            report = stopped(&mut jobs, asked, api, output) => Ok(report),
            _ = signals.next() => Err(Failure::new("left without waiting for the downloads to stop")),
        },
    }
}

async fn watch(
    jobs: &mut [Reply<Download>],
    api: &Api,
    progress: &mut Progress<'_>,
    signals: &mut Signals,
) -> Result<Seen> {
    let began = Instant::now();
    loop {
        progress.show(jobs.iter().map(|job| &job.data));
        if jobs.iter().all(|job| job.data.is_ended()) {
            return Ok(Seen::AllEnded);
        }
        tokio::select! {
            asked = signals.next() => return Ok(Seen::Stopped(asked)),
            () = tokio::time::sleep(step(jobs, began.elapsed())) => {}
        }
        refresh(jobs, api).await?;
    }
}

/// The pause until the next look.
fn step(jobs: &[Reply<Download>], since_start: Duration) -> Duration {
    let is_near = |job: &Download| match job.state.as_str() {
        "verifying" => true,
        "downloading" if job.bytes_total == 0 => true,
        "downloading" => ((job.bytes_total - job.bytes_downloaded.min(job.bytes_total)) as f64) < job.speed,
        _ => false,
    };
    if since_start < FIRST_MOMENT || jobs.iter().any(|job| is_near(&job.data)) { SHORT_STEP } else { STEP }
}

async fn load(ids: &[String], api: &Api) -> Result<Vec<Reply<Download>>> {
    let mut jobs = Vec::with_capacity(ids.len());
    for id in ids {
        jobs.push(api.download(id).await?);
    }
    Ok(jobs)
}

/// One list has everything that is not over; a job that has left it is asked for by itself, once.
async fn refresh(jobs: &mut [Reply<Download>], api: &Api) -> Result<()> {
    let live = api.downloads(&LIVE).await?;
    let mut live: HashMap<String, Reply<Download>> =
        live.into_iter().map(|job| (job.data.id.clone(), job)).collect();
    for job in jobs.iter_mut().filter(|job| !job.data.is_ended()) {
        *job = match live.remove(&job.data.id) {
            Some(now) => now,
            None => api.download(&job.data.id).await?,
        };
    }
    Ok(())
}

/// How many of the files are what their sources published.
async fn count_verified(jobs: &[Reply<Download>], api: &Api) -> usize {
    let mut count = 0;
    for job in jobs.iter().map(|job| &job.data).filter(|job| job.state == "done") {
        let name = FileName { dest: Some(job.dest.clone()), file: job.file.clone() };
        // An entry that was taken out meanwhile has nothing to say.
        count += usize::from(api.entry(&name).await.is_ok_and(|entry| entry.data.verification == "verified"));
    }
    count
}

/// What came of every job; those that failed come last, with what to do about them.
fn summary(
    jobs: Vec<Reply<Download>>,
    received: u64,
    verified: usize,
    elapsed: Duration,
    output: &Output,
) -> FetchReport {
    let (done, failed): (Vec<_>, Vec<_>) =
        jobs.iter().map(|job| &job.data).partition(|job| job.state == "done");
    if !done.is_empty() {
        let size: u64 = done.iter().map(|job| job.bytes_total).sum();
        let rate = received as f64 / elapsed.as_secs_f64().max(0.001);
        output.say(&format!(
            "{} here ({}, {}), fetched {} in {} ({})",
            counted(done.len() as u64, "file"),
            bytes(size),
            match verified {
                0 => "no SHA-256 was published".to_owned(),
                all if all == done.len() => "SHA-256 verified".to_owned(),
                some => format!("SHA-256 of {some} verified"),
            },
            bytes(received),
            duration(elapsed),
            speed(rate)
        ));
    }
    for job in &failed {
        tell_failed(job, output);
    }
    if failed.iter().any(|job| job.state == "error") {
        output.hint("the same command tries again; what has arrived is kept");
    }
    let ended = Ended::failed_if(!failed.is_empty());
    FetchReport { ended, downloads: jobs.into_iter().map(|job| job.json).collect(), skipped: Vec::new() }
}

fn tell_failed(job: &Download, output: &Output) {
    let path = job.path();
    match job.state.as_str() {
        "cancelled" => output.error(&format!("`{path}` was cancelled")),
        "quarantined" => {
            let reason = job.error.as_deref().unwrap_or("its content may not be loaded");
            output.error(&format!("`{path}` is in quarantine: {reason}"));
        }
        _ => {
            output.error(&format!("`{path}`: {}", job.error.as_deref().unwrap_or("the download failed")));
        }
    }
}

/// Ctrl-C and SIGTERM: a server goes on; this process cannot, so Ctrl-C pauses what it was asked for. SIGTERM leaves it in
/// the queue, for the next start.
async fn stopped(jobs: &mut [Reply<Download>], asked: Asked, api: &Api, output: &Output) -> FetchReport {
    let left = jobs.iter().filter(|job| !job.data.is_ended()).count() as u64;
    if !api.is_local() {
        output.say(&format!(
            "{} on in the server; `lorakeep queue` shows how, `lorakeep queue pause --all` stops them",
            goes(left)
        ));
    } else if asked == Asked::Interrupt {
        output.say("pausing …");
        for job in jobs.iter_mut().filter(|job| !job.data.is_ended()) {
            // A job that ended in this moment cannot be paused, and need not be.
            if let Ok(paused) = api.act(&job.data.id, "pause").await {
                *job = paused;
            }
        }
        output.say(&format!(
            "paused {}; what has arrived is kept, and the same command goes on from there",
            counted(left, "download")
        ));
    } else {
        output.say(&format!(
            "{} stopped; the next `lorakeep serve` or `lorakeep download` goes on from there",
            counted(left, "download")
        ));
    }
    let downloads: Vec<Value> = jobs.iter().map(|job| job.json.clone()).collect();
    FetchReport { ended: Ended::Failed, downloads, skipped: Vec::new() }
}

fn goes(count: u64) -> String {
    if count == 1 { "1 download goes".to_owned() } else { format!("{count} downloads go") }
}
