//! Edits, their history and their undo, and that no fetch overwrites them.

use lorakeep_standin::{CivitFile, CivitModel, CivitVersion, FileSpec};
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::CatalogName::{Loras, Models};
use crate::service::FetchScope;
use crate::service::testing::Studio;

fn edit(value: Value) -> EntryEdit {
    let Value::Object(fields) = value else { panic!("an edit is an object") };
    EntryEdit::parse(fields).unwrap()
}

async fn add(studio: &Studio, file: &str) -> EntryId {
    studio.add(Models, "m", json!({"file": file, "dest": "vae", "name": file, "tags": ["a"]})).await.id
}

fn document(studio: &Studio, id: EntryId) -> Value {
    studio.registry.find_entry_by_id(id).unwrap().document.to_fields().into()
}

#[tokio::test]
async fn an_edit_is_durable_and_can_be_undone_and_done_again() {
    let studio = Studio::new().await;
    let id = add(&studio, "a.pt").await;
    let before = document(&studio, id);
    let wish = edit(json!({"notes": "one", "add_tags": ["b"], "favorite": true}));
    let edited = studio.registry.edit_entry(id, &wish).await.unwrap();
    assert_eq!(Value::from(edited.fields.old), json!({"favorite": null, "notes": null, "tags": ["a"]}));
    let studio = studio.reopen().await;
    let after = document(&studio, id);
    assert_eq!(
        (&after["notes"], &after["tags"], &after["favorite"]),
        (&json!("one"), &json!(["a", "b"]), &json!(true))
    );
    let undone = studio.registry.revert_edit(edited.edit.unwrap()).await.unwrap();
    assert_eq!((document(&studio, id), undone.changed), (before, 1));
    let again = studio.registry.revert_edit(undone.edit.unwrap()).await.unwrap();
    assert_eq!((document(&studio, id)["notes"].clone(), again.conflicts), (json!("one"), vec![]));
    let history = studio.registry.entry_history(id, &PageRequest::default()).await.unwrap();
    assert_eq!((history.total, history.items.len()), (3, 3));
    assert_eq!((history.items[0].edit, history.items[0].reverts), (again.edit.unwrap(), undone.edit));
    let page = PageRequest { limit: Some(2), cursor: None };
    let first = studio.registry.entry_history(id, &page).await.unwrap();
    let page = PageRequest { limit: Some(2), cursor: first.next_cursor };
    let rest = studio.registry.entry_history(id, &page).await.unwrap();
    assert_eq!((rest.items.len(), rest.items[0].edit, rest.next_cursor), (1, edited.edit.unwrap(), None));
}

