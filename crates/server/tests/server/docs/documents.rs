//! The OpenAPI documents: complete, committed, and sound in themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lorakeep_server::Surface;
use serde_json::Value;

use crate::hardening::routes::{Route, served};

fn document(surface: Surface) -> Value {
    serde_json::from_str(&surface.openapi()).expect("JSON")
}

/// Every operation of all documents.
fn documented() -> BTreeSet<Route> {
    let mut routes = BTreeSet::new();
    for surface in Surface::ALL {
        for (path, methods) in document(surface)["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                let route = Route { method: method.to_uppercase(), path: path.clone() };
                assert!(routes.insert(route.clone()), "{route:?} is documented twice");
            }
        }
    }
    routes
}

/// Not pages and not the documentation itself.
fn is_api(route: &Route) -> bool {
    ["/api/", "/v1/", "/metrics"].iter().any(|start| route.path.starts_with(start))
}

#[test]
fn every_route_of_the_api_is_documented() {
    let missing: Vec<Route> =
        served().into_iter().filter(is_api).filter(|route| !documented().contains(route)).collect();
    assert!(missing.is_empty(), "describe these beside their routes, in `operations()`: {missing:#?}");
}

#[test]
fn every_documented_operation_is_served() {
    let served = served();
    let is_known = |route: &Route| {
        // The sources are searched for the usual methods; these two stand beside them.
        matches!(route.method.as_str(), "HEAD" | "OPTIONS")
            && served.iter().any(|other| other.path == route.path)
            || served.contains(route)
    };
    let extra: Vec<Route> = documented().into_iter().filter(|route| !is_known(route)).collect();
    assert!(extra.is_empty(), "nothing serves these: {extra:#?}");
}

#[test]
fn the_committed_documents_are_what_the_code_says() {
    for surface in Surface::ALL {
        let name = surface.as_str();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/openapi/{name}.json"));
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(&path, surface.openapi()).expect("written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == surface.openapi(),
            "`docs/openapi/{name}.json` is another: write it with `UPDATE_OPENAPI=1 cargo test documents`, then read the diff"
        );
    }
}

#[test]
fn every_reference_within_a_document_leads_somewhere() {
    for surface in Surface::ALL {
        let document = document(surface);
        let mut targets = BTreeSet::new();
        collect_references(&document, &mut targets);
        assert!(targets.len() > 10, "{targets:?}");
        for target in targets {
            let place = target.strip_prefix('#').expect("within the document");
            assert!(document.pointer(place).is_some(), "`{target}` of {surface:?} leads nowhere");
        }
    }
}

#[test]
fn every_named_schema_is_used_and_says_something() {
    for surface in Surface::ALL {
        let document = document(surface);
        let mut targets = BTreeSet::new();
        collect_references(&document, &mut targets);
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            assert!(targets.contains(&format!("#/components/schemas/{name}")), "nothing uses `{name}`");
            assert!(schema.as_object().is_some_and(|own| !own.is_empty()), "`{name}` says nothing");
            assert!(
                !name.ends_with(char::is_numeric),
                "`{name}` got a number: rename it where it is declared"
            );
        }
    }
}

fn collect_references(value: &Value, targets: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            targets.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect_references(value, targets));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, targets)),
        _ => {}
    }
}
