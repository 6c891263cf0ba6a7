//! Import, the file on disk, edits by hand.

use std::fs;

use lorakeep_registry::domain::{CatalogName, StatusWord};
use lorakeep_registry::{ImportReport, Registry};
use serde_json::{Value, json};

use crate::harness::{both_databases, eventually, on_sqlite};

const MODELS: &str = include_str!("../data/studio/models.json");
const LORAS: &str = include_str!("../data/studio/loras.json");

async fn import(registry: &Registry, document: &Value) -> ImportReport {
    registry.import(CatalogName::Models, document.to_string().as_bytes()).await.unwrap()
}

fn files(registry: &Registry) -> Vec<String> {
    let listing = registry.listing(CatalogName::Models);
    let states = listing.categories.iter().flat_map(|category| &category.entries);
    states.map(|state| state.entry.file().to_owned()).collect()
}

/// The file without its version and date.
fn body(text: &str) -> String {
    let is_counted = |line: &&str| line.starts_with("  \"version\":") || line.starts_with("  \"date\":");
    text.split('\n').filter(|line| !is_counted(line)).collect::<Vec<_>>().join("\n")
}

both_databases! {
    async fn a_studio_folder_is_adopted_as_it_is(home: Home) {
        home.write_catalog("models", MODELS);
        home.write_catalog("loras", LORAS);
        let registry = home.open().await;
        let listing = registry.listing(CatalogName::Models);
        assert_eq!((listing.version, listing.date.as_str()), (24, "2026-03-24 21:30"));
        assert_eq!((listing.stats.total_count, listing.categories.len()), (126, 14));
        assert!(registry.export(CatalogName::Models) == MODELS);
        assert!(registry.export(CatalogName::Loras) == LORAS);
        registry.start();
        registry.close().await;
        assert!(home.catalog("models") == MODELS, "nothing changed, so nothing is written");
        assert!(home.catalog("loras") == LORAS);
    }

    async fn a_change_moves_version_and_date_and_nothing_else(home: Home) {
        home.write_catalog("models", MODELS);
        let registry = home.open().await;
        let report = import(&registry, &json!([{"file": "new.pt", "dest": "loras/x", "size_gb": 4.0}])).await;
        assert_eq!(report.added, ["new.pt"]);
        registry.remove_entry("new.pt", None).await.unwrap();
        registry.close().await;
        let text = home.catalog("models");
        assert!(body(&text) == body(MODELS));
        assert!(text.starts_with("{\n  \"version\": 26,\n  \"date\": \"2026-05-06 07:08\",\n"), "{}", &text[..80]);
    }

    async fn an_import_adds_tags_skips_and_reports(home: Home) {
        let registry = home.open().await;
        let report = import(&registry, &json!({"categories": [
            {"id": "vae", "name": "VAEs", "note": 1, "models": [
                {"file": "a.pt", "dest": "vae", "tags": ["x", "imported"]},
                {"file": "a.pt", "dest": "vae"},
                {"file": "a.pt", "dest": "other"},
                {"file": "../b.pt", "dest": "vae"},
                7,
            ]},
            {"id": "empty", "name": "Empty"},
            {"models": [{"file": "c.pt", "dest": "loras/deep"}, {"file": "d.pt"}]},
        ]})).await;
        assert_eq!(report.added, ["a.pt", "a.pt", "c.pt", "d.pt"]);
        assert_eq!(report.skipped, ["../b.pt", "", "a.pt"]);
        let faults: Vec<_> = report.errors.iter().map(|fault| (fault.index, fault.field.as_str())).collect();
        assert_eq!(faults, [(3, "file"), (4, "")]);
        let listing = registry.listing(CatalogName::Models);
        let categories: Vec<_> =
            listing.categories.iter().map(|own| (own.category.name.as_str(), own.entries.len())).collect();
        assert_eq!(categories, [("VAEs", 2), ("Loras", 1), ("Other", 1)]);
        for state in listing.categories.iter().flat_map(|category| &category.entries) {
            let tags = state.entry.document.texts("tags").filter(|tag| *tag == "imported").count();
            assert_eq!((tags, state.status), (1, StatusWord::NotDownloaded));
        }
        assert_eq!(listing.version, 1);
        let again = import(&registry, &json!([{"file": "a.pt", "dest": "vae"}])).await;
        assert_eq!((again.added.len(), again.skipped.len()), (0, 1));
        assert_eq!(registry.listing(CatalogName::Models).version, 1, "nothing was added, so nothing counts up");
        registry.close().await;
    }

    async fn a_malformed_import_changes_nothing(home: Home) {
        let registry = home.open().await;
        let text = b"{\n \"categories\": [{\"id\": ,}]}";
        let error = registry.import(CatalogName::Models, text).await.expect_err("malformed");
        assert_eq!(error.code(), "malformed_catalog");
        assert!(error.to_string().contains("line 2, column 24, field `categories[0].id`"), "{error}");
        assert!(files(&registry).is_empty());
        registry.close().await;
        assert!(!home.catalog_path("models").exists(), "a fresh catalog has no file");
    }

    async fn entries_survive_a_restart_and_a_kill(home: Home) {
        let registry = home.open().await;
        import(&registry, &json!([{"file": "b.pt", "dest": "vae"}, {"file": "a.pt", "dest": "vae"}])).await;
        let id = registry.find_entry("a.pt", None).unwrap().entry.id;
        // Dropped without closing: as after a kill, the catalog file was never written.
        drop(registry);
        assert!(!home.catalog_path("models").exists());
        let registry = home.open().await;
        assert_eq!(files(&registry), ["b.pt", "a.pt"]);
        assert_eq!(registry.find_entry("a.pt", None).unwrap().entry.id, id);
        registry.close().await;
        assert!(home.catalog_path("models").exists());
    }

    async fn an_edit_while_the_server_runs_is_taken_over(home: Home) {
        let registry = home.open().await;
        registry.start();
        import(&registry, &json!([{"file": "a.pt", "dest": "vae"}, {"file": "b.pt", "dest": "vae"}])).await;
        eventually("the face is written", || home.catalog_path("models").exists()).await;
        let mut face: Value = serde_json::from_str(&home.catalog("models")).unwrap();
        face["note"] = json!("by hand");
        face["categories"][0]["models"] = json!([
            {"file": "c.pt", "dest": "vae", "size_gb": 1.0},
            {"file": "a.pt", "dest": "vae", "name": "Renamed"},
        ]);
        home.write_catalog("models", face.to_string());
        eventually("the edit is taken over", || files(&registry) == ["c.pt", "a.pt"]).await;
        assert_eq!(registry.find_entry("a.pt", None).unwrap().entry.document.name(), "Renamed");
        eventually("the face has the new version", || home.catalog("models").contains("\"version\": 2,")).await;
        let text = home.catalog("models");
        assert!(text.contains("\"size_gb\": 1.0") && text.contains("\"note\": \"by hand\""), "{text}");
        registry.close().await;
    }

    async fn an_edit_while_nothing_runs_is_taken_over_and_new_entries_stay(home: Home) {
        let registry = home.open().await;
        import(&registry, &json!([{"file": "a.pt", "dest": "vae"}, {"file": "b.pt", "dest": "vae"}])).await;
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        import(&registry, &json!([{"file": "late.pt", "dest": "vae"}])).await;
        drop(registry);
        home.write_catalog("models", home.catalog("models").replace("a.pt", "z.pt"));
        let registry = home.open().await;
        assert_eq!(files(&registry), ["z.pt", "b.pt", "late.pt"]);
        registry.close().await;
        assert!(home.catalog("models").contains("late.pt"));
    }

    async fn a_malformed_edit_is_reported_and_kept_aside_when_we_write(home: Home) {
        let registry = home.open().await;
        import(&registry, &json!([{"file": "a.pt", "dest": "vae"}])).await;
        registry.close().await;
        drop(registry);
        home.write_catalog("models", "{\"categories\": [\n  {\"id\": }]}");
        let registry = home.open().await;
        registry.start();
        let health = registry.health();
        assert!(health.degraded[0].contains("line 2, column 10, field `categories[0].id`"), "{health:?}");
        assert_eq!(files(&registry), ["a.pt"]);
        assert!(home.catalog("models").contains("{\"id\": }"), "it stays as long as there is nothing to write");
        import(&registry, &json!([{"file": "b.pt", "dest": "vae"}])).await;
        eventually("the face is written", || home.catalog("models").contains("b.pt")).await;
        let kept = home.data.join("catalogs/models.json.rejected-20260506-070809");
        assert!(fs::read_to_string(kept).unwrap().contains("{\"id\": }"));
        eventually("the health is well again", || registry.health().degraded.is_empty()).await;
        registry.close().await;
    }

    async fn bad_entries_of_an_edit_are_left_out_and_the_text_is_kept(home: Home) {
        let entries = json!([{"file": "a.pt", "dest": "vae"}, {"file": "../x"}, {"file": "a.pt", "dest": "vae"}]);
        home.write_catalog("models", entries.to_string());
        let registry = home.open().await;
        assert_eq!(files(&registry), ["a.pt"]);
        registry.close().await;
        assert!(home.catalog("models").contains("\"id\": \"vae\""));
        let kept = fs::read_to_string(home.data.join("catalogs/models.json.rejected-20260506-070809")).unwrap();
        assert!(kept.contains("../x"));
    }

    async fn a_name_means_models_before_loras_and_dest_chooses(home: Home) {
        let registry = home.open().await;
        let loras = json!([{"file": "a.pt", "dest": "loras", "name": "style"}]);
        registry.import(CatalogName::Loras, loras.to_string().as_bytes()).await.unwrap();
        import(&registry, &json!([{"file": "a.pt", "dest": "vae", "name": "first"}, {"file": "a.pt", "dest": "loras"}]))
            .await;
        let name = |dest| registry.find_entry("a.pt", dest).unwrap().entry.document.name().to_owned();
        assert_eq!(name(None), "first");
        assert_eq!(registry.find_entry("a.pt", Some("loras")).unwrap().entry.catalog, CatalogName::Models);
        assert_eq!(registry.find_entry("nothing.pt", None).expect_err("missing").code(), "not_found");
        registry.close().await;
    }

    async fn the_builtin_list_is_valid_and_comes_once(home: Home) {
        let registry = home.open().await;
        let report = registry.import_builtin().await.unwrap();
        assert_eq!((report.skipped, report.errors), (vec![], vec![]));
        assert!(registry.import_builtin().await.unwrap().added.is_empty());
        registry.close().await;
    }
}

