//! Styles: made of entries and pairs, shown to teams, changed, deleted and brought back.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use lorakeep_registry::domain::{CatalogName, GenerationSettings, StyleAudience, StyleStrengths, TeamId};
use lorakeep_registry::{
    NewStyle, PageRequest, Registry, RenderRequest, Result, StyleChange, StyleFilter, StyleSource, StyleState,
};
use serde_json::json;

use crate::harness::{Home, both_databases};

/// A pair with its files, a LoRA without one, and a checkpoint.
async fn stocked(home: &Home) -> Registry {
    let registry = home.open().await;
    stock(&registry).await;
    for file in ["wan/ghibli_high", "wan/ghibli_low"] {
        home.write_model(&format!("loras/{file}.safetensors"), file);
    }
    registry.rescan().await.unwrap();
    registry
}

async fn stock(registry: &Registry) {
    let half = |role: &str| {
        json!({
            "file": format!("ghibli_{role}.safetensors"), "dest": "loras/wan", "base_model": "wan-i2v-14b",
            "pair_id": "ghibli", "pair_role": role, "trigger_words": ["ghibli style", role],
            "sha256": "ab".repeat(32),
        })
    };
    let ink = json!({"file": "ink.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0"});
    let vae = json!({"file": "vae.safetensors", "dest": "vae"});
    let models = json!([half("high"), half("low"), vae]).to_string();
    registry.import(CatalogName::Models, models.as_bytes()).await.unwrap();
    registry.import(CatalogName::Loras, json!([ink]).to_string().as_bytes()).await.unwrap();
}

fn named(name: &str, source: StyleSource) -> NewStyle {
    NewStyle {
        name: name.to_owned(),
        source,
        audience: StyleAudience::Public,
        slug: None,
        description: None,
        defaults: GenerationSettings::default(),
        template: None,
        strengths: StyleStrengths::default(),
        gallery_image: None,
    }
}

fn pair() -> StyleSource {
    StyleSource::Pair("ghibli".to_owned())
}

fn ink() -> StyleSource {
    StyleSource::Entry("ink.safetensors".to_owned())
}

async fn listed(registry: &Registry, filter: &StyleFilter) -> Vec<String> {
    let page = registry.list_styles(filter, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|state| state.style.slug.clone()).collect()
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> &'static str {
    outcome.expect_err("refused").code()
}

fn roles(state: &StyleState) -> Vec<(&'static str, &str, f64)> {
    state
        .files
        .iter()
        .map(|file| (file.role().as_str(), file.path().file.as_str(), file.file.strength))
        .collect()
}

