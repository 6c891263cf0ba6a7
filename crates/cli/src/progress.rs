//! Progress of downloads and of hashing for people: bars on a terminal, a line a step elsewhere, nothing when quiet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::api::Download;
use crate::output::{Output, printable};
use crate::units::{bytes, counted, duration, speed, whole_seconds};

/// Bars at once; the rest is counted in the last line.
const MAX_BARS: usize = 10;
/// Columns of a name at least and at most, of a bar at least, and of the numbers behind it.
const NAME_COLUMNS: (usize, usize) = (12, 44);
const BAR_COLUMNS: usize = 12;
const NUMBER_COLUMNS: usize = 40;
/// Elsewhere than on a terminal: a line every so many percent, but not more often than this.
const LINE_STEP_PERCENT: u64 = 10;
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Where progress is shown.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    view: View,
    /// What was last said of each job.
    known: HashMap<String, Known>,
}

enum View {
    Bars(Bars),
    Lines,
}

struct Bars {
    all: MultiProgress,
    by_job: HashMap<String, ProgressBar>,
    sum: ProgressBar,
}

struct Known {
    state: String,
    percent: u64,
    said_at: Instant,
    began: Instant,
}

impl<'a> Progress<'a> {
    /// Chooses by what standard error is.
    pub(crate) fn new(output: &'a Output) -> Self {
        let view = if output.has_bars() { View::Bars(Bars::new()) } else { View::Lines };
        Self { output, view, known: HashMap::new() }
    }

    /// Shows how the jobs stand now.
    pub(crate) fn show<'d>(&mut self, jobs: impl Iterator<Item = &'d Download>) {
        let jobs: Vec<&Download> = jobs.collect();
        for job in &jobs {
            if let Some(line) = self.news(job) {
                match &self.view {
                    View::Bars(bars) => bars.all.suspend(|| self.output.say(&line)),
                    View::Lines => self.output.say(&line),
                }
            }
        }
        if let View::Bars(bars) = &mut self.view {
            bars.show(&jobs);
        }
    }

    /// Takes the bars away; what is said next stands where they were.
    pub(crate) fn finish(self) {
        if let View::Bars(bars) = self.view {
            bars.by_job.values().chain([&bars.sum]).for_each(ProgressBar::finish_and_clear);
            // A terminal that has gone away cannot be cleared.
            let _ = bars.all.clear();
        }
    }

    /// What is worth a line of its own: an end always, and without bars also beginnings and steps on the way.
    fn news(&mut self, job: &Download) -> Option<String> {
        let now = Instant::now();
        let percent = percent(job);
        let is_plain = matches!(self.view, View::Lines);
        let Some(known) = self.known.get_mut(&job.id) else {
            let known = Known { state: job.state.clone(), percent, said_at: now, began: now };
            self.known.insert(job.id.clone(), known);
            return (is_plain && !job.is_ended())
                .then(|| format!("{} {}{}", job.state, job.path(), of_size(job)));
        };
        if known.state != job.state {
            known.state.clone_from(&job.state);
            known.said_at = now;
            return match job.state.as_str() {
                "done" => Some(done_line(job, now - known.began)),
                "downloading" => {
                    known.began = now;
                    is_plain.then(|| format!("downloading {}{}", job.path(), of_size(job)))
                }
                _ if job.is_ended() => None,
                "retrying" => {
                    let why = job.waits_for(Utc::now());
                    why.map(|why| format!("waiting {}: {why}", job.path()))
                }
                state => is_plain.then(|| format!("{state} {}", job.path())),
            };
        }
        let step = percent / LINE_STEP_PERCENT > known.percent / LINE_STEP_PERCENT;
        if !(is_plain && step && job.state == "downloading" && now - known.said_at >= LINE_INTERVAL) {
            return None;
        }
        known.percent = percent;
        known.said_at = now;
        Some(format!("downloading {} {percent} % ({}, {})", job.path(), speed(job.speed), time_left(job)))
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let sum = all.add(ProgressBar::hidden().with_style(style("{wide_msg}")));
        Self { all, by_job: HashMap::new(), sum }
    }

    /// Running jobs first, then those that wait, as many as there is room for.
    fn show(&mut self, jobs: &[&Download]) {
        let mut shown: Vec<&Download> = jobs.iter().copied().filter(|job| !job.is_ended()).collect();
        shown.sort_by_key(|job| !job.is_running());
        shown.truncate(MAX_BARS);
        self.by_job.retain(|id, bar| {
            let stays = shown.iter().any(|job| job.id == *id);
            if !stays {
                bar.finish_and_clear();
                self.all.remove(bar);
            }
            stays
        });
        let columns = terminal_columns();
        for job in shown {
            let bar = self.by_job.entry(job.id.clone()).or_insert_with(|| {
                let bar = ProgressBar::hidden().with_style(style("{prefix} {wide_bar:.cyan/dim} {msg}"));
                self.all.insert_before(&self.sum, bar)
            });
            bar.set_prefix(name(&job.file, name_columns(columns)));
            bar.set_length(job.bytes_total.max(1));
            bar.set_position(job.bytes_downloaded);
            bar.set_message(numbers(job, columns));
        }
        self.sum.set_message(sum_line(jobs));
        self.sum.tick();
    }
}

