//! Teams, their keys and what they are offered, by each way to a server.

use serde_json::{Value, json};

use crate::harness::{Bench, Reached, Way, assert_said};

/// Puts a pair and a LoRA into the catalog; the LoRA's file is there.
fn stock(bench: &Bench) {
    let half = |role: &str| {
        json!({
            "file": format!("ghibli_{role}.safetensors"), "dest": "loras/wan", "base_model": "wan-i2v-14b",
            "pair_id": "ghibli", "pair_role": role,
        })
    };
    let ink = json!({"file": "ink.safetensors", "dest": "loras/sdxl", "base_model": "SDXL 1.0"});
    let document = json!([half("high"), half("low"), ink]).to_string();
    std::fs::create_dir_all(bench.model("loras/sdxl")).expect("made");
    std::fs::write(bench.model("loras/sdxl/ink.safetensors"), "ink").expect("written");
    std::fs::write(bench.path("catalog.json"), document).expect("written");
}

fn stocked(way: Way) -> Reached {
    let here = Reached::by(way);
    stock(&here.bench);
    let catalog = here.bench.path("catalog.json");
    here.run(&["import", catalog.to_str().expect("text"), "--catalog", "loras"]).expect_code(0);
    here.run(&["scan"]).expect_code(0);
    here
}

/// What differs from run to run, masked.
fn masked(text: &str) -> String {
    let is_secret = |word: &&str| word.starts_with("al_live_") || word.starts_with("lora_");
    let mut text = text.to_owned();
    let words: Vec<String> = text
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(is_secret)
        .map(str::to_owned)
        .collect();
    for word in words {
        text = text.replace(&word, &"*".repeat(word.len()));
    }
    text
}

#[test]
fn a_team_is_made_pinned_and_removed_the_same_by_every_way() {
    for way in Way::ALL {
        let here = Reached::by(way);
        let steps: [(&str, &[&str]); 8] = [
            ("none", &["team"]),
            ("create", &["team", "create", "Northlight"]),
            ("pin", &["team", "pin", "Northlight", "2026-11-01"]),
            ("list", &["team", "list"]),
            ("unpin", &["team", "pin", "Northlight", "default"]),
            ("keys_none", &["key", "list"]),
            ("key_import", &["key", "import", "--team", "Northlight", "og_0123456789abcdefghij"]),
            ("rm", &["team", "rm", "Northlight", "--yes"]),
        ];
        for (name, arguments) in steps {
            assert_said!(format!("team_{name}"), here.run(arguments).expect_code(0));
        }
        assert_said!("team_create_nameless", here.run(&["team", "create", " "]).expect_code(1));
        assert_said!("team_pin_unknown", here.run(&["team", "pin", "Nobody", "2026-05-15"]).expect_code(1));
        assert_said!("team_rm_unasked", here.run(&["team", "rm", "Northlight"]).expect_code(2));
    }
}

#[test]
fn a_key_is_shown_once_and_ends_when_it_is_told_to() {
    for way in Way::ALL {
        let here = Reached::by(way);
        here.run(&["team", "create", "Northlight"]).expect_code(0);
        let create = ["key", "create", "--team", "Northlight", "--name", "farm", "--scope", "styles:read"];
        let made = here.run(&[&create[..], &["--ttl", "90d", "--limit", "600", "--json"]].concat());
        let made = made.expect_code(0).json();
        let key = made["key"].as_str().expect("a key").to_owned();
        assert!(key.starts_with("al_live_") && made["calls_per_minute"] == 600, "{way:?} {made}");
        let plain = here.run(&create).expect_code(0);
        assert_eq!(
            plain.stdout.trim().len(),
            key.len(),
            "the key alone, so that scripts can take it: {plain}"
        );
        let listed = here.run(&["key", "list", "--team", "Northlight", "--json"]).expect_code(0);
        assert_eq!(listed.json()["total"], 2);
        assert!(!listed.stdout.contains(&key), "only its beginning is shown");
        let prefix = &key[..16];
        let rotated = here.run(&["key", "rotate", prefix, "--overlap", "1h", "--json"]).expect_code(0).json();
        assert!(rotated["key"].as_str().is_some_and(|new| new != key), "{rotated}");
        assert_eq!(rotated["scopes"], json!(["styles:read"]));
        let revoked = here.run(&["key", "revoke", prefix, "--json"]).expect_code(0).json();
        assert_eq!(revoked[0]["status"], "revoked");
        here.run(&["key", "revoke", "al_live_nobody00"]).expect_code(1);
        here.run(&["key", "create", "--team", "Northlight", "--scope", "everything"]).expect_code(1);
    }
}

