//! What an adoption found and took, in words.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lorakeep_registry::{AdoptionReport, CatalogFinding};

use crate::api::{Adoption, Reply};
use crate::commands::Ended;
use crate::failure::Result;
use crate::output::{Field, Output, Tone};
use crate::units::{bytes, counted};

/// Warnings that are printed; all of them stand in `--json`.
const SHOWN_WARNINGS: usize = 20;

/// Steps of the part that is taken over.
pub(super) struct Steps<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    said: String,
}

impl<'a> Steps<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        let bar = output.has_bars().then(|| {
            let style = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len}");
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
                .with_style(style.expect("the template is right"))
        });
        Self { output, bar, said: String::new() }
    }

    pub(super) fn show(&mut self, adoption: &Adoption) {
        if adoption.phase.is_empty() {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_message(adoption.phase.clone());
                bar.set_length(adoption.total);
                bar.set_position(adoption.done);
            }
            None if self.said != adoption.phase => {
                self.said.clone_from(&adoption.phase);
                self.output.detail(&format!("{}: {} steps", adoption.phase, adoption.total));
            }
            None => {}
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Tells everything; whether something went wrong is the exit code.
pub(super) fn adoption(
    reply: &Reply<Adoption>,
    is_look: bool,
    is_local: bool,
    output: &Output,
) -> Result<Ended> {
    let adoption = &reply.data;
    let is_bad = matches!(adoption.state.as_str(), "failed" | "cancelled") && !is_look;
    if output.is_json() {
        output.json(&reply.json)?;
        return Ok(Ended::failed_if(is_bad));
    }
    if let Some(report) = &adoption.report {
        show(report, adoption.dry_run, output)?;
    }
    tell_state(adoption, output);
    tell_hashing(adoption, is_local, output);
    Ok(Ended::failed_if(is_bad))
}

fn show(report: &AdoptionReport, is_dry: bool, output: &Output) -> Result<()> {
    let rows: Vec<Vec<Field>> = report.catalogs.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        output.table(&["CATALOG", "CATEGORY", "ENTRIES", "PRESENT", "MISSING"], rows)?;
    }
    let taken = if is_dry { "would be added" } else { "added" };
    for catalog in &report.catalogs {
        output.say(&format!(
            "`{}`: {}, {} {taken}, {} here already",
            catalog.path,
            plural(catalog.entries, "entry", "entries"),
            catalog.added,
            catalog.known
        ));
        for fault in &catalog.errors {
            output.warn(&format!(
                "`{}`: entry {} (`{}`): {}",
                catalog.path, fault.index, fault.file, fault.message
            ));
        }
    }
    tell_parts(report, taken, output);
    tell_sidecars(report, taken, output);
    for left in &report.left {
        output.say(&format!("left as it is: `{}`: {}", left.path, left.reason));
    }
    for warning in report.warnings.iter().take(SHOWN_WARNINGS) {
        output.warn(warning);
    }
    let hidden = report.warnings_total.saturating_sub(SHOWN_WARNINGS as u64);
    if hidden > 0 {
        output.warn(&format!("{} more; --json has them", counted(hidden, "warning")));
    }
    Ok(())
}

fn rows(catalog: &CatalogFinding) -> Vec<Vec<Field>> {
    let row = |category: &lorakeep_registry::CategoryFinding| {
        vec![
            Field::text(&catalog.catalog),
            Field::text(&category.id),
            Field::number(category.entries.to_string()),
            Field::number(category.present.to_string()),
            Field::toned(
                category.missing.to_string(),
                if category.missing > 0 { Tone::Warning } else { Tone::Plain },
            ),
        ]
    };
    catalog.categories.iter().map(row).collect()
}

fn tell_parts(report: &AdoptionReport, taken: &str, output: &Output) {
    let files = &report.files;
    output.say(&format!(
        "`{}`: {} ({}), {} in no catalog, {} with a known SHA-256",
        files.models_dir,
        counted(files.files, "model file"),
        bytes(files.bytes),
        files.unlisted,
        files.hashed
    ));
    if let Some(gallery) = &report.gallery {
        output.say(&format!(
            "`{}`: {} and {} ({}), {} {taken}, {} here already",
            gallery.path,
            counted(gallery.images, "picture"),
            counted(gallery.videos, "video"),
            bytes(gallery.bytes),
            gallery.added,
            gallery.known
        ));
    }
    if let Some(repository) = &report.repository {
        let what = if repository.is_taken { taken } else { "here already" };
        output.say(&format!("`{}`: {}, {what}", repository.path, counted(repository.files, "file")));
    }
}

fn tell_sidecars(report: &AdoptionReport, taken: &str, output: &Output) {
    let found = &report.sidecars;
    let all = found.civitai_info + found.a1111 + found.lora_manager + found.stability_matrix;
    if report.files.adopted > 0 {
        output.say(&format!("{} {taken} to the catalogs", counted(report.files.adopted, "model file")));
    }
    if all + found.previews > 0 {
        output.say(&format!(
            "beside models: {} ({}), {} ({} {taken} to the gallery)",
            counted(all, "sidecar"),
            plural(found.entries_filled, "entry learned something", "entries learned something"),
            counted(found.previews, "preview"),
            found.previews_added
        ));
    }
    if found.written + found.not_written > 0 {
        let written = counted(found.written, "sidecar");
        output.say(&format!("{written} written, {} left as they are", found.not_written));
    }
}

fn tell_state(adoption: &Adoption, output: &Output) {
    let path = adoption.path.as_deref().unwrap_or_default();
    match adoption.state.as_str() {
        "idle" => output.say("nothing was adopted yet"),
        "running" => output
            .say(&format!("adopting `{path}`: {} {} of {}", adoption.phase, adoption.done, adoption.total)),
        "interrupted" => {
            output.say(&format!("adopting `{path}` was interrupted; run it again, or start the server"));
        }
        "cancelled" => output.warn(&format!("adopting `{path}` was stopped; what was taken stays")),
        "failed" => {
            output.error(&format!(
                "`{path}` was not adopted whole: {}",
                adoption.error.as_deref().unwrap_or("unknown")
            ));
        }
        _ if adoption.dry_run => output.say("nothing was changed"),
        _ => {}
    }
}

fn tell_hashing(adoption: &Adoption, is_local: bool, output: &Output) {
    let hashing = &adoption.hashing;
    if hashing.left_files == 0 || adoption.dry_run {
        return;
    }
    let left =
        format!("{} ({}) still to be hashed", counted(hashing.left_files, "file"), bytes(hashing.left_bytes));
    let who = match (&hashing.current, is_local) {
        (Some(current), false) => format!("the server is at `{current}`"),
        (None, false) => "the server does it by and by".to_owned(),
        (_, true) => "the server does it when it runs; --wait does it now".to_owned(),
    };
    output.say(&format!("{left}; {who}"));
}

fn plural(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}
