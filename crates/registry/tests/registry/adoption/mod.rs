//! Taking over the folder of a studio.

mod beside;
mod support;

use std::fs;

use lorakeep_registry::domain::{CatalogName, Verification};
use lorakeep_registry::{AdoptionRequest, AdoptionState, GalleryFilter, Registry};
use serde_json::json;

use crate::harness::{both_databases, eventually};
use support::{LORAS, MODELS, adopt, body, picture, snapshot_of, studio_in};

fn present(registry: &Registry) -> usize {
    let listing = registry.listing(CatalogName::Models);
    listing.stats.present_count as usize
}

both_databases! {
    async fn a_studio_elsewhere_is_adopted_whole_and_nothing_of_it_changes(home: Home) {
        let studio = studio_in(&home).await;
        home.write_model("vae/wanvideo/Wan2_1_VAE_bf16.safetensors", "bytes");
        let before = snapshot_of(&studio);
        let registry = home.open().await;
        let report = adopt(&registry, &studio).await;
        assert!(registry.export(CatalogName::Models) == MODELS);
        assert!(registry.export(CatalogName::Loras) == LORAS);
        let models = &report.catalogs[0];
        assert_eq!((models.entries, models.added, models.known, models.categories.len()), (126, 126, 0, 14));
        assert_eq!((models.present, models.missing), (present(&registry) as u64, 125));
        assert_eq!((models.version, models.errors.len()), (Some(24), 0));
        let gallery = report.gallery.as_ref().unwrap();
        assert_eq!((gallery.images, gallery.added, gallery.unusable, gallery.chosen_previews), (2, 2, 1, 1));
        assert!(report.repository.as_ref().unwrap().is_taken);
        assert!(home.data.join(".repo/catalogs/models.json").is_file());
        assert_eq!(report.left[0].path, "catalogs/llm.json");
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert!(report.warnings[0].contains("77777777.jpeg"), "{:?}", report.warnings);
        assert_eq!(snapshot_of(&studio), before);

        let again = adopt(&registry, &studio).await;
        assert!(!again.changes_anything(), "{again:?}");
        assert_eq!((again.catalogs[0].known, again.gallery.as_ref().unwrap().known), (126, 2));
        registry.close().await;
        assert!(home.catalog("models") == MODELS && home.catalog("loras") == LORAS);
    }

    async fn images_keep_their_model_star_and_choice(home: Home) {
        let studio = studio_in(&home).await;
        let registry = home.open().await;
        adopt(&registry, &studio).await;
        let of_model = registry.gallery_of_model(7, GalleryFilter::default()).await.unwrap();
        assert_eq!(of_model.preview, Some(12_345_678));
        let starred = &of_model.images[0];
        assert_eq!((starred.id, starred.is_starred, starred.version_ids.as_slice()), (12_345_678, true, &[70][..]));
        assert_eq!((starred.extension.as_str(), starred.username.as_deref()), (".png", Some("painter")), "told by content");
        assert_eq!(starred.prompt(), Some("a lake"));
        assert!(registry.gallery_thumbnail(12_345_678).await.unwrap().path.is_file());
        let bare = registry.gallery_image(42).await.unwrap();
        assert_eq!((bare.model_id, bare.width, bare.reactions), (0, Some(16), 5), "read from the file beside it");
        registry.close().await;
    }

    async fn entries_that_are_here_stay_and_new_ones_come_without_a_tag(home: Home) {
        let studio = studio_in(&home).await;
        let registry = home.open().await;
        let own = json!([{"file": "ae.safetensors", "dest": "vae", "name": "mine"}, {"file": "own.pt", "dest": "vae"}]);
        registry.import(CatalogName::Models, own.to_string().as_bytes()).await.unwrap();
        let report = adopt(&registry, &studio).await;
        assert_eq!((report.catalogs[0].added, report.catalogs[0].known), (125, 1));
        assert_eq!(registry.find_entry("ae.safetensors", Some("vae")).unwrap().entry.document.name(), "mine");
        let new = registry.find_entry("flux1-dev.safetensors", None).unwrap();
        assert_eq!(new.entry.document.texts("tags").collect::<Vec<_>>(), ["flux"]);
        assert_eq!(registry.listing(CatalogName::Models).stats.total_count, 127);
        registry.close().await;
    }

    async fn a_dry_run_says_the_same_and_takes_nothing(home: Home) {
        let studio = studio_in(&home).await;
        let registry = home.open().await;
        let before = snapshot_of(&studio);
        let request = AdoptionRequest { path: studio.clone(), is_dry: true, ..AdoptionRequest::default() };
        let dry = support::run(&registry, request).await;
        assert_eq!(dry.state, AdoptionState::Done);
        assert_eq!(registry.listing(CatalogName::Models).stats.total_count, 0);
        assert!(!home.data.join(".repo").exists() && !home.data.join("gallery/media").exists());
        let dry = dry.report.unwrap();
        let real = adopt(&registry, &studio).await;
        assert_eq!((&dry.catalogs, &dry.left, &dry.warnings), (&real.catalogs, &real.left, &real.warnings));
        assert_eq!(dry.gallery.as_ref().unwrap().added, real.gallery.as_ref().unwrap().added);
        assert_eq!(snapshot_of(&studio), before);
        registry.close().await;
    }

    async fn a_studio_that_is_the_data_folder_is_adopted_where_it_lies(home: Home) {
        let studio = studio_in(&home).await;
        fs::remove_dir(&home.data).unwrap();
        fs::rename(&studio, &home.data).unwrap();
        let images = snapshot_of(&home.data.join("assets"));
        let registry = home.open().await;
        registry.start();
        eventually("the gallery is taken by itself", || registry.adoption().state == AdoptionState::Done).await;
        let report = registry.adoption().report.unwrap();
        assert_eq!((report.catalogs[0].entries, report.catalogs[0].known), (126, 126));
        assert!(!report.repository.as_ref().unwrap().is_taken, "it lies where it belongs");
        assert_eq!(registry.gallery_image(42).await.unwrap().id, 42);
        registry.close().await;
        assert!(home.catalog("models") == MODELS && home.catalog("loras") == LORAS);
        assert_eq!(snapshot_of(&home.data.join("assets")), images);

        drop(registry);
        let registry = home.open().await;
        registry.start();
        assert_eq!(registry.adoption().state, AdoptionState::Done, "known again, and not begun again");
        registry.close().await;
    }

    async fn an_adoption_that_was_broken_off_goes_on_at_the_next_start(home: Home) {
        let studio = studio_in(&home).await;
        for id in 1000..1016 {
            support::write_image(&studio, id, &picture(8, 8));
        }
        let registry = home.open().await;
        registry.start_adoption(AdoptionRequest { path: studio.clone(), ..AdoptionRequest::default() }).await.unwrap();
        eventually("the gallery has begun", || registry.adoption().phase == "gallery").await;
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        assert_eq!(registry.adoption().state, AdoptionState::Interrupted);
        registry.start();
        eventually("it goes on", || registry.adoption().state == AdoptionState::Done).await;
        let gallery = registry.adoption().report.unwrap().gallery.clone().unwrap();
        assert_eq!((gallery.images, gallery.known + gallery.added), (18, 18));
        assert!(registry.export(CatalogName::Models) == MODELS);
        registry.close().await;
    }

    async fn a_cancelled_adoption_keeps_what_it_has(home: Home) {
        let studio = studio_in(&home).await;
        for id in 1000..1016 {
            support::write_image(&studio, id, &picture(8, 8));
        }
        let registry = home.open().await;
        let request = AdoptionRequest { path: studio.clone(), ..AdoptionRequest::default() };
        registry.start_adoption(request.clone()).await.unwrap();
        let second = registry.start_adoption(request).await.expect_err("one at a time");
        assert_eq!(second.code(), "adoption_running");
        eventually("the gallery has begun", || registry.adoption().phase == "gallery").await;
        let ended = registry.cancel_adoption().await;
        assert_eq!(ended.state, AdoptionState::Cancelled);
        assert_eq!(registry.listing(CatalogName::Models).stats.total_count, 126);
        registry.close().await;
    }

    async fn what_cannot_be_read_is_named_and_the_rest_is_taken(home: Home) {
        let studio = studio_in(&home).await;
        fs::write(studio.join("catalogs/models.json"), "{\"categories\": [\n {\"id\": }]}").unwrap();
        fs::write(studio.join("assets/images/gallery.db"), "no database").unwrap();
        let loras = json!([{"file": "../../outside.pt", "dest": "loras"}, {"file": "ok.pt", "dest": "loras"}, 7]);
        fs::write(studio.join("catalogs/loras.json"), loras.to_string()).unwrap();
        let registry = home.open().await;
        let report = adopt(&registry, &studio).await;
        assert!(report.catalogs[0].error.as_ref().unwrap().contains("line 2"), "{report:?}");
        let faults: Vec<_> = report.catalogs[1].errors.iter().map(|fault| (fault.index, fault.field.as_str())).collect();
        assert_eq!((report.catalogs[1].added, faults), (1, vec![(0, "file"), (2, "")]));
        assert_eq!(report.gallery.as_ref().unwrap().added, 2);
        for part in ["models.json", "gallery.db"] {
            assert!(report.warnings.iter().any(|warning| warning.contains(part)), "{part}: {:?}", report.warnings);
        }
        registry.close().await;
    }

    async fn models_are_hashed_by_and_by_and_stay_hashed(home: Home) {
        let studio = studio_in(&home).await;
        home.write_model("vae/ae.safetensors", vec![1; 3_000_000]);
        home.write_model("loras/own.safetensors", "unlisted");
        home.write_model("loras/readme.txt", "no model");
        let registry = home.open().await;
        let left = registry.hashing();
        assert_eq!((left.left_files, left.left_bytes, left.is_running), (2, 3_000_008, false));
        adopt(&registry, &studio).await;
        eventually("both are hashed", || {
            let hashing = registry.hashing();
            (hashing.left_files, hashing.done_files) == (0, 2)
        })
        .await;
        assert_eq!(registry.hashing().done_bytes, 3_000_008);
        let entry = registry.find_entry("ae.safetensors", Some("vae")).unwrap();
        assert_eq!(entry.file.unwrap().verification(), Verification::Hashed);
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        assert_eq!(registry.hashing().left_files, 0, "a hash outlives the process");
        registry.close().await;
    }

    async fn a_change_after_an_adoption_moves_version_and_date_alone(home: Home) {
        let studio = studio_in(&home).await;
        let registry = home.open().await;
        adopt(&registry, &studio).await;
        let new = json!([{"file": "new.pt", "dest": "loras/x"}]);
        registry.import(CatalogName::Models, new.to_string().as_bytes()).await.unwrap();
        registry.remove_entry("new.pt", None).await.unwrap();
        let text = registry.export(CatalogName::Models);
        assert!(body(&text) == body(MODELS) && text.contains("\"version\": 26,"));
        registry.close().await;
    }
}
