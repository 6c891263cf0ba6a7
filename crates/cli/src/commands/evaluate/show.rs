//! An evaluation for people: what it is, what somebody should know, and the numbers with their units.

use serde_json::Value;

use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::bytes;

pub(super) fn show(answer: &Value, output: &Output) -> Result<()> {
    let files = items(&answer["files"]);
    output.table(
        &["FILE", "VERDICT", "BASE MODEL", "ALGORITHM", "RANK", "SCALE", "STRENGTH", "RANK USED", "AT 95 %"],
        files.iter().map(file_row).collect(),
    )?;
    show_findings(answer, output);
    show_programs(files, output)?;
    show_comparisons(answer, output)?;
    show_series(answer, output)?;
    show_pictures(answer, output)?;
    for gap in items(&answer["skipped"]) {
        output.say(&format!("not computed: {}, {}", text(&gap["check"]), text(&gap["reason"])));
    }
    if let Some(message) = answer["error"]["message"].as_str() {
        output.error(message);
    }
    output.say(
        "STRENGTH is the norm of all changes, comparable among files of one base model and algorithm only.",
    );
    Ok(())
}

fn file_row(file: &Value) -> Vec<Field> {
    let adapter = &file["adapter"];
    let verdict = file["verdict"]["level"].as_str().unwrap_or("-");
    let algorithms = adapter["algorithms"].as_object();
    let most = algorithms.and_then(|all| all.iter().max_by_key(|(_, count)| count.as_u64()));
    let algorithm = most.map(|(name, _)| match algorithms.map_or(0, serde_json::Map::len) {
        1 => name.clone(),
        count => format!("{name} and {} more", count - 1),
    });
    let rank = &adapter["rank"];
    let rank = match (rank["min"].as_u64(), rank["max"].as_u64()) {
        (Some(min), Some(max)) if min == max => max.to_string(),
        (Some(min), Some(max)) => format!("{min}-{max}"),
        _ => "-".to_owned(),
    };
    vec![
        Field::text(text(&file["name"])),
        Field::toned(verdict, tone(verdict)),
        Field::text(text(&adapter["architecture"])),
        Field::text(algorithm.unwrap_or_else(|| "-".to_owned())),
        Field::number(rank),
        Field::number(number(&adapter["scale"]["mode"], 3)),
        Field::number(number(&file["weights"]["frobenius_total"], 2)),
        Field::number(number(&file["spectrum"]["effective_rank"]["p50"], 1)),
        Field::number(smaller(&file["spectrum"]["resize"])),
    ]
}

/// Size of the file that would hold 95 % of the energy of every module.
fn smaller(options: &Value) -> String {
    let wanted = |option: &&Value| option["energy"] == 0.95 && option["mode"] == "dynamic";
    let size = items(options).iter().find(wanted).and_then(|option| option["size_bytes"].as_u64());
    size.map_or_else(|| "-".to_owned(), bytes)
}

fn show_findings(answer: &Value, output: &Output) {
    for finding in items(&answer["verdict"]["findings"]) {
        let file = finding["file"].as_str().map(|file| format!("`{file}`: ")).unwrap_or_default();
        let line = format!(
            "{file}{} [{}, {}]",
            text(&finding["message"]),
            text(&finding["code"]),
            text(&finding["source"])
        );
        match finding["severity"].as_str() {
            Some("error") => output.error(&line),
            Some("warning") => output.warn(&line),
            _ => output.say(&line),
        }
    }
}

/// Where the files work.
fn show_programs(files: &[Value], output: &Output) -> Result<()> {
    let mut rows = Vec::new();
    for file in files {
        for fit in items(&file["compatibility"]["runtimes"]) {
            let (loaded, ignored) = (count(&fit["loaded_modules"]), count(&fit["ignored_modules"]));
            let tone = if ignored == 0 { Tone::Good } else { Tone::Warning };
            let unsure = if fit["unknown_architecture"] == true { ", base model not known" } else { "" };
            let applied = format!("{loaded} of {} modules{unsure}", loaded + ignored);
            rows.push(vec![
                Field::text(text(&file["name"])),
                Field::text(format!("{} {}", text(&fit["runtime"]), text(&fit["version"]))),
                Field::toned(applied, tone),
                Field::number(percent(&fit["applied_energy"])),
            ]);
        }
    }
    if rows.is_empty() {
        Ok(())
    } else {
        output.table(&["FILE", "PROGRAM", "APPLIES", "OF ITS STRENGTH"], rows)
    }
}