#[test]
fn a_style_is_made_changed_deleted_and_restored_the_same_by_every_way() {
    for way in Way::ALL {
        let here = stocked(way);
        here.run(&["team", "create", "Northlight"]).expect_code(0);
        let steps: [(&str, &[&str]); 10] = [
            ("none", &["style"]),
            (
                "create",
                &[
                    "style",
                    "create",
                    "--name",
                    "Black Ink",
                    "--entry",
                    "ink.safetensors",
                    "--public",
                    "--steps",
                    "30",
                    "--guidance",
                    "7.5",
                    "--template",
                    "{prompt}, ink",
                ],
            ),
            (
                "create_pair",
                &["style", "create", "--name", "Ghibli", "--pair", "ghibli", "--team", "Northlight"],
            ),
            ("list", &["style", "list"]),
            ("list_words", &["style", "list", "black", "--base-model", "sdxl 1.0", "--public"]),
            (
                "edit",
                &["style", "edit", "black-ink", "--slug", "sumi-e", "--template", "", "--steps", "none"],
            ),
            ("rm", &["style", "rm", "black-ink", "ghibli"]),
            ("deleted", &["style", "list", "--deleted", "--team", "Northlight"]),
            ("restore", &["style", "restore", "sumi-e"]),
            ("rm_purge", &["style", "rm", "ghibli", "--purge", "--yes"]),
        ];
        for (name, arguments) in steps {
            assert_said!(format!("style_{name}"), masked(&here.run(arguments).expect_code(0).to_string()));
        }
        let shown = here.run(&["style", "show", "sumi-e", "--json"]).expect_code(0).json();
        let style = &shown[0];
        assert_eq!(
            (&style["old_slugs"], &style["template"]),
            (&json!(["black-ink"]), &Value::Null),
            "{way:?}"
        );
        assert_eq!((&style["default_steps"], &style["default_guidance_scale"]), (&Value::Null, &json!(7.5)));
        let table = here.run(&["style", "show", "sumi-e"]).expect_code(0).stdout;
        assert!(table.contains("loras/sdxl/ink.safetensors") && table.contains("sumi-e"), "{table}");
    }
}

#[test]
fn a_style_gets_a_picture_from_a_file() {
    let here = stocked(Way::Local);
    let picture = here.bench.path("ink.png");
    image::RgbImage::from_pixel(64, 32, image::Rgb([9, 9, 9])).save(&picture).expect("written");
    let picture = picture.to_str().expect("text");
    let create = ["style", "create", "--name", "Ink", "--entry", "ink.safetensors", "--public", "--json"];
    let made = here.run(&[&create[..], &["--preview", picture]].concat()).expect_code(0).json();
    let url = made[0]["preview_image_url"].as_str().expect("an address");
    assert!(url.starts_with("/v1/previews/"), "{url}");
    let gone = here.run(&["style", "edit", "ink", "--gallery-image", "none", "--json"]).expect_code(0).json();
    assert_eq!(gone[0]["preview_image_url"], Value::Null);
    let broken = here.bench.path("catalog.json");
    let broken =
        here.run(&["style", "edit", "ink", "--preview", broken.to_str().expect("text")]).expect_code(1);
    assert!(broken.stderr.contains("the picture cannot be read"), "{broken}");
}

#[test]
fn what_is_wrong_with_a_style_is_said_before_anything_is_made() {
    let here = stocked(Way::Local);
    let create = ["style", "create", "--name", "Ink"];
    let entry = ["--entry", "ink.safetensors"];
    assert_said!("style_without_source", here.run(&[&create[..], &["--public"]].concat()).expect_code(2));
    assert_said!("style_for_nobody", here.run(&[&create[..], &entry].concat()).expect_code(2));
    here.run(&[&create[..], &entry, &["--public", "--team", "Northlight"]].concat()).expect_code(2);
    let cases: [(&str, &[&str]); 4] = [
        ("range", &["--guidance", "31"]),
        ("template", &["--template", "{promt}"]),
        ("slug", &["--slug", "Black Ink"]),
        ("preview", &["--preview", "nowhere.png"]),
    ];
    for (name, flags) in cases {
        let ran = here.run(&[&create[..], &entry, &["--public"], flags].concat()).expect_code(1);
        assert_said!(format!("style_bad_{name}"), ran);
    }
    assert_said!("style_edit_nothing", here.run(&["style", "edit", "ink"]).expect_code(2));
    assert_said!("style_unknown", here.run(&["style", "rm", "ink"]).expect_code(1));
    assert_eq!(here.run(&["style", "list", "--json"]).expect_code(0).json()["total"], 0);
}