/// Names that lead elsewhere or mean something to a system, a shell or a page.
const HOSTILE: [&str; 48] = [
    "../x.pt",
    "..\\x.pt",
    "a/../../x.pt",
    "....//x.pt",
    "..;/x.pt",
    "/etc/x.pt",
    "//srv/x.pt",
    "\\\\srv\\share\\x.pt",
    "C:\\x.pt",
    "C:x.pt",
    "\\x.pt",
    "a:b.pt",
    "file:///x.pt",
    "~/x.pt",
    "x\0.pt",
    "x\r.pt",
    "x\n.pt",
    "x\t.pt",
    "x\u{1b}.pt",
    "x\u{7f}.pt",
    "．．／x.pt",
    "‥",
    "a\u{2215}b.pt",
    "a\u{2044}b.pt",
    "a\u{202e}b.pt",
    "a\u{200b}.pt",
    "\u{feff}a.pt",
    "CON",
    "prn.pt",
    "AUX.safetensors",
    "nul.safetensors",
    "con .pt",
    "COM0.pt",
    "lpt9.pt",
    "COM¹.pt",
    "CONIN$",
    "x.pt.",
    "x.pt ",
    ".x.pt",
    "-x.pt",
    " x.pt",
    ".",
    "..",
    "",
    "a*b.pt",
    "a?b.pt",
    "<img onerror>.pt",
    "a|b.pt",
];