#[tokio::test]
async fn an_edit_that_changes_nothing_is_none() {
    let studio = Studio::new().await;
    let id = add(&studio, "a.pt").await;
    let version = studio.registry.library().catalog(Models).head.version;
    let edited =
        studio.registry.edit_entry(id, &edit(json!({"add_tags": ["A"], "notes": ""}))).await.unwrap();
    assert_eq!((edited.edit, edited.fields.is_empty()), (None, true));
    assert_eq!(studio.registry.library().catalog(Models).head.version, version);
    let missing =
        studio.registry.edit_entry(EntryId::new(studio.registry.now()), &EntryEdit::default()).await;
    assert_eq!(missing.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn many_entries_are_edited_at_once_by_id_or_by_a_filter() {
    let studio = Studio::new().await;
    let (one, two) = (add(&studio, "a.pt").await, add(&studio, "b.pt").await);
    let style = studio.add(Loras, "l", json!({"file": "c.pt", "dest": "loras"})).await.id;
    let nobody = EntryId::new(studio.registry.now());
    let which = EditedEntries::Ids(vec![one, style, one, nobody]);
    let edited = studio.registry.edit_entries(&which, &edit(json!({"favorite": true}))).await.unwrap();
    assert_eq!((edited.changed, edited.unchanged, edited.missing), (2, 0, vec![nobody]));
    let mut filter = EntryFilter::default();
    filter.selections.entry(crate::domain::Dimension::Catalog).or_default().any.push("models".to_owned());
    let which = EditedEntries::Filter(filter);
    let wish = edit(json!({"favorite": true, "remove_tags": ["a"]}));
    let both = studio.registry.edit_entries(&which, &wish).await.unwrap();
    assert_eq!(both.changed, 2);
    assert_eq!(
        (document(&studio, two)["favorite"].clone(), document(&studio, two)["tags"].clone()),
        (json!(true), json!([]))
    );
    // One of them is edited again: its field stays, everything else goes back.
    studio.registry.edit_entry(two, &edit(json!({"tags": ["mine"]}))).await.unwrap();
    let undone = studio.registry.revert_edit(both.edit.unwrap()).await.unwrap();
    let conflict = RevertConflict { entry: two, fields: vec!["tags".to_owned()] };
    assert_eq!((undone.changed, undone.conflicts), (2, vec![conflict]));
    assert_eq!(document(&studio, one)["tags"], json!(["a"]));
    assert_eq!(
        (document(&studio, two)["favorite"].clone(), document(&studio, two)["tags"].clone()),
        (Value::Null, json!(["mine"]))
    );
    assert_eq!(studio.registry.revert_edit(both.edit.unwrap()).await.unwrap_err().code(), "edited_again");
    assert_eq!(
        studio.registry.revert_edit(EditId::new(studio.registry.now())).await.unwrap_err().code(),
        "not_found"
    );
}

#[tokio::test]
async fn a_fetch_never_overwrites_an_edit_and_each_field_tells_its_origin() {
    let studio = Studio::new().await;
    let file = CivitFile::new(700, FileSpec::new("a.safetensors", 5000));
    let version = CivitVersion::new(70, "v1", "SDXL 1.0").words(&["soft ink"]).file(file);
    studio.standin.add_model(CivitModel::new(7, "Upstream", "LORA").version(version));
    let entry = json!({"file": "a.safetensors", "dest": "loras", "civitai_version_id": 70, "size_gb": 1.5});
    let id = studio.add(Loras, "l", entry).await.id;
    studio.registry.edit_entry(id, &edit(json!({"name": "Mine", "notes": "n"}))).await.unwrap();
    for _ in 0..2 {
        studio.registry.fetch_metadata(FetchScope::Known).await.unwrap();
        studio.registry.fetch_all_queued().await.unwrap();
        assert_eq!(document(&studio, id)["name"], "Mine");
    }
    let origins = studio.registry.entry_detail(id).await.unwrap().origins;
    let origin = |field: &str| origins[field].as_str();
    assert_eq!((origin("name"), origin("notes")), ("user", "user"));
    assert_eq!((origin("civitai_base_model"), origin("trainedWords")), ("civitai", "civitai"));
    assert_eq!(origin("size_gb"), "catalog");
    let edited = studio.registry.edit_entry(id, &edit(json!({"name": null}))).await.unwrap();
    let name = edited.state.entry.document.name().to_owned();
    assert!(name.starts_with("Upstream"), "{name}: given back to what was said");
    assert_eq!(studio.registry.entry_detail(id).await.unwrap().origins["name"], FactOrigin::Civitai);
    studio.registry.revert_edit(edited.edit.unwrap()).await.unwrap();
    assert_eq!(studio.registry.entry_detail(id).await.unwrap().origins["name"], FactOrigin::User);
}

#[tokio::test]
async fn edits_at_once_all_count() {
    let studio = Studio::new().await;
    let id = add(&studio, "a.pt").await;
    let edits =
        (0..20).map(|number| {
            let registry = studio.registry.clone();
            async move {
                registry.edit_entry(id, &edit(json!({"add_tags": [format!("t{number}")]}))).await.unwrap()
            }
        });
    futures_util::future::join_all(edits).await;
    assert_eq!(document(&studio, id)["tags"].as_array().map(Vec::len), Some(21));
    let fields: Map<String, Value> = Map::new();
    assert!(EntryEdit::parse(fields).unwrap().is_empty());
}
