//! Re-hashing, and what the installation says of itself.

use std::fs;
use std::time::{Duration, SystemTime};

use lorakeep_registry::domain::{CatalogName, Sha256, Verification};
use lorakeep_registry::{CheckOutcome, Registry, VerificationReport};
use serde_json::json;

use crate::harness::{both_databases, eventually};

async fn import(registry: &Registry, entries: &[(&str, Option<&str>)]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(file, content)| {
            let sha256 = content.map(|content| Sha256::of(content.as_bytes()).to_string().to_uppercase());
            json!({"file": file, "dest": "vae", "hash": sha256})
        })
        .collect();
    registry.import(CatalogName::Models, json!(entries).to_string().as_bytes()).await.unwrap();
}

async fn verified(registry: &Registry, files: &[String]) -> VerificationReport {
    registry.start_verification(files).await.unwrap();
    eventually("the run ends", || !registry.verification().unwrap().is_running).await;
    registry.verification().unwrap()
}

fn fact(registry: &Registry, file: &str) -> (Verification, Option<Sha256>) {
    let fact = registry.find_entry(file, None).unwrap().file.unwrap();
    (fact.verification(), fact.sha256)
}

both_databases! {
    async fn files_are_hashed_and_compared_and_the_result_is_kept(home: Home) {
        for (file, content) in [("a.pt", "right"), ("b.pt", "wrong"), ("c.pt", "unknown")] {
            home.write_model(&format!("vae/{file}"), content);
        }
        let registry = home.open().await;
        import(&registry, &[("a.pt", Some("right")), ("b.pt", Some("right")), ("c.pt", None), ("d.pt", None)]).await;
        assert_eq!(registry.verification().expect_err("none yet").code(), "not_found");
        let report = verified(&registry, &[]).await;
        let outcomes: Vec<_> = report.files.iter().map(|file| file.outcome).collect();
        assert_eq!(outcomes, [Verification::Verified, Verification::Mismatch, Verification::Hashed]);
        assert_eq!((report.total_files, report.total_bytes, report.done_bytes), (3, 17, 17));
        assert!(report.finished_at.is_some());
        assert_eq!(report.files[1].sha256.as_deref(), Some(Sha256::of(b"wrong").to_string().as_str()));
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        assert_eq!(fact(&registry, "a.pt"), (Verification::Verified, Some(Sha256::of(b"right"))));
        assert_eq!(fact(&registry, "b.pt").0, Verification::Mismatch);
        fs::File::options().write(true).open(home.models.join("vae/a.pt")).unwrap()
            .set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
        registry.rescan().await.unwrap();
        assert_eq!(fact(&registry, "a.pt"), (Verification::Unverified, None), "it was touched since");
        registry.close().await;
    }

    async fn content_that_changed_behind_an_unchanged_time_is_damage(home: Home) {
        home.write_model("vae/a.pt", "sound");
        let registry = home.open().await;
        import(&registry, &[("a.pt", None)]).await;
        assert_eq!(verified(&registry, &[]).await.files[0].outcome, Verification::Hashed);
        let path = home.models.join("vae/a.pt");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "s0und").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        for _ in 0..2 {
            let report = verified(&registry, &[]).await;
            assert_eq!(report.files[0].outcome, Verification::Mismatch);
            assert_eq!(report.files[0].expected_sha256, Some(Sha256::of(b"sound").to_string()));
        }
        registry.close().await;
    }

    async fn one_file_can_be_asked_for_and_a_missing_one_is_told(home: Home) {
        home.write_model("vae/a.pt", "x");
        let registry = home.open().await;
        import(&registry, &[("a.pt", None), ("gone.pt", None)]).await;
        let report = verified(&registry, &["gone.pt".to_owned(), "a.pt".to_owned()]).await;
        assert_eq!(report.files[0].error.as_deref(), Some("the file is not on disk"));
        assert_eq!(report.files[1].outcome, Verification::Hashed);
        let error = registry.start_verification(&["unknown.pt".to_owned()]).await.expect_err("unknown");
        assert_eq!(error.code(), "not_found");
        registry.close().await;
    }

    async fn one_run_at_a_time_and_it_can_be_cancelled(home: Home) {
        home.write_model("vae/a.pt", "");
        // Sparse: long to hash, quick to make.
        fs::File::options().write(true).open(home.models.join("vae/a.pt")).unwrap().set_len(1 << 40).unwrap();
        let registry = home.open().await;
        import(&registry, &[("a.pt", None)]).await;
        registry.start_verification(&[]).await.unwrap();
        let error = registry.start_verification(&[]).await.expect_err("running");
        assert_eq!(error.code(), "verification_running");
        eventually("bytes are counted", || registry.verification().unwrap().done_bytes > 0).await;
        let report = registry.cancel_verification().await.unwrap();
        assert!(!report.is_running && report.files.is_empty() && report.finished_at.is_some());
        assert_eq!(fact(&registry, "a.pt").0, Verification::Unverified);
        registry.start_verification(&[]).await.unwrap();
        registry.close().await;
        assert!(!registry.verification().unwrap().is_running, "closing stops it");
    }

    async fn the_doctor_looks_at_everything(home: Home) {
        let addresses =
            [("LORAKEEP_CIVITAI_URL", "http://127.0.0.1:1"), ("HF_ENDPOINT", "http://127.0.0.1:1"), ("API_KEY", "x")];
        let config = home.config_with(&addresses);
        let registry = Registry::open(config, std::sync::Arc::new(home.clock.clone())).await.unwrap();
        let checks = registry.doctor().await;
        let outcome = |name: &str| checks.iter().find(|check| check.name == name).unwrap().outcome;
        for name in ["database", "data_dir", "models_dir", "catalogs", "clock"] {
            assert_eq!(outcome(name), CheckOutcome::Ok, "{name}");
        }
        for name in ["civitai", "huggingface"] {
            assert_eq!(outcome(name), CheckOutcome::Failed, "{name}");
        }
        assert!(checks.iter().all(|check| check.outcome == CheckOutcome::Ok || check.hint.is_some()));
        assert!(registry.health().degraded.is_empty());
        registry.close().await;
    }
}
