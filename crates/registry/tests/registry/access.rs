//! The admin key and the sessions that it begins.

use std::sync::Arc;

use chrono::TimeDelta;
use lorakeep_registry::Registry;

use crate::harness::both_databases;

both_databases! {
    async fn the_first_start_makes_a_key_once(home: Home) {
        let registry = home.open().await;
        let nobody = registry.admin_key().await.unwrap();
        assert!(!nobody.is(b""), "before there is a key nothing is let in");
        assert_eq!(registry.begin_session(nobody).await.expect_err("denied").code(), "denied");
        let key = registry.take_first_start_key().await.unwrap().expect("a new key");
        assert!(key.starts_with("lk_") && key.len() == 46 && key[3..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(registry.take_first_start_key().await.unwrap(), None);
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        assert_eq!(registry.take_first_start_key().await.unwrap(), None);
        let admin_key = registry.admin_key().await.unwrap();
        assert!(admin_key.is(key.as_bytes()));
        for wrong in ["", "lk_", &key[..45], &format!("{key}\n"), &key.to_lowercase()] {
            assert!(!admin_key.is(wrong.as_bytes()), "{wrong:?}");
        }
        registry.close().await;
    }

    async fn a_configured_key_replaces_the_made_one_and_ends_its_sessions(home: Home) {
        let registry = home.open().await;
        let made = registry.take_first_start_key().await.unwrap().expect("a new key");
        let token = registry.begin_session(registry.admin_key().await.unwrap()).await.unwrap();
        assert!(registry.is_session(&token).await.unwrap());
        registry.close().await;
        drop(registry);
        let config = home.config_with(&[("API_KEY", "chosen")]);
        let registry = Registry::open(config, Arc::new(home.clock.clone())).await.unwrap();
        let admin_key = registry.admin_key().await.unwrap();
        assert!(admin_key.is(b"chosen") && !admin_key.is(made.as_bytes()));
        assert!(!registry.is_session(&token).await.unwrap());
        assert_eq!(registry.take_first_start_key().await.unwrap(), None);
        assert_eq!(registry.rotate_admin_key().await.expect_err("configured").code(), "key_configured");
        registry.close().await;
    }

    async fn a_new_admin_key_ends_the_old_one_and_every_session(home: Home) {
        let registry = home.open().await;
        let old = registry.take_first_start_key().await.unwrap().expect("a new key");
        let token = registry.begin_session(registry.admin_key().await.unwrap()).await.unwrap();
        assert!(registry.is_session(&token).await.unwrap());
        let new = registry.rotate_admin_key().await.unwrap();
        let admin_key = registry.admin_key().await.unwrap();
        assert!(admin_key.is(new.as_bytes()) && !admin_key.is(old.as_bytes()));
        assert!(!registry.is_session(&token).await.unwrap());
        registry.close().await;
    }

    async fn a_session_survives_a_restart_and_ends_a_day_after_its_last_use(home: Home) {
        let registry = home.open().await;
        registry.take_first_start_key().await.unwrap().expect("a new key");
        let token = registry.begin_session(registry.admin_key().await.unwrap()).await.unwrap();
        assert!(!registry.is_session("").await.unwrap() && !registry.is_session(&token[..42]).await.unwrap());
        registry.close().await;
        drop(registry);
        let registry = home.open().await;
        for _ in 0..3 {
            home.clock.advance(TimeDelta::hours(23));
            assert!(registry.is_session(&token).await.unwrap());
        }
        home.clock.advance(TimeDelta::hours(24));
        assert!(!registry.is_session(&token).await.unwrap());
        registry.close().await;
    }

    async fn a_session_in_use_ends_after_a_month_all_the_same(home: Home) {
        let registry = home.open().await;
        registry.take_first_start_key().await.unwrap().expect("a new key");
        let token = registry.begin_session(registry.admin_key().await.unwrap()).await.unwrap();
        for _ in 0..59 {
            home.clock.advance(TimeDelta::hours(12));
            assert!(registry.is_session(&token).await.unwrap());
        }
        home.clock.advance(TimeDelta::hours(12));
        assert!(!registry.is_session(&token).await.unwrap());
        registry.close().await;
    }

    async fn a_session_that_was_ended_stays_ended(home: Home) {
        let registry = home.open().await;
        registry.take_first_start_key().await.unwrap().expect("a new key");
        let admin_key = registry.admin_key().await.unwrap();
        let (first, second) =
            (registry.begin_session(admin_key).await.unwrap(), registry.begin_session(admin_key).await.unwrap());
        registry.end_session(&first).await.unwrap();
        registry.end_session(&first).await.unwrap();
        assert!(!registry.is_session(&first).await.unwrap());
        assert!(registry.is_session(&second).await.unwrap());
        registry.close().await;
    }
}
