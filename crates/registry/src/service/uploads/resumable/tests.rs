//! Uploads in pieces: what is acknowledged stays, one writer at a time, cut off anywhere, forgotten in the end.

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::domain::{CatalogName, Sha256, TokenCaller, UploadRoute};
use crate::service::testing::Studio;

fn content() -> Vec<u8> {
    let data = 300_000;
    let header = format!(r#"{{"a.weight":{{"dtype":"U8","shape":[{data}],"data_offsets":[0,{data}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend((0..data).map(|number| (number % 251) as u8));
    file
}

fn new(length: usize) -> NewResumable {
    let details = UploadDetails {
        route: UploadRoute::Admin,
        file_name: "a.safetensors".into(),
        entity_type: Some("faces".into()),
        use_safe_filename: true,
    };
    NewResumable { details, length_bytes: length as u64, metadata: String::new() }
}

async fn begin(studio: &Studio) -> UploadId {
    studio.registry.begin_resumable(new(content().len()), &Caller::admin()).await.unwrap().id
}

async fn piece(studio: &Studio, id: UploadId, from: usize, to: usize) -> Result<ResumableUpload> {
    let bytes = Bytes::copy_from_slice(&content()[from..to]);
    let caller = Caller::admin();
    let mut append = studio.registry.append_resumable(id, from as u64, None, None, &caller).await?;
    append.write(bytes).await?;
    append.finish().await
}

async fn status(studio: &Studio, id: UploadId) -> ResumableUpload {
    studio.registry.find_resumable(id, &Caller::admin()).await.unwrap()
}

fn parts(studio: &Studio) -> usize {
    std::fs::read_dir(studio.registry.parts_folder()).map_or(0, Iterator::count)
}

fn published(studio: &Studio) -> Option<Vec<u8>> {
    std::fs::read(studio.registry.config().models_dir.join("loras/faces/a.safetensors")).ok()
}

#[tokio::test]
async fn pieces_become_the_whole_with_its_hash_and_entry() {
    let studio = Studio::new().await;
    let (id, end) = (begin(&studio).await, content().len());
    assert_eq!(piece(&studio, id, 0, 1000).await.unwrap().offset_bytes, 1000);
    assert_eq!(status(&studio, id).await.status, ResumableStatus::Receiving);
    let done = piece(&studio, id, 1000, end).await.unwrap();
    let ResumableStatus::Done(uploaded) = done.status else { panic!("{done:?}") };
    assert_eq!(uploaded.sha256, Sha256::of(&content()));
    assert_eq!(uploaded.path.relative(), "loras/faces/a.safetensors");
    assert_eq!((published(&studio), parts(&studio)), (Some(content()), 0));
    assert_eq!(studio.documents(CatalogName::Loras)[0]["file"], Value::from("a.safetensors"));
    // An empty piece behind the end is fine, as after an answer that was lost.
    assert_eq!(piece(&studio, id, end, end).await.unwrap().offset_bytes, end as u64);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart_and_is_hashed_again() {
    let studio = Studio::new().await;
    let (id, end) = (begin(&studio).await, content().len());
    piece(&studio, id, 0, 70_000).await.unwrap();
    // A killed process wrote more than it acknowledged.
    let part = studio.registry.resumable_part(id);
    let mut longer = std::fs::read(&part).unwrap();
    longer.extend([9; 5000]);
    std::fs::write(&part, longer).unwrap();
    let studio = studio.reopen().await;
    assert_eq!(status(&studio, id).await.offset_bytes, 70_000);
    let done = piece(&studio, id, 70_000, end).await.unwrap();
    assert!(matches!(done.status, ResumableStatus::Done(_)), "{done:?}");
    assert_eq!(published(&studio), Some(content()));
}

#[tokio::test]
async fn a_piece_that_breaks_off_keeps_what_came() {
    let studio = Studio::new().await;
    let id = begin(&studio).await;
    let caller = Caller::admin();
    let mut append = studio.registry.append_resumable(id, 0, None, None, &caller).await.unwrap();
    append.write(Bytes::copy_from_slice(&content()[..5000])).await.unwrap();
    drop(append);
    assert_eq!(status(&studio, id).await.offset_bytes, 5000);
    let wrong = piece(&studio, id, 4000, 6000).await.unwrap_err();
    assert_eq!(wrong.code(), "offset_mismatch");
    piece(&studio, id, 5000, 6000).await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_piece_with_a_wrong_checksum_is_kept() {
    let studio = Studio::new().await;
    let (id, end) = (begin(&studio).await, content().len());
    let caller = Caller::admin();
    // sha1 and sha256 of nothing.
    for text in ["sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="] {
        let checksum = Some(Checksum::parse(text).unwrap());
        let mut append = studio.registry.append_resumable(id, 0, None, checksum, &caller).await.unwrap();
        append.write(Bytes::copy_from_slice(&content()[..5000])).await.unwrap();
        assert_eq!(append.finish().await.unwrap_err().code(), "checksum_mismatch");
        assert_eq!(status(&studio, id).await.offset_bytes, 0);
    }
    for text in ["md5 AAAA", "sha1 AAAA", "sha1", ""] {
        assert_eq!(Checksum::parse(text).unwrap_err().code(), "unknown_checksum", "{text}");
    }
    piece(&studio, id, 0, end).await.unwrap();
    assert_eq!(published(&studio), Some(content()));
}

#[tokio::test]
async fn an_upload_has_one_writer_and_only_its_owner_and_admins_know_it() {
    let studio = Studio::new().await;
    let token = |subject: &str| {
        let subject = subject.to_owned();
        Caller::token(TokenCaller { subject, role: Some(crate::domain::Role::User), scopes: None })
    };
    let mut own = new(content().len());
    own.details.route = UploadRoute::User;
    own.details.entity_type = Some("styles".into());
    let id = studio.registry.begin_resumable(own, &token("ann")).await.unwrap().id;
    let append = studio.registry.append_resumable(id, 0, None, None, &token("ann")).await.unwrap();
    let second = studio.registry.append_resumable(id, 0, None, None, &Caller::admin()).await;
    assert_eq!(second.err().map(|error| error.code()), Some("upload_locked"));
    drop(append);
    assert_eq!(studio.registry.find_resumable(id, &token("bob")).await.unwrap_err().code(), "not_found");
    assert_eq!(studio.registry.list_resumable(&token("bob")).await.unwrap().total, 0);
    assert_eq!(studio.registry.list_resumable(&Caller::admin()).await.unwrap().total, 1);
    assert_eq!(studio.registry.end_resumable(id, &token("bob")).await.unwrap_err().code(), "not_found");
    studio.registry.end_resumable(id, &token("ann")).await.unwrap();
    assert_eq!(
        (studio.registry.list_resumable(&Caller::admin()).await.unwrap().total, parts(&studio)),
        (0, 0)
    );
}

#[tokio::test]
async fn an_upload_that_is_cut_off_while_it_is_judged_is_finished_at_the_next_start() {
    for point in ["upload_row_written", "upload_published", "resumable_accepted"] {
        let studio = Studio::new().await;
        let (id, end) = (begin(&studio).await, content().len());
        *studio.registry.inner.fault_at.lock().unwrap() = Some(point);
        piece(&studio, id, 0, end).await.unwrap_err();
        let studio = studio.reopen().await;
        studio.registry.accept_whole().await;
        let found = status(&studio, id).await;
        assert!(matches!(found.status, ResumableStatus::Done(_)), "{point}: {found:?}");
        assert_eq!(studio.documents(CatalogName::Loras).len(), 1, "{point}");
        assert_eq!((published(&studio), parts(&studio)), (Some(content()), 0), "{point}");
    }
}

#[tokio::test]
async fn a_refused_upload_says_why_until_it_is_forgotten() {
    let studio = Studio::new().await;
    let caller = Caller::admin();
    let id = studio.registry.begin_resumable(new(4000), &caller).await.unwrap().id;
    let mut append = studio.registry.append_resumable(id, 0, Some(4000), None, &caller).await.unwrap();
    append.write(Bytes::from(vec![7; 4000])).await.unwrap();
    let refused = append.finish().await.unwrap_err();
    let found = status(&studio, id).await.status;
    let ResumableStatus::Failed { code, message, .. } = found else { panic!("{found:?}") };
    assert_eq!((code.as_str(), message), (refused.code(), refused.to_string()));
    assert_eq!(parts(&studio), 0);
    let again = studio.registry.append_resumable(id, 4000, None, None, &caller).await;
    assert_eq!(again.err().map(|error| error.code()), Some("upload_failed"));
    studio.clock.advance(KEPT);
    studio.registry.forget_expired().await.unwrap();
    assert_eq!(studio.registry.find_resumable(id, &caller).await.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn an_upload_that_nobody_continues_is_removed_after_a_day() {
    let studio = Studio::new().await;
    let id = begin(&studio).await;
    studio.clock.advance(TimeDelta::hours(23));
    piece(&studio, id, 0, 1000).await.unwrap();
    studio.clock.advance(TimeDelta::hours(23));
    studio.registry.forget_expired().await.unwrap();
    assert_eq!((status(&studio, id).await.offset_bytes, parts(&studio)), (1000, 1), "each piece counts anew");
    studio.clock.advance(TimeDelta::hours(1));
    studio.registry.forget_expired().await.unwrap();
    assert_eq!(studio.registry.find_resumable(id, &Caller::admin()).await.unwrap_err().code(), "not_found");
    assert_eq!(parts(&studio), 0);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_before_its_first_byte() {
    let studio = Studio::with(&[("LORAKEEP_MAX_UPLOAD_BYTES", "4611686018427387904")]).await;
    let refused = |new: NewResumable| {
        let registry = studio.registry.clone();
        async move { registry.begin_resumable(new, &Caller::admin()).await.unwrap_err().code() }
    };
    assert_eq!(refused(new(0)).await, "empty_file");
    assert_eq!(refused(new(1 << 61)).await, "disk_full");
    let mut large = new(1);
    large.length_bytes = u64::MAX;
    assert_eq!(refused(large).await, "too_large");
    let (id, end) = (begin(&studio).await, content().len());
    piece(&studio, id, 0, end).await.unwrap();
    let mut same = new(1000);
    same.details.use_safe_filename = false;
    assert_eq!(refused(same).await, "exists");
}