/// Progress of hashing, which has one number only.
pub(crate) struct ByteProgress {
    bar: Option<ProgressBar>,
}

impl ByteProgress {
    /// A bar on a terminal, nothing elsewhere.
    pub(crate) fn new(output: &Output, what: &'static str) -> Self {
        let bar = output.has_bars().then(|| {
            let bar = ProgressBar::new(0).with_style(style("{prefix} {wide_bar:.cyan/dim} {msg}"));
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar.set_prefix(what);
            bar
        });
        Self { bar }
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, done: u64, total: u64, began: Instant) {
        if let Some(bar) = &self.bar {
            bar.set_length(total.max(1));
            bar.set_position(done);
            let rate = done as f64 / began.elapsed().as_secs_f64().max(0.001);
            bar.set_message(format!("{:>8} of {:<8} {:>9}", bytes(done), bytes(total), speed(rate)));
        }
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates here are valid").progress_chars("━╸─")
}

fn percent(job: &Download) -> u64 {
    (job.bytes_downloaded * 100).checked_div(job.bytes_total).unwrap_or(0)
}

/// How wide standard error is; 80 where it does not say.
fn terminal_columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

/// What is left for the name beside a bar and the numbers.
fn name_columns(columns: usize) -> usize {
    let rest = columns.saturating_sub(NUMBER_COLUMNS + BAR_COLUMNS + 2);
    rest.clamp(NAME_COLUMNS.0, NAME_COLUMNS.1)
}

/// The file name in so many columns, cut in the middle so that version and extension stay.
fn name(file: &str, columns: usize) -> String {
    let file = printable(file);
    let count = file.chars().count();
    if count <= columns {
        return format!("{file:<columns$}");
    }
    let tail = columns / 2;
    let head: String = file.chars().take(columns - tail - 1).collect();
    let tail: String = file.chars().skip(count - tail).collect();
    format!("{head}…{tail}")
}

/// Bytes, speed and time left; the share alone where there is no room.
fn numbers(job: &Download, columns: usize) -> String {
    let size = if job.bytes_total == 0 { "?".to_owned() } else { bytes(job.bytes_total) };
    let is_moving = job.state == "downloading";
    if columns < NAME_COLUMNS.0 + BAR_COLUMNS + NUMBER_COLUMNS + 2 {
        let what = if is_moving { speed(job.speed) } else { job.state.clone() };
        return format!("{:>3} % {what:>11}", percent(job));
    }
    let end = if is_moving {
        format!("{:>8} {:>11}", speed(job.speed), short_time_left(job))
    } else {
        let left = job.retry_at.and_then(|at| (at - Utc::now()).to_std().ok());
        let waits = left.map(|left| format!("waiting {}", whole_seconds(left.as_secs() + 1)));
        format!("{:>20}", waits.as_deref().unwrap_or(&job.state))
    };
    format!("{:>7}/{size:<7} {end}", bytes(job.bytes_downloaded))
}

fn of_size(job: &Download) -> String {
    if job.bytes_total == 0 { String::new() } else { format!(" ({})", bytes(job.bytes_total)) }
}

fn time_left(job: &Download) -> String {
    seconds_left(job)
        .map_or_else(|| "time unknown".to_owned(), |seconds| format!("{} left", whole_seconds(seconds)))
}

/// `12 min 05 s`; nothing while it is unknown.
fn short_time_left(job: &Download) -> String {
    seconds_left(job).map(whole_seconds).unwrap_or_default()
}

fn seconds_left(job: &Download) -> Option<u64> {
    job.eta_seconds.filter(|seconds| (0.0..1e7).contains(seconds)).map(|seconds| seconds.ceil() as u64)
}

fn done_line(job: &Download, took: Duration) -> String {
    format!("done {} ({} in {})", job.path(), bytes(job.bytes_total), duration(took))
}

/// `2 of 5 files, 3.1 GB of 20 GB, 118 MB/s, 2 min 23 s left`.
fn sum_line(jobs: &[&Download]) -> String {
    let ended = jobs.iter().filter(|job| job.is_ended()).count();
    let done: u64 = jobs.iter().map(|job| job.bytes_downloaded).sum();
    let total: u64 = jobs.iter().map(|job| job.bytes_total.max(job.bytes_downloaded)).sum();
    let is_known = jobs.iter().all(|job| job.is_ended() || job.bytes_total > 0);
    let rate: f64 = jobs.iter().filter(|job| job.is_running()).map(|job| job.speed).sum();
    let size = if is_known { format!("of {}", bytes(total)) } else { "so far".to_owned() };
    let mut line =
        format!("{ended} of {}, {} {size}, {}", counted(jobs.len() as u64, "file"), bytes(done), speed(rate));
    if rate > 0.0 && is_known {
        let left = ((total - done) as f64 / rate).min(1e7).ceil();
        line = format!("{line}, {} left", whole_seconds(left as u64));
    }
    line
}

/// Counted work, such as the modules of a file: one bar on a terminal, nothing elsewhere. Shared between threads.
pub(crate) struct CountProgress(Option<ProgressBar>);

impl CountProgress {
    pub(crate) fn new(output: &Output) -> Self {
        Self(output.has_bars().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            ProgressBar::with_draw_target(None, target).with_style(style("{msg} {wide_bar} {pos}/{len}"))
        }))
    }

    pub(crate) fn show(&self, what: &str, done: usize, total: usize) {
        if let Some(bar) = &self.0 {
            bar.set_message(printable(what));
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_head_and_its_tail() {
        let long = name("a_very_long_name_of_a_style_lora_for_wan_video_2.2_high_noise_v3.safetensors", 36);
        assert_eq!(long.chars().count(), 36);
        assert!(long.starts_with("a_very_long") && long.ends_with("_v3.safetensors"), "{long}");
        assert_eq!(name("a.pt", 36).len(), 36);
    }

    #[test]
    fn a_row_fits_into_any_terminal() {
        let job = Download {
            bytes_downloaded: 999_499_999,
            bytes_total: 999_499_999_999,
            speed: 999_499_999.0,
            eta_seconds: Some(99.0 * 3600.0),
            ..job("a.safetensors", "downloading")
        };
        for columns in [40, 60, 79, 80, 100, 200] {
            let used = name(&job.file, name_columns(columns)).chars().count()
                + numbers(&job, columns).chars().count();
            assert!(used + 2 + 6 <= columns, "{used} of {columns}");
        }
    }

    fn job(file: &str, state: &str) -> Download {
        serde_json::from_value(serde_json::json!({ "id": "1", "file": file, "state": state })).expect("a job")
    }
}
