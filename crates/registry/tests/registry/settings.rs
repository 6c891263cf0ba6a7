//! Run-time settings.

use std::sync::Arc;

use lorakeep_registry::{Registry, Settings, SettingsChange};

use crate::harness::both_databases;

both_databases! {
    async fn settings_follow_the_configuration_until_they_are_changed(home: Home) {
        let configured = [("MAX_CONCURRENT_DOWNLOADS", "5"), ("LORAKEEP_BANDWIDTH", "1000")];
        let open = || Registry::open(home.config_with(&configured), Arc::new(home.clock.clone()));
        let registry = open().await.unwrap();
        let usual = Settings {
            max_concurrent_downloads: 5,
            bandwidth_bytes_per_second: Some(1000),
            downloads_paused: false,
            max_upload_bytes: 500 << 20,
            bin_days: 7,
        };
        assert_eq!(registry.settings(), usual);
        let change = SettingsChange {
            bandwidth_bytes_per_second: Some(None),
            downloads_paused: Some(true),
            max_upload_bytes: Some(1000),
            bin_days: Some(0),
            ..SettingsChange::default()
        };
        let changed = Settings {
            bandwidth_bytes_per_second: None,
            downloads_paused: true,
            max_upload_bytes: 1000,
            bin_days: 0,
            ..usual
        };
        assert_eq!(registry.change_settings(change).await.unwrap(), changed);
        registry.close().await;
        drop(registry);
        let registry = open().await.unwrap();
        assert_eq!(registry.settings(), changed);
        registry.close().await;
    }

    async fn settings_out_of_bounds_are_refused_whole(home: Home) {
        let registry = home.open().await;
        let before = registry.settings();
        for change in [
            SettingsChange { max_concurrent_downloads: Some(0), ..SettingsChange::default() },
            SettingsChange { max_concurrent_downloads: Some(11), ..SettingsChange::default() },
            SettingsChange { max_upload_bytes: Some(0), ..SettingsChange::default() },
            SettingsChange { bin_days: Some(36_501), ..SettingsChange::default() },
            SettingsChange {
                downloads_paused: Some(true),
                bandwidth_bytes_per_second: Some(Some(0)),
                ..SettingsChange::default()
            },
        ] {
            assert_eq!(registry.change_settings(change).await.expect_err("refused").code(), "out_of_bounds");
        }
        assert_eq!(registry.settings(), before);
        registry.close().await;
    }
}