both_databases! {
    async fn a_style_is_made_of_a_pair_or_of_one_entry(home: Home) {
        let registry = stocked(&home).await;
        let strengths = StyleStrengths { low: Some(0.6), ..StyleStrengths::default() };
        let made = registry.create_style(NewStyle { strengths, ..named("Ghibli Dream", pair()) }).await.unwrap();
        assert_eq!(roles(&made), [("high", "ghibli_high.safetensors", 1.0), ("low", "ghibli_low.safetensors", 0.6)]);
        assert_eq!((made.style.slug.as_str(), made.base_model.as_str()), ("ghibli-dream", "wan-i2v-14b"));
        assert_eq!(made.trigger_words, ["ghibli style", "high", "low"]);
        assert!(made.is_ready() && made.style.id.to_string().starts_with("lora_"));
        let single = registry.create_style(named("Ghibli Dream", ink())).await.unwrap();
        assert_eq!((single.style.slug.as_str(), roles(&single)), ("ghibli-dream-2", vec![("both", "ink.safetensors", 1.0)]));
        assert!(!single.is_ready() && single.style.id > made.style.id);
        for (source, expected) in [
            (StyleSource::Pair("nobody".into()), "not_found"),
            (StyleSource::Entry("nobody.safetensors".into()), "not_found"),
            (StyleSource::Entry("vae/vae.safetensors".into()), "not_a_lora"),
        ] {
            assert_eq!(code(registry.create_style(named("A", source)).await), expected);
        }
        let taken = NewStyle { slug: Some("ghibli-dream".into()), ..named("B", ink()) };
        assert_eq!(code(registry.create_style(taken).await), "slug_taken");
        assert_eq!(listed(&registry, &StyleFilter::default()).await, ["ghibli-dream-2", "ghibli-dream"]);
        registry.close().await;
    }

    async fn an_old_slug_leads_to_its_style_and_to_no_other(home: Home) {
        let registry = stocked(&home).await;
        let made = registry.create_style(named("Ink", ink())).await.unwrap();
        let rename = |slug: &str| StyleChange { slug: Some(slug.to_owned()), ..StyleChange::default() };
        let renamed = registry.change_style("ink", rename("sumi-e")).await.unwrap();
        assert_eq!((renamed.style.id, renamed.style.old_slugs.clone()), (made.style.id, vec!["ink".to_owned()]));
        let shelf = registry.style_shelf().await.unwrap();
        for name in ["ink", "sumi-e", &made.style.id.to_string()] {
            assert_eq!(shelf.find(name).map(|listed| listed.style.id), Some(made.style.id), "{name}");
        }
        assert_eq!(code(registry.create_style(NewStyle { slug: Some("ink".into()), ..named("B", ink()) }).await), "slug_taken");
        let back = registry.change_style("sumi-e", rename("ink")).await.unwrap();
        assert_eq!((back.style.slug.as_str(), back.style.old_slugs.clone()), ("ink", vec!["sumi-e".to_owned()]));
        assert_eq!(code(registry.change_style("ink", rename("No Slug")).await), "bad_slug");
        registry.purge_style("ink").await.unwrap();
        assert_eq!(registry.create_style(named("Sumi E", ink())).await.unwrap().style.slug, "sumi-e", "free again");
        registry.close().await;
    }

    async fn what_is_not_said_stays_and_null_takes_away(home: Home) {
        let registry = stocked(&home).await;
        let defaults = GenerationSettings { denoise_strength: Some(0.8), guidance_scale: Some(7.5), steps: Some(30) };
        let new = NewStyle {
            defaults, template: Some("{prompt}, ink".into()), description: Some("Brush".into()), ..named("Ink", ink())
        };
        let made = registry.create_style(new).await.unwrap();
        home.clock.advance(TimeDelta::minutes(5));
        let change = StyleChange { steps: Some(None), template: Some(None), name: Some("Sumi".into()), ..StyleChange::default() };
        let changed = registry.change_style("ink", change).await.unwrap();
        assert_eq!(changed.style.defaults, GenerationSettings { steps: None, ..defaults });
        assert_eq!((changed.style.name.as_str(), changed.style.description.as_deref()), ("Sumi", Some("Brush")));
        assert_eq!((changed.style.template.clone(), changed.style.slug.as_str()), (None, "ink"));
        assert_eq!((changed.style.created_at, changed.style.updated_at), (made.style.created_at, registry.now()));
        for wrong in [
            StyleChange { guidance_scale: Some(Some(31.0)), ..StyleChange::default() },
            StyleChange { strengths: StyleStrengths::all(Some(11.0)), ..StyleChange::default() },
        ] {
            assert_eq!(code(registry.change_style("ink", wrong).await), "out_of_bounds");
        }
        let template = StyleChange { template: Some(Some("{promt}".into())), ..StyleChange::default() };
        assert_eq!(code(registry.change_style("ink", template).await), "bad_template");
        let strengths = StyleChange { strengths: StyleStrengths::all(Some(0.5)), ..StyleChange::default() };
        assert_eq!(roles(&registry.change_style("ink", strengths).await.unwrap()), [("both", "ink.safetensors", 0.5)]);
        let files = StyleChange { source: Some(pair()), ..StyleChange::default() };
        let paired = registry.change_style("ink", files).await.unwrap();
        assert_eq!((paired.files.len(), paired.style.pair_id.as_deref()), (2, Some("ghibli")));
        registry.close().await;
    }

    async fn a_deleted_style_comes_back_as_it_was(home: Home) {
        let registry = stocked(&home).await;
        let made = registry.create_style(named("Ink", ink())).await.unwrap();
        let deleted = registry.delete_style("ink").await.unwrap();
        assert_eq!(deleted.style.deleted_at, Some(registry.now()));
        assert_eq!(listed(&registry, &StyleFilter::default()).await, [""; 0]);
        let bin = StyleFilter { is_deleted: true, ..StyleFilter::default() };
        assert_eq!(listed(&registry, &bin).await, ["ink"]);
        assert_eq!(registry.create_style(named("Ink", ink())).await.unwrap().style.slug, "ink-2", "its slug waits for it");
        let restored = registry.restore_style(&made.style.id.to_string()).await.unwrap();
        assert_eq!((restored.style.deleted_at, restored.style.slug.as_str()), (None, "ink"));
        assert_eq!(listed(&registry, &StyleFilter::default()).await, ["ink-2", "ink"]);
        registry.purge_style("ink-2").await.unwrap();
        assert_eq!(code(registry.restore_style("ink-2").await), "not_found");
        registry.close().await;
    }

    async fn styles_are_found_by_words_base_model_and_audience(home: Home) {
        let registry = stocked(&home).await;
        let team = registry.create_team("Northlight").await.unwrap();
        let audience = StyleAudience::Team(team.id);
        registry.create_style(NewStyle { audience, ..named("Ghibli Dream", pair()) }).await.unwrap();
        let description = Some("Black INK on paper".to_owned());
        registry.create_style(NewStyle { description, ..named("Sumi", ink()) }).await.unwrap();
        let filter = StyleFilter::default;
        let words = |text: &str| StyleFilter { words: StyleFilter::words_of(text), ..filter() };
        assert_eq!(listed(&registry, &words("paper ink")).await, ["sumi"]);
        assert_eq!(listed(&registry, &words("paper dream")).await, [""; 0]);
        let base = |name: &str, is_exact| StyleFilter { base_model: Some(name.to_owned()), is_exact, ..filter() };
        assert_eq!(listed(&registry, &base("WAN 2.1", false)).await, ["ghibli-dream"]);
        assert_eq!(listed(&registry, &base("WAN 2.1", true)).await, [""; 0]);
        assert_eq!(listed(&registry, &base("SDXL 1.0", true)).await, ["sumi"]);
        assert_eq!(listed(&registry, &StyleFilter { is_public: Some(true), ..filter() }).await, ["sumi"]);
        assert_eq!(listed(&registry, &StyleFilter { team: Some(team.id), ..filter() }).await, ["ghibli-dream"]);
        let shelf = registry.style_shelf().await.unwrap();
        let private = &shelf.find("ghibli-dream").unwrap().style;
        assert!(private.is_visible_to(team.id) && !private.is_visible_to(TeamId::new(registry.now())));
        assert_eq!(code(registry.delete_team("Northlight").await), "team_has_styles");
        registry.delete_style("ghibli-dream").await.unwrap();
        registry.delete_team("Northlight").await.unwrap();
        assert_eq!(code(registry.load_style("ghibli-dream").await), "not_found");
        registry.close().await;
    }

    async fn styles_are_paged_and_none_comes_twice(home: Home) {
        let registry = stocked(&home).await;
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.insert(0, registry.create_style(named("Ink", ink())).await.unwrap().style.id);
        }
        let mut found = Vec::new();
        let mut page = PageRequest { limit: Some(2), cursor: None };
        loop {
            let got = registry.list_styles(&StyleFilter::default(), &page).await.unwrap();
            found.extend(got.items.iter().map(|state| state.style.id));
            if found.len() == 2 {
                registry.delete_style(&found[1].to_string()).await.unwrap();
            }
            match got.next_cursor {
                Some(cursor) => page.cursor = Some(cursor),
                None => break,
            }
        }
        assert_eq!(found, expected);
        let wrong = PageRequest { limit: None, cursor: Some("1".into()) };
        assert_eq!(code(registry.list_styles(&StyleFilter::default(), &wrong).await), "bad_cursor");
        registry.close().await;
    }

    async fn a_request_is_rendered_with_template_defaults_and_files(home: Home) {
        let registry = stocked(&home).await;
        let team = registry.create_team("Northlight").await.unwrap().id;
        let new = NewStyle {
            template: Some("{prompt}, {trigger_words} {{a|b}}".into()),
            defaults: GenerationSettings { steps: Some(30), guidance_scale: Some(7.5), denoise_strength: None },
            strengths: StyleStrengths::all(Some(0.5)),
            ..named("Ghibli Dream", pair())
        };
        registry.create_style(new).await.unwrap();
        let request = RenderRequest {
            prompt: "a {prompt} fox".into(),
            settings: GenerationSettings { steps: Some(8), ..GenerationSettings::default() },
            strength: Some(0.5),
        };
        let rendered = registry.render_style("ghibli-dream", team, request.clone()).await.unwrap();
        assert_eq!(rendered.prompt, "a {prompt} fox, ghibli style, high, low {a|b}");
        assert_eq!((rendered.settings.steps, rendered.settings.guidance_scale), (Some(8), Some(7.5)));
        let files: Vec<_> = rendered.files.iter().map(|file| (file.role.as_str(), file.path.as_str(), file.strength)).collect();
        assert_eq!(files, [("high", "wan/ghibli_high.safetensors", 0.25), ("low", "wan/ghibli_low.safetensors", 0.25)]);
        assert!(rendered.files.iter().all(|file| file.sha256.is_some() && file.size_bytes > 0));
        let many = RenderRequest { settings: GenerationSettings { steps: Some(101), ..GenerationSettings::default() }, ..request.clone() };
        assert_eq!(code(registry.render_style("ghibli-dream", team, many).await), "out_of_bounds");
        std::fs::remove_file(home.models.join("loras/wan/ghibli_low.safetensors")).unwrap();
        registry.rescan().await.unwrap();
        let refused = registry.render_style("ghibli-dream", team, request.clone()).await.expect_err("a half is gone");
        assert!(refused.code() == "style_not_ready" && refused.to_string().contains("ghibli_low.safetensors"), "{refused}");
        registry.delete_style("ghibli-dream").await.unwrap();
        assert_eq!(code(registry.render_style("ghibli-dream", team, request).await), "not_found");
        registry.close().await;
    }

    async fn two_who_change_a_style_at_once_do_not_overwrite_each_other(home: Home) {
        let registry = stocked(&home).await;
        registry.create_style(named("Ink", ink())).await.unwrap();
        let change = |name: &str| registry.change_style("ink", StyleChange { name: Some(name.to_owned()), ..StyleChange::default() });
        let (one, other) = tokio::join!(change("One"), change("Other"));
        let last = registry.load_style("ink").await.unwrap().style.name.clone();
        match (one, other) {
            (Ok(_), Ok(_)) => assert!(last == "One" || last == "Other"),
            (Ok(_), Err(error)) => assert_eq!((error.code(), last.as_str()), ("changed_meanwhile", "One")),
            (Err(error), Ok(_)) => assert_eq!((error.code(), last.as_str()), ("changed_meanwhile", "Other")),
            (Err(one), Err(other)) => panic!("{one} {other}"),
        }
        registry.close().await;
    }

    async fn a_style_appears_changes_and_goes_in_every_process(home: Home) {
        let Some((first, second)) = home.open_two().await else { return };
        stock(&first).await;
        let visible = async |slug: &str| second.style_shelf().await.unwrap().find(slug).is_some_and(|listed| listed.style.deleted_at.is_none());
        let becomes = async |slug: &str, wanted: bool| {
            let deadline = Instant::now() + Duration::from_secs(30);
            while visible(slug).await != wanted {
                assert!(Instant::now() < deadline, "`{slug}` never came to be {wanted}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(!visible("ink").await);
        first.create_style(named("Ink", ink())).await.unwrap();
        becomes("ink", true).await;
        first.change_style("ink", StyleChange { slug: Some("sumi".into()), ..StyleChange::default() }).await.unwrap();
        becomes("sumi", true).await;
        first.delete_style("sumi").await.unwrap();
        becomes("sumi", false).await;
        first.close().await;
        second.close().await;
    }
}
