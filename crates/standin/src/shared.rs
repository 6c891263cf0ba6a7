//! What all connections share: the world, the script of faults, counters, signed addresses; and the
//! one place where faults are applied to answers.

use crate::content::html_page;
use crate::faults::{Instead, Occasion, Plan, RetryAfter, Script, StatusFault};
use crate::observe::{Recorder, Upstream, lock};
use crate::rate::Bucket;
use crate::standin::Options;
use crate::storage::{self, Signatures};
use crate::wire::{Answer, Delivery, FileAnswer, Request, Response, Source, Wanted, wanted};
use crate::world::World;
use crate::{civitai, comfyui, huggingface};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// `Last-Modified` of every file.
const LAST_MODIFIED: &str = "Wed, 01 Jul 2026 12:00:00 GMT";

/// Addresses of the servers, without a slash at the end.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) civitai: String,
    pub(crate) huggingface: String,
    pub(crate) storage: String,
    pub(crate) comfyui: String,
}

/// State of a running stand-in.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) addresses: Addresses,
    pub(crate) recorder: Recorder,
    pub(crate) signatures: Signatures,
    pub(crate) script: Mutex<Script>,
    pub(crate) connections: AtomicU64,
    pub(crate) api_calls: AtomicU64,
    pub(crate) generations: Mutex<comfyui::Generations>,
    /// What is left of the limit of CivitAI's API.
    pub(crate) civitai_bucket: Option<Mutex<Bucket>>,
    world: Mutex<Arc<World>>,
    cap: AtomicU64,
}

impl Shared {
    pub(crate) fn new(options: Options, addresses: Addresses) -> Self {
        Self {
            civitai_bucket: options.civitai_rate.map(|limit| Mutex::new(Bucket::full(limit))),
            options,
            addresses,
            recorder: Recorder::default(),
            signatures: Signatures::default(),
            script: Mutex::default(),
            connections: AtomicU64::new(0),
            api_calls: AtomicU64::new(0),
            generations: Mutex::default(),
            world: Mutex::default(),
            cap: AtomicU64::new(0),
        }
    }

    /// The world as it is now; later changes do not show in it.
    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&lock(&self.world))
    }

    pub(crate) fn change_world(&self, change: impl FnOnce(&mut World)) {
        change(Arc::make_mut(&mut lock(&self.world)));
    }

    /// Bytes a second of each connection.
    pub(crate) fn cap(&self) -> Option<u64> {
        Some(self.cap.load(Ordering::Relaxed)).filter(|cap| *cap > 0)
    }

    pub(crate) fn set_cap(&self, cap: Option<u64>) {
        self.cap.store(cap.unwrap_or(0), Ordering::Relaxed);
    }

    /// Answers a request, faults applied; with the label of the file whose bytes the answer carries.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        upstream: Upstream,
        request: Request,
    ) -> (Delivery, Option<String>) {
        let shared = Arc::clone(self);
        // Routes hash whole files the first time that they have to name them.
        let decided = tokio::task::spawn_blocking(move || {
            let answer = shared.route(upstream, &request);
            shared.decide(answer, &request)
        });
        decided.await.unwrap_or_else(|error| {
            let text = format!("the stand-in failed: {error}");
            (of_response(Response::text(500, text), &Plan::default(), false), None)
        })
    }

    fn route(&self, upstream: Upstream, request: &Request) -> Answer {
        match upstream {
            Upstream::Civitai => civitai::route(self, request),
            Upstream::HuggingFace => huggingface::route(self, request),
            Upstream::Storage => storage::route(self, request),
            Upstream::ComfyUi => comfyui::route(self, request),
        }
    }

    fn decide(&self, answer: Answer, request: &Request) -> (Delivery, Option<String>) {
        let head_only = request.method == "HEAD";
        if request.path.starts_with("/__control") {
            let Answer::Ready(response) = answer else { unreachable!("control serves no files") };
            return (of_response(response, &Plan::default(), head_only), None);
        }
        let plan = lock(&self.script).take(&occasion(&answer, request));
        if let Answer::File(file) = &answer
            && let Some(signed) = &file.signed
        {
            signed.count_request();
            if plan.expire_signature {
                signed.expire();
                return decided(storage::expired(), request, &plan);
            }
        }
        decided(answer, request, &plan)
    }
}

fn decided(answer: Answer, request: &Request, plan: &Plan) -> (Delivery, Option<String>) {
    let head_only = request.method == "HEAD";
    if let Some(instead) = &plan.instead {
        return (of_response(replacement(instead, request), plan, head_only), None);
    }
    match answer {
        Answer::Ready(response) => (of_response(response, plan, head_only), None),
        Answer::File(file) => of_file(*file, request, plan),
    }
}

fn occasion<'a>(answer: &'a Answer, request: &'a Request) -> Occasion<'a> {
    let Answer::File(file) = answer else {
        return Occasion { path: &request.path, ..Occasion::default() };
    };
    let size = file.spec.size();
    let part = wanted(request.header("range"), true, size);
    Occasion {
        path: &request.path,
        file: Some(&file.label),
        ranged: matches!(part, Wanted::Part(..)),
        span: if let Wanted::Part(start, end) = part { (start, end) } else { (0, size) },
        used: file.signed.as_ref().map(|signed| signed.used()),
    }
}

