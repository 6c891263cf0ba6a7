//! What an evaluation found: in words, then in numbers, then by block of the network.

use askama::Template;
use axum::extract::{Extension, State};
use http::HeaderMap;
use lorakeep_registry::EvaluationAnswer;
use lorakeep_registry::domain::Caller;
use serde_json::Value;

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;
use crate::extract::FileName;

/// The picture's own units; the browser scales it.
const PLOT: (f64, f64) = (1000.0, 120.0);

#[derive(Template)]
#[template(path = "evaluation.html")]
struct EvaluationPage {
    frame: Frame,
    id: String,
    status: &'static str,
    is_over: bool,
    summary: String,
    error: Option<String>,
    files: Vec<FileView>,
    skipped: Vec<(String, String)>,
    raw: String,
}

/// One file's report.
struct FileView {
    name: String,
    findings: Vec<Line>,
    facts: Vec<(&'static str, String)>,
    runtimes: Vec<Runtime>,
    bars: Vec<Bar>,
    smaller: Vec<Smaller>,
}

/// One finding.
struct Line {
    severity: String,
    message: String,
    place: String,
    basis: String,
}

/// What one program would do with the file.
struct Runtime {
    name: String,
    loaded: u64,
    ignored: u64,
    applied: Option<f64>,
    reasons: String,
}

/// One block's share of the change.
struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    title: String,
}

/// A smaller file that could be written.
struct Smaller {
    energy: String,
    mode: String,
    size: u64,
    rank: String,
}

pub(super) async fn show(
    State(app): AppState,
    Extension(caller): Extension<Caller>,
    FileName(id): FileName,
    headers: HeaderMap,
) -> Page {
    let answer = app.registry().evaluation(&caller, &id).await?;
    page::render(&headers, &EvaluationPage::new(&answer))
}

impl EvaluationPage {
    fn new(answer: &EvaluationAnswer) -> Self {
        let text = |value: &Option<Value>, field: &str| {
            value.as_ref().map(|value| text(value, field)).filter(|text| !text.is_empty())
        };
        Self {
            frame: Frame::new("/"),
            id: answer.evaluation_id.clone(),
            status: answer.status,
            is_over: answer.is_over(),
            summary: text(&answer.verdict, "summary").unwrap_or_default(),
            error: text(&answer.error, "message"),
            files: answer.files.iter().map(FileView::new).collect(),
            skipped: answer
                .skipped
                .iter()
                .map(|skipped| (self::text(skipped, "check"), self::text(skipped, "reason")))
                .collect(),
            raw: serde_json::to_string_pretty(answer).unwrap_or_default(),
        }
    }
}

impl FileView {
    fn new(file: &Value) -> Self {
        Self {
            name: text(file, "name"),
            findings: list(&file["findings"]).map(Line::new).collect(),
            facts: facts(file),
            runtimes: list(&file["compatibility"]["runtimes"]).map(Runtime::new).collect(),
            bars: bars(&file["blocks"]),
            smaller: list(&file["spectrum"]["resize"]).map(Smaller::new).collect(),
        }
    }
}

impl Line {
    fn new(finding: &Value) -> Self {
        Self {
            severity: text(finding, "severity"),
            message: text(finding, "message"),
            place: text(finding, "where"),
            basis: text(finding, "source"),
        }
    }

    /// How the stylesheet colours it.
    fn state(&self) -> &'static str {
        match self.severity.as_str() {
            "error" => "error",
            "warning" => "warning",
            _ => "",
        }
    }
}

impl Runtime {
    fn new(fit: &Value) -> Self {
        let reasons = fit["ignored_reasons"].as_object().into_iter().flatten();
        Self {
            name: format!("{} {}", text(fit, "runtime"), text(fit, "version")),
            loaded: fit["loaded_modules"].as_u64().unwrap_or_default(),
            ignored: fit["ignored_modules"].as_u64().unwrap_or_default(),
            applied: fit["applied_energy"].as_f64().map(|share| share * 100.0),
            reasons: reasons
                .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

impl Smaller {
    fn new(option: &Value) -> Self {
        Self {
            energy: number(&option["energy"]),
            mode: text(option, "mode"),
            size: option["size_bytes"].as_u64().unwrap_or_default(),
            rank: number(&option["mean_rank"]),
        }
    }
}

/// The numbers that an artist asks for first.
fn facts(file: &Value) -> Vec<(&'static str, String)> {
    let (adapter, spectrum) = (&file["adapter"], &file["spectrum"]);
    let names = adapter["algorithms"].as_object().into_iter().flatten();
    let algorithms = names.map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ");
    let all = [
        ("Algorithm", algorithms),
        ("Architecture", text(adapter, "architecture")),
        ("Rank", number(&adapter["rank"]["mode"])),
        ("Alpha", number(&adapter["alpha"]["mode"])),
        ("Scale", number(&adapter["scale"]["mode"])),
        ("Norm of the whole change", number(&file["weights"]["frobenius_total"])),
        ("Modules that change nothing", number(&file["weights"]["dead_modules"])),
        ("Effective rank, median", number(&spectrum["effective_rank"]["p50"])),
        ("Rank in use, median", number(&spectrum["rank_utilisation"]["p50"])),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn bars(blocks: &Value) -> Vec<Bar> {
    let shares: Vec<(String, f64)> = list(blocks)
        .map(|block| (text(block, "block"), block["energy_share"].as_f64().unwrap_or_default()))
        .collect();
    let highest = shares.iter().fold(0.0, |highest: f64, (_, share)| highest.max(*share));
    if highest <= 0.0 {
        return Vec::new();
    }
    let step = PLOT.0 / shares.len() as f64;
    let bar = |(index, (name, share)): (usize, (String, f64))| {
        let height = share / highest * PLOT.1;
        Bar {
            x: index as f64 * step,
            y: PLOT.1 - height,
            width: step * 0.8,
            height,
            title: format!("{name}: {:.1} %", share * 100.0),
        }
    };
    shares.into_iter().enumerate().map(bar).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// A number with the digits that mean something; nothing when there is none.
fn number(value: &Value) -> String {
    match (value.as_u64(), value.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(number)) if number.abs() >= 100.0 => format!("{number:.0}"),
        (None, Some(number)) if number.abs() >= 0.001 || number == 0.0 => format!("{number:.3}"),
        (None, Some(number)) => format!("{number:.2e}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        let cases = [
            (json!(16), "16"),
            (json!(0.03125), "0.031"),
            (json!(1234.5), "1234"),
            (json!(0.00001), "1.00e-5"),
            (json!(null), ""),
        ];
        for (value, shown) in cases {
            assert_eq!(number(&value), shown);
        }
    }

    #[test]
    fn the_highest_block_fills_the_plot() {
        let bars =
            bars(&json!([{"block": "IN01", "energy_share": 0.25}, {"block": "MID", "energy_share": 0.75}]));
        assert_eq!((bars[0].height, bars[1].height, bars[1].y), (40.0, 120.0, 0.0));
        assert_eq!(bars[1].title, "MID: 75.0 %");
    }
}
