//! Teams, and the keys that their programs call with.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use lorakeep_registry::domain::{ApiVersion, CallerKind, TeamCaller, TeamScope};
use lorakeep_registry::{NewTeamKey, PageRequest, Registry};

use crate::harness::both_databases;

const LEGACY: &str = "og_0123456789abcdefghijKLMN";

fn key_of(team: &str) -> NewTeamKey {
    NewTeamKey { team: team.to_owned(), ..NewTeamKey::default() }
}

async fn caller(registry: &Registry, key: &str) -> Option<TeamCaller> {
    match registry.find_team_caller(key).await.unwrap()?.kind {
        CallerKind::Team(team) => Some(team),
        other => panic!("{other:?}"),
    }
}

both_databases! {
    async fn a_team_is_found_by_name_and_pins_a_version(home: Home) {
        let registry = home.open().await;
        let team = registry.create_team(" Northlight ").await.unwrap();
        assert_eq!((team.name.as_str(), team.pinned_version), ("Northlight", None));
        assert_eq!(registry.create_team("Northlight").await.expect_err("taken").code(), "team_exists");
        assert_eq!(registry.create_team(" ").await.expect_err("nameless").code(), "bad_name");
        let pinned = registry.pin_team("Northlight", Some(ApiVersion::DEFAULT)).await.unwrap();
        assert_eq!(registry.load_team(&team.id.to_string()).await.unwrap(), pinned);
        registry.create_team("Aster").await.unwrap();
        let names: Vec<_> = registry.list_teams().await.unwrap().into_iter().map(|team| team.name).collect();
        assert_eq!(names, ["Aster", "Northlight"]);
        assert_eq!(registry.load_team("Nobody").await.expect_err("unknown").code(), "not_found");
        registry.close().await;
    }

    async fn a_key_says_who_calls_and_what_they_may(home: Home) {
        let registry = home.open().await;
        let team = registry.create_team("Northlight").await.unwrap();
        registry.pin_team("Northlight", Some(ApiVersion::DEFAULT)).await.unwrap();
        let new = NewTeamKey { scopes: vec![TeamScope::ReadStyles], calls_per_minute: Some(60), ..key_of("Northlight") };
        let (key, made) = registry.create_team_key(new).await.unwrap();
        assert!(key.starts_with("al_live_") && key[8..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(made.lookup, key[..16]);
        let found = caller(&registry, &key).await.expect("let in");
        assert_eq!((found.team_id, found.team.as_str(), found.key_id), (team.id, "Northlight", made.id));
        assert_eq!((found.calls_per_minute, found.pinned_version), (Some(60), Some(ApiVersion::DEFAULT)));
        let read = registry.find_team_caller(&key).await.unwrap().expect("let in");
        assert!(read.require_team(TeamScope::ReadStyles).is_ok() && read.require_team(TeamScope::Generate).is_err());
        assert!(read.require_admin().is_err());
        let (other, _) = registry.create_team_key(key_of("Northlight")).await.unwrap();
        let grafted = format!("{}{}", &key[..16], &other[16..]);
        for wrong in ["", &key[..key.len() - 1], &format!("{key} "), &key.to_uppercase(), &grafted, LEGACY] {
            assert_eq!(caller(&registry, wrong).await, None, "{wrong:?}");
        }
        registry.close().await;
    }

    async fn a_key_from_elsewhere_goes_on_as_it_is(home: Home) {
        let registry = home.open().await;
        registry.create_team("Northlight").await.unwrap();
        let imported = registry.import_team_key(key_of("Northlight"), LEGACY).await.unwrap();
        assert_eq!(caller(&registry, LEGACY).await.expect("let in").key_id, imported.id);
        let again = registry.import_team_key(key_of("Northlight"), LEGACY).await.expect_err("known");
        assert_eq!(again.code(), "key_exists");
        let neighbour = format!("{LEGACY}x");
        let neighbour_id = registry.import_team_key(key_of("Northlight"), &neighbour).await.unwrap().id;
        assert_eq!(caller(&registry, &neighbour).await.expect("one of two that begin alike").key_id, neighbour_id);
        assert_eq!(registry.revoke_team_key(&imported.lookup).await.expect_err("which?").code(), "ambiguous_key");
        for wrong in ["og_short", "sk_0123456789abcdefghij", "og_0123456789-bcdefghij"] {
            let refused = registry.import_team_key(key_of("Northlight"), wrong).await.expect_err("refused");
            assert_eq!(refused.code(), "bad_key", "{wrong}");
        }
        registry.close().await;
    }

    async fn a_key_ends_by_its_time_and_by_being_revoked(home: Home) {
        let registry = home.open().await;
        registry.create_team("Northlight").await.unwrap();
        let end = registry.now() + TimeDelta::hours(1);
        let (short, _) = registry.create_team_key(NewTeamKey { expires_at: Some(end), ..key_of("Northlight") }).await.unwrap();
        let (long, made) = registry.create_team_key(key_of("Northlight")).await.unwrap();
        home.clock.advance(TimeDelta::minutes(59));
        assert!(caller(&registry, &short).await.is_some());
        home.clock.advance(TimeDelta::minutes(1));
        assert!(caller(&registry, &short).await.is_none() && caller(&registry, &long).await.is_some());
        let revoked = registry.revoke_team_key(&made.lookup).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(registry.now()));
        assert!(caller(&registry, &long).await.is_none(), "at once in the process that was told");
        let past = NewTeamKey { expires_at: Some(end), ..key_of("Northlight") };
        assert_eq!(registry.create_team_key(past).await.expect_err("refused").code(), "out_of_bounds");
        registry.close().await;
    }

    async fn a_replaced_key_goes_on_for_a_while_beside_the_new_one(home: Home) {
        let registry = home.open().await;
        registry.create_team("Northlight").await.unwrap();
        let new = NewTeamKey { name: "render farm".into(), calls_per_minute: Some(9), ..key_of("Northlight") };
        let (old, made) = registry.create_team_key(new).await.unwrap();
        let (key, replacement) = registry.rotate_team_key(&made.id.to_string(), TimeDelta::hours(1)).await.unwrap();
        assert_eq!((replacement.name.as_str(), replacement.calls_per_minute), ("render farm", Some(9)));
        assert!(caller(&registry, &old).await.is_some() && caller(&registry, &key).await.is_some());
        home.clock.advance(TimeDelta::hours(1));
        assert!(caller(&registry, &old).await.is_none() && caller(&registry, &key).await.is_some());
        let ended = registry.rotate_team_key(&made.id.to_string(), TimeDelta::zero()).await;
        assert_eq!(ended.expect_err("refused").code(), "key_ended");
        registry.close().await;
    }

    async fn keys_are_paged_newest_first_and_go_with_their_team(home: Home) {
        let registry = home.open().await;
        let mut made = Vec::new();
        for (team, count) in [("Northlight", 3), ("Aster", 1)] {
            registry.create_team(team).await.unwrap();
            for _ in 0..count {
                home.clock.advance(TimeDelta::seconds(1));
                made.push(registry.create_team_key(key_of(team)).await.unwrap());
            }
        }
        let page = |team, limit, cursor| {
            let (registry, page) = (&registry, PageRequest { limit: Some(limit), cursor });
            async move { registry.list_team_keys(team, &page).await.unwrap() }
        };
        let first = page(None, 3, None).await;
        let second = page(None, 3, first.next_cursor.clone()).await;
        let listed: Vec<_> = first.items.iter().chain(&second.items).map(|key| key.id).collect();
        let expected: Vec<_> = made.iter().rev().map(|(_, key)| key.id).collect();
        assert_eq!((listed, first.total, second.next_cursor), (expected, 4, None));
        assert_eq!(page(Some("Northlight"), 100, None).await.total, 3);
        registry.delete_team("Northlight").await.unwrap();
        assert!(caller(&registry, &made[0].0).await.is_none() && caller(&registry, &made[3].0).await.is_some());
        assert_eq!(page(None, 100, None).await.total, 1);
        registry.close().await;
    }

    async fn the_use_of_a_key_is_noted_beside_the_call(home: Home) {
        let registry = home.open().await;
        registry.create_team("Northlight").await.unwrap();
        let (key, _) = registry.create_team_key(key_of("Northlight")).await.unwrap();
        let used = registry.now();
        caller(&registry, &key).await.expect("let in");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let listed = registry.list_team_keys(None, &PageRequest::default()).await.unwrap().items.remove(0);
            if listed.last_used_at == Some(used) {
                break;
            }
            assert!(Instant::now() < deadline, "{listed:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        registry.close().await;
    }

    async fn a_revoked_key_and_a_rotated_admin_key_stop_in_every_process(home: Home) {
        let Some((first, second)) = home.open_two().await else { return };
        first.create_team("Northlight").await.unwrap();
        let (key, made) = first.create_team_key(key_of("Northlight")).await.unwrap();
        first.take_first_start_key().await.unwrap().expect("a first start");
        let token = first.begin_session(first.admin_key().await.unwrap()).await.unwrap();
        assert!(caller(&second, &key).await.is_some() && second.is_session(&token).await.unwrap());
        first.revoke_team_key(&made.lookup).await.unwrap();
        let new = first.rotate_admin_key().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while caller(&second, &key).await.is_some()
            || second.is_session(&token).await.unwrap()
            || !second.admin_key().await.unwrap().is(new.as_bytes())
        {
            assert!(Instant::now() < deadline, "the old keys never stopped");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        first.close().await;
        second.close().await;
    }
}
