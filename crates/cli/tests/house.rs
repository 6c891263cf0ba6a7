//! Who may import whom, read from the sources: the borders of `ARCHITECTURE.md` that the compiler does not keep.
//!
//! It is a test target of its own so that it links nothing but the standard library, and it lives in the crate at
//! the top, the only one that sees all the others.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder, what nothing in it may name, and why.
struct Border {
    folder: &'static str,
    forbidden: &'static [&'static str],
    why: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        folder: "registry/src/domain",
        forbidden: &["crate::store", "crate::files", "crate::upstream", "crate::service", "crate::worker"],
        why: "the domain depends on nothing",
    },
    Border {
        folder: "registry/src/store",
        forbidden: &["crate::service", "crate::worker"],
        why: "services call the store, never the other way",
    },
    Border {
        folder: "registry/src/files",
        forbidden: &["crate::service", "crate::worker"],
        why: "services call the files, never the other way",
    },
    Border {
        folder: "registry/src/upstream",
        forbidden: &["crate::service", "crate::worker", "crate::store"],
        why: "a client of CivitAI or Hugging Face knows no database and no service",
    },
    Border {
        folder: "registry/src",
        forbidden: &["axum", "hyper", "tower", "clap", "indicatif", "lorakeep_server"],
        why: "the registry knows no HTTP server and no terminal",
    },
    Border {
        folder: "weights/src",
        forbidden: &["tokio", "reqwest", "sqlx", "lorakeep_transfer", "lorakeep_registry"],
        why: "the readers of hostile bytes have no async, no network and no database",
    },
    Border {
        folder: "transfer/src",
        forbidden: &["sqlx", "axum", "lorakeep_weights", "lorakeep_registry", "lorakeep_server"],
        why: "the engine knows no catalog and no database",
    },
    Border {
        folder: "standin/src",
        forbidden: &["lorakeep_weights", "lorakeep_transfer", "lorakeep_registry", "lorakeep_server"],
        why: "the stand-in shares no code, so no bug, with what it tests",
    },
    Border {
        folder: "server/src",
        forbidden: &["sqlx", "reqwest", "lorakeep_transfer", "lorakeep_weights"],
        why: "a surface calls services and nothing below them",
    },
    Border {
        folder: "cli/src",
        forbidden: &["sqlx", "lorakeep_transfer", "lorakeep_weights", "lorakeep_standin"],
        why: "the command line stands on the registry and the server",
    },
];

/// The surfaces of `crates/server/src`; each is a folder or a file of that name, some are yet to come.
const SURFACES: &[&str] = &["studio", "public", "vault", "web"];

/// The crates of ours that each crate's `[dependencies]` may name.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("weights", &[]),
    ("transfer", &[]),
    ("standin", &[]),
    ("registry", &["lorakeep-weights", "lorakeep-transfer"]),
    ("server", &["lorakeep-registry"]),
    ("cli", &["lorakeep-registry", "lorakeep-server"]),
];

