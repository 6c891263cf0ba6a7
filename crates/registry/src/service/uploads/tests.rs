//! Uploads that are cut off between two steps, and the next start.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::domain::{CatalogName, UploadRoute};
use crate::service::testing::Studio;

fn content() -> Vec<u8> {
    let header = r#"{"a.weight":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"1234"].concat()
}

fn details() -> UploadDetails {
    UploadDetails {
        route: UploadRoute::Admin,
        file_name: "a.safetensors".into(),
        entity_type: Some("faces".into()),
        use_safe_filename: true,
    }
}

async fn upload(studio: &Studio) -> Result<Uploaded> {
    let mut upload = studio.registry.begin_upload(None).await.unwrap();
    upload.write(Bytes::from(content())).await.unwrap();
    upload.finish(details(), &Caller::admin()).await
}

fn parts(studio: &Studio) -> usize {
    std::fs::read_dir(studio.registry.parts_folder()).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_upload_that_is_cut_off_before_its_file_appears_never_was() {
    let studio = Studio::new().await;
    *studio.registry.inner.fault_at.lock().unwrap() = Some("upload_row_written");
    upload(&studio).await.unwrap_err();
    let studio = studio.reopen().await;
    assert_eq!(studio.documents(CatalogName::Loras), Vec::<Value>::new());
    assert_eq!(upload(&studio).await.unwrap().path.relative(), "loras/faces/a.safetensors");
}

#[tokio::test]
async fn an_upload_that_is_cut_off_before_its_entry_gets_it_at_the_next_start() {
    let studio = Studio::new().await;
    *studio.registry.inner.fault_at.lock().unwrap() = Some("upload_published");
    upload(&studio).await.unwrap_err();
    assert_eq!(studio.documents(CatalogName::Loras), Vec::<Value>::new());
    let studio = studio.reopen().await;
    let documents = studio.documents(CatalogName::Loras);
    assert_eq!((documents.len(), &documents[0]["file"]), (1, &Value::from("a.safetensors")));
    let path = ModelPath::parse("loras/faces", "a.safetensors").unwrap();
    let known = studio.registry.library().file(&path).and_then(|fact| fact.sha256);
    assert_eq!(known, Some(Sha256::of(&content())));
}

#[tokio::test]
async fn parts_of_a_killed_process_are_gone_after_the_next_start() {
    let studio = Studio::new().await;
    let upload = studio.registry.begin_upload(None).await.unwrap();
    let left = studio.registry.parts_folder().join(format!("{}.upload", upload.id));
    drop(upload);
    assert_eq!(parts(&studio), 0);
    std::fs::write(&left, "half").unwrap();
    std::fs::write(left.with_extension("linked"), "half").unwrap();
    std::fs::write(left.with_file_name("notes.txt"), "mine").unwrap();
    let studio = studio.reopen().await;
    assert_eq!(parts(&studio), 1);
}