#[tokio::test]
async fn hostile_names_are_left_out_wherever_they_stand() {
    on_sqlite(|home| async move {
        let registry = home.open().await;
        let long = "x".repeat(256);
        for name in HOSTILE.into_iter().chain([long.as_str()]) {
            let report =
                import(&registry, &json!([{"file": name, "dest": "vae"}, {"file": "ok.pt", "dest": name}]))
                    .await;
            let fields: Vec<_> =
                report.errors.iter().map(|fault| (fault.index, fault.field.as_str())).collect();
            let both = [(0, "file"), (1, "dest")];
            // An empty folder is the models folder itself.
            assert_eq!(fields, both[..if name.is_empty() { 1 } else { 2 }], "{name:?}");
            if name.is_empty() {
                registry.remove_entry("ok.pt", None).await.unwrap();
            }
        }
        assert!(files(&registry).is_empty());
        for name in ["a b, c.pt", "モデル.pt", "$(id);.pt", "a.pt.exe", "=cmd.pt", "..a.pt"] {
            let report = import(&registry, &json!([{"file": name, "dest": "vae"}])).await;
            assert_eq!(report.added.len(), usize::from(!name.starts_with('.')), "{name:?}");
        }
        registry.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_second_process_on_a_data_folder_is_refused() {
    on_sqlite(|home| async move {
        let registry = home.open().await;
        let error = home.try_open().await.err().expect("locked");
        assert_eq!(error.code(), "data_dir_locked");
        registry.close().await;
        drop(registry);
        home.open().await.close().await;
    })
    .await;
}
