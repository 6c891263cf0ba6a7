//! Taking over another program's folder: what is asked for, how far it is, what came of it.

use askama::Template;
use axum::extract::State;
use http::HeaderMap;
use lorakeep_registry::domain::SidecarFlavour;
use lorakeep_registry::{AdoptionReport, AdoptionState, AdoptionStatus, HashingProgress};

use super::filters;
use super::page::{self, Frame, Page};
use crate::app::AppState;

#[derive(Template)]
#[template(path = "adoption.html")]
struct AdoptionPage {
    frame: Frame,
    status: AdoptionStatus,
    path: String,
    unlisted: bool,
    sidecars: Vec<Sidecar>,
    hashing: HashingProgress,
}

/// A flavour of sidecars that can be written.
struct Sidecar {
    word: &'static str,
    name: &'static str,
    is_chosen: bool,
}

pub(super) async fn show(State(app): AppState, headers: HeaderMap) -> Page {
    let registry = app.registry();
    let status = registry.adoption();
    let request = status.request.clone().unwrap_or_default();
    let sidecar = |flavour: SidecarFlavour| Sidecar {
        word: flavour.as_str(),
        name: name(flavour),
        is_chosen: request.sidecars.contains(&flavour),
    };
    let template = AdoptionPage {
        frame: Frame::new("/settings"),
        path: request.path.display().to_string(),
        unlisted: request.unlisted,
        sidecars: SidecarFlavour::ALL.map(sidecar).into(),
        hashing: registry.hashing(),
        status,
    };
    page::render(&headers, &template)
}

fn name(flavour: SidecarFlavour) -> &'static str {
    match flavour {
        SidecarFlavour::CivitaiInfo => "Civitai Helper (.civitai.info)",
        SidecarFlavour::LoraManager => "LoRA Manager (.metadata.json)",
        SidecarFlavour::StabilityMatrix => "Stability Matrix (.cm-info.json)",
        SidecarFlavour::A1111 => "A1111 and relatives (.json)",
    }
}

impl AdoptionPage {
    fn is_running(&self) -> bool {
        self.status.state == AdoptionState::Running
    }

    fn is_dry(&self) -> bool {
        self.status.request.as_ref().is_some_and(|request| request.is_dry)
    }

    /// Whether the report says what could be taken, and taking it is the next step.
    fn was_a_look(&self) -> bool {
        self.is_dry() && self.status.state == AdoptionState::Done
    }

    /// What became of it, for people.
    fn outcome(&self) -> &'static str {
        match self.status.state {
            AdoptionState::Idle => "",
            AdoptionState::Running if self.is_dry() => "Looking",
            AdoptionState::Running => "Taking over",
            AdoptionState::Interrupted => "Interrupted; start it again and it goes on",
            AdoptionState::Done if self.is_dry() => "This is what would be taken over",
            AdoptionState::Done => "Taken over",
            AdoptionState::Cancelled => "Stopped; what was taken stays",
            AdoptionState::Failed => "It failed; what was taken stays",
        }
    }

    /// The body that takes over what the look has found.
    fn same_for_real(&self) -> String {
        let request = self.status.request.clone().unwrap_or_default();
        let sidecars: Vec<&str> = request.sidecars.iter().map(|flavour| flavour.as_str()).collect();
        serde_json::json!({ "path": self.path, "unlisted": request.unlisted, "sidecars": sidecars })
            .to_string()
    }

    /// Facts of the report that are not zero.
    #[expect(clippy::unused_self, reason = "templates call it on their page")]
    fn facts(&self, report: &AdoptionReport) -> Vec<(&'static str, u64)> {
        let files = &report.files;
        let sidecars = &report.sidecars;
        let mut facts = vec![
            ("Model files on disk", files.files),
            ("Model files that no catalog knows", files.unlisted),
            ("Of them now entries", files.adopted),
            ("Sidecars of Civitai Helper", sidecars.civitai_info),
            ("Sidecars of A1111", sidecars.a1111),
            ("Sidecars of LoRA Manager", sidecars.lora_manager),
            ("Sidecars of Stability Matrix", sidecars.stability_matrix),
            ("Sidecars that cannot be read", sidecars.unreadable),
            ("Entries that learned something", sidecars.entries_filled),
            ("Previews beside models", sidecars.previews),
            ("Of them new in the gallery", sidecars.previews_added),
            ("Sidecars written", sidecars.written),
            ("Sidecars not written, to keep somebody else's whole", sidecars.not_written),
        ];
        if let Some(gallery) = &report.gallery {
            facts.extend([
                ("Pictures in the gallery", gallery.images),
                ("Videos in the gallery", gallery.videos),
                ("Of them new here", gallery.added),
                ("Files in the gallery that are neither", gallery.unusable),
            ]);
        }
        facts.retain(|(_, count)| *count > 0);
        facts
    }
}