#[test]
fn nothing_imports_across_a_border() {
    let mut breaches = Vec::new();
    for border in BORDERS {
        let files = sources(&crates().join(border.folder));
        for (file, text) in files {
            collect_breaches(&file, &text, border.forbidden, border.why, &mut breaches);
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn surfaces_never_import_each_other() {
    let mut breaches = Vec::new();
    for surface in SURFACES {
        let others: Vec<String> = SURFACES
            .iter()
            .filter(|other| *other != surface)
            .map(|other| format!("crate::{other}"))
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let root = crates().join("server/src");
        let mut files = sources(&root.join(surface));
        files.extend(sources(&root.join(format!("{surface}.rs"))));
        for (file, text) in files {
            collect_breaches(&file, &text, &others, "surfaces never import each other", &mut breaches);
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn programs_are_started_in_one_place_alone() {
    let starter = "registry/src/service/program.rs";
    let mut breaches = Vec::new();
    for (name, _) in DEPENDENCIES {
        for (file, text) in sources(&crates().join(name).join("src")) {
            let is_test =
                file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
            if is_test || file.ends_with(starter) {
                continue;
            }
            let ways = named_paths(&text).into_iter().filter(|path| starts_programs(path));
            breaches.extend(ways.map(|way| format!("{}: `{way}`", file.display())));
        }
    }
    assert!(breaches.is_empty(), "`{starter}` alone starts programs:\n{}", breaches.join("\n"));
    let text = fs::read_to_string(crates().join(starter)).expect("it is there");
    let (code, _) = text.split_once("#[cfg(test)]").expect("its tests follow");
    let named: Vec<&str> = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, ["git", "ffmpeg"], "a third program has to be argued for in `docs/hardening.md`");
}

/// Whether a path is a way to start a program or to become one.
fn starts_programs(path: &str) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let is_command = parts.windows(2).any(|pair| pair == ["process", "Command"]);
    is_command
        || ["CommandExt", "posix_spawn", "execve", "execvp", "fork"].iter().any(|way| parts.contains(way))
}

#[test]
fn a_crate_depends_only_on_what_lies_below_it() {
    for (name, allowed) in DEPENDENCIES {
        let manifest =
            fs::read_to_string(crates().join(name).join("Cargo.toml")).expect("every crate has one");
        let ours: Vec<&str> = dependencies(&manifest).filter(|line| line.starts_with("lorakeep-")).collect();
        assert_eq!(&ours, allowed, "`crates/{name}/Cargo.toml`");
    }
}

#[test]
fn every_crate_has_borders() {
    let mut folders: Vec<String> = fs::read_dir(crates())
        .expect("the crates folder is there")
        .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("names are UTF-8"))
        .collect();
    folders.sort();
    let mut known: Vec<&str> = DEPENDENCIES.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(folders, known, "a new crate needs its line here and a sentence in ARCHITECTURE.md");
    for border in BORDERS {
        let top = border.folder.split('/').next().expect("split gives one part at least");
        assert!(known.contains(&top), "`{}` names no crate", border.folder);
    }
}

#[test]
fn a_file_opens_by_saying_what_it_is_for() {
    let silent: Vec<String> = sources(&crates())
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "these open without `//!`:\n{}", silent.join("\n"));
}

#[test]
fn every_setting_has_its_row_in_the_documentation() {
    let root = crates().parent().expect("`crates/` lies in the project").to_owned();
    let known =
        fs::read_to_string(crates().join("registry/src/config/known.rs")).expect("the table is there");
    let page = fs::read_to_string(root.join("docs/configuration.md")).expect("the page is there");
    let names: Vec<&str> = known.split('"').skip(1).step_by(2).filter(|text| is_setting_name(text)).collect();
    assert!(names.len() > 40, "settings and variables are read from the table: {names:?}");
    let unnamed: Vec<&str> = names.into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(unnamed.is_empty(), "not in `docs/configuration.md`: {unnamed:?}");
}

#[test]
fn every_proof_of_what_the_server_withstands_is_a_test_that_exists() {
    let root = crates().parent().expect("`crates/` lies in the project").to_owned();
    let page = fs::read_to_string(root.join("docs/hardening.md")).expect("the page is there");
    let sources = sources(&crates());
    let mut missing = Vec::new();
    let mut count = 0;
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let mut file = "";
        for proof in
            row.split('`').skip(1).step_by(2).filter(|proof| proof.contains(".rs") || proof.starts_with("::"))
        {
            let (named, test) = proof.split_once("::").unwrap_or((proof, ""));
            file = if named.is_empty() { file } else { named };
            let is_there = |(path, text): &(PathBuf, String)| {
                path.ends_with(file) && (test.is_empty() || text.contains(&format!("fn {test}(")))
            };
            count += 1;
            if !sources.iter().any(is_there) {
                missing.push(format!("`{file}::{test}`"));
            }
        }
    }
    assert!(count > 150, "proofs are read from the page: {count}");
    assert!(missing.is_empty(), "`docs/hardening.md` names what is not there: {}", missing.join(", "));
}

#[test]
fn paths_are_seen_in_every_spelling() {
    let text = "use crate::{domain::{Entry, ids}, store as rows};\nuse super::worker;\n// use crate::service;\n\
                fn x() { let y = crate::upstream::get(axum::Json(1)); }\npub(crate) use reqwest::Client;";
    let paths = named_paths(text);
    for expected in [
        "crate::domain::Entry",
        "crate::domain::ids",
        "crate::store",
        "crate::worker",
        "crate::upstream::get",
        "axum::Json",
        "reqwest::Client",
    ] {
        assert!(paths.iter().any(|path| path == expected), "`{expected}` is not in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.starts_with("crate::service")), "a comment is no import");
}

/// `section.key`, `ENVIRONMENT_VARIABLE` or `--flag`; defaults such as `main` or `3` are none of them.
fn is_setting_name(text: &str) -> bool {
    let is_variable = text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_key = text.split_once('.').is_some_and(|(section, key)| {
        !key.is_empty() && (section.chars().chain(key.chars())).all(|c| c.is_ascii_lowercase() || c == '_')
    });
    is_variable || is_key || text.starts_with("--")
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in `crates/`").to_owned()
}

/// Every `.rs` file at or below `path`, with its text; nothing when there is no such path.
fn sources(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        return vec![(path.to_owned(), fs::read_to_string(path).expect("sources are UTF-8"))];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.flat_map(|entry| sources(&entry.expect("it can be listed").path())).collect()
}

fn collect_breaches(file: &Path, text: &str, forbidden: &[&str], why: &str, breaches: &mut Vec<String>) {
    // A lone word may be a variable; only a path names a crate or a module.
    for path in named_paths(text).into_iter().filter(|path| path.contains("::")) {
        let is_breach = |border: &&str| {
            path.strip_prefix(*border).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        if forbidden.iter().any(is_breach) {
            breaches.push(format!("{}: `{path}`: {why}", file.display()));
        }
    }
}

/// Names under `[dependencies]`, without their values.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
}

/// Every path that the code names, groups written out; `self::` and `super::` count from the crate's root.
fn named_paths(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut paths = Vec::new();
    let mut rest = code.as_str();
    while let Some(start) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        rest = &rest[start..];
        let mut prefix = String::new();
        rest = read_path(rest, &mut prefix, &mut paths);
    }
    paths
}

/// Reads one path at the start of `text` and returns what follows it.
fn read_path<'a>(text: &'a str, prefix: &mut String, paths: &mut Vec<String>) -> &'a str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match &text[..end] {
        "self" | "super" => prefix.replace_range(.., "crate"),
        "" => {}
        name if prefix.is_empty() => prefix.push_str(name),
        name => {
            prefix.push_str("::");
            prefix.push_str(name);
        }
    }
    let rest = &text[end..];
    match rest.strip_prefix("::") {
        Some(group) if group.starts_with('{') => read_group(&group[1..], prefix, paths),
        Some(next) if next.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
            read_path(next, prefix, paths)
        }
        _ => {
            paths.push(prefix.clone());
            rest
        }
    }
}

/// Reads the members of `prefix::{…}` and returns what follows the closing brace.
fn read_group<'a>(mut text: &'a str, prefix: &str, paths: &mut Vec<String>) -> &'a str {
    loop {
        text = text.trim_start_matches([',', ' ', '\n', '*']);
        if text.is_empty() {
            return text;
        }
        if let Some(rest) = text.strip_prefix('}') {
            return rest;
        }
        let mut member = prefix.to_owned();
        let after = read_path(text, &mut member, paths);
        let end = after.find([',', '}']).unwrap_or(after.len());
        text = &after[end..];
    }
}