fn of_response(response: Response, plan: &Plan, head_only: bool) -> Delivery {
    let mut headers = response.headers;
    let mut source = Source::Memory(response.body);
    if plan.gzip {
        headers.push(("content-encoding".into(), "gzip".into()));
        source = Source::gzip(source);
    }
    delivery(response.status, headers, source, plan, head_only)
}

fn delivery(
    status: u16,
    headers: Vec<(String, String)>,
    source: Source,
    plan: &Plan,
    head_only: bool,
) -> Delivery {
    let promised = (!plan.chunked).then(|| source.len().saturating_add_signed(plan.length_off_by));
    Delivery {
        status,
        headers,
        source,
        promised,
        stop: plan.stop,
        rate: plan.rate,
        latency: plan.latency,
        reset_at_once: plan.reset_at_once,
        head_only,
        signed: None,
    }
}

fn of_file(file: FileAnswer, request: &Request, plan: &Plan) -> (Delivery, Option<String>) {
    let head_only = request.method == "HEAD";
    let refused = |response| (of_response(response, plan, head_only), None);
    let etag = etag(&file, plan);
    if let Some(refusal) = precondition(request, &etag) {
        return refused(refusal);
    }
    let spec = if plan.change_content { file.spec.replaced() } else { file.spec };
    let size = spec.size();
    let mut headers = validators(etag.clone(), file.content_type);
    headers.extend(file.headers);
    let (status, start, end) = match part_of(request, plan, &etag, size) {
        Wanted::Whole => (200, 0, size),
        Wanted::Part(start, end) => {
            headers.push(("content-range".into(), content_range(start, end, size, plan.wrong_content_range)));
            (206, start, end)
        }
        Wanted::Nothing => return refused(unsatisfiable(size)),
    };
    let mut source = Source::span(spec, start, end, plan.corrupt.clone());
    if plan.gzip {
        headers.push(("content-encoding".into(), "gzip".into()));
        source = Source::gzip(source);
    }
    let mut delivery = delivery(status, headers, source, plan, head_only);
    delivery.signed = file.signed;
    (delivery, (!head_only).then_some(file.label))
}

/// The quoted `ETag`: another of the same length once the file or its tag changed.
fn etag(file: &FileAnswer, plan: &Plan) -> String {
    if plan.change_etag || plan.change_content {
        return format!("\"{}\"", &file.spec.mark("changed")[..file.etag.len().min(64)]);
    }
    format!("\"{}\"", file.etag)
}

fn validators(etag: String, content_type: String) -> Vec<(String, String)> {
    vec![
        ("content-type".into(), content_type),
        ("etag".into(), etag),
        ("last-modified".into(), LAST_MODIFIED.into()),
        ("accept-ranges".into(), "bytes".into()),
    ]
}

fn part_of(request: &Request, plan: &Plan, etag: &str, size: u64) -> Wanted {
    let holds = request.header("if-range").is_none_or(|value| value == etag || value == LAST_MODIFIED);
    let range = request.header("range").filter(|_| !plan.ignore_range && !plan.gzip);
    wanted(range, holds, size)
}

fn unsatisfiable(size: u64) -> Response {
    Response::xml_error(416, "InvalidRange", "The requested range cannot be satisfied.")
        .with("content-range", format!("bytes */{size}"))
}

/// `bytes first-last/size`, or with every figure of the range shifted by one when it is to be wrong.
fn content_range(start: u64, end: u64, size: u64, wrong: bool) -> String {
    let shift = u64::from(wrong);
    format!("bytes {}-{}/{size}", start + shift, end - 1 + shift)
}

fn precondition(request: &Request, etag: &str) -> Option<Response> {
    let lists = |name| request.header(name).map(|list| list.split(',').any(|one| one.trim() == etag));
    if lists("if-none-match") == Some(true) {
        return Some(Response::new(304).with("etag", etag));
    }
    (lists("if-match") == Some(false)).then(|| {
        Response::xml_error(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        )
    })
}

fn replacement(instead: &Instead, request: &Request) -> Response {
    match instead {
        Instead::Status(fault) => status(fault),
        Instead::Html => Response::html(200, html_page(512)),
        Instead::Redirect(Some(url)) => Response::redirect(302, url),
        Instead::Redirect(None) if request.query.is_empty() => Response::redirect(302, &request.path),
        Instead::Redirect(None) => Response::redirect(302, &format!("{}?{}", request.path, request.query)),
    }
}

fn status(fault: &StatusFault) -> Response {
    let kind = if fault.body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
    let response = Response::new(fault.code).with("content-type", kind).body(fault.body.clone());
    match fault.retry_after {
        RetryAfter::None => response,
        RetryAfter::Seconds(seconds) => response.with("retry-after", seconds.to_string()),
        RetryAfter::HttpDate(seconds) => response.with("retry-after", http_date(seconds)),
        RetryAfter::Absurd => response.with("retry-after", "99999999999"),
        RetryAfter::Nonsense => response.with("retry-after", "soon"),
        RetryAfter::RateLimit(seconds) => response
            .with("ratelimit", format!("\"resolvers\";r=0;t={seconds}"))
            .with("ratelimit-policy", "\"fixed window\";\"resolvers\";q=3000;w=300"),
    }
}

/// The moment `seconds` from now as HTTP writes it.
fn http_date(seconds: u64) -> String {
    let moment = SystemTime::now() + Duration::from_secs(seconds);
    chrono::DateTime::<chrono::Utc>::from(moment).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