fn show_comparisons(answer: &Value, output: &Output) -> Result<()> {
    let row = |pair: &Value| {
        vec![
            Field::text(text(&pair["a"])),
            Field::text(text(&pair["b"])),
            Field::text(text(&pair["relation"])),
            Field::number(number(&pair["cosine"], 3)),
            Field::number(number(&pair["norm_ratio"], 2)),
            Field::number(percent(&pair["merge"]["interference"])),
        ]
    };
    let rows: Vec<_> = items(&answer["comparisons"]).iter().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(&["FILE", "OTHER", "RELATION", "COSINE", "NORM RATIO", "INTERFERENCE"], rows)
}

fn show_series(answer: &Value, output: &Output) -> Result<()> {
    let series = &answer["series"];
    let (norms, cosines) = (items(&series["frobenius_total"]), items(&series["step_cosine"]));
    let steps = items(&series["steps"]);
    let row = |(place, file): (usize, &Value)| {
        let before = place.checked_sub(1);
        let of = |list: &[Value]| before.and_then(|before| list.get(before)).cloned().unwrap_or_default();
        vec![
            Field::text(text(file)),
            Field::number(number(norms.get(place).unwrap_or(&Value::Null), 2)),
            Field::number(number(&of(steps)["norm_growth"], 2)),
            Field::number(number(&of(cosines), 3)),
            Field::number(percent(&of(steps)["new_energy"])),
        ]
    };
    let rows: Vec<_> = items(&series["order"]).iter().enumerate().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.table(&["CHECKPOINT", "STRENGTH", "GROWTH", "COSINE TO THE ONE BEFORE", "NEW"], rows)?;
    output.say(&text(&series["note"]));
    Ok(())
}

fn show_pictures(answer: &Value, output: &Output) -> Result<()> {
    let images = &answer["images"];
    if images.is_null() {
        return Ok(());
    }
    let of_all = items(&images["by_file"]);
    let of_one = std::slice::from_ref(images);
    for response in if of_all.is_empty() { of_one } else { of_all } {
        if let Some(file) = response["file"].as_str() {
            output.say(&format!("`{file}`:"));
        }
        let row = |point: &Value| {
            vec![
                Field::number(number(&point["strength"], 2)),
                Field::number(number(&point["delta_lab"], 1)),
                Field::number(number(&point["ssim"], 2)),
                Field::number(number(&point["dhash"], 1)),
                Field::number(percent(&point["colourfulness_delta"])),
                Field::number(percent(&point["clip_high_delta"])),
                Field::number(text(&point["n"])),
            ]
        };
        let rows = items(&response["dose_response"]).iter().map(row).collect();
        output.table(
            &["STRENGTH", "COLOUR CHANGE", "SSIM", "LAYOUT BITS", "COLOURFULNESS", "BURNT", "PAIRS"],
            rows,
        )?;
        let strength = |name: &str| number(&response[name], 2);
        output.say(&format!(
            "begins at {}, usable to {}, burns at {}",
            strength("onset_strength"),
            strength("max_usable_strength"),
            strength("burns_at_strength")
        ));
    }
    let total = count(&images["cells_total"]);
    output.say(&format!(
        "{} of {total} pictures; {} failed",
        count(&images["cells_done"]),
        count(&images["cells_failed"])
    ));
    if let Some(grid) = images["grid_image"].as_str() {
        output.say(&format!("contact sheet: {grid}"));
    }
    Ok(())
}

fn tone(level: &str) -> Tone {
    match level {
        "ok" => Tone::Good,
        "warning" => Tone::Warning,
        "error" => Tone::Bad,
        _ => Tone::Faint,
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// A text as it is; a missing one is a dash.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn number(value: &Value, decimals: usize) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{:.0} %", value * 100.0))
}
